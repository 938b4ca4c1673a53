"""Where the parts of a multipart body begin and end, as python-multipart sees it, within bounds.

A decider: it gets bytes and gives events; what a field of a part means is asked elsewhere. Memory is bounded by the
limits and the piece that is fed; time is linear.

This is the only module that imports python-multipart, and none of its classes, exceptions and log records gets out. It
is imported when the first multipart form comes. What that parser takes too kindly is checked here: what stands before
the first boundary (its answer depends on how the body is cut into pieces), what a field's value may hold, how many
parts and fields there are, and that there is a last boundary.
"""

import logging
import re
from collections.abc import Iterator
from typing import Final

from evkit.http.errors import BadRequest
from evkit.http.parser.grammar import VCHAR

try:
    from python_multipart import MultipartParser
    from python_multipart.exceptions import MultipartParseError
except ImportError as missing:
    raise ImportError("multipart forms need the package python-multipart: install evkit[forms]") from missing

Event = list[tuple[bytes, bytes]] | bytes | None
"""The fields of a part, which begins there; bytes of its body; its end."""

MAX_PART_FIELDS: Final = 16
"""Fields that a part may have. Browsers send two; python-multipart's default is 8."""
_VALUE: Final = re.compile(VCHAR + rb"*+")
_TOO_LARGE: Final = "Maximum "
"""How python-multipart's messages about its limits begin; there is no other way to tell them."""
_PLACE: Final = re.compile(r" (?:at \d+|\(\d+\))$")
"""Where in the piece the parser was: that tells nothing to who does not know the piece."""
_SILENT: Final = logging.Logger("evkit.http.forms.multipart", logging.CRITICAL + 1)
"""Whoever asks hears of an error from `BadRequest`; clients must not fill a log."""


class PartSplitter:
    """Takes one body apart.

    Args:
        boundary: As the content type tells it, without dashes before it.
        max_parts: Most parts.
        max_header: Most bytes of the fields of one part, without line ends, and before the first boundary.

    Attributes:
        ended: The last boundary has come; whatever follows is ignored.

    Source: RFC 2046 §5.1.1.
    """

    __slots__ = ("_before", "_delimiter", "_events", "_max_header", "_parser")

    def __init__(self, boundary: bytes, *, max_parts: int, max_header: int) -> None:
        self._delimiter = b"\r\n--" + boundary
        self._max_header = max_header
        # The line end before the first boundary may be missing, and no other: so it is thought to be there.
        self._before: bytes | None = b"\r\n"
        self._events = _Events(max_parts, max_header)
        self._parser = MultipartParser(
            boundary,
            {
                "on_part_begin": self._events.begin_part,
                "on_header_field": self._events.add_name,
                "on_header_value": self._events.add_value,
                "on_header_end": self._events.end_field,
                "on_headers_finished": self._events.end_fields,
                "on_part_data": self._events.add_data,
                "on_part_end": self._events.end_part,
                "on_end": self._events.end,
            },
            max_header_count=MAX_PART_FIELDS,
            max_header_size=max_header,
        )
        self._parser.logger = _SILENT

    @property
    def ended(self) -> bool:
        """See the class."""
        return self._events.ended

    def feed(self, data: bytes) -> Iterator[Event]:
        """Take the next piece of the body; yield what is in it.

        Raises:
            BadRequest: 400: it is malformed. 413: a limit is passed. What came before that was yielded. Feed no more.
        """
        try:
            self._write(data)
        except MultipartParseError as error:
            yield from self._events.take()
            raise self._refusal(error) from error
        except BadRequest:
            yield from self._events.take()
            raise
        yield from self._events.take()

    def close(self) -> None:
        """Say that the body is complete.

        Raises:
            BadRequest: 400: it was cut off.
        """
        if not self.ended:
            raise BadRequest(400, "expected a last boundary, but the form ended before it")

    def _write(self, data: bytes) -> None:
        if self._before is not None:
            data = self._skip_to_boundary(self._before + data)
        if data:
            self._parser.write(data)

    def _skip_to_boundary(self, text: bytes) -> bytes:
        """Return what begins with the first boundary, or nothing while it has not come."""
        found = text.find(self._delimiter)
        if found > self._max_header or (found < 0 and len(text) >= self._max_header + len(self._delimiter)):
            raise BadRequest(400, "expected a form to begin with its boundary", text[2:])
        self._before = text if found < 0 else None
        return b"" if found < 0 else text[found + 2 :]

    def _refusal(self, error: MultipartParseError) -> BadRequest:
        if str(error).startswith(_TOO_LARGE):
            return BadRequest(
                413,
                f"expected at most {MAX_PART_FIELDS} fields and {self._max_header} bytes of them in a part",
            )
        return BadRequest(400, f"expected a form by RFC 7578: {_PLACE.sub('', str(error))}")


class _Events:
    """Gathers what the parser tells while it is at work, so that nobody is called from within it."""

    __slots__ = (
        "_events",
        "_fields",
        "_max_header",
        "_max_parts",
        "_name",
        "_parts",
        "_size",
        "_value",
        "ended",
    )

    def __init__(self, max_parts: int, max_header: int) -> None:
        self._max_parts = max_parts
        self._max_header = max_header
        self._events: list[Event] = []
        self._fields: list[tuple[bytes, bytes]] = []
        self._name = bytearray()
        self._value = bytearray()
        self._parts = 0
        self._size = 0
        self.ended = False

    def take(self) -> list[Event]:
        """Return what has come since the last call."""
        events, self._events = self._events, []
        return events

    def begin_part(self) -> None:
        self._parts += 1
        if self._parts > self._max_parts:
            raise BadRequest(413, f"expected at most {self._max_parts} parts in a form")
        self._fields = []
        self._size = 0

    def add_name(self, data: bytes, start: int, end: int) -> None:
        self._name += data[start:end]

    def add_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def end_field(self) -> None:
        name, value = bytes(self._name), bytes(self._value)
        self._name.clear()
        self._value.clear()
        self._size += len(name) + len(value) + 2  # with ": ", as the parser counts a line
        if self._size > self._max_header:
            raise BadRequest(413, f"expected at most {self._max_header} bytes of fields in a part")
        if not _VALUE.fullmatch(value):
            raise BadRequest(400, "expected a field of a part without control characters", value)
        self._fields.append((name, value.strip(b" \t")))

    def end_fields(self) -> None:
        self._events.append(self._fields)

    def add_data(self, data: bytes, start: int, end: int) -> None:
        self._events.append(data[start:end])

    def end_part(self) -> None:
        self._events.append(None)

    def end(self) -> None:
        self.ended = True
