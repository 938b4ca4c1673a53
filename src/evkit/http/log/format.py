r"""What a line of an access log looks like: a format, compiled once, and the values that it names.

    LogFormat('{address} "{request}" {status} {duration_ms} "{request[user-agent]}"')

A decider: a request that is over and a time in, a line out. It opens, gathers and writes nothing.

No client can forge a line, or a field of one. In a plain value all but visible ASCII and the space is written as
``\xHH``, and so are ``"``, the backslash, and the character that stands behind the placeholder in the format. What is
unknown or empty is ``-``. ``{name!j}`` is a JSON value instead: a string in quotes, a number, a truth value or null.

Source: Apache's mod_log_config and nginx's ngx_http_log_module, whose escapes these are.
"""

import re
import time
from collections.abc import Callable, Iterable
from difflib import get_close_matches
from json.encoder import encode_basestring_ascii
from string import Formatter
from typing import Final, NamedTuple

from evkit.core.clock import Clock
from evkit.http.errors import BadRequest
from evkit.http.server.request import Request

COMMON: Final = '{address} - - [{time}] "{request}" {status} {size}'
COMBINED: Final = COMMON + ' "{request[referer]}" "{request[user-agent]}"'
TIMED: Final = COMMON + " {duration_ms}"
JSON: Final = (
    '{{"time":{time_iso!j},"address":{address!j},"peer":{peer!j},"method":{method!j},"target":{target!j},'
    '"host":{host!j},"version":{version!j},"status":{status!j},"bytes":{size!j},"duration_ms":{duration_ms!j},'
    '"user_agent":{request[user-agent]!j},"referer":{request[referer]!j},"aborted":{aborted!j},"reason":{reason!j}}}'
)
PRESETS: Final = {"common": COMMON, "combined": COMBINED, "timed": TIMED, "json": JSON}
"""Formats by name; ``timed`` is ``common`` with the milliseconds at the end."""

_MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_SAFE: Final = frozenset(map(chr, range(0x20, 0x7F))) - {'"', "\\"}
_TOKEN: Final = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_INDEXED: Final = re.compile(r"request\[(.*)\]")
_UNPRINTABLE: Final = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_EMPTY: Final = "-"

Value = str | int | None


class Moment:
    """When a request was over. One object serves all lines of a log: most of the time nothing but milliseconds change.

    Attributes:
        now: The monotonic time, in seconds.
        clf: ``10/Oct/2000:13:55:36 -0700``, in this machine's zone.
    """

    __slots__ = ("_began_at", "_clock", "_date", "_offset", "_second", "_stale_at", "clf", "now")

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._began_at = self._stale_at = 0.0
        self._second = 0
        self._date = self._offset = self.clf = ""
        self.now = clock.monotonic()
        self._next_second()

    def tick(self) -> None:
        """Read the clock."""
        self.now = self._clock.monotonic()
        if self.now >= self._stale_at:
            self._next_second()

    def iso(self) -> str:
        """Return ``2000-10-10T13:55:36.042-07:00``: ISO 8601 with milliseconds."""
        return f"{self._date}.{self._milliseconds():03}{self._offset}"

    def timestamp(self) -> str:
        """Return the seconds since the epoch, with milliseconds: ``971211336.042``."""
        return f"{self._second}.{self._milliseconds():03}"

    def _milliseconds(self) -> int:
        # Rounded as floats are, a moment just before the next second may be a whole second from the last.
        return min(int((self.now - self._began_at) * 1000), 999)

    def _next_second(self) -> None:
        """Write what changes with the second. ``strftime`` would write the month in the program's language."""
        wall = self._clock.time()
        self._second = int(wall)
        self._began_at = self.now - wall % 1.0
        self._stale_at = self._began_at + 1.0
        local = time.localtime(self._second)
        minutes = abs(local.tm_gmtoff) // 60
        sign = "-" if local.tm_gmtoff < 0 else "+"
        hours, minutes = divmod(minutes, 60)
        day_time = f"{local.tm_hour:02}:{local.tm_min:02}:{local.tm_sec:02}"
        month = _MONTHS[local.tm_mon - 1]
        self.clf = f"{local.tm_mday:02}/{month}/{local.tm_year}:{day_time} {sign}{hours:02}{minutes:02}"
        self._date = f"{local.tm_year}-{local.tm_mon:02}-{local.tm_mday:02}T{day_time}"
        self._offset = f"{sign}{hours:02}:{minutes:02}"


class Refused(Request):
    """What is known of a request that was refused before it became one.

    Attributes:
        reason: Why.
    """

    __slots__ = ("reason",)

    def __init__(self, peer: str, error: BadRequest) -> None:
        super().__init__("", "", 1, None, 0, False, False, b"")
        self.peer = peer
        self.status = error.status
        self.reason = str(error)


