"""The doors of transports: bytes that come in, go out and are sent, whatever is frozen, and who hears of it."""

import os
import socket
import tempfile

from hypothesis import given
from hypothesis import strategies as st

from evkit.core.buffer import Buffer, BufferInfo, Flow
from evkit.core.buffer.flow import MAX_IOVEC


class Owner:
    """Notes what it hears, and how long the buffer was then."""

    def __init__(self) -> None:
        self.changes: list[tuple[int, int]] = []
        self.lengths: list[int] = []

    def buffer_changed(self, buffer: Flow, added: int, deleted: int) -> None:
        self.changes.append((added, deleted))
        self.lengths.append(len(buffer))


class Taker:
    """A socket that takes so many bytes at a time, and notes how they were handed to it."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.taken = bytearray()
        self.calls: list[str] = []

    def fileno(self) -> int:
        return -1

    def send(self, data: bytes | memoryview) -> int:
        self.calls.append("send")
        self.taken += data[: self.size]
        return min(len(data), self.size)

    def sendmsg(self, buffers: list[bytes | memoryview]) -> int:
        self.calls.append(f"sendmsg {len(buffers)}")
        joined = b"".join(buffers)[: self.size]
        self.taken += joined
        return len(joined)


def flow_of(*pieces: bytes) -> Flow:
    flow = Flow()
    for piece in pieces:
        flow.feed(piece)
    return flow


pieces = st.lists(st.integers(1, 1500).map(lambda size: bytes([size % 251]) * size), max_size=12)


@given(pieces, st.lists(st.integers(1, 3000), max_size=12))
def test_what_comes_in_at_the_back_goes_out_at_the_front(pieces: list[bytes], sizes: list[int]) -> None:
    flow, model = Flow(), bytearray()
    for number in range(max(len(pieces), len(sizes))):
        for piece in pieces[number : number + 1]:
            flow.feed(piece)
            model += piece
        for size in sizes[number : number + 1]:
            if 0 < size <= len(model):
                flow.spend(size)
                del model[:size]
        assert (bytes(flow), len(flow)) == (model, len(model))


@given(pieces, st.integers(1, 2000), st.none() | st.integers(0, 2000))
def test_all_is_sent_in_order(pieces: list[bytes], at_once: int, limit: int | None) -> None:
    flow, taker = flow_of(*pieces), Taker(at_once)
    for _ in range(20_000):
        before = len(flow)
        sent = flow.send_to(taker) if limit is None else flow.send_to(taker, limit)
        assert sent <= (before if limit is None else limit)
        assert len(flow) == before - sent
        if not sent:
            break
    assert len(flow) == (0 if limit != 0 else sum(map(len, pieces)))
    assert taker.taken + bytes(flow) == b"".join(pieces)


class TestSend:
    def test_nothing_to_send_is_no_call(self) -> None:
        taker = Taker(9)
        assert Flow().send_to(taker) == 0
        assert flow_of(b"abc").send_to(taker, 0) == 0
        assert taker.calls == []

    def test_one_piece_is_handed_over_as_it_is_and_several_together(self) -> None:
        taker = Taker(10**6)
        flow_of(b"abc").send_to(taker)
        flow_of(bytes(2000), bytes(2000)).send_to(taker)
        flow_of(*[bytes(1025)] * (MAX_IOVEC + 1)).send_to(taker)
        assert taker.calls == ["send", "sendmsg 2", f"sendmsg {MAX_IOVEC}"]

    def test_files_go_by_themselves(self) -> None:
        near, far = socket.socketpair()
        buffer = Buffer(b"head")
        with near, far, tempfile.TemporaryFile() as file:
            file.write(b"0123456789")
            file.flush()
            buffer.add_file(os.dup(file.fileno()), 2, 5)
            buffer.add(b"tail")
            assert [buffer.send_to(near) for _ in range(4)] == [4, 5, 4, 0]
            assert far.recv(99) == b"head23456tail"


class TestFreeze:
    def test_does_not_bind_the_transport(self) -> None:
        buffer = Buffer()
        buffer.freeze(front=True, back=True)
        buffer.feed(b"abcdef")
        buffer.spend(1)
        assert buffer.send_to(Taker(2)) == 2
        assert bytes(buffer) == b"def"

    def test_what_arrives_does_not_take_a_reserved_window_away(self) -> None:
        buffer = Buffer()
        buffer.reserve(3)[:] = b"end"
        buffer.feed(b"arrived ")
        buffer.commit(3)
        assert bytes(buffer) == b"arrived end"


class TestTelling:
    def test_the_owner_hears_every_change_first(self) -> None:
        buffer, owner = Buffer(), Owner()
        buffer.owner = owner
        buffer.add(b"abc")
        buffer.prepend(b"__")
        buffer.drain(1)
        buffer.feed(b"e")
        buffer.spend(2)
        assert owner.changes == [(3, 0), (2, 0), (0, 1), (1, 0), (0, 2)]
        assert owner.lengths == [3, 5, 4, 5, 3]
        before: list[int] = []
        buffer.add_callback(lambda buffer, info: before.append(len(owner.changes)))
        buffer.add(b"d")
        buffer.feed(b"f")
        buffer.drain(9)
        assert before == [6, 7, 8]
        assert owner.changes[5:] == [(1, 0), (1, 0), (0, 5)]

    def test_callbacks_hear_of_what_the_transport_does(self) -> None:
        buffer = Buffer()
        heard: list[BufferInfo] = []
        buffer.add_callback(lambda buffer, info: heard.append(info))
        buffer.feed(b"abcdef")
        buffer.spend(1)
        buffer.send_to(Taker(3))
        buffer.send_to(Taker(9))
        assert heard == [BufferInfo(0, 6, 0), BufferInfo(6, 0, 1), BufferInfo(5, 0, 3), BufferInfo(2, 0, 2)]
        heard.clear()
        buffer.feed(b"all")
        buffer.send_to(Taker(9))  # in one piece, from its start
        assert heard == [BufferInfo(0, 3, 0), BufferInfo(3, 0, 3)]

    def test_a_callback_that_is_removed_hears_nothing(self) -> None:
        flow = Flow()
        heard: list[str] = []
        old = flow.add_callback(lambda flow, info: heard.append("old"))
        new = flow.add_callback(lambda flow, info: heard.append("new"))
        flow.feed(b"a")
        new.remove()
        flow.feed(b"b")
        old.remove()
        flow.feed(b"c")
        assert heard == ["new", "old", "old"]

    def test_a_callback_gets_the_buffer_that_changed(self) -> None:
        one, two = Flow(), Flow()
        heard: list[Flow] = []
        for flow in (one, two):
            flow.add_callback(lambda flow, info: heard.append(flow))
        two.feed(b"a")
        one.feed(b"b")
        assert heard[0] is two
        assert heard[1] is one
