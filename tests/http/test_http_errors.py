"""`evkit.http.errors`: the status, and a message that quotes what came without flooding a log."""

import pytest

from evkit.errors import EvkitError, RemoteProtocolError
from evkit.http.errors import BadRequest, BadResponse, quote


def test_it_is_the_peers_fault() -> None:
    refusal = BadRequest(431, "more than 100 fields")
    assert isinstance(refusal, RemoteProtocolError)
    assert isinstance(refusal, EvkitError)
    assert (refusal.status, str(refusal)) == (431, "more than 100 fields")


def test_it_quotes_what_came() -> None:
    assert str(BadRequest(400, "expected a port", b"a\0")) == "expected a port, got b'a\\x00'"
    assert str(BadRequest(400, "expected a port", "")) == "expected a port, got ''"


@pytest.mark.parametrize("status", [0, 42, 200, 304, 399, 600, 1000])
def test_it_is_answered_by_an_error(status: int) -> None:
    """A handler that raises it with another would leave its client without an answer."""
    with pytest.raises(ValueError, match=f"status from 400 to 599, got {status}"):
        BadRequest(status, "why")


@pytest.mark.parametrize("came", [b"x" * 100, b"\0" * 61, "y" * 70_000, b"\x80" * 50])
def test_quotes_are_cut(came: bytes | str) -> None:
    text = quote(came)
    assert len(text) <= 61
    assert text.endswith("…")
    assert text.isprintable()


def test_short_quotes_are_whole() -> None:
    assert quote(b"x" * 50) == repr(b"x" * 50)


def test_a_bad_response_is_the_servers_fault_and_quotes_it() -> None:
    refusal = BadResponse("expected a status", b"HTTP/1.1 \0" + b"x" * 100)
    assert isinstance(refusal, RemoteProtocolError)
    assert not isinstance(refusal, BadRequest)
    assert str(refusal).startswith("expected a status, got b'HTTP/1.1 \\x00xxx")
    assert len(str(refusal)) < 90
    assert str(BadResponse("too long")) == "too long"
