"""`evkit.http.client.call`: one request of a program, from its first attempt to its one result, and what it leaves."""

import gc
import gzip
import traceback
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from evkit.core import Buffer, EventBase, Future, SocketBufferEvent
from evkit.core.flags import EVLOOP_NONBLOCK
from evkit.errors import ConnectError, ConnectionLost, EvkitError, LocalProtocolError
from evkit.http import Client, ContentError, CookieJar, Proxy, ProxyRules, RedirectError, Retries, RetryBudget
from evkit.http.client.call import Call
from evkit.http.client.connection import ClientConnection
from evkit.http.client.incoming import Incoming
from evkit.http.client.response import Response
from http_client_aids import SMALL, TIMEOUTS, Place, World, in_chunks, phase_of, reply

LARGE = bytes(6 << 20)


@pytest.fixture(name="world")
def make_world() -> Iterator[World]:
    with World() as world:
        yield world


# Retries


def test_a_failed_connect_is_tried_again() -> None:
    with World(retries=Retries(3, backoff=1.0)) as world:
        error = world.ask("POST", "http://unknown.test/", b"abc")
        for _ in range(10):
            world.wait(1.0)
        failure = world.error(error)
        assert isinstance(failure, ConnectError)
        assert failure.__notes__ == ["POST http://unknown.test/, attempt 3"]
        assert world.names.asked == ["unknown.test"] * 3


def test_no_retries_unless_asked_for(world: World) -> None:
    world.error(world.get("http://unknown.test/"))
    assert world.names.asked == ["unknown.test"]


@pytest.mark.parametrize("how", ["cancel", "close"])
def test_an_end_in_the_pause_before_a_retry(how: str) -> None:
    with World(retries=Retries(3, statuses=[503])) as world:
        place = world.place()
        future = world.get(place.url)
        wire = place.accept()
        wire.answer(b"", "Retry-After: 5", status=503)
        assert not future.done()
        future.cancel() if how == "cancel" else world.client.close()
        assert future.done()
        if how == "close":
            assert isinstance(world.error(future), LocalProtocolError)
        world.wait(10.0)
        assert (
            wire.silent() if how == "cancel" else wire.closed()
        )  # nothing is asked over the connection that is kept
        assert not place.waiting()


def test_retries_have_a_budget() -> None:
    """Ten failures in a row: a server that is down is not asked three times as often."""
    with World(retries=Retries(3, backoff=0.0)) as world:
        for _ in range(40):
            world.error(world.get("http://unknown.test/"))
        assert 40 < len(world.names.asked) < 55


def test_the_whole_time_counts_over_retries() -> None:
    with World(retries=Retries(100, statuses=[503]), timeouts=replace(TIMEOUTS, total=12.0)) as world:
        place = world.place()
        future = world.get(place.url)
        wire = place.accept()
        for _ in range(3):
            wire.answer(b"", "Retry-After: 5", status=503)
            world.wait(5.2)
        assert phase_of(world.error(future)) == "total"


def test_a_retry_after_a_failure_does_not_use_an_old_connection() -> None:
    with World(retries=Retries(3, unanswered=True, backoff=0.0)) as world:
        place = world.place()
        first, second = world.get(place.url), world.get(place.url)
        kept, lost = place.accept(), place.accept()
        kept.answer()
        world.result(first)
        lost.head()
        lost.reset()
        place.accept().answer(b"at last")
        assert world.result(second).body == b"at last"
        assert kept.silent()


def test_a_budget_gets_back_what_a_success_gives_after_a_retry_too() -> None:
    budget = RetryBudget(size=10.0, ratio=0.5)
    with World(retries=Retries(3, statuses=[503], backoff=0.0), budget=budget) as world:
        place = world.place()
        future = world.get(place.url)
        wire = place.accept()
        wire.answer(status=503)
        assert repr(budget) == "<RetryBudget 9 of 10>"
        wire.answer()
        world.result(future)
        assert repr(budget) == "<RetryBudget 9.5 of 10>"


