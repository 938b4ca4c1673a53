"""Errors of every peer are read, and every exception can be sent."""

from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from evkit.rpc.errors import (
    ABORTED_BY_HOOK,
    INTERNAL_ERROR,
    INVALID_PARAMS,
    OVERLOADED,
    HookAborted,
    InvalidParams,
    MethodError,
    Overloaded,
)
from evkit.rpc.protocol.codec import Ext, make_packer
from evkit.rpc.protocol.error_shapes import describe, read_error

VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.binary()),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8) | st.integers(), inner, max_size=4)
    ),
    max_leaves=10,
)
NAMES = ["code", "message", "data"]
MAPS = st.dictionaries(st.sampled_from(NAMES), VALUES) | st.dictionaries(
    st.sampled_from([name.encode() for name in NAMES]), VALUES
)


@pytest.mark.parametrize(
    ("raw", "message", "code", "data"),
    [
        # msgpack-rpc-python, mprpc, rpclib, ugorji: a string
        ("boom", "boom", None, None),
        (b"bo\xffom", "bo\\xffom", None, None),
        ("", "", None, None),
        # neovim: its kind of error, and the text
        ([0, "Vim:E117"], "Vim:E117", 0, None),
        ([1, b"Wrong type"], "Wrong type", 1, None),
        # aiorpc: the class, and the text
        (["ValueError", "bad"], "bad", "ValueError", None),
        ([b"socket.error", b"bad"], "bad", "socket.error", None),
        # py-msgpack-rpc: the exception's arguments
        (["boom"], "boom", None, None),
        ([b"boom"], "boom", None, None),
        (["no such thing", "at all"], "no such thing", None, ["at all"]),
        (["socket. error", "at all"], "socket. error", None, ["at all"]),
        (["boom", 1, 2], "boom", None, [1, 2]),
        (["boom", 1], "boom", None, [1]),
        # JSON-RPC and LSP
        ({"code": -1, "message": "bad", "data": [1]}, "bad", -1, [1]),
        ({b"code": b"E5", b"message": b"bad", b"data": 0}, "bad", "E5", 0),
        ({"message": "bad", "code": None}, "bad", None, None),
        ({"message": 5, "code": 1.5}, "5", None, None),
        ({"code": True, "message": "bad"}, "bad", None, None),
        ({"code": 5}, "{'code': 5}", 5, None),
        # whatever else
        ([], "[]", None, None),
        ([True, "text"], "[True, 'text']", None, None),
        ([1, 2], "[1, 2]", None, None),
        ([0, "a", "b"], "[0, 'a', 'b']", None, None),
        ({}, "{}", None, None),
        (5, "5", None, None),
        (False, "False", None, None),
        (Ext(1, b"x"), "Ext(1, b'x')", None, None),
    ],
)
def test_shapes(raw: object, message: str, code: object, data: object) -> None:
    error = read_error("add", raw)
    assert (error.message, error.code, error.data) == (message, code, data)
    assert error.raw is raw
    assert error.method == "add"


@given(raw=VALUES | MAPS | st.lists(VALUES, max_size=3))
def test_anything_can_be_read(raw: object) -> None:
    error = read_error("add", raw)
    assert isinstance(error.message, str)
    assert error.code is None or type(error.code) in (int, str)
    assert str(error).isprintable()
    assert str(error).startswith("add:")


def test_a_large_one_is_told_shortly() -> None:
    raw: list[Any] = [list(range(1000)) for _ in range(1000)]
    assert len(read_error("add", raw).message) < 500


class NoText(Exception):  # noqa: N818 - what is odd about it
    def __str__(self) -> str:
        raise LookupError("no text")


class OddText(Exception):  # noqa: N818 - what is odd about it
    def __str__(self) -> str:
        return 5  # type: ignore[return-value]  # noqa: PLE0307 - that is the point


class NoSuchUser(MethodError):  # noqa: N818 - as a program would call it
    code = 404

    def __init__(self, user: str) -> None:
        self.user = user


