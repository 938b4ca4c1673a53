"""How every buffered connection ends, shown by a transport that only notes what it is told."""

from collections.abc import Iterator

import pytest

from below import Noted
from evkit.core.buffer import Buffer
from evkit.core.bufferevent import BufferEvent
from evkit.core.flags import (
    BEV_EVENT_CONNECTED,
    BEV_EVENT_EOF,
    BEV_EVENT_ERROR,
    BEV_EVENT_READING,
    BEV_EVENT_WRITING,
    EV_READ,
    EV_WRITE,
)
from evkit.testing import base_with_fakes

BOTH = EV_READ | EV_WRITE


@pytest.fixture
def bev() -> Iterator[Noted]:
    with base_with_fakes().base as base:
        yield Noted(base)


class TestClosing:
    def test_close_stops_everything_once(self, bev: Noted) -> None:
        bev.close()
        bev.close()
        assert bev.closed
        assert bev.take_log() == ["close"]

    def test_no_callback_runs_after_it(self, bev: Noted) -> None:
        heard: list[object] = []
        bev.set_callbacks(heard.append, heard.append, lambda _bev, what: heard.append(what))
        bev.close()
        bev._call_event(BEV_EVENT_ERROR)
        assert not heard

    def test_writing_to_it_is_harmless(self, bev: Noted) -> None:
        bev.close()
        bev.write(b"x")
        bev.base.dispatch()
        assert bev.flushes == 0

    def test_what_is_written_to_it_is_dropped_at_once(self, bev: Noted) -> None:
        freed: list[object] = []
        bev.close()
        for write in (
            lambda: bev.write(b"x"),
            lambda: bev.output.add_iovec([b"x", b"y"]),
            lambda: bev.output.add_buffer(Buffer(b"x")),
            lambda: bev.output.add_reference(b"x", freed.append),
        ):
            write()
            assert not bev.output
        assert freed == [b"x"]
        bev.output.reserve(3)[:] = b"abc"
        bev.output.commit(3)
        assert not bev.output

    def test_callbacks_on_the_buffer_hear_of_both(self, bev: Noted) -> None:
        bev.close()
        changes: list[tuple[int, int]] = []
        bev.output.add_callback(lambda _buffer, info: changes.append((info.added, info.deleted)))
        bev.write(b"abc")
        assert sorted(changes) == [(0, 3), (3, 0)]

    def test_what_on_close_writes_is_dropped_too(self, bev: Noted) -> None:
        bev.on_close = lambda bev: bev.write(b"too late")
        bev.close()
        assert not bev.output

    def test_when_drained_with_nothing_to_send(self, bev: Noted) -> None:
        bev.close_when_drained()
        assert bev.closed

    @pytest.mark.parametrize(
        ("what", "closed"),
        [
            (BEV_EVENT_CONNECTED, False),
            (BEV_EVENT_ERROR | BEV_EVENT_WRITING, True),
            (BEV_EVENT_EOF | BEV_EVENT_READING, True),
        ],
    )
    def test_when_drained_ends_with_an_error(self, bev: Noted, what: int, *, closed: bool) -> None:
        bev.write(b"x")
        bev.close_when_drained()
        assert not bev.closed
        bev._call_event(what)
        assert bev.closed is closed

    def test_when_drained_reads_no_more_and_writes_though_it_was_disabled(self, bev: Noted) -> None:
        bev.enable(EV_READ)
        bev.disable(EV_WRITE)
        bev.write(b"x")
        bev.close_when_drained()
        assert bev.enabled == EV_WRITE


def test_transports_must_be_complete(bev: Noted) -> None:
    bare = BufferEvent(bev.base)
    with pytest.raises(NotImplementedError):
        bare.enable(EV_READ)
    with pytest.raises(NotImplementedError):
        bare.disable(EV_READ)
    for call in (bare.set_timeouts, bare.flush_output, bare.close):
        with pytest.raises(NotImplementedError):
            call()
