"""Handlers in threads, and replies from them: what goes out, what fails, and that a slow client holds a thread up."""

import socket
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from evkit.core import EVLOOP_NONBLOCK, EventBase
from evkit.errors import LocalProtocolError, LoopError
from evkit.http.server.request import Request
from evkit.http.server.server import Server
from evkit.http.server.threaded import allow_threads, in_threads
from http_handlers import MIB
from http_server_aids import Site, both_engines, get, request
from patience import PATIENCE


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(4) as pool:
        yield pool


@both_engines
class TestInThreads:
    def test_answers_like_any_other(self, engine: str, pool: ThreadPoolExecutor) -> None:
        threads: list[int] = []

        def handler(asked: Request) -> None:
            threads.append(threading.get_ident())
            asked.send_informational(103, [("Link", "a")])
            asked.send_reply(200, asked.method.encode() + asked.body, [("X", "y")])

        with Site(engine) as site:
            site.server.set_gencb(in_threads(handler, pool))
            client = site.client()
            for _ in range(3):
                reply = client.ask(request("POST", "/", body=b"!"))
                assert (reply.status, reply.body, reply.interim) == (200, b"POST!", (103,))
            client.send(get() * 5)
            assert [client.reply().body for _ in range(5)] == [b"GET"] * 5
            assert threading.get_ident() not in threads

    def test_in_pieces_and_with_trailers(self, engine: str, pool: ThreadPoolExecutor) -> None:
        def handler(asked: Request) -> None:
            asked.send_reply_start(200)
            for number in range(50):
                asked.send_reply_chunk(f"{number} ")
            asked.send_reply_end([("Sum", "1225")])

        with Site(engine) as site:
            site.server.set_gencb(in_threads(handler, pool))
            reply = site.client().ask(get())
            assert sum(map(int, reply.body.split())) == 1225

    def test_out_of_an_iterator(self, engine: str, pool: ThreadPoolExecutor) -> None:
        with Site(engine) as site:
            site.server.set_gencb(
                in_threads(lambda asked: asked.send_stream(200, (bytes(MIB) for _ in range(8))), pool)
            )
            assert site.client().ask(get()).body == bytes(8 * MIB)

    def test_others_are_served_meanwhile(self, engine: str, pool: ThreadPoolExecutor) -> None:
        go_on = threading.Event()

        def slow(asked: Request) -> None:
            assert go_on.wait(PATIENCE)
            asked.send_reply(200, b"slow")

        with Site(engine) as site:
            site.server.set_cb("/slow", in_threads(slow, pool))
            site.server.set_cb("/", lambda asked: asked.send_reply(200, b"quick"))
            waiting = site.client()
            waiting.send(get("/slow"))
            assert site.client().ask(get()).body == b"quick"
            go_on.set()
            assert waiting.reply().body == b"slow"

    def test_what_it_lets_escape_is_500(self, engine: str, pool: ThreadPoolExecutor) -> None:
        with Site(engine) as site:
            site.server.set_gencb(in_threads(lambda asked: 1 / 0, pool))
            client = site.client()
            assert client.ask(get()).status == 500
            assert client.ask(get()).status == 500
            assert [type(exception) for exception in site.take_escaped()] == [ZeroDivisionError] * 2

    def test_error_that_the_loop_finds_is_500(self, engine: str, pool: ThreadPoolExecutor) -> None:
        with Site(engine) as site:
            site.server.set_gencb(in_threads(lambda asked: asked.send_reply(200, b"", [("A b", "c")]), pool))
            client = site.client()
            assert client.ask(get()).status == 500
            assert client.ask(get()).status == 500
            assert [type(exception) for exception in site.take_escaped()] == [LocalProtocolError] * 2

    def test_error_in_the_middle_cuts_it_off(self, engine: str, pool: ThreadPoolExecutor) -> None:
        def handler(asked: Request) -> None:
            asked.send_reply_start(200, [("Content-Length", "2")])
            asked.send_reply_chunk(b"a")
            asked.send_reply_chunk(b"bc")

        with Site(engine) as site:
            site.server.set_gencb(in_threads(handler, pool))
            client = site.client()
            client.send(get())
            assert client.rest().endswith(b"\r\n\r\na")
            assert [type(exception) for exception in site.take_escaped()] == [LocalProtocolError]


