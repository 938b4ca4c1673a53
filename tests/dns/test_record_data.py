"""`Generic` data: its text, and how it compares."""

import copy
import pickle

from evkit.dns.record_data import Generic, Mx


class Said:
    """What becomes text late, and how often."""

    times = 0

    def __str__(self) -> str:
        Said.times += 1
        return "1 ."


def test_text_is_made_when_it_is_asked_for() -> None:
    data = Generic(b"\0\1\0", {"priority": 1}, Said())
    assert (data.wire, data.fields, Said.times) == (b"\0\1\0", {"priority": 1}, 0)
    assert (data.text, Said.times) == ("1 .", 1)
    assert repr(data) == "<Generic 1 .>"


def test_bytes_that_nobody_knows() -> None:
    assert (Generic(b"\1\2").text, Generic(b"").text) == (r"\# 2 0102", r"\# 0")
    assert Generic(b"\1\2").fields == {}


def test_equal_data_hashes_alike() -> None:
    one = Generic(b"\0\1\0", {"priority": 1}, Said())
    same = Generic(b"\0\1\0", {"priority": 1}, Said())
    others = [Generic(b"\0\2\0", {"priority": 2}), Generic(b"\0\1\0")]
    assert list(dict.fromkeys([one, same, *others])) == [one, *others]
    assert hash(one) == hash(same)
    assert one != b"\0\1\0"


def test_copies() -> None:
    data = Generic(b"\0\1\0", {"priority": 1})
    assert copy.copy(data) == pickle.loads(pickle.dumps(data)) == data


def test_data_is_a_tuple() -> None:
    preference, exchange = Mx(10, "mail.example.org")
    assert (preference, exchange) == (10, "mail.example.org")
