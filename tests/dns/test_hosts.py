"""`evkit.dns.hosts`: files right and wrong by table, a model, and that a large one is quick for whoever asks."""

from socket import AF_INET, AF_INET6

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evkit.dns.hosts import EMPTY, MAX_LINES, parse
from evkit.dns.names import to_wire

FILE = b"""\
# The usual, and a little more.
127.0.0.1\tlocalhost  # this machine
::1 localhost ip6-localhost

192.0.2.1   Gate.Example gate\tGW
192.0.2.2 gate
  2001:DB8:0::1 gate.example
192.0.2.1 gate
192.0.2.9 alias gate.example\r
# 192.0.2.3 not-there
192.0.2.4 # nor-this
192.0.2.5
192.0.2.300 wrong
example.org wrong wrong2
fe80::1%lo0 scoped
::ffff:192.0.2.8 mapped"""


def test_addresses_are_in_the_order_of_the_file_and_each_once() -> None:
    hosts = parse(FILE)
    assert hosts.addresses("localhost") == ["127.0.0.1", "::1"]
    assert hosts.addresses("gate.example") == ["192.0.2.1", "2001:db8::1", "192.0.2.9"]
    assert hosts.addresses("gate") == ["192.0.2.1", "192.0.2.2"]
    assert hosts.addresses("scoped") == ["fe80::1%lo0"]
    assert hosts.addresses("mapped") == ["::ffff:192.0.2.8"]


def test_one_family_alone() -> None:
    hosts = parse(FILE)
    assert hosts.addresses("gate.example", AF_INET) == ["192.0.2.1", "192.0.2.9"]
    assert hosts.addresses("gate.example", AF_INET6) == ["2001:db8::1"]
    assert hosts.addresses("ip6-localhost", AF_INET) == []


def test_case_does_not_matter_and_a_name_may_be_wire_or_text() -> None:
    hosts = parse(FILE)
    for name in (to_wire("gw"), to_wire("GW"), "gw", "GW", "gw."):
        assert hosts.addresses(name) == ["192.0.2.1"]
    assert hosts.addresses(to_wire("gate.example")) == hosts.addresses("GATE.EXAMPLE")


@pytest.mark.parametrize(
    "name", ["not-there", "nor-this", "wrong", "wrong2", "192.0.2.5", "example.org", "."]
)
def test_what_is_not_there(name: str) -> None:
    hosts = parse(FILE)
    assert hosts.addresses(name) == []
    assert hosts.canonical_name(name) is None


def test_a_dot_within_a_label_is_none_between_labels() -> None:
    hosts = parse(b"192.0.2.1 a.b")
    assert hosts.addresses("a.b") == ["192.0.2.1"]
    assert hosts.addresses(r"a\.b") == []
    assert hosts.canonical_name(r"a\.b") is None


def test_a_text_that_is_no_name_is_refused() -> None:
    with pytest.raises(ValueError, match="label"):
        parse(FILE).addresses("a..b")


def test_the_canonical_name_is_the_first_of_the_first_line() -> None:
    hosts = parse(FILE)
    assert hosts.canonical_name("gw") == "Gate.Example"
    assert hosts.canonical_name("gate") == "Gate.Example"
    assert hosts.canonical_name("ip6-localhost") == "localhost"
    assert parse(b"300.0.0.1 a x\n192.0.2.1 b x").canonical_name("x") == "b"


def test_the_names_of_an_address() -> None:
    hosts = parse(FILE)
    assert hosts.names("192.0.2.1") == ["Gate.Example", "gate", "GW"]
    assert hosts.names("2001:db8:0:0::1") == ["gate.example"]
    assert hosts.names("fe80::1%lo0") == ["scoped"]
    for address in ("192.0.2.7", "192.0.2.5", "192.0.2.300", "example.org", "", "\0", "\ud800", "::1%"):
        assert hosts.names(address) == []


def test_a_name_twice_in_one_line_is_there_once() -> None:
    hosts = parse(b"192.0.2.1 a A a")
    assert hosts.addresses("a") == ["192.0.2.1"]
    assert hosts.names("192.0.2.1") == ["a", "A"]


