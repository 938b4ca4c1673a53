"""The ASGI application that uvicorn and granian serve: a small reply at ``/``, one file at ``/file.bin``.

The file's path comes in the environment variable ``BENCH_FILE``, because servers import this module by name.
"""

import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final

Send = Callable[[dict[str, Any]], Awaitable[None]]
Receive = Callable[[], Awaitable[dict[str, Any]]]

_HELLO: Final = {"type": "http.response.body", "body": b"Hello, world!"}
_HELLO_START: Final = {
    "type": "http.response.start",
    "status": 200,
    "headers": [(b"content-type", b"text/plain"), (b"content-length", b"13")],
}
_FILE: Final = Path(os.environ.get("BENCH_FILE", "file.bin"))


async def _send_file(scope: dict[str, Any], send: Send) -> None:
    """Let the server send the file where it offers to (granian does), else read it and hand it over whole."""
    size = str(_FILE.stat().st_size).encode()
    headers = [(b"content-type", b"application/octet-stream"), (b"content-length", size)]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    if "http.response.pathsend" in scope.get("extensions", {}):
        await send({"type": "http.response.pathsend", "path": str(_FILE)})
    else:
        await send({"type": "http.response.body", "body": _FILE.read_bytes()})


async def app(scope: dict[str, Any], receive: Receive, send: Send) -> None:  # noqa: ARG001 - ASGI's signature
    """Answer one request; every path but the file's gets the small reply."""
    if scope["path"] == "/file.bin":
        await _send_file(scope, send)
    else:
        await send(_HELLO_START)
        await send(_HELLO)
