"""Answer questions about a zone, over UDP and TCP.

    python examples/name_server.py [PORT [ZONEFILE ORIGIN]]
    dig @127.0.0.1 -p 5300 www.example.org

Without a file the zone is the one below. `time.example.org` shows what a zone file can't: its handler makes the answer,
a second after it was asked.
"""

import signal
import sys
from datetime import UTC, datetime
from pathlib import Path

from evkit import EventBase
from evkit.dns.server import ANSWER, ServerPort, ServerRequest, Zone

ZONE = """
$ORIGIN example.org.
$TTL 1h
@       SOA   ns hostmaster ( 1 2h 1h 2w 5m )
        NS    ns
        MX    10 mail
ns      A     127.0.0.1
mail    A     192.0.2.25
        AAAA  2001:db8::25
www     CNAME mail
*.wild  TXT   "any name will do"
"""
CLOCK = "time.example.org"


class NameServer:
    """A zone, and a name that is no part of it."""

    def __init__(self, base: EventBase, zone: Zone) -> None:
        self.base = base
        self.zone = zone

    def handle(self, request: ServerRequest) -> None:
        """Answer now, or in a second."""
        if request.question.name.lower() == CLOCK and request.question.type == "TXT":
            self.base.timer(lambda *_: self.tell_time(request)).add(1)
        else:
            self.zone.handle(request)

    def tell_time(self, request: ServerRequest) -> None:
        """Answer what time it is; a client that has gone meanwhile does no harm."""
        request.add_reply(ANSWER, None, "TXT", 0, f'"{datetime.now(UTC):%H:%M:%S} UTC"')
        request.respond()


def main() -> None:
    """Serve until Ctrl-C, and answer what waits then."""
    arguments = sys.argv[1:]
    zone = (
        Zone.parse(Path(arguments[1]).read_text("utf-8"), arguments[2]) if arguments[1:] else Zone.parse(ZONE)
    )
    with EventBase() as base:
        port = ServerPort(base, NameServer(base, zone).handle)
        number = port.listen("127.0.0.1", int(arguments[0]) if arguments else 5300)
        print(f"{zone} on 127.0.0.1:{number} (Ctrl-C stops)", flush=True)
        base.signal(signal.SIGINT, lambda *_: port.stop(stopped=base.loopexit)).add()
        base.dispatch()


if __name__ == "__main__":
    main()