def test_pool_of_its_own() -> None:
    with Site() as site:
        site.server.set_gencb(
            in_threads(lambda asked: asked.send_reply(200, threading.current_thread().name))
        )
        assert site.client().ask(get()).body.startswith(b"evkit-http")


def test_pool_that_takes_nothing_is_503(pool: ThreadPoolExecutor) -> None:
    pool.shutdown()
    with Site() as site:
        site.server.set_gencb(in_threads(lambda asked: asked.send_reply(200), pool))
        assert site.client().ask(get()).status == 503
        assert site.take_escaped() == []


class TestWaiting:
    """For a thread."""

    @pytest.fixture
    def busy(self) -> Iterator[ThreadPoolExecutor]:
        """A pool whose only thread has no time, before it is told to go on."""
        self.go_on = threading.Event()
        with ThreadPoolExecutor(1) as pool:
            pool.submit(self.go_on.wait, PATIENCE)
            try:
                yield pool
            finally:
                self.go_on.set()

    def test_one_too_many_is_told_503(self, busy: ThreadPoolExecutor) -> None:
        with Site() as site:
            handler = in_threads(lambda asked: asked.send_reply(200, asked.body), busy, max_waiting=2)
            site.server.set_gencb(handler)
            clients = [site.client() for _ in range(4)]
            for client in clients:
                client.send(request("POST", "/", body=b"body"))
            for late in clients[2:]:
                reply = late.reply()
                assert (reply.status, b"try again later" in reply.body) == (503, True)
                assert reply.get("connection") is None
            self.go_on.set()
            for client in clients[:2]:
                assert client.reply().body == b"body"
            for client in clients:
                assert client.ask(get()).status == 200

    def test_who_has_gone_makes_room_when_a_thread_has_looked(self, busy: ThreadPoolExecutor) -> None:
        called: list[Request] = []
        with Site() as site:
            site.server.set_gencb(in_threads(called.append, busy, max_waiting=1))
            client = site.client()
            client.send(get())
            client.reset()
            site.connected(0)
            assert site.client().ask(get()).status == 503
            self.go_on.set()
            busy.submit(int).result(PATIENCE)
            site.client().send(get())
            site.until(lambda: called, "the handler")
            called[0].send_reply(200)

    def test_pool_that_is_shut_down_answers_all(self, busy: ThreadPoolExecutor) -> None:
        with Site() as site:
            site.server.set_gencb(in_threads(lambda asked: asked.send_reply(200), busy, max_waiting=3))
            clients = [site.client() for _ in range(3)]
            for client in clients:
                client.send(get())
            busy.shutdown(wait=False, cancel_futures=True)
            assert [client.reply().status for client in clients] == [503] * 3
            assert [client.ask(get()).status for client in clients * 2] == [503] * 6

    @pytest.mark.parametrize("wrong", [0, -1, 1.5, "2", True])
    def test_number_must_make_sense(self, wrong: Any) -> None:
        with pytest.raises(ValueError, match=f"expected max_waiting as a number >= 1 or None, got {wrong!r}"):
            in_threads(print, max_waiting=wrong)


def test_handler_that_would_end_the_program_is_500(pool: ThreadPoolExecutor) -> None:
    with Site() as site:
        site.server.set_gencb(in_threads(lambda asked: sys.exit(), pool))
        assert site.client().ask(get()).status == 500
        assert [str(exception) for exception in site.take_escaped()] == [
            "a handler in a thread called sys.exit()"
        ]


def test_second_reply_is_an_error_in_the_thread(pool: ThreadPoolExecutor) -> None:
    caught: list[Exception] = []

    def handler(asked: Request) -> None:
        asked.send_reply(200, b"first")
        try:
            asked.send_reply(200, b"second")
        except LocalProtocolError as error:
            caught.append(error)
        asked.send_reply_start(200)

    with Site() as site:
        site.server.set_gencb(in_threads(handler, pool))
        client = site.client()
        assert client.ask(get()).body == b"first"
        assert client.ask(get()).body == b"first"
        pool.shutdown()
        site.settle()
        assert len(caught) == 2


