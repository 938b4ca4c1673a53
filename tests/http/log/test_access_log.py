"""The access log: a line for each request, when lines are written, and what happens if they can't be."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from evkit.core import EVLOOP_NO_EXIT_ON_EMPTY, EventBase, EventConfig, Watcher
from evkit.core.watch import WatcherCallback
from evkit.http import BadRequest, Proxies, Request, Server
from evkit.http.log.access_log import AccessLog
from evkit.http.log.file import LogFile
from evkit.http.log.format import LogFormat
from evkit.testing import FakeBase, ManualClock
from http_handlers import Later
from http_server_aids import Site, both_engines, get, request

ASKED = '{method} {target} {status} {size} {aborted} "{reason}" "{request[user-agent]}"'


class Written:
    """Where lines go; fails on demand."""

    def __init__(self) -> None:
        self.writes: list[bytes] = []
        self.error: Exception | None = None

    def __call__(self, data: bytes) -> None:
        if self.error is not None:
            raise self.error
        self.writes.append(data)

    def lines(self) -> list[str]:
        """Take all lines."""
        data = b"".join(self.writes).decode()
        self.writes.clear()
        assert not data or data.endswith("\n")
        return data.splitlines()


@pytest.fixture
def written() -> Written:
    return Written()


def a_request(target: str = "/a") -> Request:
    request = Request("GET", target, 1, "a", 0, True, False, b"Host: a\r\n")
    request.peer = "192.0.2.7:40000"
    request.status = 200
    request.reply_size = 5
    return request


def hello(request: Request) -> None:
    request.send_reply(200, b"hello")


# Of a server


@both_engines
def test_each_request_is_a_line(base: EventBase, engine: str, written: Written) -> None:
    with Site(engine, base=base) as site, AccessLog(base, written, ASKED) as log:
        log.watch(site.server)
        site.server.set_cb("/a", hello)
        client = site.client()
        client.ask(get("/a?b", "User-Agent: me"))
        client.ask(request("HEAD", "/a"), "HEAD")
        client.ask(get("/none"))
        site.settle()
        log.flush()
        assert written.lines() == [
            'GET /a?b 200 5 false "-" "me"',
            'HEAD /a 200 - false "-" "-"',
            'GET /none 404 14 false "-" "-"',
        ]


def test_the_client_of_a_proxy_is_in_its_line(base: EventBase, written: Written) -> None:
    with Site(base=base, proxies=Proxies(["127.0.0.1"])) as site, AccessLog(base, written, "common") as log:
        log.watch(site.server)
        site.server.set_gencb(hello)
        site.client().ask(get("/a", "X-Forwarded-For: 192.0.2.7"))
        site.settle()
        log.flush()
        (line,) = written.lines()
        assert line.startswith("192.0.2.7 - - [")


@both_engines
def test_a_refused_request_is_a_line(base: EventBase, engine: str, written: Written) -> None:
    with Site(engine, base=base) as site, AccessLog(base, written, "{peer} {status} {reason}") as log:
        log.watch(site.server)
        client = site.client()
        client.ask(b'GET /"\nforged HTTP/1.1\r\n\r\n')
        peer = "{}:{}".format(*client.socket.getsockname())
        site.settle()
        log.flush()
        (line,) = written.lines()
        assert line.startswith(f"{peer} 400 ")
        assert len(line) > len(f"{peer} 400 ")


def test_a_head_that_takes_too_long_is_a_line(written: Written) -> None:
    clock = ManualClock()
    with Site(clock=clock) as site, AccessLog(site.base, written, "timed") as log:
        log.watch(site.server)
        client = site.client()
        client.send(b"GET / HT")
        clock.advance(site.server.timeouts.header or 0)
        site.settle()
        log.flush()
        (line,) = written.lines()
        assert re.fullmatch(r'127\.0\.0\.1 - - \[[^]]*\] "-" 408 - -', line)
        assert client.reply().status == 408


def test_a_body_that_is_too_long_is_a_line(written: Written) -> None:
    with Site(max_body=3) as site, AccessLog(site.base, written, ASKED) as log:
        log.watch(site.server)
        site.server.set_gencb(hello)
        assert site.client().ask(request("PUT", "/big", body=b"1234")).status == 413
        site.settle()
        log.flush()
        (line,) = written.lines()
        assert line.startswith("PUT /big 413 ")


def test_a_reply_that_was_cut_off_is_a_line(written: Written) -> None:
    with Site() as site, AccessLog(site.base, written, ASKED) as log:
        log.watch(site.server)
        later = Later()
        site.server.set_gencb(later)
        client = site.client()
        client.send(get())
        later.requests[0].send_reply_start(200)
        later.requests[0].send_reply_chunk(b"abc")
        client.reset()
        site.settle()
        log.flush()
        assert written.lines() == ['GET / 200 3 true "-" "-"']


def test_a_request_without_any_reply_is_a_line(written: Written) -> None:
    with Site() as site, AccessLog(site.base, written, ASKED) as log:
        log.watch(site.server)
        later = Later()
        site.server.set_gencb(later)
        client = site.client()
        client.send(get("/left"))
        client.reset()
        site.settle()
        log.flush()
        assert written.lines() == ['GET /left - - true "-" "-"']


def test_one_client_too_many_is_a_line(written: Written) -> None:
    with Site(max_connections=0) as site, AccessLog(site.base, written, "{status} {reason}") as log:
        log.watch(site.server)
        assert site.client().reply().status == 503
        log.flush()
        (line,) = written.lines()
        assert line.startswith("503 too many connections")


def test_into_a_file(tmp_path: Path) -> None:
    with Site() as site:
        with LogFile(tmp_path / "log") as file, AccessLog(site.base, file.write, "json") as log:
            log.watch(site.server)
            site.server.set_gencb(hello)
            client = site.client()
            client.ask(get("/a", "User-Agent: \xc3\xa9\xff"))
            client.ask(get("/b"))
        lines = [json.loads(line) for line in (tmp_path / "log").read_bytes().splitlines()]
    assert [(line["target"], line["user_agent"]) for line in lines] == [("/a", "é\\xff"), ("/b", None)]


# When


def complete(log: AccessLog, count: int) -> None:
    for _ in range(count):
        log.complete(a_request())


def run_until_idle(base: EventBase) -> None:
    """Run the loop until it would wait."""

    def leave(watcher: Watcher, timeout: float | None) -> None:
        if timeout != 0:
            base.call_soon_threadsafe(base.loopbreak)

    base.prepare(leave)
    base.loop(EVLOOP_NO_EXIT_ON_EMPTY)


def test_lines_are_written_before_the_loop_waits(base: EventBase, written: Written) -> None:
    with AccessLog(base, written) as log:
        base.call_soon(complete, log, 3)
        run_until_idle(base)
        assert [data.count(b"\n") for data in written.writes] == [3]


def test_lines_are_written_when_the_loop_gets_idle(fakes: FakeBase, written: Written) -> None:
    with AccessLog(fakes.base, written) as log:
        fakes.base.timer(lambda _event, _what: complete(log, 3)).add(1)
        fakes.base.timer(lambda _event, _what: None).add(2)
        fakes.base.dispatch()
        assert [data.count(b"\n") for data in written.writes] == [3]


def test_lines_wait_while_callbacks_are_due(config: Callable[..., EventConfig], written: Written) -> None:
    with EventBase(config(max_dispatch_callbacks=1)) as base, AccessLog(base, written) as log:
        polls: list[float | None] = []
        base.prepare(lambda _watcher, timeout: polls.append(timeout))
        for _ in range(3):
            base.call_soon(log.complete, a_request())
        run_until_idle(base)
        assert polls.count(0) >= 3
        assert [data.count(b"\n") for data in written.writes] == [3]


def test_a_busy_loop_gathers_a_bounded_amount(fakes: FakeBase, written: Written) -> None:
    with AccessLog(fakes.base, written) as log:
        for _ in range(2000):
            log.complete(a_request())
        assert 2 <= len(written.writes) < 10
        assert all(len(data) < 70_000 for data in written.writes)
        log.complete(a_request("/" + "x" * 100_000))
        assert len(written.writes[-1]) > 100_000
    assert len(written.lines()) == 2001


def test_the_pass_may_be_long_and_the_duration_is_right(fakes: FakeBase, written: Written) -> None:
    with AccessLog(fakes.base, written, "{duration_ms}") as log:
        request = a_request()
        request.started_at = fakes.base.now()
        fakes.clock.advance(0.25)
        log.complete(request)
    assert written.lines() == ["250.000"]


# Trouble


def test_what_fails_is_told_once_and_lines_are_counted(written: Written) -> None:
    escaped: list[tuple[BaseException, object]] = []
    with EventBase() as base, AccessLog(base, written) as log:
        base.exception_handler = lambda exception, source: escaped.append((exception, source))
        written.error = OSError(28, "No space left on device")
        for _ in range(2):
            log.complete(a_request())
            log.complete(a_request())
            log.flush()
        assert escaped == [(written.error, log)]
        assert log.lost == 4
        assert repr(log) == "<AccessLog waiting=0 lost=4>"
        written.error = None
        log.complete(a_request())
        log.flush()
        assert len(written.lines()) == 1
        written.error = ValueError("not even an OSError")
        log.complete(a_request())
        log.flush()
        assert [exception for exception, _ in escaped[1:]] == [written.error]
        assert log.lost == 5


def test_lines_that_come_while_others_are_written(fakes: FakeBase) -> None:
    """Whatever takes the lines may cause more of them."""
    taken: list[bytes] = []

    def write(data: bytes) -> None:
        taken.append(data)
        if len(taken) == 1:
            log.complete(a_request("/b"))

    with AccessLog(fakes.base, write, "{target}") as log:
        log.complete(a_request())
        log.flush()
        assert taken == [b"/a\n"]
        assert repr(log) == "<AccessLog waiting=1 lost=0>"
    assert taken == [b"/a\n", b"/b\n"]


def test_after_the_end_nothing_is_written(
    fakes: FakeBase, written: Written, monkeypatch: pytest.MonkeyPatch
) -> None:
    watchers: list[Watcher] = []
    real = EventBase.prepare

    def prepare(base: EventBase, callback: WatcherCallback) -> Watcher:
        watchers.append(real(base, callback))
        return watchers[-1]

    with monkeypatch.context() as patch:
        patch.setattr(EventBase, "prepare", prepare)
        log = AccessLog(fakes.base, written)
    log.complete(a_request())
    log.close()
    assert len(written.lines()) == 1
    log.complete(a_request())
    log.refused("192.0.2.1:1", BadRequest(400, "x"))
    log.close()
    fakes.base.timer(lambda _event, _what: None).add(1)
    fakes.base.dispatch()
    assert written.writes == []
    assert repr(log) == "<AccessLog closed lost=0>"
    assert [repr(watcher).endswith(" closed>") for watcher in watchers] == [True]


# Making one


def test_a_format_may_be_ready_made(fakes: FakeBase, written: Written) -> None:
    with AccessLog(fakes.base, written, LogFormat("{target}")) as log:
        log.complete(a_request())
    assert written.lines() == ["/a"]


def test_the_format_is_apaches_if_nothing_else_is_said(fakes: FakeBase, written: Written) -> None:
    with AccessLog(fakes.base, written) as log:
        log.complete(a_request())
    (line,) = written.lines()
    assert re.fullmatch(r'192\.0\.2\.7 - - \[[^]]+\] "GET /a HTTP/1\.1" 200 5', line)


def test_a_wrong_format_is_an_error_and_leaves_nothing(fakes: FakeBase, written: Written) -> None:
    with pytest.raises(ValueError, match=r"knows no \{stat\}"):
        AccessLog(fakes.base, written, "{stat}")


def test_several_servers_and_hooks_of_ones_own(fakes: FakeBase, written: Written) -> None:
    first, second, third = Server(fakes.base), Server(fakes.base), Server(fakes.base)
    with AccessLog(fakes.base, written, "{target} {status}") as log:
        log.watch(first)
        log.watch(second)
        third.on_complete = lambda request: log.complete(request) if request.target != "/quiet" else None
        for server, target in ((first, "/1"), (second, "/2"), (third, "/3"), (third, "/quiet")):
            assert server.on_complete is not None
            server.on_complete(a_request(target))
        assert first.on_refused is not None
        first.on_refused("192.0.2.1:1", BadRequest(400, "x"))
        assert third.on_refused is None
    assert written.lines() == ["/1 200", "/2 200", "/3 200", "- 400"]
