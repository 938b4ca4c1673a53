"""`Session` against a model that has `msgpack.Unpacker` and nothing else, in any pieces; and two that talk together."""

import itertools
from collections import Counter
from random import Random
from typing import Any

import msgpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evkit.rpc.limits import Limits
from evkit.rpc.protocol.coders import Coders
from evkit.rpc.protocol.session import MAX_ID, Session

CALLS = range(1, 6)
"""Numbers of the calls that are under way when the bytes come."""
SERVED = (7, 8)
"""Ids that are being served then."""


class Recorder:
    """A receiver that notes what it is handed."""

    def __init__(self) -> None:
        self.heard: list[tuple[Any, ...]] = []

    def on_request(self, number: int, method: str, params: list[Any]) -> None:
        self.heard.append(("request", number, method, params))

    def on_response(self, call: object, error: object, result: object) -> None:
        self.heard.append(("response", call, error, result))

    def on_notification(self, method: str, params: list[Any]) -> None:
        self.heard.append(("notification", method, params))

    def on_bad_request(self, number: int, method: str | None, code: int, reason: str) -> None:
        self.heard.append(("bad", number, method))


# What may come

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.text(max_size=6)
    | st.binary(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=6,
)
IDS = st.integers(0, 9) | st.sampled_from([MAX_ID, MAX_ID + 1, -1, True, None, 1.0])
NAMES = st.sampled_from(["a", "add", "", b"add", b"\xff", 5, None])
GOOD = st.one_of(
    st.tuples(st.just(0), st.integers(10, MAX_ID), st.text(max_size=5), st.lists(VALUES, max_size=3)),
    st.tuples(st.just(1), st.integers(0, 9), VALUES, VALUES),
    st.tuples(st.just(2), st.text(max_size=5), st.lists(VALUES, max_size=3)),
)
ODD = st.one_of(
    st.tuples(st.just(0), IDS, NAMES, st.lists(VALUES, max_size=2) | VALUES),
    st.tuples(st.just(1), IDS, VALUES, VALUES),
    st.tuples(st.just(2), NAMES, VALUES),
    st.lists(VALUES, max_size=5),
    VALUES,
)
PACKED = (GOOD | GOOD | ODD).map(lambda message: bytes(msgpack.packb(message)))
HOSTILE = st.sampled_from(
    [
        b"\xdb\xff\xff\xff\xff", b"\xc6\x7f\xff\xff\xff", b"\xc9\xff\xff\xff\xff\x05", b"\xdd\xff\xff\xff\xff",
        b"\xdf\xff\xff\xff\xff", b"\xde\xff\xff", b"\xc1", b"\xa1\xff", b"\x81\x90\x01", b"\x94\x00\x01\xc1",
        b"\x94\x00\x01\xdd\xff\xff\xff\xff", b"\x91" * 70, b"\x93\x02\xa1a" + b"\x91" * 70 + b"\x00",
    ]
)  # fmt: skip
FRAMES = st.lists(PACKED | PACKED | PACKED | HOSTILE | st.binary(max_size=5), max_size=8).map(b"".join)
CUTS = st.lists(st.integers(0, 10_000), max_size=8)


# The model


def judge(message: Any, calls: set[int]) -> tuple[Any, ...] | None:
    """Tell what a session is to hand out; ``("stray",)``, or ``None`` where it is to end."""
    sizes = {0: 4, 1: 4, 2: 3}
    if not isinstance(message, list) or not message or type(message[0]) is not int:
        return None
    kind = message[0]
    if len(message) != sizes.get(kind):
        return None
    number = message[1]
    if kind != 2 and (type(number) is not int or not 0 <= number < 2**32):
        return None
    if kind == 1:
        if number not in calls:
            return ("stray",)
        calls.remove(number)
        return ("response", number, message[2], message[3])
    if kind == 0 and number in SERVED:
        return None
    *_, name, params = message
    if isinstance(name, bytes):
        try:
            name = name.decode()
        except UnicodeDecodeError:
            name = None
    if not isinstance(name, str) or not isinstance(params, list):
        return ("stray",) if kind == 2 else ("bad", number, name if isinstance(name, str) else None)
    return ("notification", name, params) if kind == 2 else ("request", number, name, params)


