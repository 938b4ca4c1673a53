"""The example of evrpc and libevent's own evrpc call one another."""

import signal
import urllib.error
import urllib.request
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from patience import PATIENCE
from rpc_peers import Peer
from running import Program, port_in

EXAMPLE = Path(__file__).parents[1] / "examples" / "evrpc.py"
Start = Callable[..., AbstractContextManager[Peer]]


def test_libevent_calls_us(evrpc_peer: Start) -> None:
    with Program(EXAMPLE, "serve", "0") as program:
        port = str(port_in(program.out.next()))
        with evrpc_peer("connect", port, "world", "41") as peer:
            assert peer.line() == "hello world 42"
        with evrpc_peer("connect", port, "", str(2**31 - 1)) as peer:
            assert peer.line() == f"hello  {2**31}"
        program.signal(signal.SIGINT)
        assert program.wait() == 0


def test_we_call_libevent(evrpc_peer: Start) -> None:
    with evrpc_peer("listen") as peer:
        port = peer.line()
        for text, number, answer in (("world", "41", "hello world 42"), ("", str(2**32 - 1), "hello  0")):
            with Program(EXAMPLE, "call", port, text, number) as program:
                assert program.out.next() == answer
                assert program.wait() == 0


def test_we_call_ourselves() -> None:
    with Program(EXAMPLE, "serve", "0") as server:
        with Program(EXAMPLE, "call", str(port_in(server.out.next())), "world", "41") as program:
            assert program.out.next() == "hello world 42"
            assert program.wait() == 0
        server.signal(signal.SIGINT)
        assert server.wait() == 0


@pytest.mark.parametrize("body", [b"", b"\1\5wor", b"\1\0", b"\1\0\2\1\0\3\0"])
def test_what_is_no_message_gets_the_answer_that_libevent_gives(evrpc_peer: Start, body: bytes) -> None:
    with Program(EXAMPLE, "serve", "0") as program, evrpc_peer("listen") as peer:
        for port in (str(port_in(program.out.next())), peer.line()):
            request = urllib.request.Request(f"http://127.0.0.1:{port}/.rpc.Echo", data=body)
            with pytest.raises(urllib.error.HTTPError) as caught:
                urllib.request.urlopen(request, timeout=PATIENCE)
            with caught.value:
                assert caught.value.code == 503
        program.signal(signal.SIGINT)
        assert program.wait() == 0
