"""Numbers and mnemonics, against dnspython's."""

import dns.rcode
import dns.rdataclass
import dns.rdatatype
import pytest

from evkit.dns import types
from evkit.dns.types import class_name, class_number, rcode_name, type_name, type_number

CANT_BE_ASKED = {"OPT", "TKEY", "TSIG", "AXFR", "IXFR"}


@pytest.mark.parametrize("rdtype", [rdtype for rdtype in dns.rdatatype.RdataType if rdtype])
def test_types_that_dnspython_knows(rdtype: dns.rdatatype.RdataType) -> None:
    name = dns.rdatatype.to_text(rdtype)
    assert type_name(int(rdtype)) == name
    if name in CANT_BE_ASKED:
        with pytest.raises(ValueError, match=f"can be asked for, got {name}"):
            type_number(name)
    else:
        assert type_number(name) == type_number(name.lower()) == type_number(int(rdtype)) == int(rdtype)


@pytest.mark.parametrize("number", range(24))
def test_response_codes(number: int) -> None:
    known = {int(rcode) for rcode in dns.rcode.Rcode}
    assert rcode_name(number) == (
        dns.rcode.to_text(dns.rcode.Rcode(number)) if number in known else f"RCODE{number}"
    )


@pytest.mark.parametrize("rdclass", [1, 3, 4, 254, 255])
def test_classes(rdclass: int) -> None:
    name = dns.rdataclass.to_text(dns.rdataclass.RdataClass(rdclass))
    assert class_name(rdclass) == name
    assert class_number(name.lower()) == rdclass


def test_constants_are_the_numbers_of_their_names() -> None:
    constants = {
        name: value for name, value in vars(types).items() if name[0].isupper() and isinstance(value, int)
    }
    rcodes = {"NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED", "BADVERS", "BADCOOKIE"}
    for name in rcodes:
        assert rcode_name(constants[name]) == name
    for name in constants.keys() - {"IN"} - rcodes:
        assert type_name(constants[name]) == name


@pytest.mark.parametrize(
    ("what", "number"),
    [
        ("TYPE1", 1),
        ("type65535", 65535),
        ("TYPE065280", -1),
        ("TYPE65280", 65280),
        ("*", 255),
        (65280, 65280),
        ("any", 255),
    ],
)
def test_types_by_number(what: str | int, number: int) -> None:
    if number < 0:
        with pytest.raises(ValueError, match="expected a type"):
            type_number(what)
    else:
        assert type_number(what) == number


def test_what_nobody_knows() -> None:
    assert (type_name(65280), class_name(32), rcode_name(4095)) == ("TYPE65280", "CLASS32", "RCODE4095")
    assert class_number("CLASS32") == 32


@pytest.mark.parametrize(
    "what", ["", "AAAAA", "TYPE", "TYPE65536", "TYPE-1", "CLASS1", "TYPE\u0661", -1, 65536, "A ", "IN"]
)
def test_no_types(what: str | int) -> None:
    with pytest.raises(ValueError, match=r"expected a type of A, AAAA, .*TYPE0 to TYPE65535"):
        type_number(what)


@pytest.mark.parametrize("what", [0, "TYPE0", 41, "TYPE41", 250])
def test_types_that_are_no_data(what: str | int) -> None:
    with pytest.raises(ValueError, match="that can be asked for"):
        type_number(what)
    assert type_number(what, asked=False) in (0, 41, 250)


@pytest.mark.parametrize("what", ["", "I", "TYPE1", "CLASS65536"])
def test_no_classes(what: str) -> None:
    with pytest.raises(ValueError, match=r"expected a class of IN, CH, HS, NONE, ANY"):
        class_number(what)


def test_neither_text_nor_number() -> None:
    with pytest.raises(TypeError, match="expected a type as a str or an int, got None"):
        type_number(None)  # type: ignore[arg-type]  # what is tested
    with pytest.raises(TypeError, match="expected a class"):
        class_number(b"IN")  # type: ignore[arg-type]  # what is tested