def depth(value: Any) -> int:
    inner = list(value.values()) if isinstance(value, dict) else value if isinstance(value, list) else []
    return 1 + max(map(depth, inner)) if inner else 0


def model(data: bytes, most_deep: int) -> tuple[list[tuple[Any, ...]], int, tuple[int, int] | None, bool]:
    """Tell what is handed out, and how many strays there are; then how it ends.

    That is where the message at fault begins and ends, -1 where it can't be decoded; and whether there is one that is
    cut.
    """
    unpacker = msgpack.Unpacker(
        strict_map_key=False, max_array_len=10**6, max_map_len=65536, max_str_len=2**22
    )
    unpacker.feed(data)
    heard: list[tuple[Any, ...]] = []
    calls, strays, start = set(CALLS), 0, 0
    while True:
        try:
            message = unpacker.unpack()
        except msgpack.OutOfData:
            return heard, strays, None, start < len(data)
        except Exception:
            return heard, strays, (start, -1), False
        what = None if depth(message) > most_deep else judge(message, calls)
        if what is None:
            return heard, strays, (start, unpacker.tell()), False
        if what == ("stray",):
            strays += 1
        else:
            heard.append(what)
        start = unpacker.tell()


def session_for(**limits: Any) -> Session[Any]:
    session: Session[Any] = Session(Coders(Limits(**limits)))
    session.calls = dict(zip(CALLS, CALLS, strict=True))
    session.serving = dict.fromkeys(SERVED)
    return session


def cut(data: bytes, at: list[int]) -> list[bytes]:
    places = sorted({0, len(data), *(place % (len(data) + 1) for place in at)})
    return [data[start:stop] for start, stop in itertools.pairwise(places)]


def hear(session: Session[Any], pieces: list[bytes], turn: int = 256) -> list[tuple[Any, ...]]:
    recorder = Recorder()
    for piece in pieces:
        session.receive(piece)
        while session.deliver(recorder, turn):
            pass
    return recorder.heard


@settings(max_examples=40)
@given(data=FRAMES, at=CUTS, turn=st.integers(1, 4))
def test_a_session_is_what_the_model_says(data: bytes, at: list[int], turn: int) -> None:
    session = session_for(max_depth=8)
    heard = hear(session, cut(data, at), turn)
    wanted, strays, fault, partial = model(data, 8)
    assert heard == wanted
    assert session.stray == strays
    if fault is None:
        assert session.error is None
        assert session.partial is partial
        assert session.received == len(data)
    else:
        start, end = fault
        assert session.error is not None
        assert start <= session.error.offset <= len(data)
        if end == len(data):  # else what is behind it may be what is told
            assert session.error.offset == start
        assert (session.partial, session.waiting) == (False, 0)


@settings(max_examples=40)
@given(data=FRAMES, at=CUTS)
def test_however_it_is_cut_it_is_the_same(data: bytes, at: list[int]) -> None:
    _, _, fault, _ = model(data, 64)
    if fault is not None and fault[1] >= 0:
        data = data[: fault[1]]  # of two faults in one read the other may be told
    one, other = session_for(), session_for()
    assert hear(one, cut(data, at)) == hear(other, [data] if data else [])
    assert (one.stray, one.partial, one.error is None) == (other.stray, other.partial, other.error is None)
    if one.error is not None and other.error is not None:
        assert str(one.error) == str(other.error)
    elif one.partial:
        assert one.partial_start == other.partial_start