def caught(error: BaseException) -> BaseException:
    try:
        raise error
    except BaseException as seen:
        return seen


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (ValueError("bad"), "ValueError: bad"),
        (ValueError(), "ValueError"),
        (KeyError("a"), "KeyError: 'a'"),
        (ValueError("two\nlines\x1b"), "ValueError: two\\nlines\\x1b"),
        (ValueError("\ud800"), "ValueError: \\ud800"),
        (ValueError("x" * 5000), "ValueError: " + "x" * 1011 + "…"),
        (NoText(), "NoText: (its text can't be told: LookupError)"),
        (OddText(), "OddText: (its text can't be told: TypeError)"),
        (SystemExit(3), "SystemExit: 3"),
        (MethodError("as\nit is", 5, [1]), "as\nit is"),
        (NoSuchUser("ann"), "ann"),
        (MethodError("\ud800"), "\\ud800"),
        (MethodError(5), "(its text can't be told: TypeError)"),  # type: ignore[arg-type]  # that is the point
    ],
)
def test_a_string_for_an_exception(error: BaseException, text: str) -> None:
    assert describe(error, structured=False, debug=False) == text


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (ValueError("bad"), {"code": INTERNAL_ERROR, "message": "ValueError: bad"}),
        (Overloaded("full"), {"code": OVERLOADED, "message": "Overloaded: full"}),
        (HookAborted("no"), {"code": ABORTED_BY_HOOK, "message": "HookAborted: no"}),
        (MethodError("bad"), {"code": INTERNAL_ERROR, "message": "bad"}),
        (MethodError("bad", 0, 0), {"code": 0, "message": "bad", "data": 0}),
        (MethodError("bad", "E5"), {"code": "E5", "message": "bad"}),
        (NoSuchUser("ann"), {"code": 404, "message": "ann"}),
        (InvalidParams("bad", [1]), {"code": INVALID_PARAMS, "message": "bad", "data": [1]}),
        (NoText(), {"code": INTERNAL_ERROR, "message": "NoText: (its text can't be told: LookupError)"}),
    ],
)
@pytest.mark.parametrize("debug", [False, True])
def test_a_map_for_an_exception(error: BaseException, expected: dict[str, object], debug: bool) -> None:
    found = describe(caught(error), structured=True, debug=debug)
    assert isinstance(found, dict)
    if debug and not isinstance(error, MethodError):
        trace = found.pop("data")
        assert trace.startswith("Traceback")
        assert "in caught" in trace
    assert found == expected


@pytest.mark.parametrize("structured", [False, True])
def test_a_shape_of_the_programs_own_goes_as_it_is(structured: bool) -> None:
    raw = [0, "Vim:E117"]
    assert describe(MethodError("bad", 5, raw=raw), structured=structured, debug=True) is raw
    assert describe(MethodError("bad", raw=False), structured=structured, debug=False) is False


def test_a_traceback_only_for_whoever_debugs() -> None:
    error = caught(ValueError("bad"))
    text = describe(error, structured=False, debug=True)
    assert isinstance(text, str)
    assert text.startswith("ValueError: bad\nTraceback")
    assert text.endswith("ValueError: bad\n")
    assert describe(caught(MethodError("bad", 5)), structured=False, debug=True) == "bad"


def test_of_a_long_traceback_the_end_is_sent() -> None:
    error = caught(ValueError("x" * 100_000 + "end"))
    text = describe(error, structured=False, debug=True)
    assert isinstance(text, str)
    assert len(text) <= 1024 + 1 + 16384
    assert text.endswith("end\n")


class NoTrace(Exception):  # noqa: N818 - what is odd about it
    @property
    def __notes__(self) -> list[str]:
        raise LookupError("no notes")

    @property  # type: ignore[misc]  # an exception may lie about anything
    def __cause__(self) -> Any:
        raise LookupError("no cause")


def test_a_traceback_that_cannot_be_told() -> None:
    found = describe(caught(NoTrace("bad")), structured=True, debug=True)
    assert found == {
        "code": INTERNAL_ERROR,
        "message": "NoTrace: bad",
        "data": "(its traceback can't be told: LookupError)",
    }


@given(text=st.text(st.characters(exclude_categories=[])), structured=st.booleans(), debug=st.booleans())
@example(text="\ud800", structured=True, debug=True)
def test_what_is_sent_can_be_packed(text: str, structured: bool, debug: bool) -> None:
    pack = make_packer()
    for error in (ValueError(text), MethodError(text), KeyError(text), NoText(text)):
        assert pack(describe(caught(error), structured=structured, debug=debug))


@given(
    message=st.text(st.characters(exclude_categories=["Cs"])), code=st.integers(-(2**31), 2**31), data=VALUES
)
def test_a_structured_error_is_read_as_it_was_sent(message: str, code: int, data: object) -> None:
    error = read_error("add", describe(MethodError(message, code, data), structured=True, debug=False))
    assert (error.message, error.code) == (message, code)
    assert error.data is data
