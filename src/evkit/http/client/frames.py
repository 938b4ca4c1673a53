"""What an error must not hold: the frames that its traceback refers to, and with them whoever was on the stack."""

from typing import Final, TypeVar

from evkit.errors import EvkitError

E = TypeVar("E", bound=Exception)

_MAX_LINKS: Final = 9
"""Errors behind an error that are looked at; evkit's own have one or two."""


def without_frames(error: E) -> E:
    """Return an error, without its traceback if it is evkit's own: where it was raised tells nobody anything.

    Whoever keeps such an error, and was on the stack with what he keeps it in, is freed with it then, and not when the
    collector comes. What a program's own functions raise keeps its traceback, which tells where.
    """
    link: BaseException | None = error if isinstance(error, EvkitError) else None
    for _ in range(_MAX_LINKS):
        if link is None:
            break
        link.__traceback__ = None
        link = link.__cause__ or link.__context__
    return error
