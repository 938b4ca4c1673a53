"""`Server`: routes, listening, how many clients, and how it stops."""

import os
import resource
import socket
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from evkit.core import EventBase
from evkit.core.log import set_log_callback
from evkit.core.net import bound_socket
from evkit.http.server.request import Request
from evkit.http.server.server import Server
from evkit.testing import ManualClock
from http_handlers import MIB, Later
from http_server_aids import Client, Site, count_descriptors, get, request

NOT_HERE = "192.0.2.1"
"""An address that no machine has. Source: RFC 5737."""


def answer(text: str) -> "Answer":
    return Answer(text)


class Answer:
    """A handler that says always the same."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __call__(self, request: Request) -> None:
        request.send_reply(200, self.text)


# Routes


@pytest.mark.parametrize("target", ["/café", "/a b", "/100%"])
def test_a_handler_gets_the_requests_of_its_path_however_that_is_spelt(target: str) -> None:
    with Site() as site:
        site.server.set_cb(target, answer("its own"))
        client = site.client()
        spelt = quote(target)
        for sent in (get(spelt), get(spelt + "?q"), get("http://other" + spelt)):
            assert client.ask(sent).body == b"its own"
        assert client.ask(get(spelt + "/")).status == 404


def test_what_no_handler_was_set_for_is_404() -> None:
    with Site() as site:
        client = site.client()
        reply = client.ask(get("/nowhere"))
        assert (reply.status, reply.body) == (404, b"404 Not Found\n")
        site.server.set_gencb(answer("x"))
        assert client.ask(get("/nowhere")).status == 200
        site.server.set_gencb(None)
        assert client.ask(get("/nowhere")).status == 404


def test_a_route_is_set_once_and_can_be_taken_back() -> None:
    with Site() as site:
        client = site.client()
        site.server.set_cb("/a", answer("first"))
        with pytest.raises(ValueError, match="handler already"):
            site.server.set_cb("/a", answer("second"))
        assert client.ask(get("/a")).body == b"first"
        site.server.del_cb("/a")
        assert client.ask(get("/a")).status == 404
        with pytest.raises(KeyError):
            site.server.del_cb("/a")
        site.server.set_cb("/a", answer("second"))
        assert client.ask(get("/a")).body == b"second"


def test_the_decorator_registers_and_returns_its_function() -> None:
    with Site() as site:

        @site.server.route("/up", stream=True, max_body=3)
        def up(request: Request) -> None:
            request.receive(lambda *_: None, lambda request: request.send_reply(200, b"up"))

        assert callable(up)
        client = site.client()
        assert client.ask(request("POST", "/up", body=b"abc")).body == b"up"
        assert client.ask(request("POST", "/up", body=b"abcd")).status == 413


def test_a_handler_may_change_the_routes() -> None:
    with Site() as site:

        def once(request: Request) -> None:
            site.server.del_cb("/once")
            request.send_reply(200)

        site.server.set_cb("/once", once)
        client = site.client()
        client.send(get("/once") * 2)
        assert [client.reply().status for _ in range(2)] == [200, 404]


# Hooks


def test_a_request_knows_its_client_and_when_it_came_after_its_reply_too() -> None:
    with Site() as site:
        seen: list[Request] = []

        def handler(request: Request) -> None:
            seen.append(request)
            request.send_reply(200)

        site.server.set_gencb(handler)
        client = site.client()
        times = [site.base.clock.monotonic()]
        for _ in range(2):
            client.ask(get("/"))
            times.append(site.base.clock.monotonic())
        first, second = seen
        assert first.gone
        assert first.peer == second.peer == "{}:{}".format(*client.socket.getsockname())
        assert times[0] <= first.started_at <= times[1] <= second.started_at <= times[2]


def test_the_access_hook_hears_of_each_reply() -> None:
    with Site() as site:
        seen: list[tuple[str, str, int, int, str]] = []

        def complete(done: Request) -> None:
            seen.append((done.method, done.target, done.status, done.reply_size, done.peer))

        site.server.on_complete = complete
        site.server.set_cb("/a", answer("four"))
        client = site.client()
        client.ask(get("/a"))
        client.ask(request("HEAD", "/a"), "HEAD")
        client.ask(get("/b"))
        peer = "{}:{}".format(*client.socket.getsockname())
        assert seen == [
            ("GET", "/a", 200, 4, peer),
            ("HEAD", "/a", 200, 0, peer),
            ("GET", "/b", 404, len(b"404 Not Found\n"), peer),
        ]


def test_hooks_that_raise_hurt_nobody() -> None:
    with Site() as site:

        def fail(*_: object) -> None:
            raise RuntimeError("broken")

        site.server.on_complete = site.server.on_refused = fail
        site.server.set_gencb(answer("x"))
        client = site.client()
        assert [client.ask(get()).status for _ in range(2)] == [200, 200]
        assert client.ask(b"bad\r\n\r\n").status == 400
        assert [str(error) for error in site.take_escaped()] == ["broken"] * 3


def test_the_hook_of_refusals_gets_the_peer_and_the_error() -> None:
    with Site() as site:
        seen: list[tuple[str, int]] = []
        site.server.on_refused = lambda peer, error: seen.append((peer, error.status))
        client = site.client()
        client.ask(b"GET / HTTP/2.0\r\n\r\n")
        assert seen == [("{}:{}".format(*client.socket.getsockname()), 505)]


# Listening


def test_an_engine_that_there_is_not_is_an_error_at_once() -> None:
    with EventBase() as base, pytest.raises(ValueError, match="native, h11"):
        Server(base, engine="fast")


@pytest.mark.parametrize(
    ("option", "wanted"), [("timeouts", "Timeouts"), ("limits", "Limits"), ("proxies", "Proxies")]
)
def test_an_option_of_another_type_is_an_error_at_once(option: str, wanted: str) -> None:
    given: tuple[Any, ...] = (5, ["127.0.0.1"], object)
    for wrong in given:
        with (
            EventBase() as base,
            pytest.raises(TypeError, match=rf"^{option} must be {wanted}\(…\) or None, got"),
        ):
            Server(base, **{option: wrong})


def test_a_port_that_is_taken_is_an_error_and_leaks_nothing() -> None:
    with Site() as site:
        before = count_descriptors()
        with pytest.raises(OSError, match="in use"):
            site.server.bind(*site.address)
        assert count_descriptors() == before
        assert len(site.server.listeners) == 1


def test_several_listeners() -> None:
    with Site() as site:
        site.server.set_gencb(answer("x"))
        second = site.server.bind("127.0.0.1", 0)
        assert second.address != site.listener.address
        host, _, port = second.address.rpartition(":")
        site.address = host, int(port)
        site.serves()


def test_a_host_name_binds_all_its_addresses() -> None:
    with Site() as site:
        listener = site.server.bind("localhost", 0)
        assert listener in site.server.listeners
        expected = {entry[4][0] for entry in socket.getaddrinfo("localhost", 0, type=socket.SOCK_STREAM)}
        bound = {one.address.rpartition(":")[0].strip("[]") for one in site.server.listeners[1:]}
        assert bound == expected
        assert {one.port for one in site.server.listeners[1:]} == {listener.port}


def has_addresses(monkeypatch: pytest.MonkeyPatch, *hosts: str) -> None:
    """Let every name have these addresses."""
    monkeypatch.setattr(
        "evkit.core.binding.passive_addresses", lambda _host, port: [(host, port) for host in hosts]
    )


def test_any_free_port_is_the_same_for_all_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    has_addresses(monkeypatch, "127.0.0.1", "127.0.0.2", "127.0.0.3")
    with EventBase() as base:
        server = Server(base)
        first = server.bind("name", 0)
        assert first.port
        assert [one.address for one in server.listeners] == [
            f"127.0.0.{number}:{first.port}" for number in (1, 2, 3)
        ]
        server.close()


def test_addresses_that_are_not_here_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    has_addresses(monkeypatch, NOT_HERE, "127.0.0.1")
    with EventBase() as base:
        server = Server(base)
        listener = server.bind("name", 0)
        assert server.listeners == [listener]
        server.close()


@pytest.mark.parametrize("hosts", [(), (NOT_HERE,)])
def test_a_name_without_an_address_here_is_an_error(
    monkeypatch: pytest.MonkeyPatch, hosts: tuple[str, ...]
) -> None:
    has_addresses(monkeypatch, *hosts)
    with EventBase() as base:
        server = Server(base)
        with pytest.raises(OSError, match=r"no addresses|assign requested address"):
            server.bind("name", 0)
        assert server.listeners == []


def test_a_bind_that_fails_at_a_later_address_closes_the_earlier_ones(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with Site() as site:
        has_addresses(monkeypatch, "127.0.0.2", "127.0.0.1")
        kept = list(site.server.listeners)
        _, port = site.address  # taken on the second address alone
        before = count_descriptors()
        with pytest.raises(OSError, match="in use"):
            site.server.bind("name", port)
        assert site.server.listeners == kept
        assert count_descriptors() == before
        site.server.accept(bound_socket(("127.0.0.2", port)))  # which is free again
        site.serves()


def test_a_unix_socket(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    with Site() as site:
        peers = []

        def handler(request: Request) -> None:
            peers.append(request.peer)
            request.send_reply(200, b"unix")

        site.server.set_gencb(handler)
        listener = site.server.bind_unix(str(path))
        assert listener.address == f"unix:{path}"
        assert stat.S_ISSOCK(path.stat().st_mode)
        sock = socket.socket(socket.AF_UNIX)
        sock.connect(str(path))
        sock.setblocking(False)
        client = Client(site, sock)
        site.clients.append(client)
        assert client.ask(get()).body == b"unix"
        assert peers[0].startswith("unix:")
    assert not path.exists()


def test_a_socket_that_is_listening_elsewhere() -> None:
    with Site() as site:
        site.server.set_gencb(answer("x"))
        sock = socket.create_server(("127.0.0.1", 0))
        site.server.accept(sock)
        site.address = sock.getsockname()
        site.serves()


def test_a_socket_that_cannot_listen_is_closed() -> None:
    with EventBase() as base:
        server = Server(base)
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        with pytest.raises((OSError, ValueError)):
            server.accept(sock)
        assert sock.fileno() == -1
        assert server.listeners == []


def test_repr_tells_the_state() -> None:
    with Site() as site:
        site.server.set_cb("/", answer("x"))
        site.client()
        site.connected(1)
        host, port = site.address
        assert repr(site.server) == f"<Server on {host}:{port} connections=1 routes=1>"
        site.server.close()
        assert repr(site.server) == "<Server on nothing connections=0 routes=1>"


# How many clients


def test_one_client_too_many_gets_503_and_later_ones_are_served() -> None:
    with Site(max_connections=2) as site:
        site.server.set_gencb(answer("x"))
        first, second = site.client(), site.client()
        assert first.ask(get()).status == second.ask(get()).status == 200
        third = site.client()
        reply = third.reply()
        assert (reply.status, reply.get("connection")) == (503, "close")
        assert reply.body == b"503 Service Unavailable: too many connections; try again later\n"
        assert third.rest() == b""  # its Content-Length is right: nothing after the body
        assert first.ask(get()).status == 200
        second.close()
        site.connected(1)
        site.serves()


def test_a_client_that_is_turned_away_may_have_gone() -> None:
    with Site(max_connections=1) as site:
        site.client()
        site.connected(1)
        sock = socket.create_connection(site.address)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        sock.close()
        site.settle()
        assert site.client().reply().status == 503


def test_no_limit_of_clients() -> None:
    with Site(max_connections=None) as site:
        clients = [site.client() for _ in range(50)]
        assert {client.ask(get()).status for client in clients} == {404}


# Stopping


def test_stop_with_nothing_to_wait_for() -> None:
    with Site() as site:
        stopped: list[bool] = []
        site.server.stop(stopped=lambda: stopped.append(True))
        assert stopped == [True]
        assert site.server.listeners == []
        assert site.base.dispatch() is False  # nothing keeps the loop


def test_stop_refuses_new_clients() -> None:
    with Site() as site:
        site.server.stop()
        with pytest.raises(ConnectionRefusedError):
            site.client()


def test_stop_closes_the_idle_and_finishes_what_is_in_flight() -> None:
    with Site() as site:
        later, stopped = Later(), []
        site.server.set_cb("/later", later)
        new, idle, half, busy = (site.client() for _ in range(4))
        idle.ask(get("/nowhere"))
        half.send(b"GET / HT")
        busy.send(get("/later") + get("/never"))
        site.server.stop(stopped=lambda: stopped.append(True))
        for client in (new, idle, half):
            assert client.rest() == b""  # the end, at once; it may still read what it was sent
            client.close()
        site.connected(1)
        assert stopped == []
        later.requests[0].send_reply(200, b"done")
        reply = busy.reply()
        assert (reply.body, reply.get("connection")) == (b"done", "close")
        assert busy.rest() == b""
        busy.close()
        assert stopped == [True]
        assert site.completed == [("/nowhere", 404), ("/later", 200)]
        assert later.closed == []


def test_stop_lets_a_body_come_in_and_be_answered() -> None:
    with Site() as site:
        site.server.set_gencb(answer("got it"))
        client = site.client()
        client.send(request("POST", "/", "Content-Length: 3") + b"a")
        site.server.stop()
        reply = client.ask(b"bc")
        assert (reply.body, reply.get("connection")) == (b"got it", "close")
        assert client.rest() == b""


def test_stop_lets_a_reply_in_pieces_come_to_its_end() -> None:
    with Site() as site:
        later = Later()
        site.server.set_gencb(later)
        client = site.client()
        client.send(get())
        later.requests[0].send_reply_start(200)
        site.server.stop()
        later.requests[0].send_reply_chunk(b"x")
        later.requests[0].send_reply_end()
        assert client.reply().body == b"x"
        assert client.rest() == b""


def test_stop_sends_what_is_written_and_then_closes() -> None:
    with Site() as site:
        stopped: list[bool] = []
        site.server.set_gencb(lambda request: request.send_reply(200, bytes(8 * MIB)))
        client = site.client(receive_buffer=4096)
        client.send(get())
        site.server.stop(stopped=lambda: stopped.append(True))
        assert len(client.reply().body) == 8 * MIB
        assert client.rest() == b""
        client.close()
        assert stopped == [True]


def test_stop_ends_when_its_grace_is_over() -> None:
    clock = ManualClock()
    with Site(clock=clock) as site:
        later, stopped = Later(), []
        site.server.set_gencb(later)
        client = site.client()
        client.send(get())
        site.server.stop(3.0, lambda: stopped.append(True))
        clock.advance(2.9)
        site.settle()
        assert stopped == []
        clock.advance(0.2)
        site.settle()
        assert stopped == [True]
        assert client.rest() == b""
        assert later.closed == later.requests
        clock.advance(3600)
        site.settle()
        assert stopped == [True]


def test_stop_and_close_tell_once() -> None:
    with Site() as site:
        stopped: list[str] = []
        later = Later()
        site.server.set_gencb(later)
        site.client().send(get())
        site.server.stop(stopped=lambda: stopped.append("stop"))
        site.server.close()
        site.server.close()
        assert stopped == ["stop"]


def test_stop_from_inside_a_handler_answers_it() -> None:
    with Site() as site:

        def handler(request: Request) -> None:
            site.server.stop()
            request.send_reply(200, b"bye")

        site.server.set_gencb(handler)
        client = site.client()
        reply = client.ask(get() * 2)
        assert (reply.body, reply.get("connection")) == (b"bye", "close")
        assert client.rest() == b""
        assert len(site.completed) == 1


def test_stop_from_the_access_hook() -> None:
    with Site() as site:
        site.server.on_complete = lambda _request: site.server.stop()
        client = site.client()
        assert client.ask(get()).status == 404
        assert client.rest() == b""


def test_close_ends_everything_at_once() -> None:
    with Site() as site:
        later = Later()
        site.server.set_gencb(later)
        clients = [site.client() for _ in range(3)]
        for client in clients:
            client.send(get())
        site.server.close()
        assert not site.server.connections
        assert [client.rest() for client in clients] == [b"", b"", b""]
        assert len(later.closed) == 3
        for asked in later.requests:
            asked.send_reply(200)


def test_a_server_that_has_stopped_can_listen_again() -> None:
    with Site() as site:
        site.server.set_gencb(answer("x"))
        site.server.stop()
        host, _, port = site.server.bind("127.0.0.1", 0).address.rpartition(":")
        site.address = host, int(port)
        site.serves()


# Out of descriptors


@contextmanager
def descriptors_limited(spare: int) -> Iterator[None]:
    """Let the process open ``spare`` more descriptors."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    highest = max(int(name) for name in os.listdir("/proc/self/fd"))
    resource.setrlimit(resource.RLIMIT_NOFILE, (highest + 1 + spare, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_out_of_descriptors_the_listener_pauses_and_comes_back() -> None:
    clock, lines = ManualClock(), []
    with Site(clock=clock) as site:
        site.server.set_gencb(answer("x"))
        served = site.client()
        assert served.ask(get()).status == 200
        # Clients whose sockets are made before, since this process pays for both sides.
        waiting = [socket.socket() for _ in range(4)]
        set_log_callback(lambda _severity, line: lines.append(line))
        try:
            with descriptors_limited(0):
                fillers = fill_descriptors()
                for sock in waiting:
                    sock.connect(site.address)
                for _ in range(20):
                    site.settle()
                    assert served.ask(get()).status == 200
                    clock.advance(1.0)
                assert len(site.server.connections) == 1
                assert len([line for line in lines if "accept failed" in line]) == 1
                for filler in fillers:
                    os.close(filler)
        finally:
            set_log_callback(None)
        clock.advance(1.0)
        site.connected(5)
        for sock in waiting:
            sock.setblocking(False)
            site.clients.append(Client(site, sock))
            assert site.clients[-1].ask(get()).status == 200
        assert len(lines) == 1


def test_a_paused_listener_does_not_keep_the_loop_busy() -> None:
    clock = ManualClock()
    with Site(clock=clock) as site:
        waiting = socket.socket()
        set_log_callback(lambda _severity, line: None)
        try:
            with descriptors_limited(0):
                fillers = fill_descriptors()
                waiting.connect(site.address)
                site.settle()
                polls: list[object] = []
                watcher = site.base.prepare(lambda _watcher, timeout: polls.append(timeout))
                site.settle()  # returns after the one poll that finds nothing
                watcher.close()
                for filler in fillers:
                    os.close(filler)
        finally:
            set_log_callback(None)
        assert len(polls) == 1
        waiting.close()


def fill_descriptors() -> list[int]:
    """Open descriptors until there are none."""
    fillers = []
    while True:
        try:
            fillers.append(os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC))
        except OSError:
            return fillers
