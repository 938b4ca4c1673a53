"""How clients come in by ``evkit serve``: encrypted or not, through proxies or not.

The options, and what they make. Knows nothing of where the server listens.
"""

from argparse import ArgumentParser, Namespace
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from evkit import EventBase
from evkit.cli import encryption
from evkit.cli.errors import USAGE, Failure
from evkit.cli.terminal import one_line
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
    encryption.add_options(parser, "HTTPS")
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
    encryption.check(arguments)
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
    with encryption.certificates(base, arguments, rotates=rotates) as certificates:
        yield Entrance(certificates, proxy_protocol=arguments.proxy_protocol)
