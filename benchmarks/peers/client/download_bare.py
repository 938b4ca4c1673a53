"""A download by the least that Python can do: ``recv_into`` and the file's ``write`` in turn, on a blocking socket."""

import socket
import tempfile
from typing import BinaryIO

from work import BLOCK, Stopwatch, check_size, make_parser, memory


def download(sock: socket.socket, file: BinaryIO, size: int) -> None:
    room = memoryview(bytearray(BLOCK))
    got = sock.recv_into(room)
    body = bytes(room[:got]).partition(b"\r\n\r\n")[2]  # a head comes in one piece, and surely in this
    file.write(body)
    left = size - len(body)
    while left and (got := sock.recv_into(room)):
        file.write(room[:got])
        left -= got


def main() -> None:
    args = make_parser().parse_args()
    request = f"GET /file.bin HTTP/1.1\r\nHost: 127.0.0.1:{args.port}\r\n\r\n".encode()
    watch = Stopwatch()
    before = memory("VmRSS")
    for _ in range(args.r):
        with (
            tempfile.TemporaryFile() as file,
            socket.create_connection(("127.0.0.1", args.port)) as sock,
        ):
            watch.start()
            sock.sendall(request)
            download(sock, file, args.m << 20)
            watch.stop("download")
            check_size(file.tell(), args.m)
    watch.report(args.m, memory_growth=memory("VmHWM") - before)


if __name__ == "__main__":
    main()