def test_the_answer_of_a_busy_server_is_no_success() -> None:
    budget = RetryBudget(size=10.0, ratio=0.5)
    with World(retries=Retries(2, statuses=[503], backoff=0.0), budget=budget) as world:
        place = world.place()
        future = world.get(place.url)
        wire = place.accept()
        wire.answer(status=503)
        wire.answer(status=503)
        assert world.result(future).status == 503
        assert repr(budget) == "<RetryBudget 8 of 10>"


# Redirects


def test_redirects_are_no_attempts(world: World) -> None:
    place = world.place()
    future = world.get(place.url)
    wire = place.accept()
    wire.answer(b"", "Location: /2", status=302)
    wire.head()
    wire.send(b"nonsense")
    assert world.error(future).__notes__ == [f"GET {place.url}/2, after 1 redirects"]


@pytest.mark.parametrize(
    "head",
    [
        b"HTTP/1.1 302 R\r\nLocation: /2\r\n\r\npart",
        b"HTTP/1.1 302 R\r\nLocation: /2\r\nContent-Length: 9\r\nConnection: close\r\n\r\npart",
        b"HTTP/1.1 302 R\r\nLocation: /2\r\nContent-Length: 99999\r\n\r\npart",
    ],
)
def test_nobody_waits_for_a_body_that_saves_no_connection(world: World, head: bytes) -> None:
    place = world.place()
    future = world.get(place.url)
    wire = place.accept()
    wire.head()
    wire.send(head)
    assert wire.closed()
    place.accept().answer(b"there")
    assert world.result(future).body == b"there"


@pytest.mark.parametrize("how", ["end", "reset", "nonsense", "silence"])
def test_the_body_of_a_redirect_may_break(world: World, how: str) -> None:
    place = world.place()
    future = world.get(place.url)
    wire = place.accept()
    wire.head()
    wire.send(b"HTTP/1.1 302 R\r\nLocation: /2\r\nTransfer-Encoding: chunked\r\n\r\n4\r\npart\r\n")
    if how == "nonsense":
        wire.send(b"nonsense")
    elif how == "silence":
        world.wait(TIMEOUTS.body or 0.0)
    else:
        wire.close() if how == "end" else wire.reset()
    place.accept().answer(b"there")
    assert world.result(future).body == b"there"


def test_the_client_is_closed_within_the_body_of_a_redirect(world: World) -> None:
    place = world.place()
    future = world.get(place.url)
    wire = place.accept()
    wire.head()
    wire.send(reply(b"moved", "Location: /2", status=302)[:-1])
    world.client.close()
    assert isinstance(world.error(future), LocalProtocolError)
    assert not place.waiting()


class Token:
    """Credentials that are others each time, and none the third time."""

    def __init__(self) -> None:
        self.asked = 0

    @property
    def authorization(self) -> str:
        self.asked += 1
        if self.asked == 3:
            raise KeyError("token")
        return f"Bearer {self.asked}"


def test_a_proxy_gets_new_credentials_with_each_request() -> None:
    with World() as world:
        place = world.place()
        world.client.close()
        rules = ProxyRules(Proxy.at(place.url, Token()))
        with Client(world.base, proxies=rules) as client:
            futures = [client.get("http://a.test/") for _ in range(2)]
            wires = [place.accept() for _ in futures]
            heads = [wire.head() for wire in wires]
            found = sorted(head.partition(b"Proxy-Authorization: ")[2] for head in heads)
            assert found == [b"Bearer 1\r\n\r\n", b"Bearer 2\r\n\r\n"]
            wires[0].send(reply(b"", "Location: http://b.test/", status=302))
            (failed,) = [future for future in futures if future.done()]
            assert isinstance(failed.exception(0), KeyError)
            for future in futures:
                future.cancel()


# Streams


def test_a_stream_that_nobody_receives_in_time() -> None:
    """The connection is not held for ever; who comes too late is told."""
    with World(timeouts=replace(TIMEOUTS, total=10.0)) as world:
        place = world.place()
        future = world.get(place.url, stream=True)
        wire = place.accept()
        wire.answer(b"hello")
        response = world.result(future)
        world.wait(11.0)
        assert wire.closed()
        assert world.pool == "0 connections, 0 free, 0 waiting"
        assert phase_of(world.error(world.watched(response.read()))) == "total"


