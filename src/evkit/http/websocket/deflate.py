"""permessage-deflate: what two ends agree upon, and the two directions of it.

`Deflate` decides what to offer, to agree to and to refuse; `Deflater` and `MessageInflater` do what was agreed upon,
the latter never beyond a limit. None of them knows frames or connections.
"""

import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from evkit.http.kinds import COUNT, FLAG, Kinds, check_options
from evkit.http.websocket.codes import BAD_DATA
from evkit.http.websocket.errors import WebSocketError
from evkit.http.websocket.extensions import Extension
from evkit.http.websocket.message import too_big

NAME: Final = "permessage-deflate"
_SERVER_BITS: Final = "server_max_window_bits"
_CLIENT_BITS: Final = "client_max_window_bits"
_SERVER_FRESH: Final = "server_no_context_takeover"
_CLIENT_FRESH: Final = "client_no_context_takeover"
_FLAGS: Final = frozenset({_SERVER_FRESH, _CLIENT_FRESH})
_KINDS: Final[Kinds] = {
    _SERVER_BITS: COUNT,
    _CLIENT_BITS: COUNT,
    _SERVER_FRESH: FLAG,
    _CLIENT_FRESH: FLAG,
    "level": COUNT,
    "mem_level": COUNT,
    "min_size": COUNT,
}
_BITS: Final = {str(bits): bits for bits in range(8, 16)}
"""RFC 7692 §7.1.2: decimal, without leading zeroes."""
_WIDEST: Final = 15
_NARROWEST: Final = 9
"""zlib can't compress with a window of 256 bytes; what it is asked for with 8 goes out as it is, which is allowed."""
_TAIL: Final = b"\x00\x00\xff\xff"
"""What the end of a message is cut by: RFC 7692 §7.2.1."""
_MAX_STREAMS: Final = 16
"""Streams in one message: a block may say that it is the last, and another stream follow (RFC 7692 §7.2.3.4). Each
costs a new decompressor, for two bytes of the peer's; two is what anybody needs."""


@dataclass(frozen=True, slots=True)
class Agreed:
    """What both ends will do.

    Attributes:
        server_bits: The server's window is ``2 ** bits`` bytes, 8 to 15.
        client_bits: The client's, likewise.
        server_fresh: The server compresses each message by itself.
        client_fresh: The client does.
    """

    server_bits: int = _WIDEST
    client_bits: int = _WIDEST
    server_fresh: bool = False
    client_fresh: bool = False


@dataclass(frozen=True, slots=True)
class Deflate:
    """How to compress messages, where the peer agrees (permessage-deflate).

    A connection that has seen compressed messages keeps their state: for sending about ``2 ** (bits + 2)`` bytes and
    ``2 ** (mem_level + 9)``, for receiving ``2 ** bits``. Secrets and what an attacker can choose should not be
    compressed together.

    Attributes:
        server_max_window_bits: The server's window has ``2 ** bits`` bytes at most, 9 to 15.
        client_max_window_bits: The client's, likewise; binds only clients that can be told.
        server_no_context_takeover: The server compresses each message by itself, and keeps nothing in between.
        client_no_context_takeover: The client does.
        level: zlib's, from 0, none, to 9, small and slow; -1: zlib's own choice.
        mem_level: zlib's, 1 to 9.
        min_size: Bytes from which a message is compressed.

    Raises:
        ValueError: One is out of range.
        TypeError: One is of another type.

    Source: RFC 7692 §7; evws has none.
    """

    server_max_window_bits: int = 12
    client_max_window_bits: int = 12
    server_no_context_takeover: bool = False
    client_no_context_takeover: bool = False
    level: int = -1
    mem_level: int = 5
    min_size: int = 64

    def __post_init__(self) -> None:
        check_options(_KINDS, {name: getattr(self, name) for name in _KINDS})
        for name, least, most in (
            ("server_max_window_bits", _NARROWEST, _WIDEST),
            ("client_max_window_bits", _NARROWEST, _WIDEST),
            ("level", -1, 9),
            ("mem_level", 1, 9),
        ):
            if not least <= getattr(self, name) <= most:
                raise ValueError(f"{name} must be {least} to {most}, got {getattr(self, name)!r}")
        if self.min_size < 0:
            raise ValueError(f"min_size must be >= 0, got {self.min_size!r}")

    # The server's part

    def agree(self, offers: Iterable[Extension]) -> tuple[Extension, Agreed] | None:
        """Choose among a client's offers.

        Returns:
            What to answer and what it means, for the first offer that can be met; ``None``: there is none.

        Source: RFC 7692 §5.1, §7.1.
        """
        for offer in offers:
            said = _read(offer)
            if said is not None:
                return self._answer(said)
        return None

    def _answer(self, said: dict[str, int]) -> tuple[Extension, Agreed]:
        agreed = Agreed(
            server_bits=min(said.get(_SERVER_BITS, _WIDEST), self.server_max_window_bits),
            client_bits=(
                min(said[_CLIENT_BITS] or _WIDEST, self.client_max_window_bits)
                if _CLIENT_BITS in said
                else _WIDEST
            ),
            server_fresh=_SERVER_FRESH in said or self.server_no_context_takeover,
            client_fresh=_CLIENT_FRESH in said or self.client_no_context_takeover,
        )
        return Extension(NAME, _spell(agreed)), agreed

    # The client's part

    def offer(self) -> Extension:
        """Return what to offer to a server."""
        wanted = Agreed(
            self.server_max_window_bits,
            self.client_max_window_bits,
            self.server_no_context_takeover,
            self.client_no_context_takeover,
        )
        spelt = _spell(wanted)
        if wanted.client_bits == _WIDEST:
            spelt = (*spelt, (_CLIENT_BITS, None))  # that it can be told
        return Extension(NAME, spelt)

    def check_answer(self, answer: Extension) -> Agreed:
        """Read a server's answer to `offer`.

        Raises:
            ValueError: It is no answer to that.

        Source: RFC 7692 §7.1; a server may give more than was asked for, never less.
        """
        said = _read(answer)
        if said is None or said.get(_CLIENT_BITS) == 0:
            raise ValueError(f"expected the parameters of {NAME}, got {str(answer)!r}")
        agreed = Agreed(
            said.get(_SERVER_BITS, _WIDEST),
            said.get(_CLIENT_BITS, self.client_max_window_bits),
            _SERVER_FRESH in said,
            _CLIENT_FRESH in said or self.client_no_context_takeover,
        )
        if (
            agreed.server_bits > self.server_max_window_bits
            or agreed.client_bits > self.client_max_window_bits
            or (self.server_no_context_takeover and not agreed.server_fresh)
        ):
            raise ValueError(f"expected no more than {str(self.offer())!r}, got {str(answer)!r}")
        return agreed


