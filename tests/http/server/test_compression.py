"""`compressed`: replies through gzip. The judges are zlib, and h11 in the client's role."""

import random
import ssl
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evkit.core import Buffer, EventBase
from evkit.errors import LocalProtocolError
from evkit.http.fields import Fields
from evkit.http.server.compression import compressed
from evkit.http.server.door import Body
from evkit.http.server.request import Request
from evkit.http.server.threaded import in_threads
from evkit.http.static import StaticFiles
from http_handlers import MIB, Door, Later, only
from http_server_aids import Client, Reply, Site, both_engines, get, request

Pairs = list[tuple[str, str]]

GZIP = "Accept-Encoding: br, gzip"
HTML: Pairs = [("Content-Type", "text/html")]
TEXT = b"All work and no play makes Jack a dull boy.\n" * 100
SLICE = 65536
THE_BASE = cast(EventBase, object())
LONG = b"".join(b"%d bottles of beer on the wall\n" % number for number in range(20_000))


class Asked:
    """A request and the door behind that of `compressed`; what waits for drained output waits for the test."""

    def __init__(self, method: str = "GET", raw: bytes = b"Accept-Encoding: gzip\r\n") -> None:
        self.door = _Door()
        self.request = Request(method, "/", 1, "a", 0, True, False, raw)
        self.request.connection = self.door
        self.door.request = self.request
        compressed(lambda _request: None)(self.request)

    @property
    def pieces(self) -> list[bytes]:
        return [bytes(call[1]) for call in self.door.calls if call[0] == "piece"]  # type: ignore[call-overload]

    def drain(self) -> None:
        """Take everything, over and over, until nobody has more."""
        while self.door.waiting:
            self.door.waiting.pop(0)()


class _Door(Door):
    def __init__(self) -> None:
        super().__init__()
        self.waiting: list[Callable[[], object]] = []

    def start_reply(self, status: int, fields: Fields) -> None:
        super().start_reply(status, fields)
        assert self.request is not None
        self.request.status = status

    def send_piece(self, data: bytes | Buffer, drained: Callable[[], object] | None) -> None:
        super().send_piece(data, drained)
        if drained is not None:
            self.waiting.append(drained)

    @property
    def base(self) -> EventBase:
        return THE_BASE

    def end_reply(self, trailers: Fields) -> None:
        super().end_reply(trailers)
        assert self.request is not None
        self.request.connection = None

    def abort(self) -> None:
        super().abort()
        assert self.request is not None
        self.request.connection = None


def unzip(data: bytes) -> bytes:
    """Undo gzip, which must be whole and all there is."""
    stream = zlib.decompressobj(31)
    plain = stream.decompress(data)
    assert stream.eof
    assert not stream.unused_data
    return plain


def so_far(data: bytes) -> bytes:
    """Return what a client can show of a stream that has not ended."""
    return zlib.decompressobj(31).decompress(data)


def reply_to(
    *fields: str, body: bytes | str | Buffer = TEXT, headers: Fields = HTML, **options: object
) -> Reply:
    """Ask for a whole reply."""
    with Site() as site:
        handler = compressed(lambda request: request.send_reply(200, body, headers), **options)  # type: ignore[arg-type]
        site.server.set_gencb(handler)
        return site.client().ask(get("/", *fields))


# Whole replies


@both_engines
def test_a_whole_reply(engine: str) -> None:
    with Site(engine) as site:
        fields = [*HTML, ("ETag", '"x"'), ("Accept-Ranges", "bytes"), ("Content-Length", str(len(TEXT)))]
        site.server.set_gencb(compressed(lambda request: request.send_reply(200, TEXT, fields)))
        client = site.client()
        plain, packed = client.ask(get()), client.ask(get("/", GZIP))
    assert unzip(packed.body) == plain.body == TEXT
    assert (packed.get("content-encoding"), plain.get("content-encoding")) == ("gzip", None)
    assert packed.get("content-length") == str(len(packed.body))
    assert (packed.get("etag"), plain.get("etag")) == ('W/"x"', '"x"')
    assert (packed.get("accept-ranges"), plain.get("accept-ranges")) == (None, "bytes")
    assert packed.get("vary") == plain.get("vary") == "Accept-Encoding"
    assert packed.get("content-type") == plain.get("content-type") == "text/html"


