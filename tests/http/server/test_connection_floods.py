"""Clients that send more than they read, or more than is served: what they cost stays bounded."""

from evkit.core import EventBase
from http_handlers import MIB, Later, only
from http_server_aids import Site, get


def test_pipelined_requests_that_nobody_reads_stay_bounded(base: EventBase) -> None:
    with Site(base=base) as site:
        site.server.set_gencb(lambda request: request.send_reply(200, bytes(10_000)))
        flood = site.client(receive_buffer=4096)
        asked = get("/", "X: " + "y" * 4000)
        sent = flood.fill(asked, 64 * MIB)
        assert sent < 64 * MIB
        bev = only(site).bev
        assert len(bev.output) <= 2 * 262144
        assert len(bev.input) <= 2 * 65536
        answered = len(site.completed)
        site.serves()
        # Once it reads, it is served to the end; a request that was sent in part never gets whole.
        total = sent // len(asked)
        assert answered < total
        flood.finish()
        assert flood.rest().count(b"HTTP/1.1 200 OK\r\n") == total


def test_pipelined_requests_to_a_slow_handler_stay_bounded() -> None:
    with Site() as site:
        later = Later()
        site.server.set_gencb(later)
        flood = site.client()
        most = 0
        for _ in range(50):
            flood.fill(get(), 4 * MIB)
            later.requests[-1].send_reply(200)
            site.settle()
            most = max(most, len(only(site).bev.input))
        assert most <= 2 * 65536
        assert len(later.requests) == 51


def test_a_bad_request_behind_unread_replies_takes_no_more_memory() -> None:
    with Site() as site:
        site.server.set_gencb(lambda request: request.send_reply(200, bytes(4 * MIB)))
        flood = site.client(receive_buffer=4096)
        flood.send(get() + b"bad request\r\n\r\n")
        flood.fill(bytes(65536), 8 * MIB)
        assert len(only(site).bev.input) <= 2 * 65536
        assert [flood.reply().status for _ in range(2)] == [200, 400]
        assert flood.rest() == b""


def test_a_head_that_never_ends_is_refused_at_its_limit() -> None:
    with Site() as site:
        client = site.client()
        client.send(b"GET / HTTP/1.1\r\n")
        client.fill(b"X: " + b"y" * 1000 + b"\r\n", MIB)
        assert client.reply().status == 431
