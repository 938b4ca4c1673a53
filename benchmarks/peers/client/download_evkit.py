"""A download by evkit's client: the response's body is saved to the file as it comes."""

import tempfile
from typing import BinaryIO

from work import Stopwatch, check_size, make_parser, memory

from evkit import EventBase
from evkit.http import Client


def download(client: Client, url: str, file: BinaryIO) -> int:
    response = client.get(url, stream=True).result()
    response.raise_for_status()
    return response.save(file).result()


def main() -> None:
    args = make_parser().parse_args()
    url = f"http://127.0.0.1:{args.port}/file.bin"
    watch = Stopwatch()
    before = memory("VmRSS")
    with EventBase() as base, Client(base) as client:
        for _ in range(args.r):
            with tempfile.TemporaryFile() as file:
                watch.start()
                size = download(client, url, file)
                watch.stop("download")
                check_size(size, args.m)
                check_size(file.tell(), args.m)
    watch.report(args.m, memory_growth=memory("VmHWM") - before)


if __name__ == "__main__":
    main()