# The values. Empty and None stand for what is not known.


def _peer(request: Request, moment: Moment) -> Value:  # noqa: ARG001 - one of many
    return request.peer


def _address(request: Request, moment: Moment) -> Value:  # noqa: ARG001
    """Return the client's address without its port: ``192.0.2.1``, ``::1``, ``unix:``; as a trusted proxy tells it."""
    client = request.client
    if client[:5] == "unix:":
        return "unix:"  # a path may follow, which the client has chosen
    if client[:1] == "[":
        return client[1:].partition("]")[0]
    host = client.rpartition(":")[0]
    return host if host and ":" not in host else client  # what a proxy tells may have no port


def _time(request: Request, moment: Moment) -> Value:  # noqa: ARG001
    return moment.clf


def _time_iso(request: Request, moment: Moment) -> Value:  # noqa: ARG001
    return moment.iso()


def _timestamp(request: Request, moment: Moment) -> Value:  # noqa: ARG001
    return moment.timestamp()


def _request(request: Request, moment: Moment) -> Value:  # noqa: ARG001
    method = request.method
    return f"{method} {request.target} HTTP/1.{request.minor}" if method else None


def _method(request: Request, moment: Moment) -> Value:  # noqa: ARG001
    return request.method or None


def _target(request: Request, moment: Moment) -> Value:  # noqa: ARG001
    return request.target or None


def _path(request: Request, moment: Moment) -> Value:  # noqa: ARG001
    return request.raw_path if request.target else None


def _query(request: Request, moment: Moment) -> Value:  # noqa: ARG001
    return request.query or None


def _version(request: Request, moment: Moment) -> Value:  # noqa: ARG001
    return f"1.{request.minor}" if request.method else None


def _host(request: Request, moment: Moment) -> Value:  # noqa: ARG001
    return request.host


def _status(request: Request, moment: Moment) -> Value:  # noqa: ARG001
    return request.status or None


def _size(request: Request, moment: Moment) -> Value:  # noqa: ARG001
    return request.reply_size if request.method else None


def _duration(request: Request, moment: Moment) -> Value:
    return f"{moment.now - request.started_at:.6f}" if request.method else None


def _duration_ms(request: Request, moment: Moment) -> Value:
    return f"{(moment.now - request.started_at) * 1000:.3f}" if request.method else None


def _aborted(request: Request, moment: Moment) -> Value:  # noqa: ARG001
    return "true" if request.aborted else "false"


def _reason(request: Request, moment: Moment) -> Value:  # noqa: ARG001
    return request.reason if isinstance(request, Refused) else None


Getter = Callable[[Request, Moment], Value]


class _Placeholder(NamedTuple):
    get: Getter
    bare: bool = False  # a number or a truth value, which JSON writes without quotes


_PLACEHOLDERS: Final = {
    "peer": _Placeholder(_peer),
    "address": _Placeholder(_address),
    "time": _Placeholder(_time),
    "time_iso": _Placeholder(_time_iso),
    "timestamp": _Placeholder(_timestamp, bare=True),
    "request": _Placeholder(_request),
    "method": _Placeholder(_method),
    "target": _Placeholder(_target),
    "path": _Placeholder(_path),
    "query": _Placeholder(_query),
    "version": _Placeholder(_version),
    "host": _Placeholder(_host),
    "status": _Placeholder(_status, bare=True),
    "size": _Placeholder(_size, bare=True),
    "duration": _Placeholder(_duration, bare=True),
    "duration_ms": _Placeholder(_duration_ms, bare=True),
    "aborted": _Placeholder(_aborted, bare=True),
    "reason": _Placeholder(_reason),
}
_OURS: Final = frozenset({"time", "time_iso", "timestamp", "version"})
"""Not from a client, and plain to see that they are safe."""


class _Header:
    """A field of the request; the first, where it comes more than once."""

    __slots__ = ("_name",)

    def __init__(self, name: str) -> None:
        self._name = name

    def __call__(self, request: Request, moment: Moment) -> Value:  # noqa: ARG002
        return request.headers.get(self._name)


class _Bare:
    """A value that needs no escapes, or ``nothing``."""

    __slots__ = ("_get", "_nothing")

    def __init__(self, get: Getter, nothing: str) -> None:
        self._get = get
        self._nothing = nothing

    def __call__(self, request: Request, moment: Moment) -> Value:
        value = self._get(request, moment)
        return self._nothing if value is None else value


class _Size:
    """A number of bytes; none is ``-``, as Apache's ``%b``."""

    __slots__ = ()

    def __call__(self, request: Request, moment: Moment) -> Value:  # noqa: ARG002
        return request.reply_size or _EMPTY


