"""What errors of tagged data say, and what they are."""

import pickle

import pytest

import evkit
from evkit.extra import TagError, TagIncomplete


@pytest.mark.parametrize("kind", [TagError, TagIncomplete])
def test_an_error_says_what_and_where(kind: type[TagError]) -> None:
    error = kind("expected tag 1, got 2", 7)
    assert str(error) == "expected tag 1, got 2 (at byte 7)"
    assert (error.reason, error.offset) == ("expected tag 1, got 2", 7)
    assert str(pickle.loads(pickle.dumps(error))) == str(error)


def test_it_is_the_peer_who_has_broken_the_rules() -> None:
    assert issubclass(TagError, evkit.RemoteProtocolError)
    assert issubclass(TagIncomplete, TagError)
