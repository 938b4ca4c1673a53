"""One content coding, undone piece by piece: gzip and deflate, and brotli and Zstandard where a package for them is.

The door to what decompresses: its classes and its exceptions stay here. It decides where a coded stream ends, and that
nothing else follows; how much may come out is decided in `evkit.http.client.decoding`.
"""

import functools
import importlib
import sys
import zlib
from collections.abc import Callable
from types import ModuleType
from typing import Any, Final, NamedTuple, Protocol

from evkit.http.errors import ContentError, quote

_GZIP: Final = 31  # zlib's words for a window of 32 KiB in gzip's frame,
_ZLIB: Final = 15  # in zlib's,
_RAW: Final = -15  # and in none
_BROTLI_BLOCK: Final = 32752
"""Bytes that brotli puts out at once at least; if it may put out more than that it takes up to twice as much."""
_ZSTD_WINDOW: Final = 23
"""The logarithm of 8 MiB, which is as much as a server may count on. Source: RFC 9659 §3."""
_MAX_EMPTY: Final = 100
"""Streams without content among those that follow one another. Honest files have one or two; each costs as much as
some thousand bytes of content, and nothing that is put out counts them."""


class _Engine(Protocol):
    """One coded stream, in the manner of ``bz2`` and ``compression.zstd``.

    Attributes:
        eof: Its end was read.
        needs_input: Nothing more comes out without more coded bytes.
        unused_data: What stands behind its end.
    """

    @property
    def eof(self) -> bool: ...
    @property
    def needs_input(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int) -> bytes:
        """Take coded bytes, none unless `needs_input`, and return at most ``max_length`` decoded ones."""


class Coding(NamedTuple):
    """How a coding is undone.

    Attributes:
        begin: Makes an engine for a stream, of which it is shown the first bytes.
        errors: What the engine raises if the stream is malformed.
        many: Whether one stream may follow another.
    """

    begin: Callable[[bytes], _Engine]
    errors: tuple[type[Exception], ...]
    many: bool


class _Inflate:
    """zlib in the manner of the others: it keeps the coded bytes that were too many."""

    __slots__ = ("_tail", "_zlib")

    def __init__(self, bits: int) -> None:
        self._zlib = zlib.decompressobj(bits)
        self._tail = b""

    @property
    def eof(self) -> bool:
        return self._zlib.eof

    @property
    def needs_input(self) -> bool:
        return not self._tail

    @property
    def unused_data(self) -> bytes:
        return self._zlib.unused_data

    def decompress(self, data: bytes, max_length: int) -> bytes:
        piece = self._zlib.decompress(self._tail or data, max_length)
        self._tail = self._zlib.unconsumed_tail
        return piece


class _Brotli:
    """brotli in the manner of the others: it keeps the decoded bytes that were too many."""

    __slots__ = ("_brotli", "_held")

    unused_data = b""  # it calls whatever stands behind the end an error

    def __init__(self, module: Any) -> None:
        self._brotli = module.Decompressor()
        self._held = b""

    @property
    def eof(self) -> bool:
        return not self._held and bool(self._brotli.is_finished())

    @property
    def needs_input(self) -> bool:
        return not self._held and bool(self._brotli.can_accept_more_data())

    def decompress(self, data: bytes, max_length: int) -> bytes:
        held = self._held or self._brotli.process(data, output_buffer_limit=min(max_length, _BROTLI_BLOCK))
        self._held = held[max_length:]
        return bytes(held[:max_length])


def _begin_gzip(_first: bytes) -> _Engine:
    return _Inflate(_GZIP)


def _begin_deflate(first: bytes) -> _Engine:
    """Begin zlib's frame, or none, as some servers understand "deflate".

    The first byte tells: a stream without a frame would begin with a block that is not compressed, and with bits set
    that no encoder sets. Source: RFC 9110 §8.4.1.2, note; RFC 1950 §2.2; RFC 1951 §3.2.3.
    """
    return _Inflate(_ZLIB if first[0] & 0x0F == 8 else _RAW)


