"""Names: text to wire form and back, what is refused, and the names of addresses."""

import dns.name
import dns.reversename
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evkit.dns import names
from evkit.dns.names import is_absolute, is_subdomain, labels, reverse_name, to_text, to_wire

LABELS = st.binary(min_size=1, max_size=63)
WIRE_NAMES = (
    st.lists(LABELS, max_size=12)
    .map(lambda parts: b"".join(bytes((len(part),)) + part for part in parts) + b"\0")
    .filter(lambda wire: len(wire) <= 255)
)


@pytest.mark.parametrize(
    ("name", "wire"),
    [
        (".", b"\0"),
        ("a", b"\1a\0"),
        ("example.org", b"\7example\3org\0"),
        ("example.org.", b"\7example\3org\0"),
        ("WWW.Example.ORG", b"\3WWW\7Example\3ORG\0"),
        ("_sip._tcp.example.org", b"\4_sip\4_tcp\7example\3org\0"),
        ("*.example.org", b"\1*\7example\3org\0"),
        (r"a\.b.c", b"\3a.b\1c\0"),
        (r"a\\.b", b"\2a\\\1b\0"),
        (r"\000\255\032.x", b"\3\0\xff \1x\0"),
        (r"\a\..x.", b"\2a.\1x\0"),
        ("x" * 63, b"\x3f" + b"x" * 63 + b"\0"),
        (".".join(["x" * 63] * 3 + ["y" * 61]), (b"\x3f" + b"x" * 63) * 3 + b"\x3d" + b"y" * 61 + b"\0"),
        (r"\120" * 63, b"\x3f" + b"x" * 63 + b"\0"),
        ("bücher.example", b"\x0dxn--bcher-kva\7example\0"),
        ("Bücher.Example", b"\x0dxn--bcher-kva\7Example\0"),
        ("faß.de", b"\x0axn--fa-hia\2de\0"),  # IDNA 2003 made it fass
        ("_x.bücher.de", b"\2_x\x0dxn--bcher-kva\2de\0"),
        ("例え\u3002テスト", b"\x0bxn--r8jz45g\x0axn--zckzah\0"),
        ("\uff45\uff58ample\uff0eorg", b"\7example\3org\0"),
        ("xn--bcher-kva.example", b"\x0dxn--bcher-kva\7example\0"),
        (r"bücher.a\.b", b"\x0dxn--bcher-kva\3a.b\0"),
    ],
)
def test_text_to_wire(name: str, wire: bytes) -> None:
    assert to_wire(name) == wire


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("", "1 to 253 characters, got ''"),
        ("..", "an empty one in '..'"),
        (".a", "an empty one"),
        ("a..b", "an empty one in 'a..b'"),
        ("a..", "an empty one"),
        ("\u3002", "an empty one"),
        ("x" * 64, "one of 64 bytes"),
        ("ü" * 60, "IDNA refuses"),
        (".".join(["x" * 63] * 3 + ["y" * 62]), "255 bytes at most, got 256"),
        ("a." * 5000, r"of 10000 characters"),
        ("ü" * 5000, r"of 5000 characters"),
        ("a b", "got ' ' in 'a b'"),
        (" a", "got ' '"),
        ("a\n", r"got '\\n'"),
        ("a\0b", r"got '\\x00'"),
        ("a\x7f", r"got '\\x7f'"),
        ("a\\", "the end of"),
        ("a.b\\", "the end of"),
        (r"a\25", r"got '\\\\'"),
        (r"a\256", r"\\000 to \\255"),
        (r"\ü", "has no escapes"),
        (r"ü\.x", "has no escapes"),
        ("☃.example", "IDNA refuses '☃.example'"),
        ("a\udc80", "IDNA refuses"),
        ("-ü.example", "IDNA refuses"),
        ("ü b.example", "IDNA refuses"),
    ],
)
def test_names_that_are_none(name: str, words: str) -> None:
    with pytest.raises(ValueError, match=words) as caught:
        to_wire(name)
    assert type(caught.value) is ValueError
    assert len(str(caught.value)) < 300


def test_a_name_is_a_str() -> None:
    with pytest.raises(TypeError, match="as a str, got b'example"):
        to_wire(b"example.org")  # type: ignore[arg-type]  # what is tested
    with pytest.raises(TypeError, match="as a str"):
        reverse_name(1)  # type: ignore[arg-type]  # what is tested


@pytest.mark.parametrize(
    ("wire", "text"),
    [
        (b"\0", "."),
        (b"\7example\3org\0", "example.org"),
        (b"\3WWW\2_x\0", "WWW._x"),
        (b"\3a.b\1c\0", r"a\.b.c"),
        (b"\1.\0", r"\."),
        (b'\x09"$();@\\ \x7f\0', r"\"\$\(\)\;\@\\\032\127"),
        (b"\x0dxn--bcher-kva\0", "xn--bcher-kva"),
        (b"\2\0\xff\0", r"\000\255"),
    ],
)
def test_wire_to_text(wire: bytes, text: str) -> None:
    assert to_text(wire) == text
    assert to_wire(text) == wire