def test_a_mapping_of_fields_and_a_body_of_text() -> None:
    reply = reply_to(GZIP, body=TEXT.decode("ascii"), headers={"Content-Type": "text/plain"})
    assert unzip(reply.body) == TEXT


def test_a_small_buffer_is_emptied() -> None:
    body = Buffer(TEXT)
    assert unzip(reply_to(GZIP, body=body).body) == TEXT
    assert not body


@pytest.mark.parametrize(
    ("headers", "vary"),
    [
        ([("Content-Type", "image/png")], None),
        ([], None),
        ([*HTML, ("Cache-Control", "no-transform")], None),
        ([*HTML, ("Content-Encoding", "x-mine")], None),
        ([*HTML, ("Content-Range", "bytes 0-9/10")], "Accept-Encoding"),
    ],
)
def test_replies_that_are_left_alone(headers: Pairs, vary: str | None) -> None:
    reply = reply_to(GZIP, headers=headers)
    assert (reply.body, reply.get("vary")) == (TEXT, vary)


@pytest.mark.parametrize("fields", [(), ("Accept-Encoding: br",), ("Accept-Encoding: gzip;q=0",)])
def test_a_client_that_wants_none(fields: tuple[str, ...]) -> None:
    reply = reply_to(*fields)
    assert (reply.body, reply.get("content-encoding"), reply.get("vary")) == (TEXT, None, "Accept-Encoding")


@pytest.mark.parametrize("status", [204, 206, 301, 404, 500])
def test_other_statuses(status: int) -> None:
    asked = Asked()
    asked.request.send_reply(status, TEXT, HTML)
    assert asked.door.calls[0][2] == TEXT


@pytest.mark.parametrize(
    ("options", "size", "coding"),
    [
        ({}, 1023, None),
        ({}, 1024, "gzip"),
        ({"min_size": 1000}, 999, None),
        ({"min_size": 1000}, 1000, "gzip"),
        ({"min_size": 0}, 1, "gzip"),
    ],
)
def test_a_body_that_is_too_short(options: dict[str, object], size: int, coding: str | None) -> None:
    reply = reply_to(GZIP, body=TEXT[:size], **options)
    assert (reply.get("content-encoding"), reply.get("vary")) == (coding, "Accept-Encoding")


def test_types_and_level() -> None:
    body = random.Random(1).choices(b"abcdefgh", k=10_000)
    fast, short = (
        reply_to(GZIP, body=bytes(body), headers=[("Content-Type", "X/Y; z")], level=level, types=["x/*"])
        for level in (1, 9)
    )
    assert unzip(fast.body) == unzip(short.body) == bytes(body)
    assert len(short.body) < len(fast.body)


def test_vary_is_said_once() -> None:
    assert reply_to(GZIP, headers=[*HTML, ("Vary", "accept-encoding")]).get("vary") == "accept-encoding"


def test_one_round_another_compresses_once() -> None:
    with Site() as site:
        site.server.set_gencb(compressed(compressed(lambda request: request.send_reply(200, TEXT, HTML))))
        reply = site.client().ask(get("/", GZIP))
    assert (unzip(reply.body), reply.get("content-encoding")) == (TEXT, "gzip")


@pytest.mark.parametrize("body", [TEXT, b""])
@pytest.mark.parametrize("length", ["5", "5000", "x", "5, 5", "-1", "9" * 30])
def test_a_wrong_length_is_told_as_ever(length: str, body: bytes) -> None:
    with Site() as site:
        site.server.set_gencb(
            compressed(lambda request: request.send_reply(200, body, [*HTML, ("Content-Length", length)]))
        )
        assert site.client().ask(get("/", GZIP)).status == 500
        assert [type(error) for error in site.take_escaped()] == [LocalProtocolError]


