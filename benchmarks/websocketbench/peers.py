"""Who is compared, by which program, and whether it can run here.

It must never know how a program is measured. The programs are in ``peers/websocket/``.
"""

import platform
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from common.programs import commit, distributions

_PROGRAMS: Final = Path(__file__).parents[1] / "peers" / "websocket"
LOAD: Final = (sys.executable, str(_PROGRAMS / "websocket_load.py"))

VERSIONS: Final[Mapping[str, Callable[[], str]]] = {
    "bare": lambda: f"Python {platform.python_version()}",
    "evkit": lambda: distributions("evkit") + commit(),
    "websockets": lambda: distributions("websockets"),
    "websockets-uvloop": lambda: distributions("websockets", "uvloop"),
    "picows": lambda: distributions("picows"),
    "picows-uvloop": lambda: distributions("picows", "uvloop"),
}
"""Peer → its version; raises `common.programs.PeerMissing`."""


def command(peer: str) -> list[str]:
    """Return the command line of a peer, but for its port."""
    name, _, loop = peer.partition("-")
    return [sys.executable, str(_PROGRAMS / f"websocket_{name}.py"), *(("--loop", loop) if loop else ())]