def test_client_that_does_not_read_holds_the_thread_up(pool: ThreadPoolExecutor) -> None:
    sent: list[int] = []

    def handler(asked: Request) -> None:
        asked.send_reply_start(200)
        for number in range(1024):
            asked.send_reply_chunk(bytes(65536))
            sent.append(number)
        asked.send_reply_end()

    with Site() as site:
        site.server.set_gencb(in_threads(handler, pool))
        client = site.client(receive_buffer=65536)
        client.send(get())
        body = client.reply().body
        assert len(body) == 64 * MIB
        (connection,) = site.server.connections
        assert not connection.bev.output


def test_client_that_goes_lets_the_thread_go(pool: ThreadPoolExecutor) -> None:
    left = threading.Event()
    drained: list[str] = []

    def handler(asked: Request) -> None:
        asked.send_reply_start(200)
        while not asked.gone:
            asked.send_reply_chunk(bytes(1 << 20), lambda: drained.append("told"))
        asked.send_reply_chunk(b"nobody hears")
        asked.send_reply_end()
        left.set()

    with Site() as site:
        site.server.set_gencb(in_threads(handler, pool))
        client = site.client(receive_buffer=65536)
        client.send(get())
        site.settle()
        client.reset()
        site.connected(0)
        site.until(left.is_set, "the handler")


def test_base_that_is_closed_lets_the_thread_go(
    pool: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though the server was not: else a program that was interrupted would not end."""
    monkeypatch.setattr("evkit.http.server.threaded._LOOK", 0.01)
    waits = threading.Event()
    caught: list[Exception] = []

    def handler(asked: Request) -> None:
        asked.send_reply_start(200)
        waits.set()
        try:
            while True:
                asked.send_reply_chunk(bytes(MIB))
        except LoopError as error:
            caught.append(error)

    base = EventBase()
    server = Server(base)
    server.set_gencb(in_threads(handler, pool))
    with socket.create_connection(("127.0.0.1", server.bind("127.0.0.1", 0).port)) as sock:
        sock.sendall(get())
        while not waits.is_set():
            base.loop(EVLOOP_NONBLOCK)
        base.close()
        pool.shutdown()
        assert len(caught) == 1
        for connection in tuple(server.connections):
            connection.close()
        server.listeners[0].close()


class TestAllowThreads:
    def test_reply_of_a_thread_that_nobody_pools(self) -> None:
        threads: list[threading.Thread] = []

        def handler(asked: Request) -> None:
            allow_threads(asked)
            allow_threads(asked)
            thread = threading.Thread(target=asked.send_reply, args=(200, b"from afar"))
            threads.append(thread)
            thread.start()

        with Site() as site:
            site.server.set_gencb(handler)
            assert site.client().ask(get()).body == b"from afar"
            for thread in threads:
                thread.join()

    def test_loop_itself_may_answer_and_never_waits(self) -> None:
        def handler(asked: Request) -> None:
            allow_threads(asked)
            asked.send_reply_start(200)
            for _ in range(64):
                asked.send_reply_chunk(bytes(65536))
            asked.send_reply_end()

        with Site() as site:
            site.server.set_gencb(handler)
            assert len(site.client().ask(get()).body) == 4 * MIB

    def test_connection_is_not_given_away(self) -> None:
        caught: list[Exception] = []

        def handler(asked: Request) -> None:
            allow_threads(asked)
            try:
                asked.take_over(101, [("Upgrade", "a")])
            except LocalProtocolError as error:
                caught.append(error)
            asked.send_reply(426)

        with Site() as site:
            site.server.set_gencb(handler)
            assert site.client().ask(get("/", "Connection: upgrade", "Upgrade: a")).status == 426
            assert "loop's thread" in str(caught[0])

    def test_abort(self, pool: ThreadPoolExecutor) -> None:
        with Site() as site:
            site.server.set_gencb(in_threads(Request.abort, pool))
            client = site.client()
            client.send(get())
            assert client.rest() == b""

    def test_for_a_client_that_has_gone(self) -> None:
        with Site() as site:
            asked: list[Request] = []
            site.server.set_gencb(asked.append)
            client = site.client()
            client.send(get())
            client.reset()
            site.connected(0)
            allow_threads(asked[0])
            asked[0].send_reply(200)
