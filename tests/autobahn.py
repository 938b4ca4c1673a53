"""Runs Autobahn's cases by kosoku, as a program of its own: it compares bytes with text, which the tests forbid.

    python autobahn.py client URL CASE …     plays the client to the server at URL
    python autobahn.py server CASE …         plays the server, and prints its port first

Prints ``[[case, behaviour, behaviour at the end], …]`` as JSON.
"""

import asyncio
import json
import sys
from collections.abc import Sequence
from typing import Any

import kosoku


def told(results: Sequence[Any]) -> str:
    return json.dumps([[each.case_id, each.behavior.value, each.behavior_close.value] for each in results])


async def play_client(url: str, cases: Sequence[str]) -> Sequence[Any]:
    return await kosoku.run_fuzzingclient(url, cases, concurrency=8)


async def play_server(cases: Sequence[str]) -> Sequence[Any]:
    async with kosoku.run_fuzzingserver(cases, port=0) as server:
        print(server.port, flush=True)
        return await server.get_result()


def main() -> None:
    role, *rest = sys.argv[1:]
    try:
        results = asyncio.run(play_client(rest[0], rest[1:]) if role == "client" else play_server(rest))
    except kosoku.FailureError as error:
        results = error.results
    print(told(results))


if __name__ == "__main__":
    main()
