"""`evkit.dns.address_order`: RFC 6724's own examples, each of its rules, its table, and what a sort must keep."""

from collections.abc import Callable
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evkit.dns.address_order import DEFAULT_POLICY, Policy, Prefix, Source, order, policy, prefix


def ordered(table: dict[str, Source | str | None], by: Policy = DEFAULT_POLICY) -> list[str]:
    """Put the keys in order, whose sources are the values; whatever order they come in, the result is the same."""
    sources = {to: Source(source) if isinstance(source, str) else source for to, source in table.items()}
    results = [order(given, sources.__getitem__, by) for given in permutations(table)]
    assert all(result == results[0] for result in results)
    return results[0]


# RFC 6724 §10.2: destinations, the better one first, and the source that §5 chooses for each.
EXAMPLES: dict[str, dict[str, Source | str | None]] = {
    "matching scope: IPv6": {"2001:db8:1::1": "2001:db8:1::2", "198.51.100.121": "169.254.13.78"},
    "matching scope: IPv4": {"198.51.100.121": "198.51.100.117", "2001:db8:1::1": "fe80::1"},
    "higher precedence": {"2001:db8:1::1": "2001:db8:1::2", "10.1.2.3": "10.1.2.4"},
    "smaller scope": {"fe80::1": "fe80::2", "2001:db8:1::1": "2001:db8:1::2"},
    "home address": {
        "2001:db8:1::1": Source("2001:db8:3::1", home=True),
        "fe80::1": Source("fe80::2", care_of=True),
    },
    "deprecated": {"2001:db8:1::1": "2001:db8:1::2", "fe80::1": Source("fe80::2", deprecated=True)},
    "longest matching prefix": {
        "2001:db8:1::1": "2001:db8:1::2",
        "2001:db8:3ffe::1": "2001:db8:3f44::2",
    },
    "matching label": {"2002:c633:6401::1": "2002:c633:6401::2", "2001:db8:1::1": "2002:c633:6401::2"},
    "higher precedence: not 6to4": {
        "2001:db8:1::1": "2001:db8:1::2",
        "2002:c633:6401::1": "2002:c633:6401::2",
    },
}


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_examples_of_the_rfc(name: str) -> None:
    assert ordered(EXAMPLES[name]) == list(EXAMPLES[name])


RULES: dict[str, dict[str, Source | str | None]] = {
    "1: no way to it": {"2001:db8::1": "fe80::1", "192.0.2.1": None},
    "3 before 4": {
        "2001:db8::1": Source("2001:db8::9", care_of=True),
        "2001:db8::2": Source("2001:db8::9", deprecated=True, home=True),
    },
    "4: both at once": {
        "2001:db8::1": Source("2001:db8::9", home=True, care_of=True),
        "2001:db8::2": Source("2001:db8::9", home=True),
        "2001:db8::3": Source("2001:db8::9", care_of=True),
    },
    "5: a unique local source is of another label": {"192.0.2.1": "10.0.0.1", "2001:db8::1": "fd00::1"},
    "6: the loopback of IPv6": {"::1": "::1", "127.0.0.1": "127.0.0.1"},
    "6: unique local after IPv4": {"192.0.2.1": "10.0.0.1", "fd00::1": "fd00::2"},
    "6: Teredo": {"192.0.2.1": "10.0.0.1", "2001:0:53aa::1": "2001:0:53aa::2"},
    "8: link-local of IPv4": {"127.0.0.1": "127.0.0.1", "192.0.2.1": "10.0.0.1"},
    "9: within the network's half": {
        "2001:db8:1:2::1": "2001:db8:1:2::9",
        "2001:db8:1:3::1": "2001:db8:1:2::9",
    },
    "a scope is no part of the address": {"fe80::1%eth0": "fe80::2%eth0", "2001:db8::1": "2001:db8::2"},
}


@pytest.mark.parametrize("name", RULES)
def test_each_rule(name: str) -> None:
    assert ordered(RULES[name]) == list(RULES[name])


def test_8_scopes_with_a_table_in_which_all_are_equal() -> None:
    flat = policy([prefix("::/0", 40)], [prefix("::/0", 1)])
    scopes: dict[str, Source | str | None] = {
        "ff01::1": "ff01::2",
        "fe80::1": "ff02::2",
        "ff04::1": "ff04::2",
        "fec0::1": "ff05::2",
        "ff08::1": "ff08::2",
        "ff0e::1": "2001:db8::2",
    }
    assert ordered(scopes, flat) == list(scopes)
    for near, far in (
        ("::1", "2001:db8::1"),
        ("fe80::1", "2a80::1"),
        ("fec0::1", "2ac0::1"),
        ("febf::1", "::2"),
    ):
        assert ordered({far: far, near: near}, flat) == [near, far]
    # Where nothing tells the families apart, IPv6 is first, as it mostly is.
    assert ordered({"192.0.2.1": "10.0.0.1", "2001:db8::1": "2001:db8::2"}, flat)[0] == "2001:db8::1"


@pytest.mark.parametrize(
    "addresses",
    [
        # Go's issue 13283: an own 10/8 must not draw everybody to 23/8.
        ["54.83.193.112", "184.72.238.214", "23.23.172.185", "75.101.148.21"],
        ["2001:db8::1:0:0:1", "2001:db8::", "2001:db8::2:0:0:1"],  # the interface's half does not count
    ],
)
def test_10_otherwise_the_order_is_left(addresses: list[str]) -> None:
    own = "2001:db8::9" if ":" in addresses[0] else "10.2.3.4"
    for given_order in permutations(addresses):
        assert order(given_order, lambda _: Source(own)) == list(given_order)


