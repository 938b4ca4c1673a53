"""What ``evkit get`` asks for, and how: its options, and the client and the request that they make.

Knows nothing of what becomes of the response.
"""

import os
import re
import sys
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Iterator
from contextlib import contextmanager
from getpass import getpass
from typing import Any, BinaryIO, Final

from evkit import EventBase
from evkit.cli import trust
from evkit.cli.errors import USAGE, Failure
from evkit.cli.terminal import one_line
from evkit.cli.values import NONE, seconds
from evkit.http import Basic, Client, ClientTimeouts, CookieJar, Proxy, ProxyRules, Retries
from evkit.http.client.retries import BUSY

Pair = tuple[str, str]

_SCHEME: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*://")
_FROM_FILE: Final = "@"
_STDIN: Final = "-"
_COUNT: Final = re.compile(r"[0-9]{1,4}")
_FORM: Final = ("Content-Type", "application/x-www-form-urlencoded")
"""What curl calls the data of ``--data``, unless told."""


def add_options(parser: ArgumentParser) -> None:
    """Tell ``parser`` what can be asked for, and how."""
    parser.add_argument("url", metavar="URL", type=_url, help="http:// is put before it if it has no scheme")
    group = parser.add_argument_group("the request")
    group.add_argument(
        "-X", "--method", metavar="METHOD", help="such as DELETE (default: GET, or by what is sent)"
    )
    group.add_argument(
        "-H",
        "--header",
        action="append",
        default=[],
        type=_header,
        metavar="'NAME: VALUE'",
        help="a field to send; may be given more than once",
    )
    _add_bodies(group.add_mutually_exclusive_group())
    group.add_argument("-u", "--user", metavar="USER:PASSWORD", help="without :PASSWORD it is asked for")
    group.add_argument(
        "-L", "--location", action="store_true", default=True, help="follow redirects, as is the default"
    )
    group.add_argument("--no-location", dest="location", action="store_false", help="don't follow them")
    group.add_argument(
        "--no-compressed",
        dest="compressed",
        action="store_false",
        help="don't ask for a compressed body, nor expand one (default: do both)",
    )
    _add_ways(parser.add_argument_group("the way there"))
    trust.add_options(parser.add_argument_group("HTTPS"))


def _add_bodies(group: Any) -> None:
    group.add_argument(
        "-d", "--data", metavar="TEXT | @FILE", help="what to POST, as it is; @- is standard input"
    )
    group.add_argument(
        "--form",
        action="append",
        type=_form_pair,
        metavar="NAME=VALUE",
        help="a field of a form to POST; may be given more than once",
    )
    group.add_argument("-T", "--upload", metavar="FILE", help="a file to PUT; - is standard input")
    group.add_argument("-I", "--head", action="store_true", help="ask for the head alone, and print it")


def _add_ways(group: Any) -> None:
    group.add_argument(
        "-m",
        "--timeout",
        type=seconds,
        metavar="SECONDS",
        help="for all of it, the body included (default: each step has its own time)",
    )
    group.add_argument(
        "--connect-timeout",
        type=seconds,
        metavar="SECONDS",
        help="for a connection (default: %(default)g)",
        default=ClientTimeouts().connect,
    )
    group.add_argument(
        "--retry",
        type=_count,
        default=0,
        metavar="NUMBER",
        help="tries after the first, where the server is busy or the connection fails (default: %(default)s)",
    )
    group.add_argument(
        "-x",
        "--proxy",
        metavar=f"URL | {NONE}",
        help="go by this proxy (default: what http_proxy, https_proxy, all_proxy and no_proxy say)",
    )
    group.add_argument(
        "--unix", metavar="PATH", help="connect to a unix socket, whatever the host of the URL is"
    )


def check(arguments: Namespace) -> None:
    """Refuse options that don't go together.

    Raises:
        Failure: These don't.
    """
    trust.check(arguments)
    if arguments.unix is not None and arguments.proxy not in (None, NONE):
        raise Failure("--unix and --proxy are two ways: choose one", status=USAGE)
    if arguments.head and arguments.method not in (None, "HEAD"):
        raise Failure("--head and --method are two methods: choose one", status=USAGE)


# What the words mean


def _url(text: str) -> str:
    return text if _SCHEME.match(text) else f"http://{text}"


def _header(text: str) -> Pair:
    name, colon, value = text.partition(":")
    if not colon:
        raise ArgumentTypeError(f"expected NAME: VALUE, got {text!r}")
    return name, value.strip(" \t")


