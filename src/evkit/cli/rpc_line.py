"""A connection to the server that a command line names, and in one line why there is none, or no answer.

Knows nothing of what is called.
"""

from argparse import Namespace
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from evkit import EventBase, EvkitError, Future
from evkit.cli import trust
from evkit.cli.errors import USAGE, Failure
from evkit.cli.rpc_options import answer_limits
from evkit.cli.terminal import one_line, say
from evkit.core.log import LOG_WARN, set_log_callback
from evkit.rpc import CallLost, CallTimeout, Client, Connection, RemoteCallError, RPCError

SILENT: Final = 3
"""The exit status where no answer came: nobody is there, the time is over, or the connection was lost."""
_CLOSED: Final = "the server has closed the connection"
_HINT: Final = "; if it is no server of evkit's, --plain may help"


@contextmanager
def connected(base: EventBase, arguments: Namespace, *, hello: bool) -> Iterator[Connection]:
    """Connect, and close in the end.

    Args:
        base: The event base.
        arguments: Of the command line.
        hello: Whether to find out what the server understands beyond the protocol.

    Yields:
        The connection. Its calls have what is left of the time.

    Raises:
        Failure: Nobody is there, or there can't be such an address.
    """
    with _told_once(), _client(base, arguments, hello=hello) as client:
        began = base.now()
        connection = _wait(client, arguments, _HINT if hello else "")
        if arguments.timeout is not None:
            connection.timeout = max(0.0, arguments.timeout - (base.now() - began))
        yield connection


@contextmanager
def _told_once() -> Iterator[None]:
    """Drop the log's warnings: why a connection has ended is told as the reason that there is no answer."""
    set_log_callback(_on_log)
    try:
        yield
    finally:
        set_log_callback(None)


def _on_log(severity: int, message: str) -> None:
    if severity > LOG_WARN:
        say(f"evkit: {message}")


def _client(base: EventBase, arguments: Namespace, *, hello: bool) -> Client:
    trust.check(arguments)
    context = trust.context(arguments)
    try:
        return Client(
            base,
            arguments.address,
            timeout=arguments.timeout,
            connect_timeout=arguments.timeout,
            limits=answer_limits(arguments),
            reconnect=None,
            hello=hello,
            tls=context,
        )
    except ValueError as error:
        raise Failure(one_line(error), status=USAGE) from error


def _wait(client: Client, arguments: Namespace, hint: str) -> Connection:
    """Return the connection when it is there."""
    done: Future[Connection] = Future(client.base)

    def on_failure(error: Exception | None) -> None:
        done.set_exception(error or RPCError(f"{_CLOSED}{hint}"))

    client.on_connect = done.set_result
    client.on_failure = on_failure
    client.connect()
    try:
        return done.result(arguments.timeout)
    except TimeoutError as error:
        raise _silent(arguments, f"{_late(arguments)}{hint}") from error
    except (EvkitError, OSError, ValueError) as error:  # ValueError: a host that can't be one
        raise _silent(arguments, one_line(error)) from error


def finish(connection: Connection, arguments: Namespace) -> None:
    """Wait until all is sent, and close.

    Raises:
        Failure: The server does not take it.
    """
    bev = connection.bev
    sent: Future[None] = Future(connection.base)
    closed: Future[None] = Future(connection.base)

    def look(*_: object) -> None:
        if (bev.closed or not bev.output) and not sent.done():
            sent.set_result(None)

    def on_close(_: Connection) -> None:
        closed.set_result(None)
        look()

    connection.flush_output()
    bev.output.add_callback(look)
    connection.on_close = on_close
    look()
    _wait_for(sent, arguments)
    if bev.closed:
        raise _silent(arguments, one_line(connection.error or _CLOSED))
    connection.finish()  # with what TLS has made of it
    _wait_for(closed, arguments)


def _wait_for(future: Future[None], arguments: Namespace) -> None:
    try:
        future.result(arguments.timeout)
    except TimeoutError as error:
        raise _silent(arguments, f"the server has not taken it within {arguments.timeout:g} s") from error


def _silent(arguments: Namespace, why: str) -> Failure:
    return Failure(f"{one_line(arguments.address)}: {why}", status=SILENT)


def reason(error: EvkitError, arguments: Namespace) -> str:
    """Tell in one line why no answer has come."""
    if isinstance(error, CallTimeout | RemoteCallError):  # the server may be the first to see that it is late
        return _late(arguments)
    if isinstance(error, CallLost):
        return one_line(error.__cause__ or _CLOSED)
    return one_line(error)


def _late(arguments: Namespace) -> str:
    return "no answer in time" if arguments.timeout is None else f"no answer within {arguments.timeout:g} s"
