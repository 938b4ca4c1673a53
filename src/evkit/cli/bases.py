"""The event base of a command, or why there can be none. It knows nothing of what the command does."""

from evkit import EventBase, EvkitError
from evkit.cli.errors import Failure
from evkit.cli.terminal import one_line


def make_base() -> EventBase:
    """Make an event base.

    Raises:
        Failure: The environment speaks against all backends.
    """
    try:
        return EventBase()
    except EvkitError as error:
        raise Failure(one_line(error)) from error
