"""`FrameWriter`: what goes out, read back by the tests' own reading of RFC 6455."""

import pytest

from evkit import Buffer, LocalProtocolError
from evkit.http.websocket.deflate import Deflate, Deflater, MessageInflater
from evkit.http.websocket.frames import BINARY, FIN, PING, TEXT
from evkit.http.websocket.writer import Encoded, FrameWriter, MessageData, as_payload, encode
from websocket_aids import Frame, frames

SIZES = [0, 1, 125, 126, 4096, 4097, 65535, 65536]


def sent(output: Buffer) -> list[Frame]:
    return frames(output.remove())


def deflater() -> Deflater:
    return Deflater(15, fresh=False, settings=Deflate(min_size=10))


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(("kind", "letter"), [(TEXT, "a"), (BINARY, b"a"), (BINARY, bytearray(b"a"))])
def test_whole_messages(size: int, kind: int, letter: str | bytes | bytearray) -> None:
    output, payload = Buffer(), b"a" * size
    FrameWriter(client=False).message(output, letter * size)
    assert sent(output) == [Frame(0x80 | kind, False, payload)]
    FrameWriter(client=True).message(output, letter * size)
    assert sent(output) == [Frame(0x80 | kind, True, payload)]


def test_each_frame_of_a_client_has_its_own_mask() -> None:
    output, writer = Buffer(), FrameWriter(client=True)
    keys = set()
    for _ in range(20):
        writer.message(output, b"secret")
        keys.add(output.remove()[2:6])
    assert len(keys) == 20


def test_big_payloads_are_not_copied() -> None:
    output, payload = Buffer(), bytes(100_000)
    FrameWriter(client=False).message(output, payload)
    assert [len(piece) for piece in output.peek()] == [10, 100_000]
    assert output.peek()[1].obj is payload


def test_long_messages_are_compressed_and_short_ones_are_not() -> None:
    output, writer = Buffer(), FrameWriter(client=False, deflater=deflater())
    writer.message(output, "x" * 9)
    writer.message(output, "x" * 10)
    short, long = sent(output)
    assert short == Frame(0x81, False, b"x" * 9)
    assert long.first == 0xC1
    inflater = MessageInflater(15, fresh=False)
    assert inflater.inflate(long.payload, 100) + inflater.finish(100) == b"x" * 10


def test_control_frames_are_never_compressed() -> None:
    output, writer = Buffer(), FrameWriter(client=False, deflater=deflater())
    writer.frame(output, FIN | PING, b"x" * 100)
    assert sent(output) == [Frame(0x89, False, b"x" * 100)]


# --- in fragments


def test_fragments() -> None:
    output, writer = Buffer(), FrameWriter(client=True)
    assert not writer.in_fragments
    writer.begin(TEXT)
    assert writer.in_fragments
    for piece in ("Grü", "", "ße"):
        writer.piece(output, piece)
    writer.frame(output, FIN | PING, b"between")
    writer.end(output)
    assert not writer.in_fragments
    writer.message(output, b"next")
    assert sent(output) == [
        Frame(0x01, True, "Grü".encode()),
        Frame(0x00, True, "ße".encode()),
        Frame(0x89, True, b"between"),
        Frame(0x80, True, b""),
        Frame(0x82, True, b"next"),
    ]


def test_fragments_of_nothing() -> None:
    output, writer = Buffer(), FrameWriter(client=False)
    writer.begin(BINARY)
    writer.end(output)
    assert sent(output) == [Frame(0x82, False, b"")]


def test_fragments_of_bytes_of_every_kind() -> None:
    output, writer = Buffer(), FrameWriter(client=False)
    writer.begin(BINARY)
    for piece in (b"a", bytearray(b"b"), memoryview(b"c")):
        writer.piece(output, piece)
    writer.end(output)
    assert b"".join(frame.payload for frame in sent(output)) == b"abc"


@pytest.mark.parametrize("pieces", [[], [b""], [b"ab" * 4000], [b"ab" * 50_000, b"", b"cd" * 50_000]])
def test_compressed_fragments(pieces: list[bytes]) -> None:
    output, writer = Buffer(), FrameWriter(client=False, deflater=deflater())
    inflater = MessageInflater(15, fresh=False)
    for _ in range(2):
        writer.begin(BINARY)
        for piece in pieces:
            writer.piece(output, piece)
        writer.end(output)
        found = sent(output)
        assert [frame.first for frame in found[1:]] == [0x00] * (len(found) - 2) + [0x80] * (len(found) > 1)
        assert found[0].first == (0x42 if len(found) > 1 else 0xC2)
        got = b"".join(inflater.inflate(frame.payload, 1 << 20) for frame in found)
        assert got + inflater.finish(1 << 20) == b"".join(pieces)


def test_order() -> None:
    output, writer = Buffer(), FrameWriter(client=False)
    with pytest.raises(LocalProtocolError, match="before a piece"):
        writer.piece(output, b"x")
    with pytest.raises(LocalProtocolError, match="before send_end"):
        writer.end(output)
    writer.begin(TEXT)
    with pytest.raises(LocalProtocolError, match="before another message"):
        writer.begin(TEXT)
    with pytest.raises(LocalProtocolError, match="before another message"):
        writer.message(output, "x")
    with pytest.raises(LocalProtocolError, match="before another message"):
        writer.encoded(output, encode("x"))
    with pytest.raises(TypeError, match="expected str in this message, got bytes"):
        writer.piece(output, b"x")
    assert not output
    writer.end(output)
    writer.begin(BINARY)
    with pytest.raises(TypeError, match="expected bytes in this message, got str"):
        writer.piece(output, "x")


# --- what a message may be


@pytest.mark.parametrize(
    ("data", "payload"),
    [("ü", b"\xc3\xbc"), (b"x", b"x"), (bytearray(b"x"), b"x"), (memoryview(b"abc")[1:], b"bc")],
)
def test_messages(data: MessageData, payload: bytes) -> None:
    assert as_payload(data) == payload
    kind = TEXT if isinstance(data, str) else BINARY
    assert encode(data) == Encoded(kind, payload, bytes([0x80 | kind, len(payload)]) + payload)


def test_what_is_no_message() -> None:
    with pytest.raises(TypeError, match="str or bytes, got int"):
        as_payload(5)  # type: ignore[arg-type]  # that is the point
    with pytest.raises(ValueError, match="surrogates"):
        as_payload("\ud800")


@pytest.mark.parametrize("client", [True, False])
def test_what_was_encoded_once(client: bool) -> None:
    output, writer = Buffer(), FrameWriter(client=client, deflater=deflater())
    writer.encoded(output, encode("x" * 200))
    assert sent(output) == [Frame(0x81, client, b"x" * 200)]