@pytest.mark.parametrize("name", ["Content-Length", "Transfer-Encoding"])
def test_framing_that_is_told_twice_is_refused_as_ever(name: str) -> None:
    value = str(len(TEXT)) if name == "Content-Length" else "chunked"
    with Site() as site:
        site.server.set_gencb(
            compressed(lambda request: request.send_reply(200, TEXT, [*HTML, (name, value), (name, value)]))
        )
        assert site.client().ask(get("/", GZIP)).status == 500
        assert [type(error) for error in site.take_escaped()] == [LocalProtocolError]


def test_a_304_has_the_fields_of_the_200() -> None:
    with Site() as site:
        site.server.set_gencb(compressed(lambda request: request.send_reply(304, b"", [("ETag", '"x"')])))
        client = site.client()
        known = client.ask(get("/", GZIP, 'If-None-Match: W/"x"'))
        other = client.ask(get("/", GZIP, 'If-None-Match: "x"'))
    assert (known.get("etag"), other.get("etag")) == ('W/"x"', '"x"')
    assert known.get("vary") == other.get("vary") == "Accept-Encoding"


# HEAD


@pytest.mark.parametrize("body", [TEXT, LONG], ids=["at once", "in pieces"])
@pytest.mark.parametrize("field", [GZIP, "Accept: */*"])
def test_head_has_the_fields_of_get(body: bytes, field: str) -> None:
    with Site() as site:
        site.server.set_gencb(
            compressed(lambda request: request.send_reply(200, body, [*HTML, ("ETag", '"x"')]))
        )
        client = site.client()
        whole = client.ask(get("/", field))
        head = client.ask(request("HEAD", "/", field), "HEAD")
    assert head.body == b""
    told, wanted = dict(head.fields), dict(whole.fields)
    wanted.pop("transfer-encoding", None)  # of a body that is not there
    assert told == {**wanted, "date": told["date"]}


@pytest.mark.parametrize(("length", "coding"), [(1023, None), (1024, "gzip"), (10**12, "gzip")])
def test_head_of_which_only_the_length_is_told(length: int, coding: str | None) -> None:
    with Site() as site:
        fields = [*HTML, ("Content-Length", str(length))]
        site.server.set_gencb(compressed(lambda request: request.send_reply(200, b"", fields)))
        client = site.client()
        for _ in range(2):  # the connection goes on
            reply = client.ask(request("HEAD", "/", GZIP), "HEAD")
            assert reply.get("content-encoding") == coding
            assert reply.get("content-length") == (None if coding else str(length))


def test_a_body_that_nobody_gets_is_not_compressed() -> None:
    asked = Asked("HEAD")
    asked.request.send_reply(200, LONG, HTML)
    assert asked.pieces == [LONG]  # for the next door to drop


def test_head_in_pieces() -> None:
    with Site() as site:

        def answer(request: Request) -> None:
            request.send_reply_start(200, [*HTML, ("Content-Length", str(len(TEXT)))])
            request.send_reply_chunk(TEXT, drained=request.send_reply_end)

        site.server.set_gencb(compressed(answer))
        client = site.client()
        for _ in range(2):
            reply = client.ask(request("HEAD", "/", GZIP), "HEAD")
            assert (reply.get("content-encoding"), reply.get("content-length")) == ("gzip", None)


# Long bodies


@pytest.mark.parametrize(
    "body",
    [random.Random(1).randbytes(5 * SLICE).hex().encode(), bytes(10 * SLICE)],
    ids=["noise", "zeros of which zlib would say nothing for a while"],
)
def test_a_long_body_goes_out_stretch_by_stretch(body: bytes) -> None:
    asked = Asked()
    asked.request.send_reply(200, body, HTML)
    shown = [len(so_far(b"".join(asked.pieces)))]
    while asked.door.waiting:
        asked.door.waiting.pop(0)()
        shown.append(len(so_far(b"".join(asked.pieces))))
    assert (
        len(shown) == 10
    )  # the body has ten stretches, and each but the first has waited for the one before
    assert shown == [SLICE * (number + 1) for number in range(10)]
    assert unzip(b"".join(asked.pieces)) == body
    assert asked.door.calls[-1] == ("end", [])
    assert asked.request.gone


