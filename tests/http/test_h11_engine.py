"""`evkit.http.parser.h11_engine`: h11 behind the guard, and nothing of h11 in front of it.

What it accepts is the business of test_engines.py and test_differential.py.
"""

import h11
import pytest

from evkit.core.buffer import Buffer
from evkit.http.errors import BadRequest
from evkit.http.parser import Limits
from evkit.http.parser.h11_engine import H11Engine

POST = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"


def engine_at_body(raw: bytes) -> tuple[H11Engine, Buffer]:
    engine, source = H11Engine(Limits()), Buffer(raw)
    assert engine.read_head(source) is not None
    return engine, source


def test_h11s_own_refusals_come_as_bad_requests() -> None:
    engine, source = engine_at_body(POST + b"1 ;x\r\ny\r\n")
    with pytest.raises(BadRequest, match="illegal chunk header") as refusal:
        engine.read_body(source, Buffer())
    assert refusal.value.status == 400
    assert isinstance(refusal.value.__cause__, h11.RemoteProtocolError)


def test_h11s_refusals_of_a_head_come_as_bad_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: h11.Connection) -> None:
        raise h11.RemoteProtocolError("no", error_status_hint=418)

    monkeypatch.setattr(h11.Connection, "next_event", refuse)
    with pytest.raises(BadRequest, match="no") as refusal:
        H11Engine(Limits()).read_head(Buffer(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"))
    assert refusal.value.status == 418


def test_a_head_that_h11_finds_incomplete_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(h11.Connection, "next_event", lambda self: h11.NEED_DATA)
    with pytest.raises(BadRequest, match="complete request head"):
        H11Engine(Limits()).read_head(Buffer(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"))


def test_readers_that_disagree_about_the_end_refuse(monkeypatch: pytest.MonkeyPatch) -> None:
    engine, source = engine_at_body(POST + b"1\r\nx\r\n0\r\n\r\n")
    monkeypatch.setattr(h11.Connection, "next_event", lambda self: h11.NEED_DATA)
    with pytest.raises(BadRequest, match="disagree"):
        engine.read_body(source, Buffer())


def test_the_body_is_what_h11_read(monkeypatch: pytest.MonkeyPatch) -> None:
    engine, source = engine_at_body(POST + b"1\r\nx\r\n0\r\n\r\n")
    piece = h11.Data(data=bytearray(b"from h11"))  # type: ignore[arg-type]  # what h11 gives, whatever it says
    events = iter([piece, h11.EndOfMessage(headers=[("X-T", "v")])])
    monkeypatch.setattr(h11.Connection, "next_event", lambda self: next(events))
    sink = Buffer()
    assert engine.read_body(source, sink) is True
    assert bytes(sink) == b"from h11"
    assert engine.trailers == [("X-T", "v")]


def test_large_bodies_and_what_follows() -> None:
    body = bytes(range(256)) * 1000
    request = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % len(body) + body
    engine, source = engine_at_body(request + b"GET")
    sink = Buffer()
    assert engine.read_body(source, sink) is True
    assert bytes(sink) == body
    assert bytes(source) == b"GET"
    assert engine.read_body(source, sink) is True
    assert bytes(source) == b"GET"
