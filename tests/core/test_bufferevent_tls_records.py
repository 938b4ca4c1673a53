"""`TLSRecords`: what flows through a TLS connection, and what waits."""

import os
import ssl
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from below import turn, until
from certificates import Certificates
from evkit.core.base import EventBase
from evkit.core.bufferevent import SocketBufferEvent
from evkit.core.bufferevent.pair import PairBufferEvent
from evkit.core.flags import (
    BEV_EVENT_ERROR,
    BEV_EVENT_READING,
    BEV_FLUSH,
    EV_READ,
    EV_WRITE,
)
from evkit.testing import FakeBase, ManualClock, base_with_fakes, chunks
from tls_ends import (  # noqa: F401 - fixtures
    BOTH,
    VERSIONS,
    Ends,
    Pair,
    Wire,
    make_ends,
    make_version,
    make_wired,
    over,
)


def records(wire: bytes) -> list[int]:
    """Return the sizes of the TLS records in what was sent."""
    sizes = []
    while wire:
        sizes.append(int.from_bytes(wire[3:5], "big"))
        wire = wire[5 + sizes[-1] :]
    return sizes


class TestFlowing:
    def test_small_writes_are_one_record_and_large_ones_few(self, wired: Wire) -> None:
        ends = wired.shake()
        for _ in range(1000):
            ends.client.write(b"x")
        turn(wired.base)
        assert len(records(wired.client.sent)) == 1
        wired.client.sent = b""
        wired.client.set_watermark(EV_WRITE, high=1 << 20)
        for size in (5000, 5000, 40000):
            ends.client.output.add_reference(bytes(size))
        turn(wired.base)
        assert len(records(wired.client.sent)) == 4  # 16384, 16384, 16384, and the rest

    def test_a_file(self, wired: Wire, tmp_path: Path) -> None:
        ends = wired.shake()
        content = os.urandom(300_000)
        (tmp_path / "file").write_bytes(content)
        ends.server.write(b"head")
        ends.server.output.add_file(open(tmp_path / "file", "rb"))  # noqa: SIM115 - the buffer's from now on
        ends.server.write(b"tail")
        wired.carry()
        assert ends.client_ear.data == b"head" + content + b"tail"

    def test_a_file_that_shrinks(self, wired: Wire, tmp_path: Path) -> None:
        ends = wired.shake()
        (tmp_path / "file").write_bytes(bytes(100))
        ends.server.output.add_file(open(tmp_path / "file", "rb"))  # noqa: SIM115 - as above
        os.truncate(tmp_path / "file", 10)
        turn(wired.base)
        [heard] = ends.server_ear.heard
        assert heard.startswith("WRITING|ERROR write: [Errno 5] the file was to have 100 bytes")

    def test_high_marks(self, ends: Ends) -> None:
        ends.shake()
        ends.client_ear.takes = False
        ends.client.set_watermark(EV_READ, high=1000)
        data = os.urandom(50_000)
        ends.server.write(data)
        got = b""
        while len(got) < len(data):
            turn(ends.base)
            assert 0 < len(ends.client.input) <= 1000
            got += ends.client.read()
        assert got == data

    def test_disabled_reading_reads_no_more(self, ends: Ends) -> None:
        ends.shake()
        ends.client.disable(EV_READ)
        ends.server.write(b"x")
        turn(ends.base)
        assert ends.client_ear.heard == []
        ends.client.enable(EV_READ)
        turn(ends.base)
        assert ends.client_ear.heard == ["read 1"]

    def test_flush_of_nothing(self, wired: Wire) -> None:
        ends = wired.shake()
        assert ends.client.flush(EV_WRITE, BEV_FLUSH) is False
        turn(wired.base)
        assert wired.client.sent == b""

    def test_flush(self, ends: Ends) -> None:
        ends.shake()
        ends.client.write(b"x")
        assert ends.client.flush(BOTH, BEV_FLUSH) is True
        turn(ends.base)
        assert ends.server_ear.data == b"x"

    def test_a_flood_of_tiny_records(self, wired: Wire) -> None:
        ends = wired.shake()
        ends.client.set_watermark(EV_READ, high=100)
        ends.client_ear.takes = False
        for _ in range(3000):
            ends.server.write(b"x")
            ends.server.flush_output()
        turn(wired.base)
        flood, wired.server.sent = wired.server.sent, b""
        assert len(records(flood)) == 3000
        wired.client.arrive(flood)
        turn(wired.base)
        assert len(ends.client.input) == 100
        assert not wired.client.reads()
        assert ends.client_ear.take() == ["read"]
        ends.client_ear.takes = True
        ends.client.input.clear()
        turn(wired.base)
        assert len(ends.client_ear.data) == 2900

    @pytest.mark.parametrize("end", [False, True])
    def test_much_that_is_no_data(self, fakes: FakeBase, certificates: Certificates, *, end: bool) -> None:
        """Tickets of TLS 1.3, of which a server may send as many as it likes."""
        server = certificates.server()
        server.num_tickets = 200
        wire = Wire(fakes.base, certificates, ssl.TLSVersion.TLSv1_3, context=server)
        ends = wire.ends
        ends.client.enable(EV_READ)
        while not ends.server_ear.heard:
            for source, target in ((wire.client, wire.server), (wire.server, wire.client)):
                turn(fakes.base)
                if not ends.server_ear.heard:
                    data, source.sent = source.sent, b""
                    target.arrive(data)
        ends.server.write(b"data")
        turn(fakes.base)
        assert len(wire.server.sent) > 40_000
        ends.client.disable(EV_READ)
        wire.client.input.feed(wire.server.sent)  # it was under way
        if end:
            wire.client.arrive_end()
        ends.client.enable(EV_READ)
        turn(fakes.base)
        assert ends.client_ear.heard[:2] == ["CONNECTED", "read 4"]
        assert len(ends.client_ear.heard) == 2 + end
        ends.close()

    def test_a_flood_of_empty_records(self, fakes: FakeBase, certificates: Certificates) -> None:
        wire = Wire(fakes.base, certificates, ssl.TLSVersion.TLSv1_3)
        ends = wire.shake()
        wire.client.arrive(
            b"\x14\x03\x03\x00\x01\x01" * 10_000
        )  # change_cipher_spec, which means nothing any more
        turn(fakes.base)
        assert len(ends.client_ear.heard) == 1
        assert ends.client_ear.heard[0].startswith("READING|ERROR read: TLS: ")
        ends.close()

    def test_nobody_who_reads_nothing_is_listened_to(self, wired: Wire) -> None:
        ends = wired.shake()
        wired.client.room = 0
        wired.client.output.add(bytes(1 << 20))  # which are no answers
        listened = 0
        while wired.client.reads():
            # What answers a peer's messages is not the user's to hold back, so reading stops instead.
            ends.client._session.outgoing.write(bytes(10_000))
            ends.server.write(b"a message")
            turn(wired.base)
            message, wired.server.sent = wired.server.sent, b""
            wired.client.arrive(message)
            listened += 1
        assert listened == 7  # more than 64 KB
        wired.client.take(None)
        assert wired.client.reads()
        wired.client.room = 0
        ends.client._session.outgoing.write(bytes(10_000))
        ends.client.write(b"x")
        turn(wired.base)
        assert wired.client.reads()  # it begins anew

    def test_nobody_is_deaf_who_has_much_to_send(
        self, base: EventBase, pair: Pair, certificates: Certificates
    ) -> None:
        """Both send more than all buffers between them hold, so each must read while it sends."""
        ends = over(SocketBufferEvent(base, pair[0]), SocketBufferEvent(base, pair[1]), certificates)
        ends.shake()
        data = bytes(8 << 20)
        for end in (ends.client, ends.server):
            end.write(data)
            end.flush(EV_WRITE, BEV_FLUSH)  # whatever the marks say
        until(base, lambda: len(ends.client_ear.data) == len(ends.server_ear.data) == len(data))
        assert ends.client_ear.data == data
        ends.close()

    def test_holds_no_more_than_a_record_either_way(self, wired: Wire) -> None:
        """OpenSSL's buffers never shrink: what is in them at once is what a quiet connection keeps."""
        ends = wired.shake()
        out = ends.client._session.outgoing = Counted(ends.client._session.outgoing)  # type: ignore[assignment]  # all of it that is used
        into = ends.server._session.incoming = Counted(ends.server._session.incoming)  # type: ignore[assignment]  # as above
        data = os.urandom(1 << 20)
        ends.client.write(data)
        wired.carry(rounds=30)
        assert ends.server_ear.data == data
        for counted in (out, into):
            assert 1 << 14 < counted.most <= (1 << 14) + 2048 + 5  # RFC 5246 §6.2.3

    def test_a_whole_record_is_asked_for_once(self, wired: Wire) -> None:
        """Nor is OpenSSL asked whether it has more: it cannot have."""
        ends = wired.shake()
        asked = ends.server._session.ssl_object = Asked(ends.server.ssl_object)  # type: ignore[assignment]  # all of it that is used
        for data in (b"one", b"two"):
            ends.client.write(data)
            wired.carry()
        assert ends.server_ear.data == b"onetwo"
        assert asked.names == ["read", "read"]

    def test_what_a_goodbye_reads_ahead_comes_at_once(self, wired: Wire) -> None:
        """It ends nothing that the peer says, and nothing of that waits for more to come."""
        ends = wired.shake()
        ends.server.disable(EV_READ)
        for data in (b"one", b"two", b"three"):
            ends.client.write(data)
            turn(wired.base)
        wired.server.input.feed(wired.client.sent)  # it was under way
        wired.client.sent = b""
        ends.server.shutdown_write()
        turn(wired.base)
        ends.server.enable(EV_READ)
        turn(wired.base)
        assert ends.server_ear.data == b"onetwothree"

    def test_what_comes_in_the_middle_of_reading(self, wired: Wire) -> None:
        ends = wired.shake()
        sent = []
        for data in (b"one", b"two"):
            ends.client.write(data)
            turn(wired.base)
            sent.append(wired.client.sent)
            wired.client.sent = b""

        def arrive(_buffer: object, _info: object) -> None:
            if sent:
                wired.server.input.feed(sent.pop())

        first = sent.pop(0)
        ends.server.input.add_callback(arrive)
        wired.server.arrive(first)
        turn(wired.base)
        assert ends.server_ear.data == b"onetwo"

    def test_a_goodbye_in_the_middle_of_reading(self, wired: Wire) -> None:
        """Of a callback on the input: what is read ahead behind its back is no less there."""
        ends = wired.shake()
        for data in (bytes(16_000), b"two", b"three"):
            ends.client.write(data)
            ends.client.flush_output()
        turn(wired.base)
        ends.server.input.add_callback(lambda _buffer, _info: ends.server.shutdown_write())
        wired.server.arrive(wired.client.sent + b"")
        turn(wired.base)
        assert ends.server_ear.data == bytes(16_000) + b"twothree"

    def test_a_write_that_must_wait_for_the_peer(self, wired: Wire) -> None:
        """As in a renegotiation of TLS 1.2; OpenSSL wants the same bytes again."""
        ends = wired.shake()
        real = ends.client.ssl_object
        blocked = Blocked(real)
        ends.client._session.ssl_object = blocked  # type: ignore[assignment]  # all of it that is used
        ends.client.disable(EV_READ)
        ends.client.write(b"abc")
        turn(wired.base)
        assert (blocked.sizes, wired.client.sent) == ([3], b"")
        assert wired.client.reads()  # though the user does not
        ends.client.write(b"defgh")
        ends.client.close_when_drained()
        turn(wired.base)
        assert (blocked.sizes, ends.client.closed) == ([3], False)
        ends.server.write(b"what it waited for")
        blocked.blocks = False
        wired.carry()
        assert blocked.sizes == [3, 3, 5]
        assert ends.server_ear.data == b"abcdefgh"
        assert ends.client.closed
        assert ends.server_ear.heard[-1] == "READING|EOF"

    @pytest.mark.parametrize("how", ["goodbye", "end", "reset"])
    def test_a_write_that_waits_for_a_peer_that_ends(self, wired: Wire, how: str) -> None:
        ends = wired.shake()
        ends.client._session.ssl_object = Blocked(ends.client.ssl_object)  # type: ignore[assignment]  # as above
        ends.client.write(b"abc")
        if how != "goodbye":
            ends.client.disable(EV_READ)
        turn(wired.base)
        if how == "goodbye":
            ends.server.shutdown_write()
            wired.carry()
            assert ends.client_ear.heard.pop(0) == "READING|EOF"
        elif how == "end":
            wired.client.arrive_end()
        else:
            wired.client._failed(EV_READ, BEV_EVENT_READING | BEV_EVENT_ERROR, ConnectionResetError())
        assert ends.client_ear.heard == [
            "WRITING|ERROR write: the peer has ended the stream in a renegotiation"
        ]

    def test_time_outs_begin_after_the_handshake(
        self,
        manual_base: EventBase,
        clock: ManualClock,
        certificates: Certificates,
    ) -> None:
        ends = over(*PairBufferEvent.pair(manual_base), certificates)
        ends.client.set_timeouts(read=5)
        ends.shake()
        clock.advance(5)
        turn(manual_base)
        assert ends.client_ear.heard == ["READING|TIMEOUT read: timed out after 5 s"]
        ends.close()


