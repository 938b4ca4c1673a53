"""What ``evkit resolve`` asks: which words are names and which are types, and what a line of a file says.

A decider: text in, questions out, or an error that says what was expected. Knows nothing of files or resolvers.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

from evkit.cli.errors import USAGE, Failure
from evkit.cli.terminal import one_line
from evkit.dns.names import reverse_name, to_wire
from evkit.dns.types import type_name, type_number

ADDRESSES: Final = ("A", "AAAA")
"""What is asked for where no type is said."""
REVERSE: Final = ("PTR",)

_REFUSED: Final = frozenset({"AXFR", "IXFR", "OPT", "TKEY", "TSIG"})
"""Types that nobody takes for names, though they can't be asked for."""
_COMMENT: Final = "#"


class Question(NamedTuple):
    """What is asked about one name.

    Attributes:
        name: As it was given; an address where ``reverse`` is set.
        types: Mnemonics, at least one.
        any_type: Whether the name is resolved if there are records of one of them.
        reverse: Whether the names of an address are wanted.
    """

    name: str
    types: tuple[str, ...]
    any_type: bool = False
    reverse: bool = False


class Wish(NamedTuple):
    """What is asked about all names that don't say it themselves.

    Attributes:
        types: Mnemonics; empty: addresses.
        reverse: Whether what is given are addresses, whose names are wanted.
    """

    types: tuple[str, ...] = ()
    reverse: bool = False


def sort_words(words: Sequence[str], *, reverse: bool) -> tuple[list[str], Wish]:
    """Tell names from types.

    Args:
        words: Of the command line. What is a type's mnemonic is a type, in any case and at any place; a name that looks
            like one is written with a dot at its end.
        reverse: Whether what is no type is an address.

    Returns:
        The names in their order, and what is wanted of each.

    Raises:
        Failure: A type can't be asked for, or does not go with ``reverse``.
    """
    types = {word: mnemonic for word in words if (mnemonic := _as_type(word)) is not None}
    wish = Wish(tuple(dict.fromkeys(types.values())), reverse)
    if reverse and wish.types not in ((), REVERSE):
        raise Failure(f"--reverse asks for PTR, not for {', '.join(wish.types)}", status=USAGE)
    return [word for word in words if word not in types], wish


def _as_type(word: str) -> str | None:
    if word.upper() in _REFUSED:
        raise Failure(f"{word.upper()} can't be asked for (for a name write {word}.)", status=USAGE)
    try:
        return type_name(type_number(word))
    except ValueError:
        return None


def make_question(name: str, wish: Wish) -> Question:
    """Put a question together.

    Raises:
        ValueError: There can't be such a name, or it is an address where a name is expected, or the other way round.
    """
    if wish.reverse:
        reverse_name(name)
        return Question(name, REVERSE, reverse=True)
    to_wire(name)
    if _is_address(name):
        raise ValueError(f"expected a name, got the address {name}; --reverse asks for its names")
    return Question(name, wish.types or ADDRESSES, any_type=not wish.types)


def _is_address(name: str) -> bool:
    if ":" not in name and not name[-1].isdigit():  # as nearly all names: a file may have very many
        return False
    try:
        reverse_name(name)
    except ValueError:
        return False
    return True


def read_line(line: str, wish: Wish) -> Question | None:
    """Read a line of a file: a name, and types behind it if they are others than those of ``wish``.

    Returns:
        ``None`` for an empty line, and one that begins with ``#``.

    Raises:
        ValueError: It is something else.
    """
    words = line.split()
    if not words or words[0].startswith(_COMMENT):
        return None
    name, *types = words
    if types:
        if wish.reverse:
            raise ValueError(f"expected an address alone, got {one_line(line)}")
        wish = Wish(tuple(dict.fromkeys([type_name(type_number(word)) for word in types])))
    return make_question(name, wish)
