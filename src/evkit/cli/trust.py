"""Which server a client believes, and what it shows of itself: the options of TLS, and the context they make.

Knows nothing of what is said on the connections.
"""

from argparse import Namespace
from typing import TYPE_CHECKING, Any

from evkit.cli.errors import USAGE, Failure

if TYPE_CHECKING:
    import ssl


def add_options(group: Any) -> None:
    """Tell a group of a parser the options."""
    group.add_argument(
        "-k", "--insecure", action="store_true", help="believe any certificate: anybody may listen"
    )
    group.add_argument("--cacert", metavar="FILE", help="authorities to trust, in place of the system's")
    group.add_argument(
        "-E", "--cert", metavar="FILE", help="the certificate to show, and the chain behind it"
    )
    group.add_argument("--key", metavar="FILE", help="its key (default: the certificate's file has it)")


def check(arguments: Namespace) -> None:
    """Refuse options that don't go together.

    Raises:
        Failure: These don't.
    """
    if arguments.key is not None and arguments.cert is None:
        raise Failure("--key needs --cert FILE", status=USAGE)


def context(arguments: Namespace) -> "ssl.SSLContext | None":
    """Return what to trust and to show; ``None``: what all programs do.

    Raises:
        Failure: A file can't be read, or is none of what it should be.
    """
    if not (arguments.insecure or arguments.cacert or arguments.cert):
        return None
    import ssl  # takes its time to load, and plain connections have no use for it

    try:
        made = ssl.create_default_context(cafile=arguments.cacert)
    except OSError as error:  # ssl.SSLError is one
        raise _unreadable("--cacert", arguments.cacert, error) from error
    if arguments.insecure:
        made.check_hostname = False
        made.verify_mode = ssl.CERT_NONE
    if arguments.cert is not None:
        try:
            made.load_cert_chain(arguments.cert, arguments.key)
        except OSError as error:
            raise _unreadable("--cert", arguments.cert, error) from error
    return made


def _unreadable(option: str, name: str, error: OSError) -> Failure:
    reason = getattr(error, "reason", None)  # an ssl.SSLError's, as NO_START_LINE
    return Failure(f"{option} {name}: {reason.replace('_', ' ').lower() if reason else error.strerror}")
