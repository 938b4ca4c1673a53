"""`evkit.http.headers`: order, look-up by name, and which blanks belong to a value."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evkit.http.headers import Headers, finder

NAMES = st.sampled_from(["Accept", "ACCEPT", "accept", "Host", "x-a", "X-A"])
VALUES = st.text(st.characters(min_codepoint=0x21, max_codepoint=0xFF, exclude_characters="\x7f"), max_size=5)
PAIRS = st.lists(st.tuples(NAMES, VALUES))


def test_get_takes_the_first_of_a_name_in_any_case() -> None:
    headers = Headers([("X-A", "1"), ("Host", "h"), ("x-a", "2")])
    assert headers.get("x-A") == "1"
    assert headers["HOST"] == "h"
    assert headers.get_all("X-a") == ["1", "2"]


def test_absent_names() -> None:
    headers = Headers([("Host", "")])
    assert headers.get("X") is None
    assert headers.get("X", "default") == "default"
    assert headers.get("Host", "default") == ""
    assert headers.get_all("X") == []
    assert "X" not in headers
    assert "host" in headers
    assert 1 not in headers
    with pytest.raises(KeyError, match="X"):
        headers["X"]


def test_repr_shows_the_pairs() -> None:
    assert repr(Headers([("A", "b")])) == "Headers([('A', 'b')])"


@pytest.mark.parametrize(
    ("line", "value"),
    [
        (b"X:a", "a"),
        (b"X: \t a b \t", "a b"),
        (b"X:", ""),
        (b"X: \t", ""),
        (b"X: a:b: c", "a:b: c"),
        (b"X: \xa0\x85a\x85\xa0 ", "\xa0\x85a\x85\xa0"),
        (b"X: \xc3\xa4", "\xc3\xa4"),
    ],
)
def test_from_raw_strips_spaces_and_tabs_only(line: bytes, value: str) -> None:
    assert list(Headers.from_raw(line + b"\r\n")) == [("X", value)]


def test_from_raw_of_nothing() -> None:
    assert len(Headers.from_raw(b"")) == 0
    assert list(Headers.from_raw(b"\r\n")) == []


@pytest.mark.parametrize("before", [b"", b"\r\n"])
def test_a_name_is_found_at_the_start_of_a_line_only(before: bytes) -> None:
    raw = before + b"X-Host: xx\r\nA: Host: no\r\nHOST:yes\r\nHost2: no\r\nhost:\t\r\n"
    assert Headers.from_raw(raw).get("host") == "yes"
    assert Headers.from_raw(raw).get_all("Host") == ["yes", ""]
    assert Headers.from_raw(raw)["x-host"] == "xx"
    assert Headers.from_raw(raw).get("os") is None


@pytest.mark.parametrize(
    "name", ["", ":", "a: host", "a: x\r\nhost", "\nhost", "\r\nhost", "host:", "h\xf6st"]
)
@pytest.mark.parametrize("before", [b"", b"\r\n"])
def test_what_can_be_no_name_is_not_found(name: str, before: bytes) -> None:
    raw = before + b"A: x\r\nHost: y:z\r\n"
    assert Headers.from_raw(raw).get(name) is None
    assert Headers.from_raw(raw).get_all(name) == []
    assert name not in Headers.from_raw(raw)


LOOKED_UP = NAMES | st.sampled_from(["ACCEPT", "host", "X-a", "none", "X", "-a"]) | st.text(max_size=3)


@given(PAIRS, st.lists(LOOKED_UP, min_size=1, max_size=4), st.booleans(), st.integers(0, 4))
def test_lines_and_pairs_say_the_same(
    pairs: list[tuple[str, str]], names: list[str], blank: bool, looks: int
) -> None:
    """Whether it is asked for a name before all are looked at, in the midst of it, or after."""
    raw = "".join(f"{name}: {value}\r\n" for name, value in pairs).encode("latin-1")
    for headers in (Headers.from_raw(b"\r\n" * blank + raw), Headers(pairs)):
        for number, wanted in enumerate(names):
            if number == looks:
                assert list(headers) == pairs
                assert len(headers) == len(pairs)
            model = [value for name, value in pairs if name.lower() == wanted.lower()]
            assert headers.get_all(wanted) == model
            assert headers.get(wanted, "none") == (model[0] if model else "none")
            assert (wanted in headers) == bool(model)


TOKENS = st.text("abcXYZ019-_.", min_size=1, max_size=4)


@given(
    st.lists(st.tuples(TOKENS, TOKENS), max_size=5), st.lists(TOKENS, min_size=1, max_size=3), st.booleans()
)
def test_several_names_are_looked_for_at_once(
    pairs: list[tuple[str, str]], names: list[str], looked: bool
) -> None:
    raw = "".join(f"{name}: {value}\r\n" for name, value in pairs).encode()
    headers = Headers.from_raw(raw)
    if looked:
        assert list(headers) == pairs
    lower = {name.lower() for name in names}
    assert headers.mention(finder(names)) == any(name.lower() in lower for name, _ in pairs)
