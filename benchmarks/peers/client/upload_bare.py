"""A server that receives an upload by the least that Python can do: ``recv_into`` in turn, on a blocking socket."""

import socket

from sender import sending
from work import BLOCK, Stopwatch, check_size, make_parser, memory


def receive(sock: socket.socket, size: int) -> int:
    """Receive a request whose body has ``size`` bytes; return how many came."""
    room = memoryview(bytearray(BLOCK))
    head = b""
    while b"\r\n\r\n" not in head:
        head += sock.recv(BLOCK)
    received = len(head.partition(b"\r\n\r\n")[2])
    while received < size and (got := sock.recv_into(room)):
        received += got
    sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    return received


def main() -> None:
    args = make_parser().parse_args()
    watch = Stopwatch()
    before = memory("VmRSS")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        for _ in range(args.r):
            with sending(listener.getsockname()[1], args.m << 20, args.far):
                sock = listener.accept()[0]
                with sock:
                    watch.start()
                    received = receive(sock, args.m << 20)
                    watch.stop("upload")
            check_size(received, args.m)
    watch.report(args.m, memory_growth=memory("VmHWM") - before)


if __name__ == "__main__":
    main()
