"""Each example of RPC runs as its docstring says, and ends at Ctrl-C without a complaint."""

import signal
import socket
import subprocess
import sys
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgpack
import pytest

from evkit import EventBase
from evkit.rpc import INPUT, Client, RPCError
from patience import PATIENCE
from running import Program, port_in

EXAMPLES = Path(__file__).parents[1] / "examples"
HOOKS = EXAMPLES / "rpc_hooks.py"
STREAMS = EXAMPLES / "rpc_streams.py"


@contextmanager
def serving(example: Path, *arguments: str) -> Iterator[str]:
    """Serve, and give the port."""
    with Program(example, "serve", *arguments, "0") as program:
        yield str(port_in(program.out.next()))
        program.signal(signal.SIGINT)
        assert program.wait() == 0


def run(example: Path, *arguments: str, given: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(example), *arguments],
        input=given,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


class TestHooks:
    def test_with_the_password(self) -> None:
        with serving(HOOKS, "sesame") as port:
            done = run(HOOKS, "call", "sesame", port, "hello")
            assert (done.stdout, done.stderr, done.returncode) == ("5000 characters\n", "", 0)

    def test_with_another(self) -> None:
        with serving(HOOKS, "sesame") as port:
            done = run(HOOKS, "call", "simsim", port, "hello")
            assert (done.stdout, done.returncode) == ("", 1)
            assert "wrong password" in done.stderr

    def test_long_messages_are_compressed(self) -> None:
        with serving(HOOKS, "sesame") as port, EventBase() as base:
            seen: list[bytes] = []
            with Client(base, ("127.0.0.1", int(port)), hello=True, reconnect=None) as client:
                client.add_hook(INPUT, lambda frame: seen.append(frame.data), frames=True)
                with pytest.raises(RPCError):  # what has come is no message without its hooks
                    client.call("thousandfold", "x" * 300, metadata={"password": "sesame"}).result()
            assert isinstance(msgpack.unpackb(seen[-1]), bytes)
            assert len(seen[-1]) < 2000

    def test_a_bomb_ends_its_connection_only(self) -> None:
        with serving(HOOKS, "sesame") as port:
            bomb = zlib.compress(bytes(50_000_000))
            with socket.create_connection(("127.0.0.1", int(port)), timeout=PATIENCE) as sock:
                sock.sendall(b"\xc6" + len(bomb).to_bytes(4, "big") + bomb)
                assert sock.recv(1) == b""
            assert run(HOOKS, "call", "sesame", port, "hello").returncode == 0


class TestStreams:
    def test_numbers_that_come(self) -> None:
        with serving(STREAMS) as port:
            done = run(STREAMS, "count", port, "500")
            assert done.stdout.split() == [str(number) for number in range(1, 501)]
            assert (done.stderr, done.returncode) == ("", 0)

    def test_numbers_that_go(self) -> None:
        with serving(STREAMS) as port:
            assert run(STREAMS, "total", port, "1.5", "2", "4").stdout == "7.5\n"
            assert run(STREAMS, "total", port).stdout == "0\n"

    def test_both_at_once(self) -> None:
        lines = [f"line {number}" for number in range(700)]
        with serving(STREAMS) as port:
            done = run(STREAMS, "shout", port, given="\n".join(lines))
            assert done.stdout.splitlines() == [line.upper() for line in lines]
            assert (done.stderr, done.returncode) == ("", 0)
