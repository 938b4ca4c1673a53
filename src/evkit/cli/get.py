"""``evkit get``: ask for a URL, and write down what comes.

Puts together what is asked for (`evkit.cli.asking`), where the answer goes (`evkit.cli.saving`), and what is told of it
meanwhile.
"""

import json
import os
from argparse import ArgumentParser, Namespace
from base64 import b64encode
from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext
from pathlib import PurePosixPath
from typing import Any, Final, TypeVar
from urllib.parse import urlsplit

from evkit import EventBase, EvkitError, Future, LocalProtocolError
from evkit.cli import asking, saving
from evkit.cli.bases import make_base
from evkit.cli.errors import USAGE, Failure
from evkit.cli.progress import STDERR, Progress, ProgressLine
from evkit.cli.saving import Outlet
from evkit.cli.terminal import one_line, say, show
from evkit.http import Client, Headers, Response, uri_decode
from evkit.http.forms.filename import safe_filename

T = TypeVar("T")

REFUSED: Final = 22
"""The exit status of ``--fail``: curl's own."""
SYNOPSIS: Final = "%(prog)s [OPTION ...] URL"
EPILOG: Final = """\
examples:
  evkit get example.org                          the page, to standard output
  evkit get -O https://example.org/big.iso       a file, with its progress
  evkit get --json https://api.example.org/ | jq .body
  evkit get -d '{"a": 1}' -H 'Content-Type: application/json' URL
  evkit get -T photo.jpg https://example.org/photos/1.jpg

A file has .part behind its name until it is complete. If it never is, nothing
is left of it, and a file that was there before stays as it was.

--json writes one object: url, method, version, status, reason, headers and
trailers (name to values), redirects, and body: the value of a body in JSON,
a text, or base64, as "encoding" says. With -o the body goes to the file, and
the object has its name and its size.

The exit status is 0 if there was a response, whatever its status; 22 if it
was 400 or more and --fail was given; 1 if there was none, or it can't be
written down; 2 for wrong usage; and 130 after Ctrl-C."""


def configure(parser: ArgumentParser) -> None:
    """Tell ``parser`` the options of this command."""
    parser.usage = SYNOPSIS
    parser.epilog = EPILOG
    asking.add_options(parser)
    group = parser.add_argument_group("the response")
    where = group.add_mutually_exclusive_group()
    where.add_argument(
        "-o", "--output", metavar="FILE", help="write the body to FILE; - is standard output, a terminal, too"
    )
    where.add_argument(
        "-O", "--remote-name", action="store_true", help="write it to a file of the name that ends the URL"
    )
    how = group.add_mutually_exclusive_group()
    how.add_argument("-i", "--include", action="store_true", help="write the head before the body")
    how.add_argument("--json", action="store_true", help="write one JSON object: see below")
    group.add_argument(
        "-f",
        "--fail",
        action="store_true",
        help=f"write nothing and end with {REFUSED} if the status is an error",
    )
    group.add_argument("-v", "--verbose", action="store_true", help="show the heads on standard error")
    group.add_argument("-s", "--silent", action="store_true", help="show no progress")


def run(arguments: Namespace) -> int:
    """Ask, and write down the answer; return 0.

    Raises:
        Failure: There is no answer, it can't be written down, or it is not the one that was hoped for.
        BrokenPipeError: Nobody reads standard output any more.
    """
    asking.check(arguments)
    output = _output(arguments)
    with asking.request(arguments) as options, make_base() as base, asking.client(base, arguments) as client:
        errand = _Errand(base, arguments)
        response = errand.ask(client, options, stream=not (arguments.json and output is None))
        if arguments.verbose:
            _tell_heads(response)
        if arguments.fail and not response.ok:
            told = f"{response.status} {response.reason}".strip()
            raise Failure(one_line(f"the server says {told} for {response.url}"), status=REFUSED)
        errand.write_down(response, output)
    return 0


def _output(arguments: Namespace) -> str | None:
    """Return where the body goes; ``None``: nothing is said.

    Raises:
        Failure: The URL ends without a name.
    """
    if not arguments.remote_name:
        # With --json it stands in the object, and can't be before it.
        return None if arguments.json and arguments.output == saving.STDOUT else arguments.output
    path = urlsplit(arguments.url).path
    if path.endswith("/") or not path:
        raise Failure("the URL has no name at its end: say -o FILE", status=USAGE)
    return safe_filename(uri_decode(PurePosixPath(path).name, strict=False))


