"""Forms with files in them (``multipart/form-data``): as they come, part by part, or from a body that is there.

Decides which part goes to whom and how much is collected in memory. Where parts begin and end is decided in
`evkit.http.forms.part_splitter`, what their fields say in `evkit.http.forms.disposition`.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from evkit.errors import LocalProtocolError
from evkit.http.errors import BadRequest, quote
from evkit.http.forms.content_type import boundary_of, content_type
from evkit.http.forms.disposition import names_of
from evkit.http.forms.filename import safe_filename
from evkit.http.forms.whole_body import whole_body
from evkit.http.headers import Headers
from evkit.http.server.request import Request

if TYPE_CHECKING:
    from evkit.http.forms.part_splitter import PartSplitter

_UNCODED: Final = frozenset({"7bit", "8bit", "binary"})


class Part:
    """One part of a form: a field, or a file.

    Attributes:
        name: What the form calls it. Several parts may have one name.
        filename: What the client calls the file, without folders; ``None``: it is no file. Empty where nobody has
            chosen one. Anything may stand in it, and other clients send the same: see `safe_filename`.
        content_type: Its type in lower case, without parameters, as the client says; ``"text/plain"`` if it does not.
        headers: Its fields. They are UTF-8; other bytes become surrogates, as in file names.
        data: Its body, when it is complete; empty if it is received piece by piece.
        size: Bytes of its body that have come so far.

    Source: RFC 7578 §4.2.
    """

    __slots__ = (
        "_held",
        "_may_receive",
        "_receiver",
        "content_type",
        "data",
        "filename",
        "headers",
        "name",
        "size",
    )

    def __init__(self, fields: list[tuple[bytes, bytes]]) -> None:
        """Build the part from the fields of its header.

        Raises:
            BadRequest: 400: it has no name, or its ``Content-Disposition`` is malformed. 415: its body is encoded.
        """
        self.headers = Headers((name.decode("ascii"), _decode(value)) for name, value in fields)
        disposition = _only(self.headers, "Content-Disposition")
        if disposition is None:
            raise BadRequest(400, "expected a Content-Disposition in each part")
        self.name, self.filename = names_of(disposition)
        kind = _only(self.headers, "Content-Type") or "text/plain"
        self.content_type = kind.partition(";")[0].strip(" \t").lower()
        coding = _only(self.headers, "Content-Transfer-Encoding")
        if coding is not None and coding.lower() not in _UNCODED:
            raise BadRequest(415, "expected a part without Content-Transfer-Encoding", coding)
        self.data = b""
        self.size = 0
        self._held = bytearray()
        self._receiver: _PartReceiver | None = None
        self._may_receive = False

    def __repr__(self) -> str:
        file = "" if self.filename is None else f" filename={quote(self.filename)}"
        state = "collected" if self._receiver is None else "received"
        return f"<Part {quote(self.name)}{file} {self.content_type} {self.size} bytes {state}>"

    @property
    def text(self) -> str:
        """`data` as text.

        Raises:
            BadRequest: 400: it is not UTF-8.
        """
        try:
            return self.data.decode("utf-8")
        except UnicodeDecodeError as error:
            raise BadRequest(400, f"expected UTF-8 in the field {quote(self.name)}") from error

    @property
    def safe_filename(self) -> str:
        """`filename` as the name of a file that one may have anywhere, never empty: see `evkit.http.safe_filename`."""
        return safe_filename(self.filename or "")

    def receive(self, on_data: "Callable[[Part, bytes], object]", on_end: "Callable[[Part], object]") -> None:
        """Take the part piece by piece; for ``on_part`` of a `MultipartReader`, which calls this before it returns.

        Args:
            on_data: ``on_data(part, data)`` for each piece. ``request.pause()`` stops them, soon.
            on_end: ``on_end(part)`` when the part is complete. If the form ends early, it is not called, but
                ``request.on_close`` is.

        Raises:
            LocalProtocolError: It is received already, or not the time for it.
        """
        if not self._may_receive:
            raise LocalProtocolError("on_part calls receive(), once, before it returns")
        self._may_receive = False
        self._receiver = _PartReceiver(on_data, on_end)

    def _offer(self, request: Request, on_part: "Callable[[Request, Part], object]") -> None:
        self._may_receive = True
        on_part(request, self)
        self._may_receive = False

    def _add(self, data: bytes) -> int:
        """Take a piece of the body; return how many bytes of it stay in memory."""
        self.size += len(data)
        if self._receiver is not None:
            self._receiver.data(self, data)
            return 0
        self._held += data
        return len(data)

    def _end(self) -> None:
        if self._receiver is not None:
            self._receiver.end(self)
        else:
            self.data = bytes(self._held)
            self._held.clear()


class _PartReceiver:
    """The two callbacks of a part that is received."""

    __slots__ = ("data", "end")

    def __init__(self, data: Callable[[Part, bytes], object], end: Callable[[Part], object]) -> None:
        self.data = data
        self.end = end


class MultipartReader:
    """Receives a form for a handler that was registered with ``stream=True``, which makes this at once.

    Parts that nobody receives are collected: small ones are enough for most fields. What goes wrong on the way is
    raised into the connection, which answers with the status that `BadRequest` tells.

    Args:
        request: Whose body is the form.
        on_part: ``on_part(request, part)`` when the fields of a part are there: the time for ``part.receive``.
        on_end: ``on_end(request, parts)`` when the form is complete: the time to answer. As with ``request.receive``
            it is not called when the request ends before that.
        max_parts: Most parts.
        max_header: Most bytes of the fields of one part, and before the first boundary.
        max_field: Most bytes of a part that is collected.
        max_memory: Most bytes of all that are collected.

    Attributes:
        parts: The parts so far, in order; the last one may be incomplete.

    Raises:
        BadRequest: 415: the request is no such form. 400: it has no boundary.
        LocalProtocolError: See ``request.receive``.
        ImportError: python-multipart is missing; it comes with ``evkit[forms]``.

    Source: RFC 7578. What stands before the first boundary and behind the last is ignored: RFC 2046 §5.1.1.
    """

    __slots__ = ("_max_field", "_max_memory", "_memory", "_on_end", "_on_part", "_splitter", "parts")

    def __init__(
        self,
        request: Request,
        on_part: Callable[[Request, Part], object],
        on_end: Callable[[Request, list[Part]], object],
        *,
        max_parts: int = 100,
        max_header: int = 8192,
        max_field: int = 65536,
        max_memory: int = 1048576,
    ) -> None:
        self.parts: list[Part] = []
        self._splitter = _make_splitter(request, max_parts, max_header)
        self._on_part = on_part
        self._on_end = on_end
        self._max_field = max_field
        self._max_memory = max_memory
        self._memory = 0
        request.receive(self._on_data, self._on_body_end)

    def __repr__(self) -> str:
        state = " ended" if self._splitter.ended else ""
        return f"<MultipartReader {len(self.parts)} parts, {self._memory} bytes collected{state}>"

    def _on_data(self, request: Request, data: bytes) -> None:
        for event in self._splitter.feed(data):
            if isinstance(event, bytes):
                self._collect(self.parts[-1], event)
            elif event is None:
                self.parts[-1]._end()
            else:
                part = Part(event)
                self.parts.append(part)
                part._offer(request, self._on_part)
            if request.gone:
                return

    def _collect(self, part: Part, data: bytes) -> None:
        kept = part._add(data)
        self._memory += kept
        if kept and part.size > self._max_field:
            raise BadRequest(413, f"expected at most {self._max_field} bytes in the field {quote(part.name)}")
        if self._memory > self._max_memory:
            raise BadRequest(413, f"expected at most {self._max_memory} bytes in the fields of a form")

    def _on_body_end(self, request: Request) -> None:
        self._splitter.close()
        self._on_end(request, self.parts)


def parse_multipart(request: Request, *, max_parts: int = 100, max_header: int = 8192) -> list[Part]:
    """Take apart the body of a form that was sent as ``multipart/form-data``.

    Args:
        request: It has its body, whole.
        max_parts: Most parts.
        max_header: Most bytes of the fields of one part, and before the first boundary.

    Raises:
        BadRequest: 415: it is no such form, or compressed. 413: a limit is passed. 400: it is malformed or cut off, or
            has two types.
        LocalProtocolError: The handler was registered with ``stream=True``.
        ImportError: python-multipart is missing; it comes with ``evkit[forms]``.

    Source: RFC 7578; see `MultipartReader`.
    """
    splitter = _make_splitter(request, max_parts, max_header)
    parts: list[Part] = []
    for event in splitter.feed(whole_body(request, "parse_multipart()")):
        if isinstance(event, bytes):
            parts[-1]._add(event)
        elif event is None:
            parts[-1]._end()
        else:
            parts.append(Part(event))
    splitter.close()
    return parts


def _make_splitter(request: Request, max_parts: int, max_header: int) -> "PartSplitter":
    from evkit.http.forms.part_splitter import PartSplitter

    return PartSplitter(boundary_of(content_type(request)), max_parts=max_parts, max_header=max_header)


def _decode(value: bytes) -> str:
    return value.decode("utf-8", "surrogateescape")


def _only(headers: Headers, name: str) -> str | None:
    values = headers.get_all(name)
    if len(values) > 1:
        raise BadRequest(400, f"expected one {name} in each part", ", ".join(values))
    return values[0] if values else None