@given(WIRE_NAMES)
def test_text_gives_the_same_name_again(wire: bytes) -> None:
    text = to_text(wire)
    assert to_wire(text) == wire
    assert to_wire("." if text == "." else text + ".") == wire
    assert text.isascii()
    assert text.isprintable()
    oracle, length = dns.name.from_wire(wire, 0)
    assert length == len(wire)
    assert (text if text == "." else text + ".") == oracle.to_text()
    assert b"".join(bytes((len(part),)) + part for part in labels(wire)) + b"\0" == wire


@given(st.text(alphabet=st.one_of(st.sampled_from("ab.\\0129 ü\u3002\uff0e-_\udc80ßA\n"), st.characters())))
def test_any_text_is_a_name_or_refused(text: str) -> None:
    try:
        wire = to_wire(text)
    except ValueError:
        return
    assert len(wire) <= 255
    assert to_wire(to_text(wire)) == wire


WORDS = st.lists(st.text("aZ09-_*\x21\x22$();@\x7e", min_size=1, max_size=40), min_size=1, max_size=4)


@given(WORDS, st.booleans())
def test_a_name_that_was_made_of_text_has_the_text_that_it_has_otherwise(words: list[str], dot: bool) -> None:
    wire = to_wire(".".join(words) + "." * dot)
    remembered = to_text(wire)
    names._TEXTS.clear()
    assert to_text(wire) == remembered
    assert to_wire(remembered) == wire


def test_few_texts_are_remembered() -> None:
    for number in range(5000):
        to_wire(f"h{number}.test")
    assert 0 < len(names._TEXTS) <= 4096


@pytest.mark.parametrize("size", [0x20, 0x21, 0x2E, 0x3F])
def test_no_length_is_taken_for_a_character(size: int) -> None:
    label = b"x" * (size - 1) + b" "  # which could make up for the length
    wire = bytes((size,)) + label + b"\1y\0"
    assert to_text(wire) == "x" * (size - 1) + "\\032.y"
    assert to_text(wire[:size] + b"z\1y\0") == "x" * (size - 1) + "z.y"


@given(st.text(alphabet="abC-_*/.\\012359", min_size=1))
def test_what_dnspython_makes_of_it(text: str) -> None:
    try:
        expected = dns.name.from_text(text).to_wire()
    except (dns.name.LabelTooLong, dns.name.NameTooLong, dns.name.EmptyLabel, dns.name.BadEscape):
        with pytest.raises(ValueError, match="expected"):
            to_wire(text)
        return
    assert to_wire(text) == expected


@pytest.mark.parametrize(
    ("name", "ancestor", "is_below"),
    [
        ("a.example.org", "example.org", True),
        ("example.org", "example.org", True),
        ("example.org", ".", True),
        (".", ".", True),
        ("org", "example.org", False),
        ("badexample.org", "example.org", False),
        ("a.example.com", "example.org", False),
        (".", "org", False),
    ],
)
def test_below(name: str, ancestor: str, is_below: bool) -> None:
    assert is_subdomain(to_wire(name), to_wire(ancestor)) is is_below


def test_the_bytes_of_a_label_are_no_ancestor() -> None:
    inside = b"\4a\2or\0"
    assert not is_subdomain(inside, b"\2or\0")
    assert is_subdomain(b"\1a\2or\0", b"\2or\0")


@pytest.mark.parametrize(
    ("address", "name"),
    [
        ("192.0.2.1", "1.2.0.192.in-addr.arpa"),
        ("0.0.0.0", "0.0.0.0.in-addr.arpa"),
        ("255.254.253.252", "252.253.254.255.in-addr.arpa"),
        ("::ffff:192.0.2.1", "1.2.0.192.in-addr.arpa"),
        ("::", "0." * 32 + "ip6.arpa"),
        # RFC 3596 §2.5
        (
            "4321:0:1:2:3:4:567:89ab",
            "b.a.9.8.7.6.5.0.4.0.0.0.3.0.0.0.2.0.0.0.1.0.0.0.0.0.0.0.1.2.3.4.ip6.arpa",
        ),
        ("2001:DB8::A", "a." + "0." * 23 + "8.b.d.0.1.0.0.2.ip6.arpa"),
    ],
)
def test_names_of_addresses(address: str, name: str) -> None:
    assert to_text(reverse_name(address)) == name
    assert reverse_name(address) == dns.reversename.from_address(address).to_wire()


@pytest.mark.parametrize(
    "address",
    [
        "",
        "192.0.2",
        "192.0.2.256",
        "192.0.2.01",
        "1.2.3.4.5",
        "::g",
        "fe80::1%eth0",
        "example.org",
        "::1\0",
        "1.2.3.4 ",
        "1" * 999,
    ],
)
def test_no_addresses(address: str) -> None:
    with pytest.raises(ValueError, match="expected an IPv4 or IPv6 address without a scope"):
        reverse_name(address)


@pytest.mark.parametrize(
    ("name", "absolute"),
    [
        ("a.", True),
        (".", True),
        ("a", False),
        ("", False),
        (r"a\.", False),
        (r"a\\.", True),
        ("a\u3002", True),
        ("a.b", False),
    ],
)
def test_a_dot_at_the_end_makes_a_name_absolute(name: str, absolute: bool) -> None:
    assert is_absolute(name) is absolute