def _read(extension: Extension) -> dict[str, int] | None:
    """Return the parameters by name, 0 for a window that is not told; ``None``: they break RFC 7692 §7.1."""
    said: dict[str, int] = {}
    for name, value in extension.parameters:
        if name in said:
            return None
        if name in _FLAGS and value is None:
            said[name] = 1
        elif name in (_SERVER_BITS, _CLIENT_BITS) and value in _BITS:
            said[name] = _BITS[value]
        elif name == _CLIENT_BITS and value is None:
            said[name] = 0
        else:
            return None
    return said if extension.name == NAME else None


def _spell(agreed: Agreed) -> tuple[tuple[str, str | None], ...]:
    parameters: list[tuple[str, str | None]] = []
    if agreed.server_fresh:
        parameters.append((_SERVER_FRESH, None))
    if agreed.client_fresh:
        parameters.append((_CLIENT_FRESH, None))
    if agreed.server_bits < _WIDEST:
        parameters.append((_SERVER_BITS, str(agreed.server_bits)))
    if agreed.client_bits < _WIDEST:
        parameters.append((_CLIENT_BITS, str(agreed.client_bits)))
    return tuple(parameters)


class Deflater:
    """Compresses messages, one after another.

    Args:
        bits: Of the window, 9 to 15.
        fresh: Compress each by itself.
        settings: Level and memory.
    """

    __slots__ = ("_bits", "_fresh", "_settings", "_stream")

    def __init__(self, bits: int, *, fresh: bool, settings: Deflate) -> None:
        self._bits = bits
        self._fresh = fresh
        self._settings = settings
        self._stream: zlib._Compress | None = None

    def takes(self, size: int) -> bool:
        """Return whether a message of so many bytes is to be compressed."""
        return self._bits >= _NARROWEST and size >= self._settings.min_size

    def deflate(self, piece: bytes) -> bytes:
        """Compress a piece of a message; what comes out may be less than what went in so far, or nothing."""
        if self._stream is None:
            self._stream = zlib.compressobj(
                self._settings.level, zlib.DEFLATED, -self._bits, self._settings.mem_level
            )
        return self._stream.compress(piece)

    def finish(self) -> bytes:
        """Return the rest of a message, of which `deflate` has got pieces."""
        assert self._stream is not None
        rest = self._stream.flush(zlib.Z_SYNC_FLUSH)
        if self._fresh:
            self._stream = None
        return rest.removesuffix(_TAIL)


class MessageInflater:
    """Undoes the compression of messages, one after another; see `evkit.http.websocket.message.Inflater`.

    Args:
        bits: Of the peer's window, 8 to 15.
        fresh: The peer compresses each by itself.
    """

    __slots__ = ("_bits", "_fresh", "_stream", "_streams")

    def __init__(self, bits: int, *, fresh: bool) -> None:
        self._bits = bits
        self._fresh = fresh
        self._stream: zlib._Decompress | None = None
        self._streams = 0

    def inflate(self, piece: bytes, most: int) -> bytes:
        """Return what ``piece`` stands for; never makes more than a byte over ``most``.

        Raises:
            WebSocketError: It is not what deflate makes, or stands for more than ``most`` bytes.
        """
        found = b""
        while piece:
            if self._stream is None:
                self._stream = self._begin()
            try:
                found += self._stream.decompress(piece, most - len(found) + 1)
            except zlib.error as error:
                raise WebSocketError(BAD_DATA, f"expected a compressed message, got {error}") from None
            if len(found) > most:
                raise too_big(most)
            piece = self._stream.unused_data or self._stream.unconsumed_tail
            if self._stream.eof:
                self._stream = None
        return found

    def _begin(self) -> "zlib._Decompress":
        self._streams += 1
        if self._streams > _MAX_STREAMS:
            raise WebSocketError(BAD_DATA, "expected a compressed message, got too many in one")
        return zlib.decompressobj(-self._bits)

    def finish(self, most: int) -> bytes:
        """Return the rest of a message; raises as `inflate`."""
        rest = self.inflate(_TAIL, most)
        self._streams = 0
        if self._fresh:
            self._stream = None
        return rest