def test_a_long_body_over_every_backend(base: EventBase) -> None:
    with Site(base=base) as site:
        site.server.set_gencb(compressed(lambda request: request.send_reply(200, LONG, HTML)))
        client = site.client()
        for _ in range(2):
            reply = client.ask(get("/", GZIP))
            assert unzip(reply.body) == LONG
            assert reply.get("transfer-encoding") == "chunked"
        assert site.completed == [("/", 200)] * 2


def test_a_long_body_to_an_old_client_ends_with_the_connection() -> None:
    with Site() as site:
        site.server.set_gencb(compressed(lambda request: request.send_reply(200, LONG, HTML)))
        reply = site.client().ask(get("/", GZIP, "Connection: keep-alive", version="1.0"))
    assert (unzip(reply.body), reply.get("connection")) == (LONG, "close")


def test_pipelined_requests_are_answered_in_order() -> None:
    with Site() as site:
        bodies = {"/long": LONG, "/short": TEXT}
        site.server.set_gencb(
            compressed(lambda request: request.send_reply(200, bodies[request.target], HTML))
        )
        client = site.client()
        client.send(b"".join(get(target, GZIP) for target in ("/long", "/short", "/long")))
        assert [unzip(client.reply().body) for _ in range(3)] == [LONG, TEXT, LONG]


def test_a_slow_client_costs_no_memory() -> None:
    body = random.Random(1).randbytes(8 * MIB).hex().encode()
    with Site() as site:
        site.server.set_gencb(compressed(lambda request: request.send_reply(200, body, HTML)))
        client = site.client(receive_buffer=4096)
        client.send(get("/", GZIP))
        site.settle()
        assert 0 < len(only(site).bev.output) < 2 * SLICE


def test_who_leaves_a_long_body_is_told_of() -> None:
    body = random.Random(1).randbytes(8 * MIB).hex().encode()
    with Site() as site:
        later = Later()
        site.server.set_gencb(compressed(later))
        client = site.client(receive_buffer=4096)
        client.send(get("/", GZIP))
        later.requests[0].send_reply(200, body, HTML)
        site.settle()
        client.reset()
        site.connected(0)
        assert later.closed == later.requests
        assert later.requests[0].aborted


def test_what_is_sent_after_a_long_body_is_dropped_as_ever() -> None:
    asked = Asked()
    asked.request.send_reply(200, LONG, HTML)
    rest = Buffer(b"more")
    asked.request.send_reply_chunk(rest)
    asked.request.send_reply_chunk(b"more")
    asked.request.send_reply_end([("A", "b")])
    assert not rest
    with pytest.raises(LocalProtocolError, match="answered before"):
        asked.request.send_reply(200)
    asked.drain()
    assert unzip(b"".join(asked.pieces)) == LONG
    assert [call for call in asked.door.calls if call[0] == "end"] == [("end", [])]


def test_a_long_body_stops_with_its_request() -> None:
    asked = Asked()
    asked.request.send_reply(200, LONG, HTML)
    count = len(asked.door.calls)
    asked.request.connection = None  # as when the rest of the request broke the rules
    asked.drain()
    assert len(asked.door.calls) == count


# Files


@pytest.fixture
def long_file(tmp_path: Path) -> Path:
    path = tmp_path / "long.txt"
    path.write_bytes(LONG)
    return path


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_large_file_goes_out_as_it_is(long_file: Path, method: str) -> None:
    with Site() as site:
        site.server.set_gencb(compressed(StaticFiles(long_file.parent)))
        client = site.client()
        reply = client.ask(request(method, "/long.txt", GZIP), method)
        assert (reply.get("content-encoding"), reply.get("vary")) == (None, "Accept-Encoding")
        assert reply.get("content-length") == str(len(LONG))
        assert (reply.get("etag") or "").startswith('"')