def test_the_clock_stops_when_the_client_is_closed(world: World) -> None:
    place = world.place()
    future = world.get(place.url, stream=True, timeout=5.0)
    wire = place.accept()
    wire.head()
    wire.send(reply(b"body")[:-1])
    response = world.result(future)
    world.client.close()
    world.wait(6.0)
    body = response.read()
    assert isinstance(world.error(body), LocalProtocolError)


def test_a_stream_that_is_closed(world: World) -> None:
    place = world.place()
    future = world.get(place.url, stream=True)
    wire = place.accept()
    wire.answer(b"hello")
    response = world.result(future)
    response.close()
    assert wire.closed()
    response.close()
    assert world.pool == "0 connections, 0 free, 0 waiting"


@pytest.mark.parametrize("how", ["closes it", "closes the client", "asks", "raises", "cancels the rest"])
def test_what_on_data_may_do(world: World, how: str) -> None:
    place = world.place()
    future = world.get(place.url, stream=True)
    wire = place.accept()
    wire.head()
    wire.send(reply(b"hello")[:-1])
    response = world.result(future)
    heard: list[object] = []
    more: list[Future[Response]] = []

    def on_data(response: Response, data: bytes) -> None:
        heard.append(data)
        match how:
            case "closes it":
                response.close()
            case "closes the client":
                world.client.close()
            case "asks" if not more:
                more.append(world.get(place.url))
            case "raises":
                raise ZeroDivisionError
            case "cancels the rest":
                future.cancel()  # its result is there already
                if data == b"hell":
                    wire.socket.send(b"o")

    response.receive(on_data, lambda _response, error: heard.append(error))
    world.settle()
    match how:
        case "closes it":
            assert heard == [b"hell"]
            assert wire.closed()
        case "closes the client":
            assert isinstance(heard[1], LocalProtocolError)
            assert wire.closed()
        case "asks":
            place.accept().answer(b"other")
            assert world.result(more[0]).body == b"other"
            wire.send(b"o")
            assert heard == [b"hell", b"o", None]
        case "raises":
            assert isinstance(heard[1], ZeroDivisionError)
            assert wire.closed()
        case _:
            assert heard == [b"hell", b"o", None]


def test_an_end_during_a_pause_is_told_afterwards(world: World) -> None:
    place = world.place()
    future = world.get(place.url, stream=True)
    wire = place.accept()
    wire.head()
    wire.send(reply(b"hello")[:-1])
    response = world.result(future)
    heard: list[object] = []
    response.receive(lambda _response, data: heard.append(data), lambda _response, error: heard.append(error))
    world.settle()
    response.pause()
    wire.reset()
    assert heard == [b"hell"]
    response.resume()
    world.settle()
    assert isinstance(heard[1], ConnectionLost)
    assert len(heard) == 2


# Uploads


def pieces(log: list[str]) -> Iterator[bytes]:
    try:
        while True:
            yield bytes(65536)
    finally:
        log.append("closed")


@pytest.mark.parametrize(
    "how", ["cancel", "close", "total", "write", "reset", "answer", "redirect", "stream"]
)
def test_a_generator_is_closed_however_it_ends(how: str) -> None:
    log: list[str] = []
    with World() as world:
        place = world.place(receive_buffer=SMALL)
        future = world.ask("POST", place.url, pieces(log), timeout=100.0, stream=how == "stream")
        wire = place.accept()
        wire.head()
        assert log == []
        match how:
            case "cancel":
                future.cancel()
            case "close":
                world.client.close()
            case "total":
                for _ in range(6):
                    world.wait(20.0)
                    for _ in range(20):
                        wire.take()
                        world.turn()
            case "write":
                world.wait(31.0)
            case "reset":
                wire.reset()
            case "redirect":
                wire.send(reply(b"", "Location: /2", status=303))
                place.accept().answer()
            case _:
                wire.send(reply(b"hello", status=413))
        world.settle()
        assert future.done()
        if how == "stream":
            world.result(world.result(future).read())
        assert log == ["closed"]


