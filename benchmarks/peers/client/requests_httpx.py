"""Requests by httpx's client for asyncio.

By default it keeps 20 connections; here all that are used, since the others do.
"""

import argparse

import httpx
from tasks import run, take_times
from work import check, make_parser, urls


async def crawl(args: argparse.Namespace) -> None:
    targets = urls(args)
    limits = httpx.Limits(max_connections=args.c, max_keepalive_connections=args.c)
    async with httpx.AsyncClient(limits=limits, trust_env=False) as client:

        async def get() -> None:
            response = await client.get(next(targets))
            check(response.status_code, response.content)

        await take_times(get, args)


if __name__ == "__main__":
    run(crawl, make_parser().parse_args())
