"""Requests by the least that Python can do: ``epoll``, ``send``, ``recv``, and replies that are only compared.

The head is as long as evkit's. The first reply is looked at; all others must be equal to it but for the date.
"""

import select
import socket
from collections.abc import Iterator

from work import HELLO, WARM_UP, Stopwatch, check, make_parser, urls


class Crawl:
    """So many requests, on connections that are open."""

    def __init__(self, socks: list[socket.socket], requests: Iterator[bytes], size: int) -> None:
        self._socks = {sock.fileno(): sock for sock in socks}
        self._requests = requests
        self._size = size
        self._epoll = select.epoll()
        for fd in self._socks:
            self._epoll.register(fd, select.EPOLLIN)

    def run(self, count: int) -> int:
        """Ask ``count`` times; return how often there was an answer."""
        left, returned = count, 0
        for sock in list(self._socks.values())[:count]:
            left -= 1
            sock.send(next(self._requests))
        while returned < count:
            for fd, _ in self._epoll.poll():
                sock = self._socks[fd]
                reply = sock.recv(65536)
                if len(reply) != self._size or not reply.endswith(HELLO):
                    raise SystemExit(f"got {reply!r}")
                returned += 1
                if left:
                    left -= 1
                    sock.send(next(self._requests))
        return returned

    def close(self) -> None:
        """Close all connections."""
        self._epoll.close()
        for sock in self._socks.values():
            sock.close()


def main() -> None:
    args = make_parser().parse_args()
    fields = (
        f" HTTP/1.1\r\nHost: 127.0.0.1:{args.port}\r\nUser-Agent: bare\r\nAccept: */*\r\n"
        "Accept-Encoding: gzip, deflate\r\n\r\n"
    )
    start = len(f"http://127.0.0.1:{args.port}")
    requests = (f"GET {url[start:]}{fields}".encode() for url in urls(args))
    socks = [socket.create_connection(("127.0.0.1", args.port)) for _ in range(args.c)]
    socks[0].sendall(next(requests))
    first = socks[0].recv(65536)
    head, _, body = first.partition(b"\r\n\r\n")
    check(int(head.split()[1]), body)
    crawl = Crawl(socks, requests, len(first))
    crawl.run(WARM_UP)
    watch, done = Stopwatch(), 0
    for _ in range(args.r):
        watch.start()
        done = crawl.run(args.n)
        watch.stop("requests")
    crawl.close()
    watch.report(done)


if __name__ == "__main__":
    main()
