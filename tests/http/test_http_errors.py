"""`evkit.http.errors`: the status, and a message that quotes what came without flooding a log."""

import pytest

from evkit.errors import EvkitError, RemoteProtocolError
from evkit.http.errors import BadRequest, quote


def test_it_is_the_peers_fault() -> None:
    refusal = BadRequest(431, "more than 100 fields")
    assert isinstance(refusal, RemoteProtocolError)
    assert isinstance(refusal, EvkitError)
    assert (refusal.status, str(refusal)) == (431, "more than 100 fields")


def test_it_quotes_what_came() -> None:
    assert str(BadRequest(400, "expected a port", b"a\0")) == "expected a port, got b'a\\x00'"
    assert str(BadRequest(400, "expected a port", "")) == "expected a port, got ''"


@pytest.mark.parametrize("came", [b"x" * 100, b"\0" * 61, "y" * 70_000, b"\x80" * 50])
def test_quotes_are_cut(came: bytes | str) -> None:
    text = quote(came)
    assert len(text) <= 61
    assert text.endswith("…")
    assert text.isprintable()


def test_short_quotes_are_whole() -> None:
    assert quote(b"x" * 50) == repr(b"x" * 50)
