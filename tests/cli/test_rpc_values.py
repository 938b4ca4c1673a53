"""Values of calls: from words of a command line, and to lines of its output."""

import json
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evkit.cli.errors import USAGE, Failure
from evkit.cli.rpc_values import as_json, doubt, read_argument, shown
from evkit.rpc.protocol.codec import Ext

NOON = datetime(2026, 11, 23, 12, 0, 0, 500_000, UTC)
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


# Words of a command line


@pytest.mark.parametrize(
    ("word", "value"),
    [
        ("5", 5),
        ("-1", -1),
        ("2.5e3", 2500.0),
        ("-1.7976931348623157e308", -1.7976931348623157e308),
        ("1e-400", 0.0),
        ("true", True),
        ("null", None),
        ('"5"', "5"),
        ('[1, {"a": [null]}]', [1, {"a": [None]}]),
        (" 7 ", 7),
        ("18446744073709551615", 2**64 - 1),
        ("-9223372036854775808", -(2**63)),
        # Not JSON
        ("", ""),
        ("hello world", "hello world"),
        ("True", "True"),
        ("NaN", "NaN"),
        ("-Infinity", "-Infinity"),
        ('{"a": 1', '{"a": 1'),
        ("[NaN]", "[NaN]"),
        ("01", "01"),
        ("1_0", "1_0"),
    ],
)
def test_a_word_is_json_or_itself(word: str, value: object) -> None:
    read = read_argument(word)
    assert (read, type(read)) == (value, type(value))


@given(JSON)
def test_all_of_json_is_read(value: object) -> None:
    assert read_argument(json.dumps(value)) == value


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("18446744073709551616", r"integers from -\(2\*\*63\) to 2\*\*64-1, got one of 20 digits"),
        ("[-9223372036854775809]", "got one of 20 digits; quoted, it is sent as a string"),
        ("1" * 5000, "got one of 5000 digits"),
        ("1e400", "got one beyond the largest float; quoted, it is sent as a string"),
        ('{"a": -1e999}', "got one beyond the largest float"),
        ("[" * 100_000, "more arrays and maps in each other than can be sent"),
    ],
)
def test_what_can_not_be_sent(word: str, said: str) -> None:
    with pytest.raises(Failure, match=said) as failure:
        read_argument(word)
    assert failure.value.status == USAGE


@pytest.mark.parametrize(
    ("word", "why"),
    [('{"a": 1', "Expecting"), ("[NaN]", "it has no NaN"), ("[a]", "Expecting"), (' "x', "Unterminated")],
)
def test_what_looks_like_json_is_doubted(word: str, why: str) -> None:
    told = doubt(word)
    assert told is not None
    assert why in told


@pytest.mark.parametrize("word", ["", "a", "NaN", "[1]", "a{b"])
def test_what_is_json_or_does_not_look_so_is_not_doubted(word: str) -> None:
    assert doubt(word) is None


# For a reader


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("two\nlines\tü", "two\nlines\tü"),
        ("", ""),
        (None, "null"),
        (True, "true"),
        (5, "5"),
        (2.5, "2.5"),
        (float("nan"), "NaN"),
        ([], "[]"),
        ({}, "{}"),
        ([1, "a", None], '[1, "a", null]'),
        ({"a": {"b": [1]}}, '{"a": {"b": [1]}}'),
        ({1: 2, b"k": 3}, "{1: 2, b'k': 3}"),
        (["a\nb"], '["a\\nb"]'),
        (b"\x00a", r"b'\x00a'"),
        ([Ext(1, b"a")], "[Ext(1, b'a')]"),
        (NOON, "2026-11-23T12:00:00.500000Z"),
        ([NOON.astimezone(timezone(timedelta(hours=1)))], "[2026-11-23T13:00:00.500000+01:00]"),
    ],
)
def test_values_for_a_reader(value: object, text: str) -> None:
    assert shown(value) == text


def test_what_is_wide_takes_several_lines() -> None:
    wide = ["x" * 40] * 2
    assert shown({"short": [1, 2], "wide": [wide, wide]}).splitlines() == [
        "{",
        '  "short": [1, 2],',
        '  "wide": [',
        f'    ["{wide[0]}", "{wide[0]}"],',
        f'    ["{wide[0]}", "{wide[0]}"]',
        "  ]",
        "}",
    ]


@given(JSON)
def test_what_a_reader_sees_is_json_where_it_can_be(value: object) -> None:
    if not isinstance(value, str):
        assert json.loads(shown(value)) == value


NASTY = "\x1b]0;x\x07\x9b31m\u202e\x7f\ud800\r"


def test_a_terminal_is_sent_nothing_that_it_would_obey() -> None:
    for value in (NASTY, [NASTY], {NASTY: NASTY}):
        text = shown(value)
        assert text.isprintable(), value
        assert "\\u001b" in text
    assert shown(f"a\n{NASTY}").count("\n") == 1
    text = as_json({"result": NASTY})
    assert text.isascii()
    assert text.isprintable()
    assert json.loads(text) == {"result": NASTY}


# As JSON


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ([1, None, "ü"], [1, None, "ü"]),
        (b"\x00\xff", {"$bytes": "AP8="}),
        (Ext(-7, b"a"), {"$ext": [-7, "YQ=="]}),
        ({"a": [b""]}, {"a": [{"$bytes": ""}]}),
        ({1: "a", 2: "b"}, {"1": "a", "2": "b"}),
        ({1: "a", "1": "b"}, {"$map": [[1, "a"], ["1", "b"]]}),
        ({True: 1}, {"$map": [[True, 1]]}),
        ({b"k": {}}, {"$map": [[{"$bytes": "aw=="}, {}]]}),
        (NOON, "2026-11-23T12:00:00.500000Z"),
        ([float("inf"), float("-inf"), float("nan")], ["Infinity", "-Infinity", "NaN"]),
    ],
)
def test_values_as_json(value: object, written: object) -> None:
    assert json.loads(as_json({"result": value})) == {"result": written}
    assert "\n" not in as_json({"result": value})


@given(JSON)
def test_json_stays_what_it_is(value: object) -> None:
    assert json.loads(as_json({"result": value})) == {"result": value}