def test_a_generator_that_fails_when_it_is_closed(world: World) -> None:
    """The request has its result already; who wrote the generator hears of it as of any callback."""

    def failing() -> Iterator[bytes]:
        try:
            while True:
                yield bytes(65536)
        finally:
            raise ZeroDivisionError

    place = world.place(receive_buffer=SMALL)
    future = world.ask("POST", place.url, failing())
    wire = place.accept()
    wire.head()
    wire.send(reply(b"enough", status=413))
    assert world.result(future).body == b"enough"
    assert [type(error) for error in world.take_escaped()] == [ZeroDivisionError]


# Results


def test_each_callback_may_end_everything(world: World) -> None:
    place = world.place()
    futures = [world.get(place.url) for _ in range(3)]
    wires = [place.accept() for _ in range(3)]
    heard: list[Future[Response]] = []

    def on_done(future: Future[Response]) -> None:
        heard.append(future)
        world.client.close()
        for other in futures:
            other.cancel()

    for future in futures:
        future.add_done_callback(on_done)
    wires[1].answer(b"hello")
    world.settle()
    assert sorted(map(id, heard)) == sorted(map(id, futures))
    assert futures[1].result(0).body == b"hello"


def test_a_request_from_a_callback_uses_the_same_connection(world: World) -> None:
    place = world.place()
    first = world.get(place.url + "/1")
    more: list[Future[Response]] = []
    first.add_done_callback(lambda future: more.append(world.get(place.url + "/2")))
    wire = place.accept()
    wire.answer()
    assert wire.answer(b"second") == b"GET /2 HTTP/1.1"
    assert world.result(more[0]).body == b"second"


def test_repr_shows_no_secrets(world: World) -> None:
    place = world.place()
    gc.collect()
    future = world.get(f"http://user:secret@127.0.0.1:{place.port}/path?token=secret#secret")
    place.accept()
    (call,) = [thing for thing in gc.get_objects() if type(thing) is Call]
    assert repr(call) == f"<Call GET http://127.0.0.1:{place.port}/path>"
    future.cancel()


@pytest.mark.parametrize("how", ["503", "stale", "reset"])
def test_fields_for_one_attempt(how: str) -> None:
    """What no two attempts may have in common, a nonce, takes the place of what the client says of that name."""
    keys = iter("abc")

    def fields() -> list[tuple[str, str]]:
        return [("Connection", "Upgrade"), ("Upgrade", "x"), ("Key", next(keys))]

    retries = Retries(3, statuses=[503], unanswered=True, backoff=0.0)
    with World(retries=retries, headers=[("key", "own"), ("Other", "own")]) as world:
        place = world.place()
        if how == "stale":
            first = world.get(place.url)
            wire = place.accept()
            wire.answer()
            world.result(first)
        future = world.watched(world.client.upgrade(place.url, fields, lambda response, bev: bev))
        if how != "stale":
            wire = place.accept()
        assert _keys(wire.head()) == [b"Key: a"]
        if how == "503":
            wire.send(reply(status=503))
        else:
            wire.reset()
            wire = place.accept()
        assert _keys(wire.head()) == [b"Key: b"]
        wire.send(b"HTTP/1.1 101 R\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n")
        world.result(future).close()


def _keys(head: bytes) -> list[bytes]:
    assert head.count(b"Other: own\r\n") == 1
    return [line for line in head.split(b"\r\n") if line.lower().startswith(b"key:")]


def test_fields_that_can_t_be_had(world: World) -> None:
    with pytest.raises(ZeroDivisionError):
        world.client.upgrade("http://a.test/", _fail, _fail)
    with pytest.raises(TypeError, match="pairs"):
        world.client.upgrade("http://a.test/", lambda: [5], _fail)  # type: ignore[list-item,return-value]  # the point
    assert world.names.asked == []


def test_fields_that_can_t_be_had_again() -> None:
    fields = iter([[("Connection", "Upgrade"), ("Upgrade", "x")]])
    with World(retries=Retries(3, statuses=[503], backoff=0.0)) as world:
        place = world.place()
        future = world.watched(world.client.upgrade(place.url, lambda: next(fields, None) or _fail(), _fail))
        place.accept().answer(status=503)
        assert isinstance(world.error(future), ZeroDivisionError)


