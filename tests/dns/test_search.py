"""`evkit.dns.search`: glibc's order by table, and against its algorithm written over text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evkit.dns.names import to_text, to_wire
from evkit.dns.search import candidates

SEARCH = "a.example b.example"


def asked(name: str, search: str, ndots: int = 1, *, no_tld_query: bool = False) -> list[str]:
    domains = tuple(to_wire(domain) for domain in search.split())
    names = candidates(to_wire(name), domains, ndots, absolute=name.endswith("."), no_tld_query=no_tld_query)
    return [to_text(wire) for wire in names]


@pytest.mark.parametrize(
    ("name", "ndots", "expected"),
    [
        ("www", 1, ["www.a.example", "www.b.example", "www"]),
        ("www", 0, ["www", "www.a.example", "www.b.example"]),
        ("www.c", 1, ["www.c", "www.c.a.example", "www.c.b.example"]),
        ("www.c", 2, ["www.c.a.example", "www.c.b.example", "www.c"]),
        ("a.b.c.d.e", 5, ["a.b.c.d.e.a.example", "a.b.c.d.e.b.example", "a.b.c.d.e"]),  # as in Kubernetes
        ("a.b.c.d.e.f", 5, ["a.b.c.d.e.f", "a.b.c.d.e.f.a.example", "a.b.c.d.e.f.b.example"]),
        ("www.", 1, ["www"]),
        ("www.c.", 15, ["www.c"]),
        (".", 1, ["."]),
        (r"a\.b", 1, [r"a\.b.a.example", r"a\.b.b.example", r"a\.b"]),  # an escaped dot is none
    ],
)
def test_the_order(name: str, ndots: int, expected: list[str]) -> None:
    assert asked(name, SEARCH, ndots) == expected


def test_what_holds_if_nothing_is_said() -> None:
    domains = (to_wire("a.example"),)
    assert candidates(b"\3www\0", domains, 1) == [b"\3www\1a\7example\0", b"\3www\0"]
    assert candidates(b"\0", domains, 1) == [b"\0"]


def test_without_a_search_list_there_is_the_name_alone() -> None:
    assert asked("www", "") == ["www"]
    assert asked("www", "", no_tld_query=True) == ["www"]


def test_the_root_in_the_list_stands_for_the_name_itself() -> None:
    assert asked("www", ". a.example") == ["www", "www.a.example"]
    assert asked("www", "a.example . b.example") == ["www.a.example", "www", "www.b.example"]
    assert asked("www.c", ".") == ["www.c"]


def test_a_name_without_a_dot_is_no_top_level_domain() -> None:
    assert asked("www", SEARCH, no_tld_query=True) == ["www.a.example", "www.b.example"]
    assert asked("www.c", SEARCH, 2, no_tld_query=True)[-1] == "www.c"
    assert asked("www", SEARCH, 0, no_tld_query=True)[0] == "www"


def test_what_would_get_too_long_is_left_out() -> None:
    label = "x" * 63
    name = ".".join([label, label, label, "x" * 58])
    assert len(to_wire(name)) == 252
    assert asked(name, "a.example bc cde f") == [name, name + ".bc", name + ".f"]
    assert asked(label, ".".join([label, label, label]), no_tld_query=True) == [label]  # not nothing at all


def glibc(name: str, domains: list[str], ndots: int, *, no_tld_query: bool) -> list[str]:
    """The order of ``__res_context_search``, with no repetitions, of names that are none too long."""
    dots = name.count(".")
    trailing_dot = name.endswith(".")
    asked: list[str] = []
    tried_as_is = root_on_list = False
    if dots >= ndots or trailing_dot:
        asked.append(name)
        if trailing_dot:
            return [name.removesuffix(".")]
        tried_as_is = True
    for domain in domains:
        rest = domain.removeprefix(".")
        root_on_list |= not rest
        asked.append(f"{name}.{rest}" if rest else name)
    if (dots or not domains or not no_tld_query) and not (tried_as_is or root_on_list):
        asked.append(name)
    return list(dict.fromkeys(asked))


NAMES = st.lists(st.sampled_from(["a", "b", "www"]), min_size=1, max_size=5).map(".".join)


@given(
    name=NAMES,
    final_dot=st.booleans(),
    search=st.lists(NAMES | st.just("."), max_size=4),
    ndots=st.integers(0, 6),
    no_tld_query=st.booleans(),
)
def test_the_order_is_glibcs(
    *, name: str, final_dot: bool, search: list[str], ndots: int, no_tld_query: bool
) -> None:
    name += "." if final_dot else ""
    expected = glibc(name, search, ndots, no_tld_query=no_tld_query)
    assert asked(name, " ".join(search), ndots, no_tld_query=no_tld_query) == expected