class Counted:
    """A ``MemoryBIO``, and the most that was ever in it."""

    def __init__(self, real: ssl.MemoryBIO) -> None:
        self.real = real
        self.most = 0

    @property
    def pending(self) -> int:
        return self.real.pending

    def write(self, data: memoryview) -> int:
        size = self.real.write(data)
        self.most = max(self.most, self.pending)
        return size

    def read(self) -> bytes:
        self.most = max(self.most, self.pending)
        return self.real.read()


class Asked:
    """An ``SSLObject``, and the names of what was asked of it."""

    def __init__(self, real: ssl.SSLObject) -> None:
        self.real = real
        self.names: list[str] = []

    def __getattr__(self, name: str) -> object:
        self.names.append(name)
        return getattr(self.real, name)


class Blocked:
    """An ``SSLObject`` whose writes have to wait."""

    def __init__(self, real: ssl.SSLObject) -> None:
        self.real = real
        self.blocks = True
        self.sizes: list[int] = []

    def write(self, data: memoryview) -> int:
        self.sizes.append(len(data))
        if self.blocks:
            raise ssl.SSLWantReadError
        return self.real.write(data)

    def __getattr__(self, name: str) -> object:
        return getattr(self.real, name)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    writes=st.lists(st.binary(max_size=2000), max_size=6),
    size=st.one_of(st.none(), st.integers(1, 3000)),
    high=st.one_of(st.none(), st.integers(1, 3000)),
    version=st.sampled_from(VERSIONS),
)
def test_no_split_changes_what_comes_out(
    certificates: Certificates,
    *,
    writes: list[bytes],
    size: int | None,
    high: int | None,
    version: ssl.TLSVersion,
) -> None:
    with base_with_fakes().base as base:
        wire = Wire(base, certificates, version)
        wire.carry(size)
        ends = wire.ends.shake()
        ends.server.set_watermark(EV_READ, high=high)
        for data in writes:
            ends.client.write(data)
        ends.client.shutdown_write()
        turn(base)
        for piece in chunks(wire.client.sent, size or 1 << 30):
            if wire.server.reads():
                wire.server.arrive(piece)
            turn(base)
        assert ends.server_ear.data == b"".join(writes)
        assert [what for what in ends.server_ear.heard if not what.startswith("read")] == ["READING|EOF"]
        ends.close()
