"""What hostile clients get out of a program's own hooks, pauses and threads: no time and no work beyond the limits."""

from collections.abc import Callable
from concurrent.futures import Executor, Future

import pytest

from evkit.http.server.patience import Timeouts
from evkit.http.server.request import Request
from evkit.http.server.threaded import in_threads
from evkit.testing import ManualClock
from http_server_aids import Site, both_engines, get, request


def wait(site: Site, clock: ManualClock, seconds: int) -> None:
    site.settle()
    for _ in range(seconds):
        clock.advance(1.0)
        site.settle()


def pausing_at_once(request: Request) -> None:
    request.pause()
    request.resume()


def pausing_for_a_while(request: Request) -> None:
    request.pause()
    assert request.connection is not None
    request.connection.base.call_soon(request.resume)


@both_engines
@pytest.mark.parametrize("pausing", [pausing_at_once, pausing_for_a_while])
def test_a_slow_body_gains_nothing_by_a_handler_that_pauses_it(
    engine: str, pausing: Callable[[Request], None]
) -> None:
    clock = ManualClock()
    with Site(engine, clock=clock, timeouts=Timeouts(body=30.0, body_rate=500.0)) as site:

        def upload(asked: Request) -> None:
            asked.receive(lambda asked, _data: pausing(asked), lambda asked: asked.send_reply(200))

        site.server.set_cb("/", upload, stream=True)
        client = site.client()
        client.send(request("POST", "/", "Content-Length: 1000"))
        for _ in range(3):
            client.send(b"x")
            wait(site, clock, 9)
        assert client.silence()
        client.send(b"x")
        wait(site, clock, 4)  # 31 s: four bytes buy none
        assert client.reply().status == 408


@both_engines
def test_a_pause_is_not_the_clients_time(engine: str) -> None:
    clock = ManualClock()
    with Site(engine, clock=clock, timeouts=Timeouts(body=30.0, body_rate=500.0)) as site:
        asked: list[Request] = []

        def upload(request: Request) -> None:
            asked.append(request)
            request.receive(lambda request, _data: request.pause(), lambda request: request.send_reply(200))

        site.server.set_cb("/", upload, stream=True)
        client = site.client()
        client.send(request("POST", "/", "Content-Length: 3"))
        wait(site, clock, 20)
        client.send(b"x")
        wait(site, clock, 100)
        asked[0].resume()
        wait(site, clock, 8)
        assert client.silence()  # 28 of its own seconds
        client.send(b"yz")
        site.settle()
        asked[0].resume()
        assert client.reply().status == 200


@both_engines
@pytest.mark.parametrize("page", [None, ("x",), (5, "text/plain"), ("x", None), ("x", "a\r\nb: c")])
def test_an_error_page_that_is_none_keeps_no_client(engine: str, page: object) -> None:
    clock = ManualClock()
    with Site(engine, clock=clock, timeouts=Timeouts(header=20.0)) as site:
        site.server.error_page = lambda _status, _message: page  # type: ignore[assignment,return-value]  # wrong
        late, wrong = site.client(), site.client()
        late.send(b"GET / HT")
        wrong.send(b"bad\r\n\r\n")
        wait(site, clock, 21)
        assert (late.reply().status, wrong.reply().status) == (408, 400)
        assert len(site.take_escaped()) == 2


class Queue(Executor):
    """A pool whose only thread is the test."""

    def __init__(self) -> None:
        self.work: list[Callable[[], object]] = []

    def submit(self, act, /, *arguments, **named):  # type: ignore[no-untyped-def]  # as its base
        self.work.append(lambda: act(*arguments, **named))
        return Future()


def test_what_waits_for_a_thread_is_not_done_for_a_client_that_has_gone() -> None:
    pool, done = Queue(), []

    def work(request: Request) -> None:
        done.append(request.target)
        request.send_reply(200)

    with Site() as site:
        site.server.set_gencb(in_threads(work, pool))
        gone, patient = site.client(), site.client()
        gone.send(get("/gone"))
        patient.send(get("/patient"))
        site.until(lambda: len(pool.work) == 2, "two requests")
        gone.reset()
        site.connected(1)
        for act in pool.work:
            act()
        assert patient.reply().status == 200
        assert done == ["/patient"]
