"""How values become MessagePack and come back: the only module that knows the library which does it.

A decider over bytes. None of the library's classes or exceptions leaves it: an extension is an `Ext`, a timestamp an
aware ``datetime``. It knows nothing of messages, and of sizes only what `Limits` says.

Whoever decodes must end the connection after any exception: the decoder would go on inside the value that was at fault,
and a peer could hide a message in a string.
"""

import re
from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import Any, Final, Protocol

import msgpack  # type: ignore[import-untyped]  # it ships no types, and no stubs are published

from evkit.core.buffer.segments import Readable
from evkit.rpc.limits import Limits

_CODES: Final = range(-128, 128)
# The library takes 1 MiB and 256 KiB at once, for each connection; both grow where it is needed.
_FIRST_BUFFER: Final = 4096
_AS_TIMESTAMP: Final = 0  # the library's words for its own class, and for an aware datetime
_AS_DATETIME: Final = 3
_TIMESTAMP: Final = -1


class Ext:
    """A value of an application's own type.

    Attributes:
        code: Which type, -128 to 127. Those below 0 are reserved to MessagePack; of these -1 is the timestamp.
        data: What it holds.

    Source: MessagePack spec, "Extension types".
    """

    __slots__ = ("code", "data")

    def __init__(self, code: int, data: bytes | bytearray | memoryview) -> None:
        """Make one.

        Args:
            code: See above.
            data: It is copied, unless it is ``bytes``.

        Raises:
            TypeError: ``code`` is no int, or ``data`` no bytes.
            ValueError: ``code`` is out of range.
        """
        if not isinstance(code, int):
            raise TypeError(f"expected code as an int, got {type(code).__name__}")
        if code not in _CODES:
            raise ValueError(f"code must be from -128 to 127, got {code}")
        if not isinstance(data, bytes | bytearray | memoryview):
            raise TypeError(f"expected data as bytes, got {type(data).__name__}")
        self.code = code
        self.data = bytes(data)

    def __repr__(self) -> str:
        return f"Ext({self.code}, {self.data!r})"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Ext):
            return NotImplemented
        return self.code == other.code and self.data == other.data

    def __hash__(self) -> int:
        return hash((self.code, self.data))


# Python hashes these with a secret: nobody can choose keys that all meet in one place, as can be done with numbers.
_KEYED_HASHES: Final = frozenset({str, bytes, Ext})


class Unpacker(Protocol):
    """What `make_unpacker` gives: bytes go in, and iteration gives the values that are complete."""

    def feed(self, data: bytes | bytearray | memoryview, /) -> None:
        """Take what was read."""

    def __iter__(self) -> "Unpacker":
        """Return itself: iteration goes on where it stopped for want of bytes."""

    def __next__(self) -> Any:
        """Return the next value."""

    def tell(self) -> int:
        """Return how many bytes the values so far had."""


def make_packer() -> Callable[[object], bytes]:
    """Return a function that packs one value.

    ``str`` becomes str, ``bytes``, ``bytearray`` and ``memoryview`` bin, a tuple an array, an aware ``datetime`` a
    timestamp and an `Ext` what it says. Any other class raises, as do integers beyond 64 bits, a naive ``datetime``,
    lone surrogates and more than 1024 levels: mostly a ``TypeError``, ``ValueError`` or ``OverflowError``, but a value
    of the program's own class may raise anything. The function can be used again then. It is not for two threads at
    once, and must not be called by what it packs.

    Source: MessagePack spec, "Serialization: type to format conversion"; timestamps in the shortest form.
    """
    # Its own way with a datetime is quicker than _pack_other, which it asks for subclasses.
    pack: Callable[[object], bytes] = msgpack.Packer(
        default=_pack_other, datetime=True, buf_size=_FIRST_BUFFER
    ).pack
    return pack


def _pack_other(value: object) -> object:
    if isinstance(value, Ext):
        # The library's own class refuses the reserved codes, its packer does not.
        return tuple.__new__(msgpack.ExtType, (value.code, value.data))
    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise ValueError(f"a datetime without a time zone can't be sent: {value!r}")
        return msgpack.Timestamp.from_datetime(value)
    if isinstance(value, int):
        raise OverflowError(f"integers go from -(2**63) to 2**64-1, got one of {value.bit_length()} bits")
    raise TypeError(f"a value of type {type(value).__qualname__} can't be sent")