class _Escaped:
    """A value that might break out of its field."""

    __slots__ = ("_get", "_sub")

    def __init__(self, get: Getter, behind: str) -> None:
        self._get = get
        safe = "".join(map(re.escape, sorted(_SAFE - {behind})))
        self._sub = re.compile(f"[^{safe}]").sub

    def __call__(self, request: Request, moment: Moment) -> Value:
        return self._sub(_hex, str(self._get(request, moment) or _EMPTY))


class _Quoted:
    """A value as a string of JSON."""

    __slots__ = ("_get",)

    def __init__(self, get: Getter) -> None:
        self._get = get

    def __call__(self, request: Request, moment: Moment) -> Value:
        value = self._get(request, moment)
        return "null" if value is None else encode_basestring_ascii(_readable(str(value)))


def _raw(text: str) -> bytes:
    """Return what was on the wire: field values are decoded as ISO-8859-1."""
    try:
        return text.encode("latin-1")
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogatepass")


def _hex(match: re.Match[str]) -> str:
    return "".join(f"\\x{byte:02X}" for byte in _raw(match[0]))


def _readable(text: str) -> str:
    """Return a text as UTF-8, which clients mean today; bytes that are none become escapes."""
    return text if text.isascii() else _raw(text).decode("utf-8", "backslashreplace")


class LogFormat:
    """What a line looks like.

    Args:
        text: ``common``, ``combined``, ``timed`` or ``json``; or a text with placeholders: ``{name}``, or ``{name!j}``
            for a value of JSON. Braces are doubled, as in `str.format`.

    Attributes:
        text: The text; that of the preset, where one was named.

    Raises:
        ValueError: It is none. The message says what is wrong, and what there is.
    """

    __slots__ = ("_parts", "_template", "text")

    def __init__(self, text: str) -> None:
        self.text = PRESETS.get(text, text)
        literals, fields = _parse(self.text)
        self._template = "%s".join(literal.replace("%", "%%") for literal in literals)
        self._parts = [
            _part(name, conversion, behind[:1])
            for (name, conversion), behind in zip(fields, literals[1:], strict=True)
        ]

    def __repr__(self) -> str:
        return f"LogFormat({self.text!r})"

    def line(self, request: Request, moment: Moment) -> str:
        """Return the line of a request that is over, without its end."""
        return self._template % tuple([part(request, moment) for part in self._parts])


def _parse(text: str) -> tuple[list[str], list[tuple[str, str | None]]]:
    """Return the texts around the placeholders, one more than there are of these, and the placeholders."""
    _check_text(text)
    literals = [""]
    fields: list[tuple[str, str | None]] = []
    try:
        pieces = list(Formatter().parse(text))
    except ValueError as error:
        raise ValueError(f"the log format {text!r} is wrong: {error}; write {{{{ for a brace") from None
    for literal, name, spec, conversion in pieces:
        literals[-1] += literal
        if name is None:
            continue
        if spec:
            raise ValueError(f"expected {{{name}}} in a log format, without :{spec}")
        fields.append((name, conversion))
        literals.append("")
    if not fields:
        raise ValueError(f"expected {_either(PRESETS)} or a log format such as {COMMON!r}, got {text!r}")
    return literals, fields


def _check_text(text: str) -> None:
    if _UNPRINTABLE.search(text):
        raise ValueError(f"a log format is one line without control characters, got {text!r}")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError(f"a log format is valid Unicode, got {text!r}") from None


def _part(name: str, conversion: str | None, behind: str) -> Getter:
    """Return what writes one placeholder."""
    if conversion not in (None, "j"):
        raise ValueError(f"expected {{{name}}} or {{{name}!j}} in a log format, got !{conversion}")
    get, bare = _find(name)
    if conversion:
        return _Bare(get, "null") if bare else _Quoted(get)
    if name == "size":
        return _Size()
    return _Bare(get, _EMPTY) if bare or name in _OURS else _Escaped(get, behind)


def _find(name: str) -> _Placeholder:
    known = _PLACEHOLDERS.get(name)
    if known is not None:
        return known
    indexed = _INDEXED.fullmatch(name)
    if indexed is None:
        close = get_close_matches(name, _PLACEHOLDERS, 1)
        hint = f"did you mean {{{close[0]}}}? T" if close else "t"
        names = _either(f"{{{word}}}" for word in (*_PLACEHOLDERS, "request[FIELD]"))
        raise ValueError(f"a log format knows no {{{name}}}; {hint}here are {names}")
    if not _TOKEN.fullmatch(indexed[1]):
        raise ValueError(f"expected the name of a header field in {{request[…]}}, got {indexed[1]!r}")
    return _Placeholder(_Header(indexed[1]))


def _either(names: Iterable[str]) -> str:
    *most, last = names
    return f"{', '.join(most)} or {last}"