class _Errand:
    """One request, within its time.

    Args:
        base: The event base.
        arguments: Of the command line.
    """

    __slots__ = ("_arguments", "_base", "_until")

    def __init__(self, base: EventBase, arguments: Namespace) -> None:
        self._base = base
        self._arguments = arguments
        self._until = None if arguments.timeout is None else base.now() + arguments.timeout

    def ask(self, client: Client, options: dict[str, Any], *, stream: bool) -> Response:
        """Send the request, and wait for the head of the response; unless ``stream``, for all of it."""
        arguments = self._arguments
        on_interim = _tell_interim if arguments.verbose else None
        try:
            future = client.request(
                asking.method(arguments), arguments.url, stream=stream, on_interim=on_interim, **options
            )
        except (ValueError, LocalProtocolError) as error:
            raise Failure(one_line(error), status=USAGE) from error
        return self._wait(future)

    def _wait(self, future: Future[T]) -> T:
        left = None if self._until is None else max(0.0, self._until - self._base.now())
        try:
            return future.result(left)
        except EvkitError as error:
            raise Failure(_describe(error)) from error
        except TimeoutError as error:
            raise Failure(f"not done within {self._arguments.timeout:g} s") from error
        except BrokenPipeError:  # by the outlet
            raise
        except (OSError, ValueError) as error:
            # What is sent can't be read, or there can't be such a unix socket.
            raise Failure(_describe(error)) from error
        finally:
            future.cancel()  # Ctrl-C, for one, leaves it as it is

    def write_down(self, response: Response, output: str | None) -> None:
        """Write the response where it goes."""
        if not self._arguments.json:
            with saving.opened(output) as outlet:
                if self._arguments.include or self._arguments.head:
                    outlet.write(_head(response))
                self._receive(response, outlet)
            return
        if output is None:
            show(_as_json(response))
            return
        with saving.opened(output) as outlet:
            size = self._receive(response, outlet)
        show(_dump(_facts(response) | {"file": output, "size": size}))

    def _receive(self, response: Response, outlet: Outlet) -> int:
        """Write the body as it comes; return how long it was."""
        total = _length(response, expanded=self._arguments.compressed)
        progress = Progress(total, self._base.now())
        done: Future[None] = Future(self._base, lambda _future: response.close())

        def on_data(_response: Response, data: bytes) -> None:
            outlet.write(data)
            progress.done += len(data)

        def on_end(_response: Response, error: Exception | None) -> None:
            if error is None:
                done.set_result(None)
            else:
                done.set_exception(error)

        response.receive(on_data, on_end)
        with self._shown(progress, outlet):
            self._wait(done)
        return progress.done

    def _shown(self, progress: Progress, outlet: Outlet) -> AbstractContextManager[object]:
        """Draw the progress where it is seen, and does not stand in the middle of the body."""
        if self._arguments.silent or outlet.is_terminal or not os.isatty(STDERR):
            return nullcontext()
        return ProgressLine(self._base, progress)


def _describe(error: Exception) -> str:
    """Return what went wrong, behind what was tried."""
    return one_line(": ".join([*getattr(error, "__notes__", ()), str(error)]))


def _length(response: Response, *, expanded: bool) -> int | None:
    """Return how long the body will be; ``None`` where the server says nothing, or how long it is compressed."""
    length = response.headers.get("Content-Length")
    if length is None or (expanded and "Content-Encoding" in response.headers):
        return None
    return int(length)


# What is told of it


def _tell_heads(response: Response) -> None:
    for passed in (*response.history, response):
        say(one_line(f"> {passed.method} {passed.url}"))
        _tell_fields(passed.status, passed.reason, passed.headers, passed.version[1])


def _tell_interim(status: int, headers: Headers) -> None:
    _tell_fields(status, "", headers)


def _tell_fields(status: int, reason: str, headers: Headers, minor: int = 1) -> None:
    say(one_line(f"< HTTP/1.{minor} {status} {reason}"))
    for name, value in headers:
        say(one_line(f"< {name}: {value}"))


def _head(response: Response) -> bytes:
    """Return the head as it came, but for spaces."""
    first = f"HTTP/1.{response.version[1]} {response.status} {response.reason}\r\n"
    fields = "".join(f"{name}: {value}\r\n" for name, value in response.headers)
    return f"{first}{fields}\r\n".encode("latin-1", "replace")


# As JSON


def _as_json(response: Response) -> str:
    """Return a whole response as an object, its body in the most readable form that it allows."""
    facts = _facts(response)
    kind = (response.headers.get("Content-Type") or "").partition(";")[0].strip().lower()
    if kind == "application/json" or kind.endswith("+json"):
        try:
            value = json.loads(response.body, parse_constant=_refuse)
            return _dump(facts | {"encoding": "json", "body": value})
        except (ValueError, RecursionError):
            pass  # it is not what it is called, or too large or too deep to be written again
    text = response.text
    if "\0" in text or "\ufffd" in text:  # which stands for what is no text
        return _dump(facts | {"encoding": "base64", "body": b64encode(response.body).decode()})
    return _dump(facts | {"encoding": "text", "body": text})


def _refuse(constant: str) -> None:
    """JSON has no ``NaN`` and no ``Infinity``, though Python's takes them."""
    raise ValueError(constant)


def _dump(facts: dict[str, Any]) -> str:
    # In ASCII, so that no terminal takes anything in it for a command.
    return json.dumps(facts, indent=2, allow_nan=False)


def _facts(response: Response) -> dict[str, Any]:
    """Return all but the body."""
    major, minor = response.version
    return {
        "url": response.url,
        "method": response.method,
        "version": f"{major}.{minor}",
        "status": response.status,
        "reason": response.reason,
        "headers": _by_name(response.headers),
        "trailers": _by_name(response.trailers),
        "redirects": [
            {"url": passed.url, "status": passed.status, "location": passed.headers.get("Location")}
            for passed in response.history
        ],
    }


def _by_name(pairs: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    """Return the values by name, in lower case, as curl's ``%{header_json}`` does."""
    found: dict[str, list[str]] = {}
    for name, value in pairs:
        found.setdefault(name.lower(), []).append(value)
    return found
