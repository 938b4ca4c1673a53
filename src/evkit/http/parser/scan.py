"""Reads a head that is not all there, or that is wrong, byte by byte: can it still become one, and if not, why.

A table of stages, each a run of bytes of one class up to the byte that ends it. A scanner remembers its stage and how
far it came, so a head that arrives one byte at a time is still looked at once; and it refuses at the first byte
that no valid head has there, or that passes a limit. That byte is the same however the bytes were cut, and so is the
answer. It takes nothing from any buffer and knows nothing of what fields mean.
"""

import re
from typing import Final, NamedTuple, NoReturn

from evkit.http.errors import BadRequest
from evkit.http.parser import grammar, rules
from evkit.http.parser.contract import Limits

_METHOD: Final = 0
_TARGET: Final = 1
_VERSION: Final = 2
_LINE_LF: Final = 3
_NAME: Final = 4
_VALUE: Final = 5
_VALUE_LF: Final = 6
_LAST_LF: Final = 7
_LEADING_LF: Final = 8
_DONE: Final = 9

_CR: Final = 0x0D
_TEMPLATE: Final = b"HTTP/1.1"
_VERSION_FORM: Final = re.compile(rb"HTTP/[0-9]\.[0-9]")
_NOTHING: Final = re.compile(rb"")


class _Stage(NamedTuple):
    run: re.Pattern[bytes]  # possessive, matches the empty string too
    end: bytes  # the byte that must follow the run
    then: int  # the stage after that byte
    empty: bool  # whether the run may be empty
    wanted: str


_TOKEN_RUN: Final = re.compile(grammar.TCHAR + rb"*+")
_TARGET_RUN: Final = re.compile(grammar.TARGET + rb"*+")
_VALUE_RUN: Final = re.compile(grammar.VCHAR + rb"*+")
_LF_WANTED: Final = "expected LF after CR"

_STAGES: Final = (
    _Stage(_TOKEN_RUN, b" ", _TARGET, False, "expected a method and one space"),
    _Stage(_TARGET_RUN, b" ", _VERSION, False, "expected a target of visible ASCII and one space"),
    _Stage(re.compile(rb"[!-~]*+"), b"\r", _LINE_LF, False, "expected HTTP/1.1 and CRLF"),
    _Stage(_NOTHING, b"\n", _NAME, True, _LF_WANTED),
    _Stage(_TOKEN_RUN, b":", _VALUE, False, "expected a field name and a colon"),
    _Stage(_VALUE_RUN, b"\r", _VALUE_LF, True, "expected a field value without controls, and CRLF"),
    _Stage(_NOTHING, b"\n", _NAME, True, _LF_WANTED),
    _Stage(_NOTHING, b"\n", _DONE, True, _LF_WANTED),
    _Stage(_NOTHING, b"\n", _METHOD, True, _LF_WANTED),
)


class Scanner:
    """Looks at each byte of one request head, of the fields of a response, or of one trailer section, as it comes.

    Source: RFC 9112 §2.1 to §5; the statuses are those of §3 (414, 501) and RFC 6585 §5 (431).
    """

    __slots__ = ("_at", "_begin", "_fields", "_limits", "_most", "_stage", "_strings")

    def __init__(self, limits: Limits, *, trailers: bool = False, after: int = 0) -> None:
        """Start before the first byte.

        Args:
            limits: Where to stop.
            trailers: Whether to read a trailer section: field lines without a request line.
            after: Bytes of the head that somebody else has read: a status line. Field lines follow.
        """
        self._limits = limits
        self._most = limits.max_trailers if trailers else limits.max_head
        self._stage = _NAME if trailers or after else _METHOD
        self._at = after  # bytes looked at, from the start of the head
        self._begin = after  # where the stage's run began
        self._fields = 0
        self._strings: list[str] = []  # method and target

    def scan(self, data: bytes, start: int) -> int | None:
        """Go on from where the last call stopped.

        Args:
            data: What has come so far; what was there before is there still.
            start: Where in ``data`` the head begins.

        Returns:
            The index behind the head once it is complete and every line of it is valid; None: more bytes needed.

        Raises:
            BadRequest: 400, 414, 431, 501, 505.
        """
        stop = min(len(data), start + self._most)
        at = start + self._at
        while at < stop and self._stage != _DONE:
            at = self._step(data, start, at, stop)
        self._at = at - start
        if self._stage == _DONE:
            return at
        if stop < len(data):
            self._refuse_size()
        return None

    def _step(self, data: bytes, start: int, at: int, stop: int) -> int:
        """Run one stage as far as the bytes reach, and return how far that was."""
        stage = _STAGES[self._stage]
        match = stage.run.match(data, at, stop)
        at = at if match is None else match.end()
        length = at - start - self._begin
        self._check_run(data, start, length)
        if at == stop:
            return at
        if data[at] == stage.end[0] and (length or stage.empty):
            self._turn(data[at - length : at], stage.then)
        elif data[at] == _CR and not length and self._stage in (_METHOD, _NAME):
            self._empty_line(at - start, stage.wanted)
        else:
            raise BadRequest(400, stage.wanted, data[start + self._begin : at + 1])
        self._begin = at + 1 - start
        return at + 1

    def _check_run(self, data: bytes, start: int, length: int) -> None:
        """Refuse a run that is too long, or a version that can no longer become one, before its end has come."""
        begin = start + self._begin
        if self._stage == _METHOD and length > grammar.MAX_METHOD:
            raise BadRequest(
                501, f"evkit knows no method of more than {grammar.MAX_METHOD} bytes", data[begin:]
            )
        if self._stage == _TARGET and length > self._limits.max_target:
            raise BadRequest(414, f"the target is longer than {self._limits.max_target} bytes")
        if self._stage == _VERSION:
            came = data[begin : begin + length]
            if not _VERSION_FORM.fullmatch(came + _TEMPLATE[length:]):
                raise BadRequest(400, "expected HTTP/1.1 and CRLF", came)
        if self._stage == _NAME and self._fields == self._limits.max_fields and data[begin] != _CR:
            raise BadRequest(431, f"more than {self._limits.max_fields} fields")

    def _turn(self, run: bytes, then: int) -> None:
        """Leave a stage by its proper end."""
        if self._stage in (_METHOD, _TARGET, _VERSION):
            self._strings.append(run.decode("ascii"))
        elif self._stage == _LINE_LF:
            method, target, version = self._strings
            rules.request_line(method, target, version.encode("ascii"))
        elif self._stage == _NAME:
            self._fields += 1
        self._stage = then

    def _empty_line(self, offset: int, wanted: str) -> None:
        """Take the CR of the line that ends the head, or of the one that may stand before it (RFC 9112 §2.2)."""
        if self._stage == _NAME:
            self._stage = _LAST_LF
        elif offset == 0:
            self._stage = _LEADING_LF
        else:
            raise BadRequest(400, wanted, b"\r\n\r")

    def _refuse_size(self) -> NoReturn:
        if self._stage <= _LINE_LF:
            raise BadRequest(414, f"the request line is longer than {self._most} bytes")
        raise BadRequest(431, f"the fields are longer than {self._most} bytes")