def test_a_cookie_of_a_busy_server_goes_with_the_next_attempt() -> None:
    with World(retries=Retries(2, statuses=[503], backoff=0.0), cookies=CookieJar()) as world:
        place = world.place()
        future = world.get(place.url)
        wire = place.accept()
        wire.answer(b"", "Set-Cookie: seen=yes", status=503)
        assert b"Cookie: seen=yes\r\n" in wire.head()
        wire.send(reply())
        world.result(future)


# An end in each phase

Begin = Callable[[World], Future[Response]]


def _looking_up(world: World) -> Future[Response]:
    world.names.slow = True
    return world.get("http://a.test/")


def _dialled(world: World) -> Future[Response]:
    place = world.place()
    return world.get(place.url)  # the connection is there, and nobody knows


def _greeting(world: World) -> Future[Response]:
    place = world.place()
    future = world.get(place.named("a.test", "https"))
    place.accept()
    return future


def _writing(world: World) -> Future[Response]:
    place = world.place(receive_buffer=SMALL)
    future = world.ask("POST", place.url, LARGE)
    place.accept()
    return future


def _expecting(world: World) -> Future[Response]:
    place = world.place()
    future = world.ask("POST", place.url, b"hello", expect=True)
    place.accept().head()
    return future


def _waiting(world: World) -> Future[Response]:
    place = world.place()
    future = world.get(place.url)
    place.accept().head()
    return future


def _half_a_head(world: World) -> Future[Response]:
    future = _waiting(world)
    world.wires[-1].send(b"HTTP/1.1 200 R\r\nContent")
    return future


def _half_a_body(world: World) -> Future[Response]:
    future = _waiting(world)
    world.wires[-1].send(reply(b"hello")[:-1])
    return future


def _half_a_redirect(world: World) -> Future[Response]:
    future = _waiting(world)
    world.wires[-1].send(reply(b"hello", "Location: /2", status=302)[:-1])
    return future


def _after_a_redirect(world: World) -> Future[Response]:
    future = _waiting(world)
    world.wires[-1].send(reply(b"hello", "Location: /2", status=302))
    return future


def _resting(world: World) -> Future[Response]:
    future = _waiting(world)
    world.wires[-1].send(reply(b"busy", "Retry-After: 50", status=503))
    return future


PHASES = [
    _looking_up, _dialled, _greeting, _writing, _expecting, _waiting, _half_a_head, _half_a_body, _half_a_redirect,
    _after_a_redirect, _resting,
]  # fmt: skip


@pytest.mark.parametrize("end", ["cancel", "close", "total"])
@pytest.mark.parametrize("begin", PHASES)
def test_an_end_in_each_phase(begin: Begin, end: str) -> None:
    """One end of the name that it must have, and nothing is left: no connection, no event, no descriptor."""
    with World(retries=Retries(3, statuses=[503]), timeouts=replace(TIMEOUTS, total=4.0)) as world:
        heard: list[Future[Response]] = []
        future = begin(world)
        future.add_done_callback(heard.append)
        assert not future.done()
        match end:
            case "cancel":
                future.cancel()
            case "close":
                world.client.close()
            case _:
                world.wait(4.1)
        world.settle()
        assert heard == [future]
        if end == "cancel":
            assert future.cancelled()
        elif end == "close":
            assert isinstance(world.error(future), LocalProtocolError)
        else:
            assert phase_of(world.error(future)) == "total"
        if begin in (_resting, _after_a_redirect) and end != "close":
            assert world.pool.startswith(("0 connections", "1 connections, 1 free"))
        elif end != "close":
            assert world.pool == "0 connections, 0 free, 0 waiting"
        assert all(wire.drained_and_closed() for wire in world.wires if "1 free" not in world.pool)


@pytest.mark.parametrize("end", ["cancel", "close", "pool"])
def test_an_end_in_line(end: str) -> None:
    with World(max_per_host=1) as world:
        place = world.place()
        first, second, third = (world.get(f"{place.url}/{number}") for number in range(3))
        wire = place.accept()
        match end:
            case "cancel":
                second.cancel()
            case "close":
                world.client.close()
            case _:
                world.wait(5.1)
                assert phase_of(world.error(second)) == phase_of(world.error(third)) == "pool"
        if end == "close":
            assert isinstance(world.error(second), LocalProtocolError)
            assert wire.closed()
            return
        wire.answer()
        world.result(first)
        if end == "cancel":
            assert wire.answer() == b"GET /2 HTTP/1.1"
            world.result(third)
        assert world.pool == "1 connections, 1 free, 0 waiting"