def test_a_small_file(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(TEXT)
    with Site() as site:
        site.server.set_gencb(compressed(StaticFiles(tmp_path)))
        client = site.client()
        reply = client.ask(get("/a.txt", GZIP))
        head = client.ask(request("HEAD", "/a.txt", GZIP), "HEAD")
        tag = reply.get("etag")
        again = client.ask(get("/a.txt", GZIP, f"If-None-Match: {tag}"))
        part = client.ask(get("/a.txt", GZIP, "Range: bytes=0-9"))
    assert unzip(reply.body) == TEXT
    assert dict(head.fields) == {**dict(reply.fields), "date": head.get("date")}
    assert (again.status, again.get("etag"), again.get("vary")) == (304, tag, "Accept-Encoding")
    assert (part.status, part.body, part.get("content-encoding")) == (206, TEXT[:10], None)
    assert part.get("vary") == "Accept-Encoding"


def test_a_file_as_a_piece_is_never_read_whole(long_file: Path) -> None:
    asked = Asked()
    asked.request.send_reply_start(200, HTML)
    piece = Buffer()
    piece.add_file(long_file.open("rb"))
    asked.request.send_reply_chunk(piece)
    assert len(so_far(b"".join(asked.pieces))) <= SLICE
    asked.request.send_reply_end()
    asked.drain()
    assert unzip(b"".join(asked.pieces)) == LONG


def test_a_file_that_becomes_shorter_cuts_the_reply_off(long_file: Path) -> None:
    asked = Asked()
    asked.request.send_reply_start(200, HTML)
    piece = Buffer()
    piece.add_file(long_file.open("rb"))
    asked.request.send_reply_chunk(piece)
    long_file.write_bytes(b"")
    with pytest.raises(OSError, match="file"):
        asked.drain()
    assert asked.door.calls[-1] == ("abort",)
    assert not asked.door.waiting


# Replies in pieces


def server_sent_events(site: Site) -> tuple[Client, Request]:
    later = Later()
    site.server.set_gencb(compressed(later))
    client = site.client()
    client.send(get("/", GZIP))
    later.requests[0].send_reply_start(200, [("Content-Type", "text/event-stream")])
    return client, later.requests[0]


def test_each_event_reaches_the_client_at_once(base: EventBase) -> None:
    with Site(base=base) as site:
        client, request = server_sent_events(site)
        site.settle()
        data = client.take() or b""
        assert b"\r\ncontent-encoding: gzip\r\n" in data.lower()
        stream = zlib.decompressobj(31)
        for number in range(3):
            event = b"data: %d\n\n" % number
            request.send_reply_chunk(event)
            site.settle()
            size, _, chunk = (client.take() or b"").partition(b"\r\n")
            assert stream.decompress(chunk[: int(size, 16)]) == event
        request.send_reply_end()
        site.settle()
        data = client.take() or b""
        size, _, chunk = data.partition(b"\r\n")
        assert stream.decompress(chunk[: int(size, 16)]) == b""
        assert stream.eof
        assert data.endswith(b"\r\n0\r\n\r\n")


def test_drained_is_called_when_all_is_on_its_way(base: EventBase) -> None:
    with Site(base=base) as site:
        client, request = server_sent_events(site)
        sizes: list[int] = []
        left = 20

        def more() -> None:
            nonlocal left
            sizes.append(len(only(site).bev.output))
            left -= 1
            if left:
                request.send_reply_chunk(LONG[: left * 10_000], more)
            else:
                request.send_reply_end()

        more()
        assert unzip(client.reply().body) == b"".join(LONG[: n * 10_000] for n in range(19, 0, -1))
        assert sizes[1:] == [0] * 19


PIECES = st.lists(
    st.binary(max_size=50) | st.sampled_from([b"", TEXT, LONG[:SLICE], LONG[: SLICE + 1], LONG]), max_size=8
)


@given(pieces=PIECES, buffers=st.lists(st.booleans(), min_size=8, max_size=8), drain=st.booleans())
def test_any_pieces_give_the_same_body(pieces: list[bytes], buffers: list[bool], *, drain: bool) -> None:
    asked = Asked()
    told: list[int] = []
    asked.request.send_reply_start(200, HTML)
    sent = b""
    for number, piece in enumerate(pieces):
        asked.request.send_reply_chunk(
            Buffer(piece) if buffers[number] else piece,
            lambda number=number: told.append(number),  # type: ignore[misc]
        )
        sent += piece
        if drain:
            asked.drain()
            assert so_far(b"".join(asked.pieces)) == sent
            assert told == list(range(number + 1))
    asked.request.send_reply_end([("X-Sum", "1")])
    asked.drain()
    assert unzip(b"".join(asked.pieces)) == sent
    assert told == list(range(len(pieces)))
    assert asked.door.calls[-1] == ("end", [("X-Sum", "1")])


def test_an_empty_piece_is_nothing() -> None:
    asked = Asked()
    told: list[str] = []
    asked.request.send_reply_start(200, HTML)
    asked.request.send_reply_chunk(b"a")
    size = len(b"".join(asked.pieces))
    asked.request.send_reply_chunk(b"", lambda: told.append("drained"))
    asked.drain()
    assert len(b"".join(asked.pieces)) == size
    assert told == ["drained"]


def test_a_length_that_is_told_is_held_to() -> None:
    asked = Asked()
    asked.request.send_reply_start(200, [*HTML, ("Content-Length", "2000")])
    assert "Content-Length" not in dict(asked.door.calls[0][2])  # type: ignore[call-overload]
    asked.request.send_reply_chunk(bytes(1999))
    kept = Buffer(b"ab")
    with pytest.raises(LocalProtocolError, match="2 bytes passes the Content-Length: 1 are left"):
        asked.request.send_reply_chunk(kept)
    assert bytes(kept) == b"ab"
    asked.request.send_reply_chunk(b"a")
    asked.request.send_reply_end()
    assert unzip(b"".join(asked.pieces)) == bytes(1999) + b"a"


def test_less_than_the_length_that_is_told() -> None:
    asked = Asked()
    asked.request.send_reply_start(200, [*HTML, ("Content-Length", "2000")])
    asked.request.send_reply_chunk(bytes(1999))
    with pytest.raises(LocalProtocolError, match="ended 1 bytes before"):
        asked.request.send_reply_end()
    assert asked.door.calls[-1] == ("abort",)


@pytest.mark.parametrize(
    ("raw", "fields"),
    [
        (b"Accept-Encoding: gzip\r\n", [*HTML, ("Content-Length", "4")]),
        (b"", HTML),
        (b"Accept-Encoding: gzip\r\n", [("Content-Type", "image/png")]),
    ],
)
def test_pieces_that_are_left_alone(raw: bytes, fields: Pairs) -> None:
    asked = Asked(raw=raw)
    asked.request.send_reply_start(200, fields)
    asked.request.send_reply_chunk(b"abcd")
    asked.request.send_reply_end([("A", "b")])
    vary = [("Vary", "Accept-Encoding")] if HTML[0] in fields else []
    assert asked.door.calls == [("start", 200, [*fields, *vary]), ("piece", b"abcd"), ("end", [("A", "b")])]


def test_a_wrong_length_of_pieces_is_told_as_ever() -> None:
    with Site() as site:
        site.server.set_gencb(
            compressed(lambda request: request.send_reply_start(200, [*HTML, ("Content-Length", "x")]))
        )
        assert site.client().ask(get("/", GZIP)).status == 500
        assert [type(error) for error in site.take_escaped()] == [LocalProtocolError]


def test_a_wrong_trailer_is_told_at_once_and_ends_nothing() -> None:
    asked = Asked()
    asked.request.send_reply_start(200, HTML)
    asked.request.send_reply_chunk(LONG)
    with pytest.raises(LocalProtocolError, match="content-length"):
        asked.request.send_reply_end([("Content-Length", "1")])
    asked.request.send_reply_chunk(b"more")
    asked.request.send_reply_end()
    asked.drain()
    assert unzip(b"".join(asked.pieces)) == LONG + b"more"


def test_a_piece_behind_a_long_one_waits_for_it() -> None:
    asked = Asked()
    asked.request.send_reply_start(200, HTML)
    asked.request.send_reply_chunk(LONG)
    before = asked.pieces
    asked.request.send_reply_chunk(b"more")
    assert asked.pieces == before
    assert len(asked.door.waiting) == 1
    asked.request.send_reply_end()
    asked.drain()
    assert unzip(b"".join(asked.pieces)) == LONG + b"more"


def test_pieces_out_of_an_iterator(base: EventBase) -> None:
    pieces: list[Body] = [b"a", "b", Buffer(LONG), b"", LONG, *[TEXT] * 200]
    with Site(base=base) as site:
        site.server.set_gencb(compressed(lambda request: request.send_stream(200, iter(pieces), HTML)))
        reply = site.client().ask(get("/", GZIP))
    assert unzip(reply.body) == b"ab" + LONG + LONG + TEXT * 200
    assert reply.get("content-encoding") == "gzip"


# Threads


def from_another_thread(request: Request) -> None:
    if request.target == "/whole":
        request.send_reply(200, TEXT, HTML)
    elif request.target == "/long":
        request.send_reply(200, LONG, HTML)
    else:
        request.send_reply_start(200, HTML)
        for start in range(0, len(LONG), 10_000):
            request.send_reply_chunk(LONG[start : start + 10_000])
        request.send_reply_end()


@pytest.mark.parametrize(("target", "body"), [("/whole", TEXT), ("/long", LONG), ("/pieces", LONG)])
def test_replies_from_other_threads(target: str, body: bytes) -> None:
    with ThreadPoolExecutor(1) as pool, Site() as site:
        site.server.set_gencb(compressed(in_threads(from_another_thread, pool)))
        client = site.client()
        for _ in range(2):
            reply = client.ask(get(target, GZIP))
            assert (unzip(reply.body), reply.get("content-encoding")) == (body, "gzip")


def test_the_other_way_round_is_refused() -> None:
    with ThreadPoolExecutor(1) as pool, Site() as site:
        site.server.set_gencb(in_threads(compressed(from_another_thread), pool))
        assert site.client().ask(get("/whole", GZIP)).status == 500
        assert [type(error) for error in site.take_escaped()] == [LocalProtocolError]


# All else goes through


def test_the_other_doings_of_a_door() -> None:
    asked = Asked()
    session = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).wrap_bio(ssl.MemoryBIO(), ssl.MemoryBIO())
    asked.door.ssl_object = session
    assert asked.request.ssl_object is session
    asked.request.send_informational(103, [("Link", "</a>")])
    asked.request.receive(lambda request, data: None, lambda request: None)
    asked.request.pause()
    asked.request.resume()
    asked.request.send_error(404, "gone")
    door = asked.request.connection
    assert door is not None
    assert door.base is THE_BASE
    error = ValueError("on purpose")
    door.fail(asked.request, error)
    asked.request.abort()
    page = ("reply", 404, b"404 Not Found: gone\n", [("Content-Type", "text/plain; charset=utf-8")])
    failed = ("fail", asked.request, error)
    informed = ("inform", 103, [("Link", "</a>")])
    assert asked.door.calls == [informed, ("invite",), ("pause",), ("resume",), page, failed, ("abort",)]


