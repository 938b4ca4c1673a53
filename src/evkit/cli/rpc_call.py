"""``evkit rpc call`` and ``evkit rpc methods``: ask a server, and write down what it answers.

How the connection comes to be is `evkit.cli.rpc_line`'s business, how values look `evkit.cli.rpc_values`', and what
``--repeat`` does `evkit.cli.rpc_load`'s.
"""

from argparse import Namespace
from collections.abc import Callable
from typing import Any, Final

from evkit import EvkitError, Future
from evkit.cli.bases import make_base
from evkit.cli.errors import FAILED, USAGE, Failure
from evkit.cli.rpc_line import SILENT, connected, finish, reason
from evkit.cli.rpc_values import as_json, doubt, read_argument, shown
from evkit.cli.terminal import one_line, say, show
from evkit.rpc import Connection, RemoteCallError
from evkit.rpc.connection.extensions import STREAM
from evkit.rpc.errors import DEADLINE_EXCEEDED
from evkit.rpc.streams.stream import Stream

_METHODS: Final = "$/methods"
_NOT_TOLD: Final = "{} does not say what can be called, but {}"


def run(arguments: Namespace) -> int:
    """Call; return the exit status.

    Raises:
        Failure: There is no answer, or something can't be sent or written.
        BrokenPipeError: Nobody reads standard output any more.
    """
    _check(arguments)
    params = [_read(word, arguments) for word in arguments.words]
    if arguments.repeat is not None:
        from evkit.cli.rpc_load import repeat  # a single call has no use for it

        return repeat(arguments, params)
    hello = not (arguments.plain or arguments.notify)
    return _ask(arguments, lambda connection: _call(connection, params, arguments), hello=hello)


def _check(arguments: Namespace) -> None:
    if arguments.repeat is None and arguments.concurrency is not None:
        raise Failure("--concurrency needs --repeat NUMBER", status=USAGE)
    if arguments.repeat is not None and arguments.notify:
        raise Failure(
            "--repeat tells how long answers take, and --notify expects none: choose one", status=USAGE
        )


def _read(word: str, arguments: Namespace) -> object:
    value = read_argument(word)
    why = doubt(word) if value is word else None
    if why is not None:
        say(f"{arguments.parser.prog}: {one_line(word)} is sent as a string, for it is no JSON: {why}")
    return value


def _ask(arguments: Namespace, action: Callable[[Connection], object], *, hello: bool) -> int:
    """Connect, do something, and return the exit status."""
    with make_base() as base, connected(base, arguments, hello=hello) as connection:
        try:
            action(connection)
        except EvkitError as error:
            if isinstance(error, RemoteCallError) and error.code != DEADLINE_EXCEEDED:
                _tell_error(error, arguments)
                return FAILED
            raise Failure(
                f"{one_line(arguments.method)}: {reason(error, arguments)}", status=SILENT
            ) from error
    return 0


def _call(connection: Connection, params: list[object], arguments: Namespace) -> None:
    """Call, and write down what comes, as it comes."""
    try:
        answer = _begin(connection, params, arguments)
    except (TypeError, ValueError, OverflowError) as error:
        raise Failure(f"the call can't be sent: {one_line(error)}", status=USAGE) from error
    if isinstance(answer, Stream):
        _show_stream(answer, json=arguments.json)
    elif answer is not None:
        _show("result", _result(answer), json=arguments.json)


def _result(answer: Future[object]) -> object:
    try:
        return answer.result()
    finally:
        answer.cancel()  # Ctrl-C, for one, leaves it as it is


def _begin(
    connection: Connection, params: list[object], arguments: Namespace
) -> Stream[object] | Future[object] | None:
    """Send the call; return what brings the answer, if one is expected."""
    if arguments.notify:
        connection.notify(arguments.method, *params)
        finish(connection, arguments)
        return None
    if STREAM in connection.features:
        return connection.stream(arguments.method, *params, timeout=connection.timeout)
    return connection.call(arguments.method, *params)


def _show_stream(stream: Stream[object], *, json: bool) -> None:
    seen = 0
    with stream:
        for item in stream:
            _show("item", item, json=json)
            seen += 1
        result = stream.result.result()
    if json or result is not None or not seen:
        _show("result", result, json=json)


def _show(name: str, value: object, *, json: bool) -> None:
    show(as_json({name: value}) if json else shown(value))


def _tell_error(error: RemoteCallError, arguments: Namespace) -> None:
    if arguments.json:
        facts = {"kind": "RemoteCallError", "message": error.message, "code": error.code, "data": error.data}
        show(as_json({"error": facts}))
        return
    first, _, rest = shown(error.message).partition("\n")
    code = "" if error.code is None else f" [{error.code}]"
    say(f"{arguments.parser.prog}: error: {one_line(error.method)}:{code} {first}")
    for more in (rest, "" if error.data is None else shown(error.data)):
        if more:
            say(more)


# What can be called


def list_methods(arguments: Namespace) -> int:
    """List what can be called; return the exit status.

    Raises:
        Failure: There is no answer, or none that says so.
        BrokenPipeError: Nobody reads standard output any more.
    """
    arguments.method = _METHODS
    return _ask(arguments, lambda connection: _list(connection, arguments), hello=False)


def _list(connection: Connection, arguments: Namespace) -> None:
    try:
        answer = _result(connection.call(_METHODS))
    except RemoteCallError as error:
        raise Failure(_NOT_TOLD.format(arguments.address, one_line(error.message))) from error
    if not isinstance(answer, dict) or not all(_is_description(*item) for item in answer.items()):
        raise Failure(_NOT_TOLD.format(arguments.address, f"{one_line(answer):.100}"))
    if arguments.json:
        show(as_json(answer))
    elif answer:
        show("\n".join(_describe(facts) for facts in answer.values()))


def _is_description(name: object, facts: object) -> bool:
    if not isinstance(name, str) or not isinstance(facts, dict):
        return False
    return isinstance(facts.get("signature"), str) and isinstance(facts.get("doc", ""), str)


def _describe(facts: dict[str, Any]) -> str:
    streams = "  (a stream)" if facts.get("stream") is True else ""
    doc = "".join(f"\n    {line}".rstrip(" ") for line in shown(facts.get("doc", "")).splitlines())
    return f"{shown(facts['signature'])}{streams}{doc}"
