"""How clients come in by ``evkit serve``: encrypted or not, through proxies or not.

The options, and what they make. Knows nothing of where the server listens.
"""

import signal
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from evkit import Event, EventBase
from evkit.cli.errors import USAGE, Failure
from evkit.cli.terminal import one_line, say
from evkit.http import Proxies

if TYPE_CHECKING:
    from evkit.http import Certificates


_PROXY_FIELDS: Final = "x-forwarded"


class Entrance:
    """What each listener is told of its clients.

    Attributes:
        tls: Certificates; ``None``: no TLS.
        proxy_protocol: Whether a PROXY header comes first.
    """

    __slots__ = ("proxy_protocol", "tls")

    def __init__(self, tls: "Certificates | None" = None, *, proxy_protocol: bool = False) -> None:
        self.tls = tls
        self.proxy_protocol = proxy_protocol

    @property
    def scheme(self) -> str:
        """What URLs begin with."""
        return "http" if self.tls is None else "https"


def add_options(parser: ArgumentParser) -> None:
    """Tell ``parser`` the options of encryption and of proxies."""
    group = parser.add_argument_group("HTTPS")
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
    group = parser.add_argument_group("proxies in front")
    group.add_argument(
        "--trust-proxy",
        action="append",
        metavar="ADDRESS",
        help="whom to believe who the client is: an address, a network such as 10.0.0.0/8, or unix: ; may be given "
        "more than once",
    )
    group.add_argument(
        "--proxy-fields",
        choices=("x-forwarded", "forwarded"),
        help=f"which fields it sets or removes (default: {_PROXY_FIELDS})",
    )
    group.add_argument(
        "--proxy-protocol",
        action="store_true",
        help="each connection begins with a PROXY header of such a proxy",
    )


def check(arguments: Namespace) -> None:
    """Refuse options that don't go together.

    Raises:
        Failure: These don't.
    """
    certs, keys = arguments.tls_cert or [], arguments.tls_key or []
    if not certs and (keys or arguments.tls_client_ca or arguments.tls_require_client):
        raise Failure("the options of HTTPS need --tls-cert FILE", status=USAGE)
    if keys and len(keys) != len(certs):
        raise Failure(
            f"--tls-key was given {len(keys)} times and --tls-cert {len(certs)} times; give one for each, or none",
            status=USAGE,
        )
    if arguments.trust_proxy is None and (arguments.proxy_protocol or arguments.proxy_fields):
        option = "--proxy-protocol" if arguments.proxy_protocol else "--proxy-fields"
        raise Failure(f"{option} needs --trust-proxy ADDRESS: whom to believe", status=USAGE)
    proxies(arguments)


def proxies(arguments: Namespace) -> Proxies | None:
    """Return whom to believe; ``None``: nobody.

    Raises:
        Failure: What was given is no address or network.
    """
    if arguments.trust_proxy is None:
        return None
    try:
        return Proxies(arguments.trust_proxy, fields=arguments.proxy_fields or _PROXY_FIELDS)
    except ValueError as error:
        raise Failure(f"--trust-proxy: {one_line(error)}", status=USAGE) from error


@contextmanager
def opened(base: EventBase, arguments: Namespace, *, rotates: bool) -> Iterator[Entrance]:
    """Read the certificates that the options name.

    Args:
        base: The server's.
        arguments: Of the command line.
        rotates: Whether SIGHUP has them read anew.

    Raises:
        Failure: They can't be had.
    """
    certificates = _certificates(arguments)
    entrance = Entrance(certificates, proxy_protocol=arguments.proxy_protocol)
    if certificates is None or not rotates:
        yield entrance
        return

    def reload(event: Event, what: int) -> None:  # noqa: ARG001 - a callback
        try:
            certificates.reload()
        except (OSError, ValueError) as error:
            say(f"the certificates stay as they are: {one_line(error)}")

    event = base.signal(signal.SIGHUP, reload)
    event.add()
    try:
        yield entrance
    finally:
        event.free()


def _certificates(arguments: Namespace) -> "Certificates | None":
    certs, keys = arguments.tls_cert, arguments.tls_key
    if not certs:
        return None
    from evkit.http import Certificates  # which imports ssl

    pairs = list(zip(certs, keys or [None] * len(certs), strict=True))
    try:
        certificates = Certificates(
            *pairs[0], client_ca=arguments.tls_client_ca, require_client=arguments.tls_require_client
        )
        for cert, key in pairs[1:]:
            certificates.add(cert, key)
    except (OSError, ValueError) as error:
        raise Failure(f"HTTPS: {one_line(error)}") from error
    return certificates
