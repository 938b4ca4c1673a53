"""`FrameReader`: each rule of RFC 6455 by a table, limits, and the same events however the bytes come."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evkit import Buffer
from evkit.http.websocket.deflate import Deflate, Deflater, MessageInflater
from evkit.http.websocket.errors import WebSocketError
from evkit.http.websocket.reader import FRAGMENT, FrameReader, WebSocketEvent
from evkit.testing import chunks, same_however_cut
from websocket_aids import BINARY, CLOSE, PING, PONG, TEXT, frame

Result = tuple[list[WebSocketEvent], int | None]


def read(pieces: list[bytes], reader: FrameReader | None = None) -> Result:
    """Return all events, and the code of the error that ended them."""
    reader = reader or FrameReader(from_client=True)
    buffer, events = Buffer(), []
    try:
        for piece in pieces:
            buffer.feed(piece)
            while (event := reader.next_event(buffer)) is not None:
                events.append(event)
    except WebSocketError as error:
        return events, error.code
    return events, None


def of_client(data: bytes, **limits: int) -> Result:
    return same_however_cut(lambda pieces: read(pieces, FrameReader(from_client=True, **limits)), data)


def of_server(data: bytes, **limits: int) -> Result:
    return same_however_cut(lambda pieces: read(pieces, FrameReader(from_client=False, **limits)), data)


# --- what is right


@pytest.mark.parametrize(
    ("data", "event"),
    [  # RFC 6455 §5.7
        ("810548656c6c6f", (TEXT, "Hello")),
        ("890548656c6c6f", (PING, b"Hello")),
        ("8a0548656c6c6f", (PONG, b"Hello")),
        ("8800", (CLOSE, b"")),
        ("8100", (TEXT, "")),
        ("8200", (BINARY, b"")),
        ("827e0100" + "ab" * 256, (BINARY, b"\xab" * 256)),
        ("827d" + "ab" * 125, (BINARY, b"\xab" * 125)),
        ("827e007e" + "ab" * 126, (BINARY, b"\xab" * 126)),
    ],
)
def test_frames_of_a_server(data: str, event: WebSocketEvent) -> None:
    assert of_server(bytes.fromhex(data)) == ([event], None)


def test_the_masked_frame_of_the_rfc() -> None:
    assert of_client(bytes.fromhex("818537fa213d7f9f4d5158")) == ([(TEXT, "Hello")], None)


@pytest.mark.parametrize("size", [0, 1, 3, 4, 5, 125, 126, 127, 300])
@pytest.mark.parametrize("opcode", [TEXT, BINARY])
def test_messages_of_every_kind_of_length(size: int, opcode: int) -> None:
    payload = b"0123456789" * 30
    said = payload[:size].decode() if opcode == TEXT else payload[:size]
    assert of_client(frame(opcode, payload[:size]) * 2) == ([(opcode, said)] * 2, None)
    assert of_server(frame(opcode, payload[:size], mask=None) * 2) == ([(opcode, said)] * 2, None)


@pytest.mark.parametrize("size", [65535, 65536, 200_000])
@pytest.mark.parametrize("step", [1000, 65536, 300_000])
def test_big_messages(size: int, step: int) -> None:
    payload = bytes(at % 251 for at in range(size))
    assert read(list(chunks(frame(BINARY, payload), step))) == ([(BINARY, payload)], None)


def test_fragments_and_what_may_stand_between_them() -> None:
    data = (
        frame(TEXT, b"Gr\xc3", fin=False)
        + frame(PING, b"still there?")
        + frame(0, b"", fin=False)
        + frame(0, b"\xbc\xc3", fin=False)
        + frame(PONG)
        + frame(0, b"\x9fe")
        + frame(BINARY, b"\xff", fin=False)
        + frame(0, b"\xfe")
        + frame(BINARY, b"next")
    )
    assert of_client(data) == (
        [
            FRAGMENT,
            (PING, b"still there?"),
            FRAGMENT,
            FRAGMENT,
            (PONG, b""),
            (TEXT, "Grüße"),
            FRAGMENT,
            (BINARY, b"\xff\xfe"),
            (BINARY, b"next"),
        ],
        None,
    )


def test_an_empty_message_in_fragments() -> None:
    assert of_client(frame(TEXT, fin=False) + frame(0)) == ([FRAGMENT, (TEXT, "")], None)


# --- what is refused, each at the earliest byte


def header(first: int, second: int, *more: int) -> bytes:
    return bytes([first, second, *more])


@pytest.mark.parametrize(
    "data",
    [
        *(pytest.param(frame(TEXT, b"x", rsv=rsv)[:2], id=f"rsv {rsv:03b}") for rsv in range(1, 8)),
        *(pytest.param(frame(opcode)[:2], id=f"opcode {opcode}") for opcode in (3, 4, 5, 6, 7, 11, 12, 15)),
        pytest.param(header(0x81, 0x01), id="no mask"),
        pytest.param(header(0x81, 0x7E), id="no mask, two bytes"),
        pytest.param(header(0x89, 0x00), id="ping without mask"),
        pytest.param(header(0x09, 0x80), id="ping in fragments"),
        pytest.param(header(0x08, 0x80), id="close in fragments"),
        pytest.param(header(0x0A, 0x80), id="pong in fragments"),
        pytest.param(header(0x89, 0xFE), id="ping of 126 bytes or more"),
        pytest.param(header(0x88, 0xFF), id="close of 65536 bytes or more"),
        pytest.param(header(0x80, 0x80), id="continuation of nothing"),
        pytest.param(header(0x00, 0x80), id="continuation of nothing, with more to come"),
        pytest.param(header(0x82, 0xFE, 0, 125), id="two bytes for one"),
        pytest.param(header(0x82, 0xFE, 0, 0), id="two bytes for nothing"),
        pytest.param(header(0x82, 0xFF, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF), id="eight bytes for two"),
        pytest.param(header(0x82, 0xFF, 0, 0, 0, 0, 0, 0, 0, 1), id="eight bytes for one"),
        pytest.param(header(0x82, 0xFF, 0x80, 0, 0, 0, 0, 0, 0, 0), id="64 bits"),
    ],
)
def test_heads_that_break_a_rule(data: bytes) -> None:
    assert of_client(data) == ([], 1002)
    assert of_client(data + bytes(300)) == ([], 1002)
    assert of_client(frame(BINARY, b"before") + data) == ([(BINARY, b"before")], 1002)


@pytest.mark.parametrize("opcode", [TEXT, BINARY])
def test_a_message_within_a_message(opcode: int) -> None:
    assert of_client(frame(TEXT, b"a", fin=False) + frame(opcode, b"b")[:2]) == ([FRAGMENT], 1002)


def test_masks_of_a_server() -> None:
    for opcode in (TEXT, BINARY, PING):
        assert of_server(frame(opcode, b"x")[:2]) == ([], 1002)
        assert of_server(frame(opcode, b"x")) == ([], 1002)
        assert of_server(frame(opcode, b"x" * 125)[:2]) == ([], 1002)
    assert of_server(frame(BINARY, b"x" * 126)[:2]) == ([], 1002)


@pytest.mark.parametrize(
    "text",
    [
        b"\xff",
        b"\xc0\x80",
        b"\xe0\x80\x80",
        b"\xed\xa0\x80",
        b"\xed\xbf\xbf",
        b"\xf4\x90\x80\x80",
        b"\xf8\x88\x80\x80\x80",
        b"ok\x80",
        b"\xe2\x28\xa1",
    ],
)
def test_text_that_is_no_utf8(text: bytes) -> None:
    assert of_client(frame(TEXT, text)) == ([], 1007)
    assert of_client(frame(TEXT, b"a", fin=False) + frame(0, text)) == ([FRAGMENT], 1007)
    # As soon as it shows, within a frame whose end has not come and in a fragment that is not the last.
    assert read([frame(TEXT, text + bytes(2000))[: 8 + len(text)]]) == ([], 1007)
    assert read([frame(TEXT, text + b"    ", fin=False)]) == ([], 1007)
    assert read([frame(BINARY, text)]) == ([(BINARY, text)], None)


def test_text_that_ends_within_a_character() -> None:
    assert of_client(frame(TEXT, b"\xe2\x82")) == ([], 1007)
    assert of_client(frame(TEXT, b"\xe2", fin=False) + frame(0, b"\x82")) == ([FRAGMENT], 1007)
    assert of_client(frame(TEXT, b"\xe2", fin=False) + frame(0, b"\x82\xac")) == (
        [FRAGMENT, (TEXT, "€")],
        None,
    )


# --- limits


def test_a_message_of_the_most_bytes_and_of_one_more() -> None:
    assert of_client(frame(BINARY, bytes(10)), max_message=10) == ([(BINARY, bytes(10))], None)
    assert of_client(frame(BINARY, bytes(11))[:6], max_message=10) == ([], 1009)
    assert of_client(frame(BINARY, bytes(200))[:8], max_message=199) == ([], 1009)
    huge = header(0x82, 0xFF, 0x7F, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF) + b"mask"
    assert of_client(huge, max_message=1 << 20) == ([], 1009)
    assert of_client(huge) == ([], 1009)


def test_a_message_in_fragments_of_too_many_bytes() -> None:
    begin = frame(BINARY, bytes(6), fin=False)
    assert of_client(begin + frame(0, bytes(4)), max_message=10) == ([FRAGMENT, (BINARY, bytes(10))], None)
    assert of_client(begin + frame(0, bytes(5))[:6], max_message=10) == ([FRAGMENT], 1009)
    assert of_client(begin + frame(0, bytes(5), fin=False)[:6], max_message=10) == ([FRAGMENT], 1009)


def test_frames_have_a_limit_of_their_own() -> None:
    piece = frame(BINARY, bytes(5), fin=False)
    assert of_client(piece + frame(0, bytes(5)), max_frame=5) == ([FRAGMENT, (BINARY, bytes(10))], None)
    assert of_client(frame(BINARY, bytes(6))[:6], max_frame=5) == ([], 1009)
    assert of_client(frame(PING, bytes(100)), max_frame=5) == ([(PING, bytes(100))], None)


def test_a_message_that_drips_in_keeps_no_more_than_it_has() -> None:
    reader, buffer = FrameReader(from_client=True), Buffer()
    for byte in frame(BINARY, bytes(3000)):
        buffer.feed(bytes([byte]))
        event = reader.next_event(buffer)
        assert buffer.length < 14
    assert event == (BINARY, bytes(3000))


# --- compression: what is compressed is told by a bit


def test_the_reserved_bit_is_for_the_first_frame_of_a_message_only() -> None:
    hello = bytes.fromhex("f248cdc9c90700")  # RFC 7692 §7.2.3.1

    def compressed(data: bytes) -> Result:
        def run(pieces: list[bytes]) -> Result:
            inflater = MessageInflater(15, fresh=False)
            return read(pieces, FrameReader(from_client=True, inflater=inflater))

        return same_however_cut(run, data)

    assert compressed(frame(TEXT, hello, rsv=4)) == ([(TEXT, "Hello")], None)
    assert compressed(frame(TEXT, hello[:3], rsv=4, fin=False) + frame(0, hello[3:])) == (
        [FRAGMENT, (TEXT, "Hello")],
        None,
    )
    assert compressed(frame(TEXT, b"Hello")) == ([(TEXT, "Hello")], None)
    for data in (frame(TEXT, hello, rsv=4, fin=False) + frame(0, b"", rsv=4)[:2],):
        assert compressed(data) == ([FRAGMENT], 1002)
    for data in (frame(PING, b"", rsv=4), frame(TEXT, hello, rsv=6), frame(TEXT, hello, rsv=2)):
        assert compressed(data[:2]) == ([], 1002)


@pytest.mark.parametrize("size", [10, 1000, 100_000])
def test_what_does_not_compress_has_room(size: int) -> None:
    data = b"".join(hashlib.sha256(bytes([at & 0xFF, at >> 8])).digest() for at in range(size // 32 + 1))[
        :size
    ]
    deflater = Deflater(15, fresh=False, settings=Deflate())
    packed = deflater.deflate(data) + deflater.finish()
    assert len(packed) > size
    reader = FrameReader(from_client=True, max_message=size, inflater=MessageInflater(15, fresh=False))
    assert read([frame(BINARY, packed, rsv=4)], reader) == ([(BINARY, data)], None)


def test_an_endless_message_that_inflates_to_nothing() -> None:
    reader = FrameReader(from_client=True, max_message=1000, inflater=MessageInflater(15, fresh=False))
    events, code = read(
        [frame(BINARY, b"", rsv=4, fin=False), *[frame(0, b"\0\0\0\xff\xff", fin=False)] * 300], reader
    )
    assert code == 1009
    assert len(events) < 250


# --- any stream in any pieces

_FRAMES = st.one_of(
    st.builds(frame, st.sampled_from([BINARY, PING, PONG]), st.binary(max_size=125)),
    st.builds(lambda text: frame(TEXT, text.encode()), st.text(max_size=60)),
    st.builds(
        lambda text, cut: frame(TEXT, text.encode()[:cut], fin=False) + frame(0, text.encode()[cut:]),
        st.text(max_size=200),
        st.integers(0, 200),
    ),
    st.builds(lambda size: frame(BINARY, bytes(size)), st.integers(126, 400)),
    st.binary(max_size=12),
)


@given(st.lists(_FRAMES, max_size=6).map(b"".join), st.lists(st.integers(1, 40), min_size=1))
def test_any_cut_gives_the_same(data: bytes, sizes: list[int]) -> None:
    pieces, at = [], 0
    while at < len(data):
        size = sizes[len(pieces) % len(sizes)]
        pieces.append(data[at : at + size])
        at += size
    assert read(pieces) == read([data])


def test_any_key_is_taken_off() -> None:
    payload = bytes(at & 0xFF for at in range(300))
    for key in (b"\0\0\0\0", b"\xff\xff\xff\xff", b"\1\2\3\4"):
        assert of_client(frame(BINARY, payload, mask=key)) == ([(BINARY, payload)], None)