@settings(max_examples=40)
@given(data=FRAMES, at=CUTS, most=st.integers(4, 40))
def test_nothing_larger_than_the_limit_is_handed_out(data: bytes, at: list[int], most: int) -> None:
    """Where all is cut so small that nothing is decoded before its size is known, or not at all."""
    session = session_for(max_message=most)
    heard = hear(session, cut(data, at))
    wanted, _, _, _ = model(data, 64)
    assert heard == wanted[: len(heard)]
    if session.error is None:
        assert len(heard) == len(wanted)
        assert not session.partial or session.received - session.partial_start <= most


# Two that talk together


class End:
    """One of two sessions, and what is to become of its calls."""

    def __init__(self, chance: Random) -> None:
        self.session: Session[int] = Session(Coders(Limits(max_stray=10**6)))
        self.chance = chance
        self.out = bytearray()
        self.asked = 0
        self.given_up: set[int] = set()
        self.got: Counter[int] = Counter()
        self.answered: list[int] = []  # ids of the peer's
        self.strays = 0  # that this end has sent

    def on_request(self, number: int, method: str, params: list[Any]) -> None:
        assert number not in self.session.serving
        self.session.serving[number] = params[0]

    def on_response(self, call: int, error: object, result: object) -> None:
        assert call not in self.given_up
        assert (error, result) in ((None, call), (call, None))
        self.got[call] += 1

    def on_notification(self, method: str, params: list[Any]) -> None:
        raise AssertionError("nobody sends any that is good")

    def on_bad_request(self, number: int, method: str | None, code: int, reason: str) -> None:
        raise AssertionError(reason)

    def call(self) -> None:
        self.asked += 1
        self.out += self.session.request("m", [self.asked, [[]]], self.asked)

    def give_up(self) -> None:
        if self.session.calls:
            number = self.chance.choice(list(self.session.calls))
            self.given_up.add(self.session.calls[number])
            self.session.forget(number)
            assert self.session.was_forgotten(number)

    def answer(self) -> None:
        if self.session.serving:
            number = self.chance.choice(list(self.session.serving))
            value = self.session.serving.pop(number)
            both = [None, value] if self.chance.random() < 0.5 else [value, None]
            self.out += self.session.pack([1, number, *both])
            self.answered.append(number)

    def answer_again(self) -> None:
        """Answer twice, what may have been given up meanwhile; the number is not in use again, they are so many."""
        if self.answered:
            self.out += self.session.pack([1, self.chance.choice(self.answered), None, "again"])
            self.strays += 1

    def stray(self) -> None:
        self.out += self.session.pack(self.chance.choice([[1, 10**9, None, 0], [2, 5, []], [2, "n", 0]]))
        self.strays += 1


@pytest.mark.parametrize("seed", range(8))
def test_two_that_talk_together(seed: int) -> None:
    chance = Random(seed)
    ends = End(chance), End(chance)
    if seed % 2:
        ends[0].session.last_id = MAX_ID - 50  # the numbers wrap

    def bring(sender: End, receiver: End) -> None:
        count = chance.choice((1, 3, 20, 1000))
        receiver.session.receive(bytes(sender.out[:count]))
        del sender.out[:count]
        receiver.session.deliver(receiver, chance.choice((1, 3, 256)))

    for _ in range(1500):
        end, other = chance.choice((ends, ends[::-1]))
        act = chance.choice(
            (end.call, end.call, end.give_up, end.answer, end.answer, end.answer_again, end.stray)
        )
        if chance.random() < 0.5:
            act()
        else:
            bring(end, other)
        for one in ends:
            assert one.session.error is None
            assert set(one.session.calls.values()).isdisjoint(one.got)
            assert all(count == 1 for count in one.got.values())
            assert len(one.session.calls) + len(one.got) + len(one.given_up) == one.asked
    while ends[0].out or ends[1].out or any(one.session.waiting or one.session.serving for one in ends):
        for end, other in (ends, ends[::-1]):
            end.answer()
            bring(end, other)
    for end, other in (ends, ends[::-1]):
        assert (end.session.calls, end.session.partial) == ({}, False)
        assert end.got.keys() == set(range(1, end.asked + 1)) - end.given_up
        assert end.session.stray == other.strays
