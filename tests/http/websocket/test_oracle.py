"""evkit's codec against wsproto's: both read the same streams alike, and each reads what the other writes."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from wsproto.connection import Connection, ConnectionType
from wsproto.events import BytesMessage, CloseConnection, Event, Ping, Pong, TextMessage
from wsproto.extensions import PerMessageDeflate

from evkit import Buffer
from evkit.http.websocket.deflate import Deflate, Deflater, MessageInflater
from evkit.http.websocket.errors import WebSocketError
from evkit.http.websocket.frames import FIN, close_payload, may_be_sent, parse_close
from evkit.http.websocket.reader import FrameReader
from evkit.http.websocket.writer import FrameWriter
from websocket_aids import BINARY, CLOSE, PING, PONG, TEXT, frame

Message = tuple[int, object]
BAD_GATEWAY = 1014
REFUSED = -1
"""What we note for an error, with its code. wsproto notes a close frame with that code."""


def compression() -> PerMessageDeflate:
    extension = PerMessageDeflate()
    extension._enabled = True  # type: ignore[attr-defined]  # as its handshake does
    return extension


def oracle(*, client: bool, deflate: bool = False) -> Connection:
    kind = ConnectionType.CLIENT if client else ConnectionType.SERVER
    return Connection(kind, [compression()] if deflate else [])


def told(connection: Connection, data: bytes) -> list[Message]:
    """Let wsproto read; a message comes as whole as ours."""
    found: list[Message] = []
    parts: list[str | bytes] = []
    connection.receive_data(data)
    for event in connection.events():
        if isinstance(event, TextMessage | BytesMessage):
            parts.append(bytes(event.data) if isinstance(event, BytesMessage) else event.data)
            if event.message_finished:
                found.append(whole(parts, event))
                parts = []
        else:
            found.append(control(event))
            if found[-1][0] == CLOSE:
                break
    return found


def whole(parts: list[str | bytes], event: Event) -> Message:
    if isinstance(event, TextMessage):
        return TEXT, "".join(str(part) for part in parts)
    return BINARY, b"".join(part for part in parts if isinstance(part, bytes))


def control(event: Event) -> Message:
    if isinstance(event, Ping):
        return PING, bytes(event.payload)
    if isinstance(event, Pong):
        return PONG, bytes(event.payload)
    assert isinstance(event, CloseConnection)
    return CLOSE, (int(event.code), event.reason or "")


def ours(data: bytes, reader: FrameReader) -> list[Message]:
    buffer, found = Buffer(data), list[Message]()
    try:
        while (event := reader.next_event(buffer)) is not None:
            if event[0] == CLOSE:
                assert isinstance(event[1], bytes)
                return [*found, (CLOSE, parse_close(event[1]))]
            if event[0]:
                found.append(event)
    except WebSocketError as error:
        found.append((REFUSED, error.code))
    return found


_SHORT = st.binary(max_size=60).map(
    lambda data: data.decode("latin-1")
)  # st.text and st.binary clash under -bb
_TEXTS = _SHORT | st.integers(100, 5000).map(lambda size: "aü" * size)
_MESSAGES = st.lists(_TEXTS | st.binary(max_size=200) | st.integers(0, 70_000).map(bytes), max_size=5)
_PIECES = st.one_of(
    st.builds(
        frame,
        st.sampled_from([0, TEXT, BINARY, CLOSE, PING, PONG, 3, 11]),
        st.binary(max_size=6) | _SHORT.map(lambda text: text[:5].encode()) | st.integers(120, 130).map(bytes),
        fin=st.booleans(),
        rsv=st.sampled_from([0, 0, 0, 0, 4, 1]),
    ),
    st.builds(lambda text: frame(TEXT, text.encode()), _TEXTS),
    st.builds(lambda code: frame(CLOSE, code.to_bytes(2, "big")), st.integers(990, 1020)),
)


def same(theirs: list[Message], own: list[Message]) -> bool:
    """Whether both saw the same.

    wsproto tells close codes that no registry has, and refuses one that was registered later.
    """
    if own and own[-1][0] == CLOSE and own[-1][1][0] == BAD_GATEWAY:  # type: ignore[index]  # a pair
        return theirs[:-1] == own[:-1] and theirs[-1][1][0] == 1002  # type: ignore[index]  # likewise
    if not own or own[-1][0] != REFUSED:
        return own == theirs
    if not theirs or theirs[-1][0] != CLOSE:
        return False
    code = theirs[-1][1][0]  # type: ignore[index]  # a pair
    return theirs[:-1] == own[:-1] and (own[-1][1] == code or not may_be_sent(code))


@settings(max_examples=300)
@given(st.lists(_PIECES, max_size=5).map(b"".join))
def test_any_stream_of_frames_means_the_same(data: bytes) -> None:
    theirs, own = told(oracle(client=False), data), ours(data, FrameReader(from_client=True))
    assert same(theirs, own), (theirs, own)


@given(_MESSAGES, st.booleans(), st.booleans())
def test_wsproto_reads_what_evkit_writes(messages: list[str | bytes], client: bool, deflate: bool) -> None:
    deflater = Deflater(15, fresh=False, settings=Deflate(min_size=20)) if deflate else None
    writer, output = FrameWriter(client=client, deflater=deflater), Buffer()
    peer = oracle(client=not client, deflate=deflate)
    for message in messages:
        kind = TEXT if isinstance(message, str) else BINARY
        writer.message(output, message)
        assert told(peer, output.remove()) == [(kind, message)]
    writer.frame(output, FIN | CLOSE, close_payload(1001, "ü"))
    assert told(peer, output.remove()) == [(CLOSE, (1001, "ü"))]


@given(_MESSAGES, st.booleans(), st.booleans())
def test_evkit_reads_what_wsproto_writes(messages: list[str | bytes], client: bool, deflate: bool) -> None:
    peer = oracle(client=client, deflate=deflate)
    inflater = MessageInflater(15, fresh=False) if deflate else None
    reader = FrameReader(from_client=client, inflater=inflater)
    for message in messages:
        event: Event = TextMessage(message) if isinstance(message, str) else BytesMessage(message)
        kind = TEXT if isinstance(message, str) else BINARY
        assert ours(peer.send(event), reader) == [(kind, message)]
    for event, expected in ((Ping(b"x"), (PING, b"x")), (Pong(b"y"), (PONG, b"y"))):
        assert ours(peer.send(event), reader) == [expected]
    assert ours(peer.send(CloseConnection(4000, "bye")), reader) == [(CLOSE, (4000, "bye"))]


@pytest.mark.parametrize("code", [*range(990, 1030), 2999, 3000, 4999, 5000])
def test_codes(code: int) -> None:
    data = frame(CLOSE, code.to_bytes(2, "big"))
    own = ours(data, FrameReader(from_client=True))
    assert own == ([(CLOSE, (code, ""))] if may_be_sent(code) else [(REFUSED, 1002)])
    assert same(told(oracle(client=False), data), own)
