"""What the end of an attempt means for its call."""

import pytest

from evkit.rpc.errors import (
    OVERLOADED,
    CallLost,
    CallTimeout,
    ClientClosed,
    HookAborted,
    Overloaded,
    RemoteCallError,
    RPCError,
)
from evkit.rpc.pool.repeating import ANSWERED, UNKNOWN, UNSENT, blames_server, fate

BUSY = RemoteCallError("m", None, "busy", code=OVERLOADED)
WRONG = RemoteCallError("m", None, "wrong", code=-32602)


@pytest.mark.parametrize(
    ("error", "what"),
    [
        (None, ANSWERED),
        (WRONG, ANSWERED),
        (BUSY, UNKNOWN),
        (CallLost("m", sent=True), UNKNOWN),
        (CallLost("m", sent=False), UNSENT),
        (Overloaded("full"), UNSENT),
        (CallTimeout("m", 1.0), ANSWERED),
        (ClientClosed("closed"), ANSWERED),
        (HookAborted("no"), ANSWERED),
    ],
)
def test_fates(error: RPCError | None, what: int) -> None:
    assert fate(error) == what


@pytest.mark.parametrize(
    ("error", "blames"),
    [
        (None, False),
        (WRONG, False),
        (BUSY, True),
        (CallTimeout("m", 1.0), True),
        (CallLost("m", sent=True), False),
        (CallLost("m", sent=False), False),
        (Overloaded("full"), False),
    ],
)
def test_blame(error: RPCError | None, blames: bool) -> None:
    assert blames_server(error) is blames