def _brotli_coding() -> Coding | None:
    module = _module("brotli")
    # Before 1.2 it could not be told to stop: a few bytes became gigabytes at once (CVE-2025-6176).
    if module is None or not hasattr(module.Decompressor, "can_accept_more_data"):
        return None
    return Coding(lambda _first: _Brotli(module), (module.error,), many=False)


def _zstd_coding() -> Coding | None:
    zstd = _module("compression.zstd" if sys.version_info >= (3, 14) else "backports.zstd")
    if zstd is None:
        return None
    options = {zstd.DecompressionParameter.window_log_max: _ZSTD_WINDOW}
    make = functools.partial(zstd.ZstdDecompressor, options=options)
    return Coding(lambda _first: make(), (zstd.ZstdError,), many=True)


def _module(name: str) -> ModuleType | None:
    try:
        return importlib.import_module(name)
    except ImportError:
        return None


@functools.cache
def codings() -> dict[str, Coding]:
    """Return what can be undone here, by name; packages are imported at the first call.

    ``br`` needs the package ``brotli`` from 1.2, and ``zstd`` Python 3.14 or the package ``backports.zstd``; the extra
    ``evkit[codings]`` has both.
    """
    found = {
        "gzip": Coding(_begin_gzip, (zlib.error,), many=True),
        "deflate": Coding(_begin_deflate, (zlib.error,), many=False),
        "br": _brotli_coding(),
        "zstd": _zstd_coding(),
    }
    return {name: coding for name, coding in found.items() if coding is not None}


class Stage:
    """Undoes one coding.

    Args:
        name: Of the coding, for errors.
        coding: How it is undone.
    """

    __slots__ = ("_coding", "_empty", "_engine", "_is_empty", "_name", "_pending")

    def __init__(self, name: str, coding: Coding) -> None:
        self._name = name
        self._coding = coding
        self._engine: _Engine | None = None  # of the stream that came last
        self._pending = b""  # coded bytes that no engine has
        self._is_empty = True  # the stream that came last, so far
        self._empty = 0

    def __repr__(self) -> str:
        return f"<Stage {self._name} {'complete' if self.complete else 'open'}>"

    @property
    def complete(self) -> bool:
        """Whether the coded bytes could end here; none at all, too."""
        return not self._pending and (self._engine is None or self._engine.eof)

    def feed(self, data: bytes) -> None:
        """Take coded bytes, when `read` has returned ``b""``."""
        self._pending += data

    def read(self, size: int) -> bytes:
        """Return up to ``size`` decoded bytes, ``>= 1``; ``b""``: there are none without more coded ones.

        Raises:
            ContentError: The coded bytes are malformed, or others follow them.
        """
        try:
            return self._read(size)
        except self._coding.errors as error:
            raise ContentError(f"the content is not what {self._name} makes: {error}") from error

    def _read(self, size: int) -> bytes:
        while not self.complete:
            engine = self._engine
            if engine is None or engine.eof:
                engine = self._begin()
            data = b""
            if engine.needs_input:
                data, self._pending = self._pending, b""
            piece = engine.decompress(data, size)
            self._is_empty = self._is_empty and not piece
            if engine.eof:
                self._pending = engine.unused_data + self._pending
            if piece or not self._pending:
                return piece
        return b""

    def _begin(self) -> _Engine:
        """Begin the next stream, with the bytes that are pending."""
        if self._engine is not None:
            if not self._coding.many:
                raise ContentError(
                    f"expected nothing behind content coded as {self._name}, got {quote(self._pending)}"
                )
            self._empty += self._is_empty
            if self._empty > _MAX_EMPTY:
                raise ContentError(f"more than {_MAX_EMPTY} streams without content, coded as {self._name}")
        self._is_empty = True
        self._engine = self._coding.begin(self._pending)
        return self._engine
