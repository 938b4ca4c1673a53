"""Look into a program while it works: it counts primes, and a page that refreshes itself shows how far it is.

    python examples/status_page.py [PORT]
    chromium http://127.0.0.1:8080/
    curl http://127.0.0.1:8080/status.json

The work goes on in small slices on the same event base, so the page never waits for long. Who reaches the port sees
the page: bind it to 127.0.0.1, as here, or to a unix socket.
"""

import json
import signal
import sys
from math import isqrt

from evkit import Event, EventBase
from evkit.http import Request, Server

PAGE = """<!doctype html>
<meta charset="utf-8">
<meta http-equiv="refresh" content="1">
<title>{primes:,} primes</title>
<h1>{primes:,} primes</h1>
<p>among the first {checked:,} numbers, after {seconds:.0f} s of work. {connections} connected.
"""
NEVER_OLD = ("Cache-Control", "no-store")
PAUSE = 0.01
SLICE = 50
"""Numbers to check before others get their turn."""


class Work:
    """What the program is for."""

    __slots__ = ("base", "began_at", "checked", "primes", "timer")

    def __init__(self, base: EventBase) -> None:
        self.base = base
        self.began_at = base.now()
        self.checked = 0
        self.primes = 0
        self.timer = base.timer(self.on_timer, persist=True)
        self.timer.add(PAUSE)

    def on_timer(self, _event: Event, _what: int) -> None:
        """Do a slice."""
        numbers = range(self.checked + 1, self.checked + SLICE + 1)
        self.primes += sum(map(is_prime, numbers))
        self.checked += SLICE


def is_prime(number: int) -> bool:
    """Try all divisors, as this is about something else."""
    return number > 1 and all(number % divisor for divisor in range(2, isqrt(number) + 1))


class StatusPage:
    """Shows it."""

    __slots__ = ("server", "work")

    def __init__(self, server: Server, work: Work) -> None:
        self.server = server
        self.work = work
        server.set_cb("/", self.on_page, methods=("GET",))
        server.set_cb("/status.json", self.on_json, methods=("GET",))

    def status(self) -> dict[str, float]:
        """Gather what there is to show."""
        work = self.work
        return {
            "checked": work.checked,
            "primes": work.primes,
            "seconds": work.base.now() - work.began_at,
            "connections": len(self.server.connections),
        }

    def on_page(self, request: Request) -> None:
        """Answer a browser. Numbers are safe in a page; text goes through `html.escape` first."""
        page = PAGE.format(**self.status())
        request.send_reply(200, page, [("Content-Type", "text/html; charset=utf-8"), NEVER_OLD])

    def on_json(self, request: Request) -> None:
        """Answer a program."""
        request.send_reply(200, json.dumps(self.status()), [("Content-Type", "application/json"), NEVER_OLD])


def main() -> None:
    """Work until Ctrl-C."""
    with EventBase() as base:
        work = Work(base)
        server = Server(base)
        StatusPage(server, work)
        listener = server.bind("127.0.0.1", int(sys.argv[1]) if len(sys.argv) > 1 else 8080)
        print(f"http://{listener.address}/ (Ctrl-C stops)", flush=True)
        base.signal(signal.SIGINT, lambda *_: server.stop(stopped=base.loopexit)).add()
        base.dispatch()
        print(f"{work.primes} primes among {work.checked} numbers", flush=True)


if __name__ == "__main__":
    main()
