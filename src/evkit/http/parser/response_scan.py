"""Reads a response's head that is not all there, or that is wrong: can it still become one, and if not, why.

It looks at the status line itself, and lets `scan` look at the field lines, which are those of a request. It refuses at
the first byte that no valid head has there, or that passes a limit, so that a server which speaks something else (SSH,
HTTP/2, TLS) is not waited for; and it looks at each byte once, however the bytes were cut. It takes nothing from any
buffer and knows nothing of what fields mean.
"""

from typing import Final

from evkit.http.errors import BadRequest, BadResponse
from evkit.http.parser.contract import Limits
from evkit.http.parser.grammar import REASON, REASON_GOES_ON, STATUS_LINE, STATUS_LINE_MODEL
from evkit.http.parser.scan import Scanner

_FIXED: Final = len(STATUS_LINE_MODEL)
_VERSION: Final = len(b"HTTP/1.1 ")
# Enough of the line to recognise what speaks there; the error cuts it.
_QUOTED: Final = 64


class ResponseScanner:
    """Looks at each byte of one response's head as it comes.

    Source: RFC 9112 §4 and §5.
    """

    __slots__ = ("_at", "_fields", "_limits")

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._at = 0  # bytes of the status line that were found good
        self._fields: Scanner | None = None  # once the status line is complete

    def scan(self, data: bytes, start: int) -> int | None:
        """Go on from where the last call stopped.

        Args:
            data: What has come so far; what was there before is there still.
            start: Where in ``data`` the head begins.

        Returns:
            The index behind the head once it is complete and every line of it is valid; None: more bytes needed.

        Raises:
            BadResponse: no head begins like this, or it is above ``max_head`` or ``max_fields``.
        """
        if self._fields is None:
            self._fields = self._scan_line(data, start, min(len(data), start + self._limits.max_head))
            if self._fields is None:
                return None
        try:
            return self._fields.scan(data, start)
        except BadRequest as refusal:
            raise BadResponse(str(refusal)) from None

    def _scan_line(self, data: bytes, start: int, stop: int) -> Scanner | None:
        """Read the status line up to ``stop``; return what reads on when its end has come."""
        if self._at < _FIXED:
            came = data[start : start + _FIXED]
            if STATUS_LINE.fullmatch(came + STATUS_LINE_MODEL[len(came) :]) is None:
                raise _bad_start(came, data[start : start + _QUOTED])
            self._at = len(came)
        if self._at >= _FIXED:
            end = self._scan_reason(data, start, stop)
            if end is not None:
                return Scanner(self._limits, after=end - start)
        if stop < len(data):
            raise BadResponse(f"the status line is longer than {self._limits.max_head} bytes")
        return None

    def _scan_reason(self, data: bytes, start: int, stop: int) -> int | None:
        """Return the index behind the line's CRLF, None if that has not come."""
        at = start + self._at
        match = (REASON if self._at == _FIXED else REASON_GOES_ON).match(data, at, stop)
        at = at if match is None else match.end()
        self._at = at - start
        rest = data[at : min(at + 2, stop)]
        if not b"\r\n".startswith(rest):
            raise BadResponse("expected a reason phrase without controls, and CRLF", data[start : at + 2])
        return at + 2 if len(rest) == 2 else None


def _bad_start(came: bytes, line: bytes) -> BadResponse:
    """Say which of the two parts of ``HTTP/1.1 200`` is not as it should be."""
    version = came[:_VERSION]
    if STATUS_LINE.fullmatch(version + STATUS_LINE_MODEL[len(version) :]) is None:
        return BadResponse("expected a response that begins with HTTP/1.1 or HTTP/1.0 and one space", line)
    return BadResponse("expected a status of three digits from 100", line)
