"""A site for the tests of static files: a real server on loopback and a client, both on one base, without threads."""

import http.client
import io
import os
import socket
from collections.abc import Callable
from typing import Any

from evkit.core import EV_PERSIST, EV_READ, EV_TIMEOUT, Event, EventBase
from evkit.http.server.server import Server
from evkit.http.static import StaticFiles
from patience import PATIENCE


class Answer:
    """A response, taken apart by the standard library."""

    def __init__(self, raw: bytes, method: str) -> None:
        self.raw = raw
        response = http.client.HTTPResponse(_Replay(raw), method=method)  # type: ignore[arg-type]
        response.begin()
        self.status = response.status
        self.headers = response.headers
        self.body = response.read()

    def __getitem__(self, name: str) -> str | None:
        return self.headers[name]


class _Replay:
    def __init__(self, raw: bytes) -> None:
        self._raw = raw

    def makefile(self, *_: object) -> io.BytesIO:
        return io.BytesIO(self._raw)


class Conversation:
    """One connection to the site, on the site's base."""

    def __init__(self, base: EventBase, port: int) -> None:
        self.received = bytearray()
        self.ended = False
        self.on_data: Callable[[], object] | None = None  # called once, when the first bytes have come
        self.sock = socket.create_connection(("127.0.0.1", port))
        self._event = base.event(self.sock, EV_READ | EV_PERSIST, self._on_readable)
        self._event.add(PATIENCE)

    def _on_readable(self, event: Event, what: int) -> None:
        assert what != EV_TIMEOUT, f"no end of the reply after {bytes(self.received)[:200]!r}"
        try:
            data = self.sock.recv(1 << 20)
        except ConnectionResetError:
            data = b""
        self.received += data
        hook, self.on_data = self.on_data, None
        if hook is not None:
            hook()
        if not data:
            self.ended = True
            event.delete()
            event.base.loopbreak()

    def close(self) -> None:
        self._event.delete()
        self.sock.close()


class Site:
    """A server of one folder."""

    def __init__(self, base: EventBase, root: str | os.PathLike[str], **options: Any) -> None:
        self.base = base
        self.escaped: list[Exception] = []
        base.exception_handler = lambda exception, _source: self.escaped.append(exception)
        self.server = Server(base)
        self.files = StaticFiles(root, **options)
        self.server.set_gencb(self.files)
        self.port = int(self.server.bind("127.0.0.1", 0).address.rpartition(":")[2])

    def talk(self, request: bytes) -> bytes:
        """Send bytes, and return what comes until the end."""
        client = Conversation(self.base, self.port)
        try:
            client.sock.sendall(request)
            self.base.dispatch()
            return bytes(client.received)
        finally:
            client.close()

    def ask(self, path: str, method: str = "GET", **fields: str) -> Answer:
        """Ask for a path, as it is, with fields: ``if_range="…"`` is sent as ``if-range``."""
        lines = [f"{method} {path} HTTP/1.1", "Host: test", "Connection: close"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in fields.items()]
        answer = Answer(self.talk("\r\n".join([*lines, "", ""]).encode("latin-1")), method)
        assert not self.escaped
        return answer
