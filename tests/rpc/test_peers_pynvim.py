"""pynvim takes evkit's server for a Neovim, and is called by it."""

from typing import Any

import pytest

from evkit.core import EventBase, Future
from evkit.rpc import Call, Ext, MethodError, Server
from rpc_peers import Start

pytestmark = pytest.mark.peer

CHANNEL = 7
TYPES = {"Buffer": {"id": 0, "prefix": "nvim_buf_"}, "Window": {"id": 1, "prefix": "nvim_win_"}}
ABOUT = {
    "version": {"major": 0, "minor": 7, "patch": 2, "api_level": 9},
    "types": TYPES | {"Tabpage": {"id": 2, "prefix": "nvim_tabpage_"}},
    "functions": [],
}


def test_pynvim(base: EventBase, pynvim_client: Start) -> None:
    notes: list[tuple[object, ...]] = []
    server = Server(base)
    server.register(lambda: [CHANNEL, ABOUT], "nvim_get_api_info")
    server.register(lambda *about: notes.append(about[:1]), "nvim_set_client_info")
    server.register(lambda text: notes.append((text,)), "note")

    @server.method
    def add(a: int, b: int) -> int:
        return a + b

    @server.method
    def echo(value: Any) -> Any:
        return value

    @server.method
    def buffer() -> Ext:
        return Ext(0, b"\x05")

    @server.method
    def neovims_error() -> None:
        raise MethodError("no luck", raw=[0, "no luck"])

    @server.method
    def call_back(call: Call) -> Future[Any]:
        """It calls us in turn before it answers."""
        return call.connection.call("add_there", 20, 22)

    @server.method
    def say_bye(call: Call) -> None:
        call.connection.notify("bye", 1, "x")

    port = server.bind("127.0.0.1", 0).port
    with pynvim_client(str(port)) as peer:
        said = peer.said(base)
    server.close()
    echoed = ascii({"list": [1, None, True], "Ω": -1.5, "bytes": "\0\udcff"})  # it makes text of bytes
    assert said == [
        f"channel {CHANNEL}",
        "sum 5",
        f"echo {echoed}",
        "buffer 5",
        "error no luck",
        "called back 42",
        "notified bye [1, 'x']",
    ]
    assert notes == [("python3-client",), ("a note",)]