def _form_pair(text: str) -> tuple[bytes, bytes]:
    name, equals, value = os.fsencode(text).partition(b"=")
    if not equals:
        raise ArgumentTypeError(f"expected NAME=VALUE, got {text!r}")
    return name, value


def _count(text: str) -> int:
    if not _COUNT.fullmatch(text):
        raise ArgumentTypeError(f"expected a number from 0 to 9999, got {text!r}")
    return int(text)


# What they make


def client(base: EventBase, arguments: Namespace) -> Client:
    """Make the client; close it in the end.

    Raises:
        Failure: A proxy or a certificate is none.
    """
    tries = 1 + arguments.retry
    return Client(
        base,
        timeouts=ClientTimeouts(connect=arguments.connect_timeout),
        retries=Retries(tries, unanswered=True, statuses=BUSY) if tries > 1 else None,
        budget=None,  # one request, of which the user has said how often
        proxies=_proxies(arguments),
        cookies=CookieJar(),  # many a site sets one, and sends the client round until it has it
        tls=trust.context(arguments),
        unix=arguments.unix,
        decode=arguments.compressed,
    )


def _proxies(arguments: Namespace) -> ProxyRules | None:
    """Return which proxy to use; ``None``: none."""
    if arguments.unix is not None or arguments.proxy == NONE:
        return None
    try:
        if arguments.proxy is None:
            return ProxyRules.from_environment(os.environ)
        proxy = Proxy.at(arguments.proxy)
    except ValueError as error:
        if arguments.proxy is None:
            raise Failure(one_line(error)) from error
        raise Failure(f"--proxy: {one_line(error)}", status=USAGE) from error
    return ProxyRules(proxy, proxy)


def method(arguments: Namespace) -> str:
    """Return the method: what is sent tells, unless the user does."""
    if arguments.method is not None:
        return str(arguments.method)
    if arguments.head:
        return "HEAD"
    if arguments.upload is not None:
        return "PUT"
    return "GET" if arguments.data is None and arguments.form is None else "POST"


@contextmanager
def request(arguments: Namespace) -> Iterator[dict[str, Any]]:
    """Gather the options of `Client.request`; what is sent is open for as long as the block lasts.

    Raises:
        Failure: It can't be read, or the password can't be.
    """
    options: dict[str, Any] = {
        "headers": arguments.header,
        "follow": arguments.location,
        "timeout": arguments.timeout,
        **_authentication(arguments),
    }
    if arguments.form is not None:
        options["form"] = arguments.form
    name = arguments.upload
    if arguments.data is not None:
        options["headers"] = _with_form(arguments.header)
        if not arguments.data.startswith(_FROM_FILE):
            options["body"] = os.fsencode(arguments.data)
        else:
            name = arguments.data.removeprefix(_FROM_FILE)
    if name is None:
        yield options
        return
    with _opened(name) as file:
        yield options | {"body": file}


def _with_form(headers: list[Pair]) -> list[Pair]:
    told = any(name.lower() == "content-type" for name, _ in headers)
    return headers if told else [*headers, _FORM]


def _authentication(arguments: Namespace) -> dict[str, Any]:
    if arguments.user is None:
        return {}
    user, colon, password = arguments.user.partition(":")
    try:
        return {"auth": Basic(user, password if colon else _ask_for_password(user))}
    except ValueError as error:
        raise Failure(f"--user: {one_line(error)}", status=USAGE) from error


def _ask_for_password(user: str) -> str:
    if sys.stdin is None or not sys.stdin.isatty():
        raise Failure("expected --user USER:PASSWORD, for there is no terminal to ask at", status=USAGE)
    try:
        return getpass(f"password of {user}: ")
    except EOFError as error:
        raise Failure("no password was given") from error


@contextmanager
def _opened(name: str) -> Iterator[BinaryIO]:
    if name == _STDIN:
        if sys.stdin is None:
            raise Failure("standard input is closed")
        # Unbuffered, what comes is sent on when it comes.
        yield getattr(sys.stdin.buffer, "raw", sys.stdin.buffer)
        return
    try:
        file = open(name, "rb")  # noqa: SIM115 - what goes wrong in the block is no fault of the file
    except OSError as error:
        raise Failure(f"{name} can't be read: {error.strerror}") from error
    with file:
        yield file
