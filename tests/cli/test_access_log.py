"""The access log: what a line looks like, that none can be forged, and when lines are written."""

import os
import re
import time
from collections.abc import Iterator
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evkit.cli.access_log import AccessLog, escape, file_writer, host_of, line, stamp
from evkit.core import EventBase
from evkit.http import BadRequest, Request, Server
from evkit.testing import FakeBase

CLF = re.compile(r'\S+ - - \[[^\]"]+\] "([^"\\]|\\x[0-9A-F]{2})*" [0-9]{3} ([0-9]+|-) ([0-9]+\.[0-9]{3}|-)')


class Asked:
    """What the log sees of a request; it is answered as a `Request` is, but nothing is sent."""

    method = "GET"
    target = "/a"
    version = (1, 1)

    def __init__(self, server: Server) -> None:
        self.server = server
        self.peer = "192.0.2.7:40000"
        self.status = self.reply_size = 0
        self.started_at = server.base.now()

    def send_reply(self, status: int, body: bytes) -> None:
        self.status = status
        self.reply_size = len(body)
        if self.server.on_complete is not None:
            self.server.on_complete(cast(Request, self))


def ask(server: Server) -> Request:
    return cast(Request, Asked(server))


class Written:
    """Where lines go; fails on demand."""

    def __init__(self) -> None:
        self.writes: list[bytes] = []
        self.error: OSError | None = None

    def __call__(self, data: bytes) -> None:
        if self.error is not None:
            raise self.error
        self.writes.append(data)


@pytest.fixture
def written() -> Written:
    return Written()


@pytest.fixture
def log(fakes: FakeBase, written: Written) -> AccessLog:
    return AccessLog(fakes.base, written)


@pytest.fixture
def server(fakes: FakeBase, log: AccessLog) -> Server:
    server = Server(fakes.base)
    log.watch(server)
    return server


@pytest.fixture
def berlin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3")
        time.tzset()
        yield
    time.tzset()


def answer(request: Request) -> None:
    request.send_reply(200, b"hello")


def test_the_format_is_apaches() -> None:
    when = "10/Oct/2000:13:55:36 -0700"
    assert line("127.0.0.1:5", when, "GET /apache_pb.gif HTTP/1.0", 200, 2326, 0.0012344) == (
        '127.0.0.1 - - [10/Oct/2000:13:55:36 -0700] "GET /apache_pb.gif HTTP/1.0" 200 2326 1.234'
    )
    assert line("", when, "", 400, 0, None) == '- - - [10/Oct/2000:13:55:36 -0700] "-" 400 - -'


@pytest.mark.parametrize(
    ("peer", "host"),
    [
        ("192.0.2.1:51234", "192.0.2.1"),
        ("[::1]:51234", "::1"),
        ("unix:", "unix:"),
        ('unix:/tmp/x" 200 1\nforged', "unix:"),
        ("", "-"),
    ],
)
def test_clients(peer: str, host: str) -> None:
    assert host_of(peer) == host


def test_times_have_their_zone(berlin: None) -> None:
    assert stamp(0) == "01/Jan/1970:01:00:00 +0100"
    assert stamp(1_700_000_000) == "14/Nov/2023:23:13:20 +0100"
    assert stamp(1_690_000_000) == "22/Jul/2023:06:26:40 +0200"


def test_zones_west_of_greenwich(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "NST3:30")
        time.tzset()
        assert stamp(0) == "31/Dec/1969:20:30:00 -0330"
    time.tzset()


def test_what_could_end_a_line_or_a_quote_is_escaped() -> None:
    assert escape("GET /a?b=c&d%20") == "GET /a?b=c&d%20"
    assert escape('"\\\r\n\t\x00\x7f\x1b') == r"\x22\x5C\x0D\x0A\x09\x00\x7F\x1B"
    assert escape("é\udcff") == r"\xC3\xA9\xFF"


@given(
    st.text(st.characters(codec=None, exclude_categories=()), max_size=40).filter(
        lambda text: not any(0xD800 <= ord(char) < 0xDC80 or 0xDCFF < ord(char) < 0xE000 for char in text)
    ),
    st.integers(100, 999),
)
def test_no_request_can_forge_a_line(request_line: str, status: int) -> None:
    text = line("192.0.2.1:1", "01/Jan/1970:00:00:00 +0000", request_line, status, 7, 0.001)
    assert CLF.fullmatch(text)


def test_a_reply_is_a_line_with_its_duration(
    fakes: FakeBase, log: AccessLog, server: Server, written: Written
) -> None:
    request = ask(server)
    fakes.clock.advance(0.25)
    request.send_reply(201, b"1234567")
    assert written.writes == []
    log.flush()
    (data,) = written.writes
    assert data.startswith(b"192.0.2.7 - - [")
    assert data.endswith(b'] "GET /a HTTP/1.1" 201 7 250.000\n')


def test_a_refusal_is_a_line(log: AccessLog, server: Server, written: Written) -> None:
    assert server.on_refused is not None
    server.on_refused("192.0.2.9:1", BadRequest(431, "too many fields"))
    log.flush()
    assert written.writes[0].startswith(b"192.0.2.9 - - [")
    assert written.writes[0].endswith(b'] "-" 431 - -\n')


def test_lines_are_written_when_the_loop_gets_idle(
    fakes: FakeBase, log: AccessLog, server: Server, written: Written
) -> None:
    fakes.base.timer(lambda event, what: [answer(ask(server)) for _ in range(3)]).add(1)
    fakes.base.timer(lambda event, what: None).add(2)
    fakes.base.dispatch()
    assert [data.count(b"\n") for data in written.writes] == [3]


def test_a_busy_loop_gathers_a_bounded_amount(log: AccessLog, server: Server, written: Written) -> None:
    for _ in range(2000):
        answer(ask(server))
    assert len(written.writes) >= 2
    assert all(len(data) < 80_000 for data in written.writes)
    log.close()
    assert b"".join(written.writes).count(b"\n") == 2000


def test_a_full_disk_is_told_once_and_no_reply_fails(
    log: AccessLog, server: Server, written: Written, capfd: pytest.CaptureFixture[str]
) -> None:
    written.error = OSError(28, "No space left on device")
    for _ in range(2):
        answer(ask(server))
        log.flush()
    assert capfd.readouterr().err.count("No space left on device") == 1
    written.error = None
    answer(ask(server))
    log.flush()
    assert written.writes[0].count(b"\n") == 1


def test_after_the_end_the_loop_does_not_write(
    fakes: FakeBase, log: AccessLog, server: Server, written: Written
) -> None:
    log.close()
    answer(ask(server))
    fakes.base.timer(lambda event, what: None).add(1)
    fakes.base.dispatch()
    assert written.writes == []


def test_the_writer_writes_all_of_it_to_a_slow_pipe() -> None:
    reader, writer = os.pipe()
    data = os.urandom(300_000)
    received: list[bytes] = []
    os.set_blocking(reader, False)
    # One process at both ends: what os.write can't take at once is read in between.
    real = os.write

    def write(fd: int, view: memoryview) -> int:
        count = real(fd, view[:50_000])
        received.append(os.read(reader, 65536))
        return count

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "write", write)
        file_writer(writer)(data)
    os.close(writer)
    os.close(reader)
    assert b"".join(received) == data


def test_the_hooks_stay_off_a_server_without_log() -> None:
    with EventBase() as base:
        server = Server(base)
        assert server.on_complete is None
        assert server.on_refused is None