def test_taking_over() -> None:
    with Site() as site:
        taken: list[object] = []
        site.server.set_gencb(
            compressed(lambda request: taken.append(request.take_over(101, [("Upgrade", "echo")])))
        )
        client = site.client()
        client.send(get("/", "Connection: upgrade", "Upgrade: echo"))
        assert len(taken) == 1
        taken[0].close()  # type: ignore[attr-defined]


def test_a_handler_that_fails_is_answered_500() -> None:
    with Site() as site:
        site.server.set_gencb(compressed(lambda request: 1 // 0))
        assert site.client().ask(get("/", GZIP)).status == 500
        assert [type(error) for error in site.take_escaped()] == [ZeroDivisionError]


def test_a_request_without_a_client_gets_as_far_as_its_handler() -> None:
    request = Request("GET", "/", 1, "a", 0, True, False, b"")
    seen: list[Request] = []
    compressed(seen.append)(request)
    assert seen == [request]
    assert request.gone


@pytest.mark.parametrize("options", [{"level": 0}, {"level": 10}, {"min_size": -1}, {"types": ["html"]}])
def test_wrong_options(options: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="expected"):
        compressed(print, **options)  # type: ignore[arg-type]


def test_a_handler_must_be_callable() -> None:
    with pytest.raises(TypeError, match="callable"):
        compressed("handler")  # type: ignore[arg-type]


def test_repr() -> None:
    assert repr(compressed(print)) == "<compressed <built-in function print>>"
