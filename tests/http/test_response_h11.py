"""`evkit.http.parser.response_h11`: h11 behind the guard, and nothing of h11 in front of it.

What it accepts is the business of test_response_engines.py and test_response_differential.py.
"""

import sys

import h11
import pytest

from evkit.core.buffer import Buffer
from evkit.http.errors import BadResponse
from evkit.http.parser.response_h11 import H11ResponseEngine

CHUNKED_HEAD = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


def engine_at_body(raw: bytes) -> tuple[H11ResponseEngine, Buffer]:
    engine, source = H11ResponseEngine(), Buffer(raw)
    assert engine.read_head(source, "GET") is not None
    return engine, source


def test_h11s_own_refusals_come_as_bad_responses() -> None:
    engine, source = engine_at_body(CHUNKED_HEAD + b"1 ;x\r\ny\r\n")
    with pytest.raises(BadResponse, match="illegal chunk header") as refusal:
        engine.read_body(source, Buffer())
    assert isinstance(refusal.value.__cause__, h11.RemoteProtocolError)


def test_h11s_refusals_of_a_head_come_as_bad_responses() -> None:
    with pytest.raises(BadResponse, match="bad Content-Length"):
        H11ResponseEngine().read_head(Buffer(b"HTTP/1.1 304 OK\r\nContent-Length: x\r\n\r\n"), "GET")


def test_a_head_that_h11_finds_incomplete_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(h11.Connection, "next_event", lambda self: h11.NEED_DATA)
    with pytest.raises(BadResponse, match="complete response head"):
        H11ResponseEngine().read_head(Buffer(b"HTTP/1.1 200 OK\r\n\r\n"), "GET")


def test_readers_that_disagree_about_the_end_refuse(monkeypatch: pytest.MonkeyPatch) -> None:
    engine, source = engine_at_body(CHUNKED_HEAD + b"1\r\nx\r\n0\r\n\r\n")
    monkeypatch.setattr(h11.Connection, "next_event", lambda self: h11.NEED_DATA)
    with pytest.raises(BadResponse, match="disagree"):
        engine.read_body(source, Buffer())


def test_the_response_is_what_h11_read(monkeypatch: pytest.MonkeyPatch) -> None:
    piece = h11.Data(data=bytearray(b"from h11"))  # type: ignore[arg-type]  # what h11 gives, whatever it says
    head = h11.Response(status_code=299, reason=b"h\xe9", headers=[("X-H", "v")], http_version=b"1.1")
    events = iter([head, piece, h11.EndOfMessage(headers=[("X-T", "v")])])
    monkeypatch.setattr(h11.Connection, "next_event", lambda self: next(events))
    engine, source, sink = H11ResponseEngine(), Buffer(CHUNKED_HEAD + b"1\r\nx\r\n0\r\n\r\n"), Buffer()
    read = engine.read_head(source, "GET")
    assert read is not None
    assert (read.status, read.reason, list(read.headers)) == (299, "hé", [("X-H", "v")])
    assert engine.read_body(source, sink) is True
    assert bytes(sink) == b"from h11"
    assert engine.trailers == [("X-T", "v")]


def test_nothing_of_a_body_is_kept() -> None:
    engine, source = engine_at_body(b"HTTP/1.1 200 OK\r\n\r\n")
    piece, sink = bytes(50_000), Buffer()
    before = sys.getrefcount(piece)
    source.add(piece)
    assert engine.read_body(source, sink) is False
    assert bytes(sink) == piece
    assert sys.getrefcount(piece) == before


def test_large_bodies_and_what_follows() -> None:
    body = bytes(range(256)) * 1000
    engine, source = engine_at_body(
        b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body + b"HTTP"
    )
    sink = Buffer()
    assert engine.read_body(source, sink) is True
    assert bytes(sink) == body
    assert bytes(source) == b"HTTP"
    assert engine.read_body(source, sink) is True
    assert bytes(source) == b"HTTP"
