"""One HTTP server under test: started, and proved to answer rightly.

It must never know what is measured while the server runs.
"""

import http.client
import socket
import ssl
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Final

from common.server import HOST, RunningServer, free_port, running

from httpbench.load import Case
from httpbench.peers import Peer, Site, environment

_REPLY_SECONDS: Final = 10.0


class WrongAnswer(Exception):  # noqa: N818 - what the server gave
    """A server's reply is not the one that was asked for: its figures would mean nothing."""


def serving(peer: Peer, site: Site, core: int, *, tls: bool = False) -> AbstractContextManager[RunningServer]:
    """Run a server, pinned to one processor, for the length of a ``with`` block.

    Args:
        peer: Which one; it was prepared.
        site: Where its files are.
        core: The processor that it and all its threads and children run on.
        tls: Speak TLS, and nothing else; the peer can.

    Raises:
        ServerError: it ended or did not listen in time.
    """
    command = peer.tls if tls and peer.tls is not None else peer.command
    port = free_port()
    log = site.build / f"{peer.name}.log"
    return running(command(site, port), port=port, core=core, log=log, environment=environment(site))


def wrong_with(case: Case, status: int, headers: Sequence[tuple[str, str]], body: bytes) -> str | None:
    """Say what is wrong with a reply to ``case``; None when it is right.

    Args:
        case: What was asked.
        status: The reply's status code.
        headers: Its headers, names in any case.
        body: Its content.
    """
    fields = {name.lower(): value for name, value in headers}
    if status != 200:
        return f"status {status} instead of 200"
    if body != case.body:
        return f"a body of {len(body)} bytes that begins {body[:20]!r}, expected {len(case.body)}"
    if fields.get("content-length") != str(len(case.body)):
        return f"Content-Length {fields.get('content-length')!r} instead of {len(case.body)}"
    if case.path == "/" and not fields.get("content-type", "").startswith("text/plain"):
        return f"Content-Type {fields.get('content-type')!r} instead of text/plain"
    if fields.get("connection", "").lower() == "close":
        return "Connection: close"
    return None


def _connection(case: Case, port: int) -> http.client.HTTPConnection:
    if not case.tls:
        return http.client.HTTPConnection(HOST, port, timeout=_REPLY_SECONDS)
    trusting = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # of a certificate that was made for this
    trusting.check_hostname = False
    trusting.verify_mode = ssl.CERT_NONE
    return http.client.HTTPSConnection(HOST, port, timeout=_REPLY_SECONDS, context=trusting)


def _check_pair(case: Case, port: int) -> list[tuple[str, str]]:
    connection = _connection(case, port)
    headers: list[tuple[str, str]] = []
    try:
        connection.connect()
        first_socket = connection.sock
        for _ in range(2):
            connection.request("GET", case.path, headers=dict(case.headers))
            reply = connection.getresponse()
            headers = reply.getheaders()
            if fault := wrong_with(case, reply.status, headers, reply.read()):
                raise WrongAnswer(fault)
        if connection.sock is not first_socket:
            raise WrongAnswer("the connection was not kept alive")
    finally:
        connection.close()
    return headers


def _check_pipelined(case: Case, port: int) -> None:
    request = f"GET {case.path} HTTP/1.1\r\nHost: {HOST}:{port}\r\n\r\n".encode()
    received = b""
    with socket.create_connection((HOST, port), timeout=_REPLY_SECONDS) as sock:
        sock.sendall(request * case.depth)
        while received.count(case.body) < case.depth:
            data = sock.recv(65536)
            if not data:
                raise WrongAnswer(f"{received.count(case.body)} of {case.depth} pipelined requests answered")
            received += data


def check(case: Case, port: int) -> list[tuple[str, str]]:
    """Put a case to a server and compare what comes back: twice on one connection, and pipelined if it is.

    Returns:
        The reply's headers, so that the report can show in what the servers' replies differ.

    Raises:
        WrongAnswer: the reply is wrong or did not come.
    """
    try:
        headers = _check_pair(case, port)
        if case.depth > 1:
            _check_pipelined(case, port)
    except (OSError, http.client.HTTPException) as exc:
        raise WrongAnswer(f"no reply: {exc!r}") from exc
    return headers
