"""A transfer by the least that Python can do: ``recv_into`` and ``sendall`` on blocking sockets, in turn."""

import socket

from ends import BLOCK, far_ends, make_parser, memory
from stopwatch import Stopwatch


def transfer(source: socket.socket, sink: socket.socket) -> None:
    room = memoryview(bytearray(BLOCK))
    while size := source.recv_into(room):
        sink.sendall(room[:size])


def main() -> None:
    args = make_parser().parse_args()
    watch = Stopwatch()
    before = memory("VmRSS")
    for _ in range(args.r):
        with far_ends(args.m << 20, args.far) as (source, sink):
            watch.start()
            transfer(source, sink)
            watch.stop("transfer")
    watch.report(args.m, memory_growth=memory("VmHWM") - before)


if __name__ == "__main__":
    main()
