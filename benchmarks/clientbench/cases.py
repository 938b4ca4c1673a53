"""What is measured: small requests, a download, an upload, and what evkit may cost at most.

It must never know a program, nor how its time is taken.
"""

from collections.abc import Sequence
from typing import Final

from corebench.cases import FAR_CORE, Case, Goal

MIB: Final = 1024
"""Of a transfer."""
_REQUESTS: Final = 3000
_RUNS: Final = "3"
_SHARE: Final = 0.6
"""Of the bare loop's rate: what evkit is to reach in a transfer."""


def _transfer(name: str, title: str, mib: int) -> Case:
    return Case(
        name,
        f"{title}: {mib:,} MiB",
        "MiB",
        mib,
        baseline="bare",
        arguments=("-m", str(mib), "-r", _RUNS, "--far", FAR_CORE),
        goals=(Goal(name, "bare", 1 / _SHARE),),
    )


def _requests(name: str, title: str, *more: str) -> Case:
    return Case(
        name,
        f"requests: {title}, 64 in flight over connections that are kept, 13 bytes of body",
        "request",
        _REQUESTS,
        baseline="aiohttp",
        arguments=("-n", str(_REQUESTS), "-c", "64", "-r", _RUNS, *more),
        goals=(Goal("requests", "aiohttp", 1 / 3), Goal("requests", "httpx", 1 / 4)),
    )


def make_cases(mib: int = MIB) -> Sequence[Case]:
    """List all cases.

    Args:
        mib: What is downloaded and uploaded, in MiB.
    """
    return (
        _requests("requests", "the same URL"),
        _requests("requests-urls", "always another URL", "--distinct"),
        _transfer("download", "download to a file, by a client", mib),
        _transfer("upload", "upload to a handler, by a server", mib),
    )