def make_unpacker(limits: Limits, unicode_errors: str = "strict", *, patient: bool = False) -> Unpacker:
    """Return a decoder of a stream of values.

    Arrays become lists, str ``str``, bin ``bytes``, an extension `Ext`, a timestamp a ``datetime`` in UTC, cut to
    microseconds. A map may have any key that Python can hash; of two equal ones the last wins.

    The quick decoder refuses two things that may be quite right: maps of more than ``max_int_map`` pairs, whatever
    their keys, and timestamps beyond the years 1 to 9999. The patient one refuses those maps for their keys only, and
    makes an `Ext` of such a timestamp. So what the quick one has refused is to be given to a patient one, from the
    beginning of the value at fault; what that refuses, too, is refused for good.

    Args:
        limits: ``max_elements`` bounds one array, ``max_map`` and ``max_int_map`` one map, and ``max_message`` what is
            one string of bytes. How long, how deep and how full the whole message is, is for `Scanner` to say.
        unicode_errors: What to do with a str that is not UTF-8: the name of an error handler of ``bytes.decode``.
            ``"surrogateescape"`` keeps the bytes of peers from before 2013, which had no bin.
        patient: See above; it is five to seven times as slow.

    Its iteration may raise whatever `decode_failure` can tell of.

    Source: MessagePack spec, "Timestamp extension type".
    """
    how = _decoding(limits, unicode_errors)
    how["read_size"] = _FIRST_BUFFER
    how["max_buffer_size"] = 0  # 2 GiB: the limits on messages are evkit's own
    if patient:
        return _PatientUnpacker(limits, how)
    unpacker: Unpacker = msgpack.Unpacker(**how, **_quick(limits))
    return unpacker


def make_unpack(limits: Limits, unicode_errors: str = "strict") -> Callable[[Readable], Any]:
    """Return a function that decodes one value, as the quick decoder of `make_unpacker` would, without a copy of it.

    It raises whatever `decode_failure` can tell of, and likewise if more or less than one value is there.
    """
    return partial(msgpack.unpackb, **_decoding(limits, unicode_errors), **_quick(limits))


def _decoding(limits: Limits, unicode_errors: str) -> dict[str, Any]:
    most = limits.max_message
    return {
        "strict_map_key": False,
        "unicode_errors": unicode_errors,
        "ext_hook": Ext,
        "max_str_len": most,
        "max_bin_len": most,
        "max_ext_len": most,
        "max_array_len": limits.max_elements,
    }


def _quick(limits: Limits) -> dict[str, Any]:
    return {"timestamp": _AS_DATETIME, "max_map_len": min(limits.max_map, limits.max_int_map)}


class _PatientUnpacker:
    """Lets the library's own timestamps come, and replaces each in what holds it."""

    __slots__ = ("_unpacker", "feed", "tell")

    def __init__(self, limits: Limits, how: dict[str, Any]) -> None:
        self._unpacker = msgpack.Unpacker(
            timestamp=_AS_TIMESTAMP,
            max_map_len=limits.max_map,
            object_pairs_hook=partial(_make_map, limits.max_int_map),
            list_hook=_make_list,
            **how,
        )
        self.feed = self._unpacker.feed
        self.tell = self._unpacker.tell

    def __iter__(self) -> "_PatientUnpacker":
        return self

    def __next__(self) -> Any:
        return _own(next(self._unpacker))


def _make_map(most: int, pairs: list[tuple[Any, Any]]) -> dict[Any, Any]:
    if len(pairs) > most and any(type(key) not in _KEYED_HASHES for key, _ in pairs):
        raise ValueError(f"a map of {len(pairs)} pairs whose keys are not all text, where {most} are allowed")
    return {_own(key): _own(value) for key, value in pairs}


def _make_list(items: list[Any]) -> list[Any]:
    return [_own(item) for item in items]


def _own(value: Any) -> Any:
    if type(value) is not msgpack.Timestamp:
        return value
    try:
        return value.to_datetime()
    except OverflowError:
        return Ext(_TIMESTAMP, value.to_bytes())


def decode_failure(error: BaseException) -> str:
    """Tell in words what a decoder found wrong."""
    for kind, words in _FAILURES.items():
        if isinstance(error, kind):
            return words
    if isinstance(error, UnicodeDecodeError):
        return f"a str that is not UTF-8: {error.reason}"
    if exceeded := _EXCEEDED.fullmatch(str(error)):
        what, most = exceeded.groups()
        return f"{_KINDS[what]} of more than {most} {_UNITS.get(what, 'bytes')}"
    return str(error) or type(error).__name__


# The number that came is left out: of an extension the library tells a wrong one.
_EXCEEDED: Final = re.compile(r"\d+ exceeds max_(array|map|str|bin|ext)_len\((\d+)\)")
_KINDS: Final = {"array": "an array", "map": "a map", "str": "a str", "bin": "a bin", "ext": "an extension"}
_UNITS: Final = {"array": "values", "map": "pairs"}
_FAILURES: Final[dict[type[BaseException], str]] = {
    msgpack.FormatError: "the byte 0xc1, which begins no value",
    msgpack.StackError: "more than 1024 levels of arrays and maps",
    msgpack.BufferFull: "more bytes than can be held",
    TypeError: "a map with an array or a map as a key",
}
