"""Nothing is kept of a connection that is over, nor does it take the garbage collector to free it."""

import gc
from collections.abc import Callable

import pytest

from evkit.core import Buffer, SocketBufferEvent
from evkit.http.server.connection import ServerConnection
from evkit.http.server.patience import Timeouts
from evkit.http.server.request import Request
from http_handlers import MIB, echo
from http_server_aids import Site, both_engines, chunked, get


def collected(site: Site, exchange: Callable[[Site], None], kinds: tuple[type, ...]) -> list[str]:
    """Run ``exchange`` with the collector off, and name the objects of ``kinds`` that are left after it."""
    gc.collect()
    before = {id(thing) for thing in gc.get_objects() if isinstance(thing, kinds)}
    gc.disable()
    try:
        exchange(site)
        site.connected(0)
        site.clients.clear()
        return [
            repr(thing) for thing in gc.get_objects() if isinstance(thing, kinds) and id(thing) not in before
        ]
    finally:
        gc.enable()


def _simple(site: Site) -> None:
    client = site.client()
    client.ask(get())
    client.close()


def _closed_by_server(site: Site) -> None:
    client = site.client()
    client.ask(get("/", "Connection: close"))
    site.connected(0)  # it does not wait long for the client to go
    client.close()


def _dripped(site: Site) -> None:
    client = site.client()
    client.send(get()[:5])
    client.ask(get()[5:])
    client.close()


def _posted(site: Site) -> None:
    client = site.client()
    client.ask(chunked("POST", "/", b"abc"))
    client.close()


def _refused(site: Site) -> None:
    client = site.client()
    client.ask(b"bad\r\n\r\n")
    client.close()


def _reset(site: Site) -> None:
    client = site.client()
    client.send(get()[:5])
    client.reset()


def _unread(site: Site) -> None:
    client = site.client(receive_buffer=4096)
    client.send(get("/large"))
    client.reset()


def _failed(site: Site) -> None:
    client = site.client()
    client.ask(get("/fails"))
    client.close()


@pytest.mark.parametrize(
    "exchange", [_simple, _closed_by_server, _dripped, _posted, _refused, _reset, _unread, _failed]
)
@both_engines
def test_what_is_over_is_freed_without_the_collector(engine: str, exchange: Callable[[Site], None]) -> None:
    with Site(engine, timeouts=Timeouts(linger=0)) as site:
        site.server.set_cb("/", echo)
        site.server.set_cb("/large", lambda request: request.send_reply(200, bytes(8 * MIB)))
        site.server.set_cb("/fails", lambda request: 1 // 0)
        site.base.exception_handler = lambda error, source: None
        kinds = (Request, ServerConnection, SocketBufferEvent, Buffer)
        assert collected(site, exchange, kinds) == []
