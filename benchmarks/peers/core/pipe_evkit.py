"""A transfer by evkit's ``pipe``; see pipe_bare.py. One direction of it: nothing comes back."""

import socket

from ends import far_ends, make_parser, memory
from stopwatch import Stopwatch

from evkit import EventBase, SocketBufferEvent
from evkit.core.piping import Pipe, pipe


def transfer(base: EventBase, source: socket.socket, sink: socket.socket) -> Pipe:
    joined = pipe(SocketBufferEvent(base, source), SocketBufferEvent(base, sink))
    base.dispatch()
    return joined


def main() -> None:
    args = make_parser().parse_args()
    watch = Stopwatch()
    before = memory("VmRSS")
    with EventBase() as base:
        for _ in range(args.r):
            with far_ends(args.m << 20, args.far) as (source, sink):
                watch.start()
                joined = transfer(base, source, sink)
                watch.stop("transfer")
                if joined.error is not None:
                    raise joined.error
    watch.report(args.m, memory_growth=memory("VmHWM") - before)


if __name__ == "__main__":
    main()
