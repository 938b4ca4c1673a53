"""Requests by aiohttp's client."""

import argparse

import aiohttp
from tasks import run, take_times
from work import check, make_parser, urls


async def crawl(args: argparse.Namespace) -> None:
    targets = urls(args)
    async with aiohttp.ClientSession() as session:

        async def get() -> None:
            async with session.get(next(targets)) as response:
                check(response.status, await response.read())

        await take_times(get, args)


if __name__ == "__main__":
    run(crawl, make_parser().parse_args())
