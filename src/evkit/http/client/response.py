"""`Response`: what a server has answered, whole or as it comes."""

import codecs
import json
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from types import TracebackType
from typing import Any, BinaryIO, Final, Protocol, Self

from evkit.core import Future
from evkit.errors import LocalProtocolError
from evkit.http.client.redirects import Step
from evkit.http.errors import StatusError
from evkit.http.headers import Headers
from evkit.http.kinds import FUNCTION, Kinds, check_options, having
from evkit.http.parser import ResponseHead

_CHARSET: Final = re.compile(r";[ \t]*charset[ \t]*=[ \t]*\"?([0-9A-Za-z._:-]{1,40})", re.IGNORECASE)
_NO_CHARSETS: Final = frozenset({"idna", "punycode", "raw_unicode_escape", "undefined", "unicode_escape"})
"""What Python calls a text encoding, and no server means."""

_RECEIVE: Final[Kinds] = {"on_data": FUNCTION, "on_end": FUNCTION}
_SAVE: Final[Kinds] = {"file": having("write", "a file that is open for writing bytes")}

OnData = Callable[["Response", bytes], object]
OnEnd = Callable[["Response", Exception | None], object]


class Source(Protocol):
    """Where the body of a response comes from that is received piece by piece."""

    def receive(self, on_data: OnData, on_end: OnEnd) -> None:
        """Let it come."""

    def read(self) -> Future[bytes]:
        """Collect it."""

    def save(self, file: BinaryIO) -> Future[int]:
        """Write it to a file."""

    def pause(self) -> None:
        """Let it wait."""

    def resume(self) -> None:
        """Let it come again."""

    def close(self) -> None:
        """Stop it."""


class Response:
    """A response.

    Attributes:
        status: 200 to 999, or 101 where the connection has become something else.
        reason: What the server calls that, often ``""``.
        headers: Its fields.
        body: Its content, decoded; ``b""`` where it is received piece by piece.
        trailers: The fields behind a body in chunks.
        method: Of the request that it answers.
        history: The redirects on the way, the first one first.

    Source: ``struct evhttp_request``, of the client's kind.
    """

    __slots__ = (
        "_head",
        "_source",
        "_step",
        "body",
        "history",
        "trailers",
    )

    def __init__(self, head: ResponseHead, step: Step, history: "Sequence[Response]") -> None:
        self._head = head
        self._step = step
        self._source: Source | None = None
        self.body = b""
        self.trailers: Sequence[tuple[str, str]] = ()
        self.history = history

    def __repr__(self) -> str:
        return f"<Response {self.status} {self.method} {self.url} {len(self.body)} bytes>"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def status(self) -> int:
        """The status code."""
        return self._head.status

    @property
    def reason(self) -> str:
        """The reason phrase, often empty."""
        return self._head.reason

    @property
    def headers(self) -> Headers:
        """The header fields."""
        return self._head.headers

    @property
    def version(self) -> tuple[int, int]:
        """``(1, 0)`` or ``(1, 1)``."""
        return 1, self._head.minor

    @property
    def method(self) -> str:
        """The method of the request, which a redirect may have changed."""
        return self._step.method

    @property
    def url(self) -> str:
        """What was asked for, the last one after redirects; without user, password and fragment."""
        return str(replace(self._step.url, userinfo=None, fragment=None))

    @property
    def ok(self) -> bool:
        """Whether the status is not one of an error: below 400."""
        return self.status < 400

    def raise_for_status(self) -> None:
        """Raise where the status is one of an error.

        Raises:
            StatusError: It is 400 or more.
        """
        if not self.ok:
            raise StatusError(self)

    @property
    def text(self) -> str:
        """The body as text: by the charset that the response tells, or else UTF-8; bytes that are none become U+FFFD.

        Source: RFC 9110 §8.3.2.
        """
        return self.body.decode(_charset(self.headers.get("Content-Type", "") or ""), "replace")

    def json(self) -> Any:
        """The body as JSON.

        Raises:
            ValueError: It is none, or nested too deeply.
        """
        try:
            return json.loads(self.body)
        except RecursionError:
            raise ValueError("the JSON is nested too deeply") from None

    # The body as it comes

    def receive(self, on_data: OnData, on_end: OnEnd) -> None:
        """Take the body piece by piece; for requests made with ``stream=True``.

        Until this is called, or `read` or `save`, the server has to wait: it may give up, and the time-out ``total``
        goes on.

        Args:
            on_data: ``on_data(response, data)`` for each piece, decoded. What it raises ends the body.
            on_end: ``on_end(response, error)``, once: ``None`` when the body is complete; `trailers` are there then.
                Else what went wrong, and the body is not to be trusted.

        Raises:
            LocalProtocolError: The response was received whole, or was received already, or closed.
            TypeError: One of the two can't be called.
        """
        source = self._streamed("receive()")
        check_options(_RECEIVE, locals())
        source.receive(on_data, on_end)

    def read(self) -> Future[bytes]:
        """Collect the body; for requests made with ``stream=True``. Its limit is ``max_body``.

        Raises:
            LocalProtocolError: The response was received whole, or was received already, or closed.
        """
        return self._streamed("read()").read()

    def save(self, file: BinaryIO) -> Future[int]:
        """Write the body to a file as it comes; for requests made with ``stream=True``. There is no limit.

        Args:
            file: Open for writing bytes. It is written to from the loop, so nothing slow should be behind it.

        Returns:
            A future of how many bytes were written.

        Raises:
            LocalProtocolError: The response was received whole, or was received already, or closed.
            TypeError: It is no file.
        """
        source = self._streamed("save()")
        check_options(_SAVE, locals())
        return source.save(file)

    def pause(self) -> None:
        """Take no more of the body for now; a piece that has come already may still be delivered.

        Raises:
            LocalProtocolError: The response was received whole.
        """
        self._streamed("pause()").pause()

    def resume(self) -> None:
        """Take the body again after `pause`; pieces may be delivered before this returns.

        Raises:
            LocalProtocolError: The response was received whole.
        """
        self._streamed("resume()").resume()

    def close(self) -> None:
        """Take no more of the body; its connection is closed. Nothing is called any more. Harmless for any response."""
        if self._source is not None:
            self._source.close()

    def comes_from(self, source: Source) -> None:
        """Have the body come from ``source``; for who has sent the request."""
        self._source = source

    def _streamed(self, call: str) -> Source:
        if self._source is None:
            raise LocalProtocolError(f"{call} is for requests made with stream=True; the body is in `body`")
        return self._source


def _charset(content_type: str) -> str:
    """Return the name of a charset that Python knows; UTF-8 for all others."""
    match = _CHARSET.search(content_type)
    try:
        found = codecs.lookup(match[1]) if match is not None else None
    except LookupError:
        found = None
    if found is None or found.name.replace("-", "_") in _NO_CHARSETS:
        return "utf-8"
    try:
        b" ".decode(found.name, "replace")
    except LookupError:  # it codes bytes as bytes
        return "utf-8"
    return found.name
