"""The certificates of a server: the options that name them, and what these make.

Knows nothing of what is said on the connections.
"""

import signal
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from evkit import Event, EventBase
from evkit.cli.errors import USAGE, Failure
from evkit.cli.terminal import one_line, say

if TYPE_CHECKING:
    from evkit.http import Certificates


def add_options(parser: ArgumentParser, title: str) -> None:
    """Tell ``parser`` the options.

    Args:
        parser: Of the command.
        title: What they make.
    """
    group = parser.add_argument_group(title)
    group.add_argument(
        "--tls-cert",
        action="append",
        metavar="FILE",
        help="a certificate in PEM, and the chain behind it; may be given more than once, for the names that stand in "
        "each; the first is for all others. SIGHUP reads the files anew",
    )
    group.add_argument(
        "--tls-key",
        action="append",
        metavar="FILE",
        help="the key of the certificate in the same place (default: the certificate's file has it)",
    )
    group.add_argument("--tls-client-ca", metavar="FILE", help="authorities of clients' certificates")
    group.add_argument(
        "--tls-require-client", action="store_true", help="refuse clients without such a certificate"
    )


def check(arguments: Namespace) -> None:
    """Refuse options that don't go together.

    Raises:
        Failure: These don't.
    """
    certs, keys = arguments.tls_cert or [], arguments.tls_key or []
    if not certs and (keys or arguments.tls_client_ca or arguments.tls_require_client):
        raise Failure("the options of TLS need --tls-cert FILE", status=USAGE)
    if keys and len(keys) != len(certs):
        raise Failure(
            f"--tls-key was given {len(keys)} times and --tls-cert {len(certs)} times; give one for each, or none",
            status=USAGE,
        )


@contextmanager
def certificates(base: EventBase, arguments: Namespace, *, rotates: bool) -> Iterator["Certificates | None"]:
    """Read the certificates that the options name; ``None``: none.

    Args:
        base: The server's.
        arguments: Of the command line.
        rotates: Whether SIGHUP has them read anew.

    Raises:
        Failure: They can't be had.
    """
    found = _read(arguments)
    if found is None or not rotates:
        yield found
        return

    def reload(event: Event, what: int) -> None:  # noqa: ARG001 - a callback
        try:
            found.reload()
        except (OSError, ValueError) as error:
            say(f"the certificates stay as they are: {one_line(error)}")

    event = base.signal(signal.SIGHUP, reload)
    event.add()
    try:
        yield found
    finally:
        event.free()


def _read(arguments: Namespace) -> "Certificates | None":
    certs, keys = arguments.tls_cert, arguments.tls_key
    if not certs:
        return None
    from evkit.http import Certificates  # which imports ssl

    pairs = list(zip(certs, keys or [None] * len(certs), strict=True))
    try:
        found = Certificates(
            *pairs[0], client_ca=arguments.tls_client_ca, require_client=arguments.tls_require_client
        )
        for cert, key in pairs[1:]:
            found.add(cert, key)
    except (OSError, ValueError) as error:
        raise Failure(f"TLS: {one_line(error)}") from error
    return found
