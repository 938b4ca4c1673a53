"""``drained``: a reply that is produced as fast as its client reads, and no faster."""

import h11
import pytest

from evkit.http.server.request import Request
from http_handlers import MIB, Later, only
from http_server_aids import Site, get


def test_drained_is_called_once_when_the_pieces_are_on_their_way() -> None:
    with Site() as site:
        later, calls = Later(), []
        site.server.set_gencb(later)
        client = site.client(receive_buffer=4096)
        client.send(get())
        (asked,) = later.requests
        asked.send_reply_start(200)
        asked.send_reply_chunk(bytes(8 * MIB), lambda: calls.append(len(only(site).bev.output)))
        site.settle()
        assert calls == []
        site.until(lambda: client.take() is not None and calls, "the write to drain")
        assert calls == [0]
        asked.send_reply_chunk(b"", lambda: calls.append(1))
        site.settle()
        assert calls == [0, 1]
        asked.send_reply_end()


def test_a_reply_that_is_produced_as_it_drains_stays_small() -> None:
    with Site() as site:
        left, most = 200, 0

        def more(request: Request) -> None:
            nonlocal left, most
            most = max(most, len(only(site).bev.output))
            left -= 1
            if left:
                request.send_reply_chunk(bytes(65536), lambda: more(request))
            else:
                request.send_reply_end()

        def handler(request: Request) -> None:
            request.send_reply_start(200)
            more(request)

        site.server.set_gencb(handler)
        client = site.client()
        assert len(client.ask(get()).body) == 199 * 65536
        assert most <= 2 * 65536


def test_an_exception_in_drained_closes_the_connection() -> None:
    with Site() as site:
        later = Later()
        site.server.set_gencb(later)
        client = site.client()
        client.send(get())
        later.requests[0].send_reply_start(200)
        later.requests[0].send_reply_chunk(b"x", lambda: 1 // 0)
        site.settle()
        assert [type(error) for error in site.take_escaped()] == [ZeroDivisionError]
        with pytest.raises(h11.RemoteProtocolError):
            client.reply()
        assert not site.server.connections
        assert later.closed == later.requests


def test_drained_is_not_called_when_the_connection_has_ended() -> None:
    with Site() as site:
        later, calls = Later(), []
        site.server.set_gencb(later)
        client = site.client(receive_buffer=4096)
        client.send(get())
        later.requests[0].send_reply_start(200)
        site.settle()
        later.requests[0].send_reply_chunk(b"", lambda: calls.append("at once"))
        later.requests[0].send_reply_chunk(bytes(8 * MIB), lambda: calls.append("later"))
        site.server.close()
        site.settle()
        assert calls == []
