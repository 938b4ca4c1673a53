"""`MessageError`."""

import copy
import pickle

from evkit.dns.errors import MessageError
from evkit.errors import RemoteProtocolError


def test_it_says_what_and_where() -> None:
    error = MessageError("expected a name, got a pointer", 12)
    assert str(error) == "expected a name, got a pointer (at byte 12)"
    assert isinstance(error, RemoteProtocolError)


def test_it_can_be_copied() -> None:
    error = MessageError("expected", 7)
    for twin in (copy.copy(error), pickle.loads(pickle.dumps(error))):
        assert (type(twin), twin.reason, twin.offset, str(twin)) == (MessageError, "expected", 7, str(error))
