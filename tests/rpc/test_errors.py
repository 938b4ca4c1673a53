"""What an error of a call tells, and what it is to a plain except clause."""

import copy
import pickle

import pytest

from evkit.errors import EvkitError, RemoteProtocolError
from evkit.rpc import errors
from evkit.rpc.errors import (
    CallLost,
    CallTimeout,
    ClientClosed,
    HookAborted,
    InvalidParams,
    MethodError,
    Overloaded,
    RemoteCallError,
    RPCError,
    RPCProtocolError,
    escaped,
)

ALL: list[tuple[EvkitError, str]] = [
    (RPCError("no such thing"), "no such thing"),
    (
        RemoteCallError("add", ["ValueError", "bad"], "bad", code="ValueError", data=[1]),
        "add: [ValueError] bad",
    ),
    (RemoteCallError("add", 5, "5"), "add: 5"),
    (RemoteCallError("add", {}, "bad", code=0), "add: [0] bad"),
    (CallTimeout("add", 0.25), "add: no answer in 0.25 s"),
    (CallLost("add", sent=True), "add: the connection ended before the answer; it may have been served"),
    (CallLost("add", sent=False), "add: the connection ended before the answer; it was not sent"),
    (ClientClosed("the client is closed"), "the client is closed"),
    (Overloaded("1000 calls in flight"), "1000 calls in flight"),
    (HookAborted("a hook ended the call"), "a hook ended the call"),
    (MethodError("no such user", 7, {"user": 1}), "no such user"),
    (MethodError("no such user", raw=[1, "x"]), "no such user"),
    (InvalidParams('add(a): parameter "a"', [1]), 'add(a): parameter "a"'),
    (RPCProtocolError("expected an array", 17), "expected an array (at byte 17)"),
]


@pytest.mark.parametrize(("error", "text"), ALL)
def test_text(error: EvkitError, text: str) -> None:
    assert str(error) == text


@pytest.mark.parametrize(("error", "text"), ALL)
def test_another_process_gets_the_same(error: EvkitError, text: str) -> None:
    error.add_note("seen")
    for other in (pickle.loads(pickle.dumps(error)), copy.copy(error)):
        assert type(other) is type(error)
        assert str(other) == text
        assert vars(other) == vars(error)


def test_one_tree() -> None:
    assert all(isinstance(error, RPCError | RPCProtocolError) for error, _ in ALL)
    assert issubclass(RPCError, EvkitError)
    assert issubclass(RPCProtocolError, RemoteProtocolError)
    assert not issubclass(RPCProtocolError, RPCError)


def test_plain_except_clauses_catch_them() -> None:
    with pytest.raises(TimeoutError) as late:
        raise CallTimeout("add", 1.0)
    assert late.value.errno is None
    with pytest.raises(ConnectionError) as lost:
        raise CallLost("add", sent=True)
    assert lost.value.errno is None


def test_data() -> None:
    error = RemoteCallError("add", [1, 2], "text", code=3, data=4)
    assert (error.method, error.raw, error.message, error.code, error.data) == ("add", [1, 2], "text", 3, 4)
    timeout = CallTimeout("add", 2.0)
    assert (timeout.method, timeout.timeout) == ("add", 2.0)
    assert CallLost("add", sent=True).sent is True
    plain = MethodError("text")
    assert (plain.message, plain.code, plain.data) == ("text", None, None)
    assert MethodError("text", raw=[0]).raw == [0]
    wrong = InvalidParams("text", 5)
    assert (wrong.message, wrong.code, wrong.data) == ("text", errors.INVALID_PARAMS, 5)
    broken = RPCProtocolError("text", 5)
    assert (broken.reason, broken.offset) == ("text", 5)


def test_numbers_are_those_of_json_rpc_and_of_lsp() -> None:
    assert errors.INVALID_REQUEST == -32600
    assert errors.METHOD_NOT_FOUND == -32601
    assert errors.INVALID_PARAMS == -32602
    assert errors.INTERNAL_ERROR == -32603
    assert errors.CANCELLED == -32800
    own = (errors.OVERLOADED, errors.DEADLINE_EXCEEDED, errors.ABORTED_BY_HOOK)
    assert own == (-32001, -32002, -32003)
    assert all(-32099 <= code <= -32000 for code in own)  # JSON-RPC's range for servers


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("plain text, \u20ac and \U0001f600", "plain text, \u20ac and \U0001f600"),
        ("two\nlines\r\n", "two\\nlines\\r\\n"),
        ("\x1b[31m\x00\x7f\x9b", "\\x1b[31m\\x00\\x7f\\x9b"),
        ("\u2028\u202e\ud800", "\\u2028\\u202e\\ud800"),
        ("", ""),
        ("x" * 1024, "x" * 1024),
        ("x" * 1025, "x" * 1023 + "…"),
        ("x" * 1022 + "\n", "x" * 1022 + "\\n"),
        ("x" * 1023 + "\n", "x" * 1023 + "…"),
        ("\n" * 5_000_000, "\\n" * 511 + "\\…"),
    ],
)
def test_a_line_for_a_log(text: str, line: str) -> None:
    assert escaped(text) == line


def test_a_shorter_line() -> None:
    assert escaped("abcdef", 6) == "abcdef"
    assert escaped("abcdef", 5) == "abcd…"
    assert escaped("abcdef", 1) == "…"


@pytest.mark.parametrize(
    "error",
    [
        RemoteCallError("a\nb", "\x1b" * 5000, "\x1b" * 5000, code="c\x00"),
        CallTimeout("a\n" * 5000, 1.0),
        CallLost("a\n" * 5000, sent=True),
        RPCProtocolError("a\n" * 5000, 1),
    ],
)
def test_what_a_peer_chose_cannot_break_a_log(error: EvkitError) -> None:
    assert str(error).isprintable()
    assert len(str(error)) <= 1060


class NotFound(MethodError):  # noqa: N818 - as a program would call it
    code = 404


def test_a_code_of_the_class() -> None:
    assert NotFound("text").code == 404
    assert NotFound("text", 5).code == 5
    assert pickle.loads(pickle.dumps(NotFound("text"))).code == 404
