"""A download by aiohttp's client, in blocks as large as the others'."""

import argparse
import tempfile
from typing import BinaryIO

import aiohttp
from tasks import run
from work import BLOCK, Stopwatch, check_size, make_parser, memory


async def download(session: aiohttp.ClientSession, url: str, file: BinaryIO) -> None:
    async with session.get(url, raise_for_status=True) as response:
        async for block in response.content.iter_chunked(BLOCK):
            file.write(block)


async def download_all(args: argparse.Namespace) -> None:
    url = f"http://127.0.0.1:{args.port}/file.bin"
    watch = Stopwatch()
    before = memory("VmRSS")
    async with aiohttp.ClientSession() as session:
        for _ in range(args.r):
            with tempfile.TemporaryFile() as file:
                watch.start()
                await download(session, url, file)
                watch.stop("download")
                check_size(file.tell(), args.m)
    watch.report(args.m, memory_growth=memory("VmHWM") - before)


if __name__ == "__main__":
    run(download_all, make_parser().parse_args())
