"""The plain examples of RPC run as their docstrings say, together and beside the command line."""

import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from patience import PATIENCE
from running import Program, port_in

EXAMPLES = Path(__file__).parents[1] / "examples"


@contextmanager
def serving() -> Iterator[tuple[Program, str]]:
    with Program(EXAMPLES / "rpc_server.py", "0") as program:
        yield program, str(port_in(program.out.next()))
        program.signal(signal.SIGINT)
        assert program.wait() == 0


def call(port: str, *words: str) -> tuple[str, str, int]:
    """Call by the command line, as the docstring does."""
    done = subprocess.run(
        [sys.executable, "-m", "evkit", "rpc", "call", f"127.0.0.1:{port}", *words],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    return done.stdout, done.stderr, done.returncode


def test_both() -> None:
    with serving() as (server, port):
        with Program(EXAMPLES / "rpc_client.py", port) as client:
            assert client.wait() == 0
            said = client.out.rest()
        assert said[:2] == ["5.0", "[0.0, 2.0, 4.0, 6.0, 8.0]"]
        assert said[2:4] == ["news: 1 x tea left", "1 left"]  # the server sends them in this order
        assert said[4:] == ["there is no tea left (404)", "time is up"]
        assert server.out.next().endswith(" is there")
        assert server.out.next().endswith(" is gone")


def test_the_server_from_the_shell() -> None:
    with serving() as (_, port):
        assert call(port, "add", "2", "3") == ("5.0\n", "", 0)
        assert call(port, "order", "tea", "3") == ("0\n", "", 0)
        out, problem, status = call(port, "order", "tea")
        assert "[404] there is no tea left" in problem
        assert (out, status) == ("", 1)


def test_a_client_without_a_server_says_so() -> None:
    with socket.socket() as bound:
        bound.bind(
            ("127.0.0.1", 0)
        )  # and does not listen: nobody else gets the port, and who connects is refused
        with Program(EXAMPLES / "rpc_client.py", str(bound.getsockname()[1])) as client:
            assert client.wait() == 1
            assert "refused" in client.err.seen[0]
