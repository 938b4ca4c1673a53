"""The content of a response without its codings: never more of it at once than asked for, nor more than allowed.

Decides which codings a client asks for and undoes, and when an expansion is a bomb. How one coding is undone is in
`evkit.http.client.codings`. It knows nothing of connections, nor of where the content goes.
"""

from collections.abc import Iterator, Sequence
from typing import Final

from evkit.http.client.codings import Stage, codings
from evkit.http.errors import ContentError, ContentTooLarge, quote
from evkit.http.headers import Headers

PIECE: Final = 65536
"""Most bytes that come out at once, unless more are asked for."""
MAX_RATIO: Final = 1100.0
"""Most bytes for one coded byte. Deflate reaches 1032 with honest zeros, brotli and Zstandard 30,000 and more."""

_SLICE: Final = 16384
"""Coded bytes to hand over at once: what zlib can't take yet is copied each time."""
_MAX_CODINGS: Final = 3
"""One is the rule, two are an accident. Without a limit each one multiplies the work (CVE-2025-66418)."""
_GRACE: Final = 1048576
"""Bytes that any content may have, however few coded ones it came from."""
_BETWEEN: Final = 16
"""Most bytes for one coded byte between two codings, where coded bytes come out, which can't be made much shorter."""
_GRACE_BETWEEN: Final = 65536


def accept_encoding() -> str:
    """Return the value of ``Accept-Encoding``: what can be undone here, ``"gzip, deflate, br, zstd"`` at most."""
    return ", ".join(codings())


def decoder_for(
    headers: Headers, *, max_size: int | None = None, max_ratio: float | None = MAX_RATIO
) -> "Decoder | None":
    """Return what undoes the codings of a response; ``None`` where it has none.

    Args:
        headers: Of the response.
        max_size: As for `Decoder`.
        max_ratio: As for `Decoder`.

    Raises:
        ContentError: A coding is not known here, or there are more than three.
        ValueError: A limit is out of range.

    Source: RFC 9110 §8.4.
    """
    if headers.get("Content-Encoding") is None:
        return None
    names = [name.strip(" \t").lower() for name in ",".join(headers.get_all("Content-Encoding")).split(",")]
    names = [name for name in names if name not in ("", "identity")]
    return Decoder(names, max_size=max_size, max_ratio=max_ratio) if names else None


class Decoder:
    """Undoes the codings of one response. After an error it is good for nothing.

        for piece in decoder.decode(data):   # whenever some came; what is left comes with the next decode(b"")
            ...
        decoder.finish()                     # when all came and was decoded

    Args:
        names: Of the codings, in the order in which they were applied; ``x-gzip`` is ``gzip``.
        max_size: Most bytes of content, ``>= 0``.
        max_ratio: Most bytes of content for one coded byte, ``>= 1``; the first MiB is free.

    Raises:
        ContentError: A coding is not known here, or there are more than three.
        ValueError: A limit is out of range, or there is no coding.

    Attributes:
        coded_size: Coded bytes that were decoded so far.
    """

    __slots__ = ("_coded", "_links", "_position", "coded_size")

    def __init__(
        self, names: Sequence[str], *, max_size: int | None = None, max_ratio: float | None = MAX_RATIO
    ) -> None:
        if max_size is not None and max_size < 0:
            raise ValueError(f"expected a size of 0 or more bytes, got {max_size}")
        if max_ratio is not None and not max_ratio >= 1:
            raise ValueError(f"expected a ratio of 1 or more, got {max_ratio}")
        if not names:
            raise ValueError("expected one coding or more")
        if len(names) > _MAX_CODINGS:
            raise ContentError(f"expected at most {_MAX_CODINGS} codings, got {quote(', '.join(names))}")
        last = len(names) - 1  # what was applied first is undone last
        self._links = [
            _Link(_stage(name), max_size, max_ratio, _GRACE)
            if number == last
            else _Link(_stage(name), None, _BETWEEN, _GRACE_BETWEEN)
            for number, name in enumerate(reversed(names))
        ]
        self._coded = b""
        self._position = 0
        self.coded_size = 0

    def __repr__(self) -> str:
        stages = " ".join(repr(link.stage) for link in self._links)
        return f"<Decoder {self.coded_size} to {self.size} bytes {stages}>"

    @property
    def size(self) -> int:
        """Bytes of content so far."""
        return self._links[-1].size

    def feed(self, data: bytes) -> None:
        """Take coded bytes; they are decoded as `read` asks for them."""
        self._coded = self._coded[self._position :] + data
        self._position = 0

    def read(self, size: int = PIECE) -> bytes:
        """Return up to ``size`` decoded bytes, ``>= 1``; ``b""``: more coded bytes are needed.

        Raises:
            ContentError: The content is malformed, or something stands behind its end.
            ContentTooLarge: It is longer than a limit allows.
            ValueError: ``size`` is less than 1.
        """
        if size < 1:
            raise ValueError(f"expected a size of 1 or more bytes, got {size}")
        return self._pull(len(self._links) - 1, size)

    def decode(self, data: bytes) -> Iterator[bytes]:
        """Feed ``data`` and yield what can be read, in pieces of at most 64 KiB.

        Who stops before the last piece has the others from `read`, or from a later call.

        Raises:
            ContentError: As for `read`.
        """
        self.feed(data)
        while piece := self.read():
            yield piece

    def finish(self) -> None:
        """Check that the content is complete; call it when all has been read.

        No content at all is complete, too: that is what a response to HEAD has.

        Raises:
            ContentError: It is cut short.
        """
        for link in self._links:
            if not link.stage.complete:
                raise ContentError(f"the content ends too soon, after {self.coded_size} coded bytes")

    def _pull(self, number: int, size: int) -> bytes:
        """Return what comes out behind a link of the chain."""
        link = self._links[number]
        while not (piece := link.read(size, self.coded_size)):
            coded = self._pull(number - 1, _SLICE) if number else self._slice()
            if not coded:
                return b""
            link.stage.feed(coded)
        return piece

    def _slice(self) -> bytes:
        coded = self._coded[self._position : self._position + _SLICE]
        self._position += len(coded)
        self.coded_size += len(coded)
        return coded


class _Link:
    """A stage in a chain of codings, and how much may come out of it."""

    __slots__ = ("_grace", "_max_ratio", "_max_size", "size", "stage")

    def __init__(self, stage: Stage, max_size: int | None, max_ratio: float | None, grace: int) -> None:
        self.stage = stage
        self.size = 0
        self._max_size = max_size
        self._max_ratio = max_ratio
        self._grace = grace

    def read(self, size: int, coded_size: int) -> bytes:
        """Return the next piece, of what ``coded_size`` bytes of the response have become so far."""
        if self._max_size is not None:
            size = min(size, self._max_size - self.size + 1)  # one more than allowed is enough to know
        piece = self.stage.read(size)
        self.size += len(piece)
        if self._max_size is not None and self.size > self._max_size:
            raise ContentTooLarge(f"the content is longer than {self._max_size} bytes when it is decoded")
        most = self._max_ratio
        if most is not None and self.size > max(self._grace, most * coded_size):
            raise ContentTooLarge(
                f"the content becomes more than {most:g} times as long, {coded_size} bytes {self.size}"
            )
        return piece


def _stage(name: str) -> Stage:
    name = "gzip" if name == "x-gzip" else name  # RFC 9110 §8.4.1.3
    coding = codings().get(name)
    if coding is None:
        hint = ": evkit[codings] has it" if name in ("br", "zstd") else ""
        raise ContentError(f"expected content coded as {accept_encoding()}, got {quote(name)}{hint}")
    return Stage(name, coding)
