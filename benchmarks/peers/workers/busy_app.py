"""A handler that is busy for a while, as one is that makes a page from a template; see ``bench_workers.py``."""

import os

from evkit.http import Request

LOOPS = int(os.environ.get("BUSY_LOOPS", "0"))


def busy(request: Request) -> None:
    for _ in range(LOOPS):
        pass
    request.send_reply(200, b"Hello, world!", [("Content-Type", "text/plain")])