# What is over is freed, without the garbage collector

KINDS = (Call, ClientConnection, Response, Incoming, SocketBufferEvent, Future, Buffer)
Exchange = Callable[[World, Place], None]


def _simple(world: World, place: Place) -> None:
    future = world.client.get(place.url)
    place.accept().answer(b"hello", "Connection: close")
    assert world.result(future).body == b"hello"


def _timed(world: World, place: Place) -> None:
    future = world.client.get(place.url, timeout=5.0)
    place.accept().answer(b"hello", "Connection: close")
    assert world.result(future).body == b"hello"


def _chunks(world: World, place: Place) -> None:
    future = world.client.post(place.url, b"hello")
    wire = place.accept()
    wire.head()
    wire.body(5)
    wire.send(in_chunks(b"hello", fields=("Connection: close",)))
    assert world.result(future).body == b"hello"


def _redirected(world: World, place: Place) -> None:
    future = world.client.get(place.url)
    wire = place.accept()
    wire.answer(b"", "Location: /2", status=302)
    wire.answer(b"hello", "Connection: close")
    assert len(world.result(future).history) == 1


def _streamed(world: World, place: Place) -> None:
    future = world.client.get(place.url, stream=True)
    place.accept().answer(b"hello", "Connection: close")
    assert world.result(world.result(future).read()) == b"hello"


def _closed(world: World, place: Place) -> None:
    future = world.client.get(place.url, stream=True)
    place.accept().answer(b"hello")
    world.result(future).close()


def _cancelled(world: World, place: Place) -> None:
    future = world.client.get(place.url)
    place.accept()
    future.cancel()


def _cancelled_in_line(world: World, place: Place) -> None:
    world.names.slow = True
    future = world.client.get(place.named("a.test"))
    world.settle()
    future.cancel()
    world.names.pending.clear()
    world.names.slow = False


def _kept(world: World, place: Place) -> None:
    future = world.client.get(place.url)
    wire = place.accept()
    wire.answer(b"hello")
    world.result(future)
    wire.close()


def _refused(world: World, place: Place) -> None:
    future = world.client.get(place.url)
    wire = place.accept()
    wire.head()
    wire.send(b"garbage\r\n\r\n")
    world.error(future)


def _lost(world: World, place: Place) -> None:
    future = world.client.get(place.url)
    place.accept().reset()
    world.error(future)


def _unknown(world: World, place: Place) -> None:
    world.error(world.client.get("http://unknown.test/"))


def _fail(*_arguments: Any) -> Any:
    raise ZeroDivisionError


def _ask(world: World, place: Place, *raw: bytes, **options: Any) -> list[Any]:
    """Return a list of the one future. Frames that an error refers to must not refer to it: no name may stay for it."""
    box = [world.client.get(place.url, **options)]
    wire = place.accept()
    wire.head()
    for piece in raw:
        wire.send(piece)
    return box


def _is_ours(error: BaseException | None) -> None:
    """Assert that an error of the program's own still tells where it comes from."""
    assert isinstance(error, ZeroDivisionError)
    assert "_fail" in [entry.name for entry in traceback.extract_tb(error.__traceback__)]


def _opening_fails(world: World, place: Place) -> None:
    box = [world.client.upgrade(place.url, [("Connection", "Upgrade"), ("Upgrade", "x")], _fail)]
    wire = place.accept()
    wire.head()
    wire.send(b"HTTP/1.1 101 R\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n")
    _is_ours(box.pop().exception(0))


def _interim_fails(world: World, place: Place) -> None:
    _is_ours(_ask(world, place, b"HTTP/1.1 103 R\r\n\r\n", on_interim=_fail).pop().exception(0))


def _body_fails(world: World, place: Place) -> None:
    def pieces() -> Iterator[bytes]:
        yield b"hello"
        _fail()

    box = [world.client.post(place.url, pieces())]
    world.settle()
    _is_ours(box.pop().exception(0))
    place.accept()


