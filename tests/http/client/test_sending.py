"""`evkit.http.client.sending`: a body goes out when it is welcome, as there is room, and not after its end."""

from collections.abc import Iterator
from typing import Any

import pytest

from evkit.core import EV_WRITE, EventBase, PairBufferEvent
from evkit.core.config import EventConfig
from evkit.core.flags import BASE_IGNORE_ENV, COUNT_ADDED, EVLOOP_NONBLOCK
from evkit.http.client.sending import Sending
from evkit.http.client.upload import ROOM, Upload, as_upload
from evkit.testing import ManualClock

HEAD = b"PUT / HTTP/1.1\r\n\r\n"


class Setting:
    """A connection with a head in its output, that takes nothing until it is told to."""

    def __init__(self, base: EventBase) -> None:
        self.base = base
        self.bev, self.other = PairBufferEvent.pair(base)
        self.bev.disable(EV_WRITE)
        self.heard: list[object] = []

    def sent(self) -> None:
        self.heard.append("sent")

    def unsendable(self, error: Exception) -> None:
        self.heard.append(type(error))

    def sending(self, body: Any) -> Sending:
        self.bev.output.add(HEAD)
        upload: Upload = as_upload(body)
        upload.begin()
        sending = Sending(self.bev, upload, self)
        self.bev.set_callbacks(write=sending.on_drained)
        return sending

    def drain(self) -> bytes:
        """Let everything out."""
        self.bev.enable(EV_WRITE)
        self.other.enable(2)
        self.base.loop(EVLOOP_NONBLOCK)
        return self.other.input.remove()


@pytest.fixture(name="setting")
def make_setting() -> Iterator[Setting]:
    with EventBase(EventConfig(flags=BASE_IGNORE_ENV), clock=ManualClock()) as base:
        setting = Setting(base)
        yield setting
        setting.bev.close()
        setting.other.close()


def test_a_body_at_once(setting: Setting) -> None:
    sending = setting.sending(b"hello")
    assert repr(sending) == "<Sending open>"
    sending.go_on()
    assert (sending.complete, sending.untouched) == (True, True)
    assert setting.heard == []  # not while it is in the output
    assert setting.drain() == HEAD + b"hello"
    assert setting.heard == ["sent"]
    assert not sending.untouched
    assert repr(sending) == "<Sending complete>"


def test_a_body_in_pieces(setting: Setting) -> None:
    sending = setting.sending(bytes(1000) for _ in range(200))
    sending.go_on()
    assert not sending.complete
    assert len(setting.bev.output) < ROOM + 2000
    assert not sending.untouched  # a generator can't be asked twice
    assert len(setting.drain()) > 200_000
    assert (sending.complete, setting.heard) == (True, ["sent"])


def test_what_has_gone_out_is_touched(setting: Setting) -> None:
    sending = setting.sending(b"hello")
    sending.await_word(1.0)
    assert sending.untouched
    setting.drain()
    assert not sending.untouched
    setting.bev.disable(EV_WRITE)
    sending.welcome()  # and more of it does not hide that
    assert len(setting.bev.output) == 5
    assert not sending.untouched


def test_what_waits_in_the_output_is_untouched(setting: Setting) -> None:
    sending = setting.sending([b"a" * ROOM, b"b"])
    sending.go_on()
    assert sending.untouched


@pytest.mark.parametrize("word", ["welcome", "silence"])
def test_it_waits_for_the_server_s_word(setting: Setting, word: str) -> None:
    sending = setting.sending(b"hello")
    sending.await_word(1.0)
    assert repr(sending) == "<Sending open waits>"
    assert setting.drain() == HEAD
    assert setting.heard == []
    if word == "welcome":
        sending.welcome()
        sending.welcome()  # once more means nothing
    else:
        setting.base.clock.advance(1.0)  # type: ignore[attr-defined]  # it is one that is moved by hand
    assert setting.drain() == b"hello"
    assert setting.heard == ["sent"]
    assert setting.base.num_events(COUNT_ADDED) == 0


def test_a_response_while_it_waits(setting: Setting) -> None:
    sending = setting.sending(b"hello")
    sending.await_word(1.0)
    sending.answered()
    setting.base.clock.advance(5.0)  # type: ignore[attr-defined]  # as above
    sending.welcome()
    assert setting.drain() == HEAD
    assert (sending.complete, setting.heard) == (False, [])


def test_a_response_before_all_was_sent_stops_nothing(setting: Setting) -> None:
    sending = setting.sending([b"a" * ROOM, b"b"])
    sending.go_on()
    sending.answered()
    assert setting.drain().endswith(b"1\r\nb\r\n0\r\n\r\n")
    assert setting.heard == ["sent"]


@pytest.mark.parametrize("waits", [True, False])
def test_stopped(setting: Setting, waits: bool) -> None:
    sending = setting.sending([b"a" * ROOM, b"b"])
    if waits:
        sending.await_word(1.0)
    else:
        sending.go_on()
    sending.stop()
    setting.base.clock.advance(5.0)  # type: ignore[attr-defined]  # as above
    assert b"b" not in setting.drain().partition(b"aaa")[2]
    assert (sending.complete, setting.heard) == (False, [])
    assert setting.base.num_events(COUNT_ADDED) == 0


def broken(_made: list[Sending]) -> Iterator[bytes]:
    yield b"a"
    raise ZeroDivisionError


def stopping(made: list[Sending]) -> Iterator[bytes]:
    made[0].stop()
    yield b"a"


@pytest.mark.parametrize(("body", "heard"), [(broken, [ZeroDivisionError]), (stopping, [])])
def test_a_body_that_ends_it(setting: Setting, body: Any, heard: list[type[Exception]]) -> None:
    made: list[Sending] = []
    made.append(setting.sending(body(made)))
    made[0].go_on()
    setting.drain()
    assert setting.heard == heard
    assert not made[0].complete