def test_where_there_is_no_way_to_any_the_order_is_left() -> None:
    given_order = ["192.0.2.1", "::1", "2001:db8::1", "10.0.0.1"]
    assert order(given_order, lambda _: None) == given_order


def test_one_address_is_not_asked_about() -> None:
    def source_for(address: str) -> Source | None:
        raise AssertionError(address)

    assert order([], source_for) == []
    assert order(("192.0.2.1",), source_for) == ["192.0.2.1"]


def test_each_address_is_asked_about_once() -> None:
    asked: list[str] = []

    def source_for(address: str) -> Source | None:
        asked.append(address)
        return Source("10.0.0.1")

    assert order(["192.0.2.1", "192.0.2.2", "192.0.2.1"], source_for) == [
        "192.0.2.1",
        "192.0.2.2",
        "192.0.2.1",
    ]
    assert asked == ["192.0.2.1", "192.0.2.2"]


@pytest.mark.parametrize("wrong", ["example.org", "", "1.2.3.4\0", "[::1]"])
def test_what_is_no_address_is_refused(wrong: str) -> None:
    with pytest.raises(ValueError, match="expected a numeric IP address, got "):
        order(["192.0.2.1", wrong], lambda _: Source("10.0.0.1"))
    with pytest.raises(ValueError, match="expected a numeric IP address, got "):
        order(["192.0.2.1", "192.0.2.2"], lambda _: Source(wrong))


# RFC 6724 §2.1


TABLE = {
    "::1": (50, 0),
    "2001:db8::1": (40, 1),
    "192.0.2.1": (35, 4),
    "::ffff:192.0.2.1": (35, 4),
    "2002::1": (30, 2),
    "2001:0:1::": (5, 5),
    "fdff::1": (3, 13),
    "fe00::1": (40, 1),
    "::2": (1, 3),
    "fec0::1": (1, 11),
    "3ffe::1": (1, 12),
    "3fff::1": (40, 1),
}


@pytest.mark.parametrize("address", TABLE)
def test_the_default_table(address: str) -> None:
    precedence, label = TABLE[address]
    assert len(DEFAULT_POLICY.precedences) == len(DEFAULT_POLICY.labels)
    text = address if ":" in address else f"::ffff:{address}"
    number = prefix(text, 0).bits
    for part, value in ((DEFAULT_POLICY.precedences, precedence), (DEFAULT_POLICY.labels, label)):
        fitting = [line for line in part if number >> (128 - line.length) == line.bits]
        assert fitting[0].value == value
        assert fitting[0].length == max(line.length for line in fitting)
        assert fitting[-1].length == 0


def test_a_policy_of_ones_own() -> None:
    both: dict[str, Source | str | None] = {"2001:db8::1": "2001:db8::2", "192.0.2.1": "10.0.0.1"}
    assert ordered(both) == ["2001:db8::1", "192.0.2.1"]
    ipv4_first = policy([prefix("::ffff:0:0/96", 100)])
    assert ordered(both, ipv4_first) == ["192.0.2.1", "2001:db8::1"]
    assert ipv4_first.labels == DEFAULT_POLICY.labels
    assert policy() == DEFAULT_POLICY


def test_a_part_without_an_end_gets_one_and_the_longest_prefix_holds() -> None:
    made = policy(labels=[prefix("2001:db8::/32", 7), prefix("2001:db8::1", 8)])
    assert [(line.length, line.value) for line in made.labels] == [(128, 8), (32, 7), (0, 1)]
    assert made.precedences == DEFAULT_POLICY.precedences
    assert policy([prefix("::/0", 9)]).precedences[0].value == 9


def test_prefixes() -> None:
    assert prefix("2002::/16", 30) == Prefix(0x2002, 16, 30)
    assert prefix("::/0", 1) == Prefix(0, 0, 1)
    assert prefix("::1", 5) == Prefix(1, 128, 5)
    assert prefix("2002:1::/16", 30) == prefix("2002::/16", 30)
    assert prefix("::ffff:10.0.0.0/104", 3).bits == 0xFFFF0A


@pytest.mark.parametrize(
    "network", ["", "/0", "::/129", "::/-1", "::/", "::/x", "::/" + "1" * 5000, "10.0.0.0/8", "x/1"]
)
def test_what_is_no_prefix(network: str) -> None:
    with pytest.raises(
        ValueError, match=r"^expected (a length from 0 to 128|an IPv6 address and a length), got "
    ):
        prefix(network, 1)


ADDRESSES = st.ip_addresses().map(str)


@given(
    st.dictionaries(
        ADDRESSES, st.none() | st.builds(Source, ADDRESSES, st.booleans(), st.booleans()), max_size=8
    )
)
def test_a_sort_keeps_all_and_does_not_sort_twice(sources: dict[str, Source | None]) -> None:
    source_for: Callable[[str], Source | None] = sources.__getitem__
    once = order(list(sources), source_for)
    assert sorted(once) == sorted(sources)
    assert order(once, source_for) == once
    reachable = [sources[address] is not None for address in once]
    assert len(once) < 2 or reachable == sorted(reachable, reverse=True)