def _data_fails(world: World, place: Place) -> None:
    box = _ask(world, place, reply(b"hello", "Connection: close"), stream=True)
    told: list[Any] = []
    box.pop().result(0).receive(_fail, lambda _response, error: told.append(error))
    world.settle()
    _is_ours(told.pop())


def _content_fails(world: World, place: Place) -> None:
    raw = reply(b"hello", "Content-Encoding: gzip", "Connection: close")
    assert isinstance(_ask(world, place, raw).pop().exception(0), ContentError)


def _content_in_pieces_fails(world: World, place: Place) -> None:
    raw = reply(b"hello", "Content-Encoding: gzip", "Connection: close")
    box = [_ask(world, place, raw, stream=True).pop().result(0).read()]
    world.settle()
    assert isinstance(box.pop().exception(0), ContentError)


def _content_is_cut(world: World, place: Place) -> None:
    raw = reply(gzip.compress(b"hello")[:-1], "Content-Encoding: gzip", "Connection: close")
    assert isinstance(_ask(world, place, raw).pop().exception(0), ContentError)


def _redirect_fails(world: World, place: Place) -> None:
    raw = reply(b"", "Location: ftp://a.test/", "Connection: close", status=302)
    assert isinstance(_ask(world, place, raw).pop().exception(0), RedirectError)


EXCHANGES = [
    _simple, _timed, _chunks, _redirected, _streamed, _closed, _cancelled, _cancelled_in_line, _kept, _refused, _lost,
    _unknown,
    _opening_fails, _interim_fails, _body_fails, _data_fails, _content_fails, _content_in_pieces_fails, _content_is_cut,
    _redirect_fails,
]  # fmt: skip


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize(
    "raw",
    [
        b"garbage\r\n\r\n",
        b"HTTP/1.1 302 R\r\nLocation: ftp://a.test/\r\n\r\n",
        b"HTTP/1.1 200 R\r\nContent-Encoding: unknown\r\n\r\n",
        reply(b"hello", "Content-Encoding: gzip"),
        reply(b"hello")[:-1],
    ],
)
def test_errors_of_evkit_hold_nothing(world: World, raw: bytes, stream: bool) -> None:
    """A traceback's frames would hold whoever was on the stack, and what they all know."""
    place = world.place()
    future: Future[Any] = world.get(place.url, stream=stream)
    wire = place.accept()
    wire.head()
    wire.send(raw)
    if stream and future.exception(0) is None:
        future = world.watched(future.result(0).read())
    wire.close()
    error: BaseException | None = world.error(future)
    assert isinstance(error, EvkitError)
    while error is not None:
        assert error.__traceback__ is None, error
        error = error.__cause__ or error.__context__


@pytest.mark.parametrize("exchange", EXCHANGES)
def test_what_is_over_is_freed(exchange: Exchange) -> None:
    with World() as world:
        place = world.place()
        exchange(world, place)  # what is made once is made
        gc.collect()
        before = {id(thing) for thing in gc.get_objects() if isinstance(thing, KINDS)}
        gc.disable()
        try:
            exchange(world, place)
            world.settle()
            left = [
                repr(thing)
                for thing in gc.get_objects()
                if isinstance(thing, KINDS) and id(thing) not in before
            ]
        finally:
            gc.enable()
        assert left == []


def test_on_each_backend_a_request_of_each_kind(base: EventBase) -> None:
    """What uses the loop: time-outs, look-ups, pauses, streams."""
    from evkit.http import Client, Server

    server = Server(base)
    answers = iter([503, 302, 200, 200])

    def answer(request: Any) -> None:
        status = next(answers)
        request.send_reply(status, b"hello", [("Location", "/2")] if status == 302 else [])

    server.set_gencb(answer)
    address = server.bind("127.0.0.1", 0).address
    with Client(base, retries=Retries(3, statuses=[503], backoff=0.001)) as client:
        response = client.get(f"http://{address}/").result(10)
        assert (response.status, response.body, len(response.history)) == (200, b"hello", 1)
        assert client.get(f"http://{address}/", stream=True).result(10).read().result(10) == b"hello"
    server.close()
    base.loop(EVLOOP_NONBLOCK)
