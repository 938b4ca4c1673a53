"""`evkit.dns.gai_conf`: the lines that count, those that don't, and that nothing makes it fail."""

from hypothesis import given
from hypothesis import strategies as st

from evkit.dns.address_order import DEFAULT_POLICY, Source, order, prefix
from evkit.dns.gai_conf import MAX_PREFIXES, parse


def test_an_empty_file_is_the_rfcs_table() -> None:
    assert parse(b"") == DEFAULT_POLICY
    assert (
        parse(b"# precedence ::ffff:0:0/96  100\nreload yes\nscopev4 ::ffff:127.0.0.0/104 2")
        == DEFAULT_POLICY
    )


def test_the_line_that_everybody_uses() -> None:
    policy = parse(b"#label ::1/128 0\r\nprecedence ::ffff:0:0/96  100 # IPv4 first\r\n")
    assert policy.precedences == (prefix("::ffff:0:0/96", 100), prefix("::/0", 40))
    assert policy.labels == DEFAULT_POLICY.labels
    addresses = ["2001:db8::1", "192.0.2.1"]
    sources = {"2001:db8::1": Source("2001:db8::2"), "192.0.2.1": Source("10.0.0.1")}
    assert order(addresses, sources.__getitem__, policy) == ["192.0.2.1", "2001:db8::1"]


def test_labels() -> None:
    policy = parse(b"label ::/0 9\nlabel fd00::/8 4\nlabel 2001:db8::1 5")
    assert policy.labels[:3] == (prefix("2001:db8::1", 5), prefix("fd00::/8", 4), prefix("::/0", 9))
    assert policy.precedences == DEFAULT_POLICY.precedences


def test_wrong_lines_say_nothing() -> None:
    wrong = (
        b"label\nlabel ::/0\nlabel ::/0 x\nlabel ::/0 -1\nlabel ::/0 1 2\nlabel 10.0.0.0/8 1\n"
        b"label ::/200 1\nlabel ::/0 99999999999\nlabels ::/0 1\nlabel ::/0 \xd9\xa3\nla\0bel ::/0 3"
    )
    assert parse(wrong) == DEFAULT_POLICY


def test_what_is_too_much_is_cut() -> None:
    policy = parse(b"".join(b"label 2001:db8::%x 3\n" % number for number in range(1000)))
    assert len(policy.labels) == MAX_PREFIXES + 1


@given(st.binary() | st.text("labeprcdnc:/0123456789 \n\0").map(str.encode))
def test_nothing_makes_it_fail(data: bytes) -> None:
    policy = parse(data)
    assert policy.labels[-1].length == policy.precedences[-1].length == 0
