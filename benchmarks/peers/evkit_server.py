"""evkit's HTTP server, doing the work of the benchmark: a small reply at ``/``, beside it a folder's files.

All its limits and time-outs are the defaults. SIGTERM ends it in order, so that a profiler can write its file:

    python -m cProfile -o evkit.pstats benchmarks/peers/evkit_server.py 8080 FOLDER
"""

import argparse
import signal
from pathlib import Path

from evkit import EventBase
from evkit.http import Request, Server, StaticFiles


def build(base: EventBase, folder: Path, engine: str) -> Server:
    server = Server(base, engine=engine)

    @server.route("/")
    def hello(request: Request) -> None:
        request.send_reply(200, b"Hello, world!", [("Content-Type", "text/plain")])

    server.set_gencb(StaticFiles(folder))
    return server


def main() -> None:
    parser = argparse.ArgumentParser(description="evkit's server of the HTTP benchmark")
    parser.add_argument("port", type=int)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--engine", default="native", choices=("native", "h11"))
    parser.add_argument("--tls", nargs=2, metavar=("CERTIFICATE", "KEY"))
    args = parser.parse_args()
    base = EventBase()
    server = build(base, args.folder, args.engine)
    tls = None
    if args.tls:
        from evkit.http import Certificates  # with `ssl`, whose memory a plain server does not need

        tls = Certificates(*args.tls)
    server.bind("127.0.0.1", args.port, tls=tls)
    base.signal(signal.SIGTERM, lambda *_: base.loopbreak()).add()
    base.dispatch()


if __name__ == "__main__":
    main()
