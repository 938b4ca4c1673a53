"""After which failures of writing there may be something to read."""

import errno
import os

import pytest

from evkit.core.bufferevent import BufferEvent
from evkit.core.flags import (
    BEV_EVENT_CONNECTED,
    BEV_EVENT_EOF,
    BEV_EVENT_ERROR,
    BEV_EVENT_READING,
    BEV_EVENT_TIMEOUT,
    BEV_EVENT_WRITING,
)
from evkit.core.last_words import may_have_last_words
from evkit.errors import ConnectionLost, TransportError
from evkit.testing import FakeBase

WRITING, READING = BEV_EVENT_WRITING, BEV_EVENT_READING


def lost(number: int) -> ConnectionLost:
    return ConnectionLost.of(OSError(number, os.strerror(number)), during="write")


@pytest.mark.parametrize(
    ("what", "error", "expected"),
    [
        (WRITING | BEV_EVENT_ERROR, lost(errno.EPIPE), True),
        (WRITING | BEV_EVENT_ERROR, lost(errno.ECONNRESET), True),
        (WRITING | BEV_EVENT_ERROR, lost(errno.ENOBUFS), False),
        (WRITING | BEV_EVENT_ERROR, TransportError("the codec refuses", during="write"), False),
        (WRITING | BEV_EVENT_ERROR, None, False),
        (WRITING | BEV_EVENT_TIMEOUT, lost(errno.EPIPE), False),
        (READING | WRITING | BEV_EVENT_ERROR, lost(errno.ECONNRESET), False),
        (READING | WRITING | BEV_EVENT_EOF | BEV_EVENT_ERROR, lost(errno.EPIPE), False),
        (WRITING | BEV_EVENT_EOF, None, True),
        (READING | WRITING | BEV_EVENT_EOF, None, False),
        (READING | BEV_EVENT_ERROR, lost(errno.ECONNRESET), False),
        (READING | BEV_EVENT_EOF, None, False),
        (BEV_EVENT_CONNECTED, None, False),
    ],
)
def test_after_what_the_peer_is_heard_to_its_end(
    fakes: FakeBase, what: int, error: TransportError | None, expected: bool
) -> None:
    bev = BufferEvent(fakes.base)
    bev.error = error
    assert may_have_last_words(bev, what) is expected