@pytest.mark.parametrize("byte", [b"\0", b"\x01", b"\x1b", b"\x7f"])
def test_a_control_character_ends_the_line(byte: bytes) -> None:
    hosts = parse(b"192.0.2.1 a b" + byte + b"c d\n192.0.2.2 e")
    assert hosts.names("192.0.2.1") == ["a", "b"]
    assert hosts.addresses("e") == ["192.0.2.2"]


def test_a_name_that_is_not_ascii_is_passed_over() -> None:
    hosts = parse("192.0.2.1 bücher a # Bücher\n192.0.2.2 bücher".encode())
    assert hosts.addresses("a") == ["192.0.2.1"]
    assert hosts.names("192.0.2.1") == ["a"]
    assert hosts.names("192.0.2.2") == []
    assert hosts.canonical_name("a") == "a"
    as_it_stands = b"\7b\xc3\xbccher\0"
    assert hosts.addresses(as_it_stands) == ["192.0.2.1", "192.0.2.2"]
    assert hosts.canonical_name(as_it_stands) == "a"
    assert parse("192.0.2.2 bücher".encode()).canonical_name(as_it_stands) is None


def test_appended_lines_come_after_the_others() -> None:
    first, second = parse(b"192.0.2.1 a b"), parse(b"192.0.2.2 b a c")
    both = first.followed_by(second)
    assert both.addresses("a") == ["192.0.2.1", "192.0.2.2"]
    assert both.names("192.0.2.2") == ["b", "a", "c"]
    assert (len(first), len(second), len(both)) == (2, 3, 3)
    assert first.addresses("a") == ["192.0.2.1"]
    assert first.followed_by(parse(b"# nothing")) is first
    assert EMPTY.followed_by(first).addresses("a") == ["192.0.2.1"]


def test_what_it_shows_of_itself() -> None:
    assert repr(parse(b"192.0.2.1 a b")) == "<Hosts names=2>"
    assert repr(EMPTY) == "<Hosts names=0>"


def test_one_name_with_many_lines_is_cut() -> None:
    many = b"".join(b"10.0.%d.%d a b%d\n" % (number >> 8, number & 255, number) for number in range(3000))
    hosts = parse(many)
    assert hosts.addresses("a") == [f"10.0.{number >> 8}.{number & 255}" for number in range(MAX_LINES)]
    assert hosts.addresses("b2999") == ["10.0.11.183"]


def test_one_address_with_many_lines_is_cut() -> None:
    hosts = parse(b"".join(b"0.0.0.0 ad%d.example\n" % number for number in range(3000)))
    assert hosts.names("0.0.0.0") == [f"ad{number}.example" for number in range(MAX_LINES)]
    assert hosts.addresses("ad2999.example") == ["0.0.0.0"]


@given(st.binary() | st.text(" \t\n\r#%.:0123abAB\0\x0bé").map(str.encode))
def test_any_bytes_are_a_file(data: bytes) -> None:
    hosts = parse(data)
    for line in data.split(b"\n"):
        for name in line.split()[1:]:
            if len(name) < 64 and b"." not in name:
                hosts.addresses(bytes([len(name)]) + name + b"\0")
        for address in line.split()[:1]:
            for name in hosts.names(address.decode("latin-1")):
                assert name.isascii()
                assert name.isprintable()


LINES = st.lists(
    st.tuples(
        st.sampled_from(["192.0.2.1", "192.0.2.2", "2001:db8::1", "wrong"]),
        st.lists(st.sampled_from(["a", "b", "A", "c.d"]), max_size=3),
        st.sampled_from(["", " # a", "#", "\r"]),
    ),
    max_size=8,
)


@given(LINES)
def test_a_model(lines: list[tuple[str, list[str], str]]) -> None:
    hosts = parse("\n".join(" ".join([address, *names]) + tail for address, names, tail in lines).encode())
    right = [(address, names) for address, names, _ in lines if address != "wrong" and names]
    for name in ("a", "b", "c.d", "x"):
        found = [(address, names) for address, names in right if name in [word.lower() for word in names]]
        assert hosts.addresses(name) == list(dict.fromkeys(address for address, _ in found))
        assert hosts.canonical_name(name) == (found[0][1][0] if found else None)
    for wanted in ("192.0.2.1", "192.0.2.2", "2001:db8::1"):
        expected = [name for address, names in right if address == wanted for name in names]
        assert hosts.names(wanted) == list(dict.fromkeys(expected))
