"""`evkit.rpc.protocol.session`: what is a message, what is answered by an error, and what ends the connection."""

import itertools
from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evkit.rpc.errors import INVALID_PARAMS, INVALID_REQUEST
from evkit.rpc.limits import Limits
from evkit.rpc.protocol.coders import Coders
from evkit.rpc.protocol.session import MAX_FORGOTTEN, MAX_ID, TURN, Session


class Recorder:
    """A receiver that notes what it is handed; ``then`` is done at each message."""

    def __init__(self, then: Any = None) -> None:
        self.heard: list[tuple[Any, ...]] = []
        self._then = then

    def _hear(self, *what: Any) -> None:
        self.heard.append(what)
        if self._then is not None:
            self._then(*what)

    def on_request(self, number: int, method: str, params: list[Any]) -> None:
        self._hear("request", number, method, params)

    def on_response(self, call: object, error: object, result: object) -> None:
        self._hear("response", call, error, result)

    def on_notification(self, method: str, params: list[Any]) -> None:
        self._hear("notification", method, params)

    def on_bad_request(self, number: int, method: str | None, code: int, reason: str) -> None:
        self._hear("bad", number, method, code, reason)


def make(**limits: Any) -> Session[Any]:
    return Session(Coders(Limits(**limits)))


def hear(session: Session[Any], *messages: object, raw: bytes = b"") -> list[tuple[Any, ...]]:
    recorder = Recorder()
    session.receive(b"".join(msgpack.packb(message) for message in messages) + raw)
    while session.deliver(recorder):
        pass
    return recorder.heard


# Good messages: the bytes of the specification


@pytest.mark.parametrize(
    ("data", "heard"),
    [
        ("940001a3616464920102", ("request", 1, "add", [1, 2])),
        ("9302a36c6f6791a178", ("notification", "log", ["x"])),
        ("940001c403616464920102", ("request", 1, "add", [1, 2])),  # pynvim's binary names
        ("9302c4036c6f6791a178", ("notification", "log", ["x"])),
        ("94d0 00 cd0001 d903616464 dc00020102", ("request", 1, "add", [1, 2])),  # long forms are legal
        ("9400ceffffffffa16190", ("request", MAX_ID, "a", [])),
        ("940000a16190", ("request", 0, "a", [])),
    ],
)
def test_messages_by_their_bytes(data: str, heard: tuple[Any, ...]) -> None:
    session = make()
    assert hear(session, raw=bytes.fromhex(data)) == [heard]
    assert session.error is None


def test_a_request_is_numbered_and_its_response_finds_the_call() -> None:
    session = make()
    assert session.request("add", [1, 2], "call") == bytes.fromhex("940001a3616464920102")
    assert session.last_id == 1
    assert hear(session, [1, 1, None, 3]) == [("response", "call", None, 3)]
    assert session.calls == {}


def test_responses_come_in_any_order() -> None:
    session = make()
    for name in "abc":
        session.request(name, [], name)
    heard = hear(session, [1, 3, None, 1], [1, 1, "no", None], [1, 2, None, [2]])
    assert heard == [("response", "c", None, 1), ("response", "a", "no", None), ("response", "b", None, [2])]


@pytest.mark.parametrize("error", [False, 0, "", [], {}])
def test_an_error_is_whatever_is_not_nil(error: object) -> None:
    session = make()
    session.request("a", [], "call")
    assert hear(session, [1, 1, error, 5]) == [("response", "call", error, 5)]


def test_the_ids_of_the_two_sides_have_nothing_to_do_with_each_other() -> None:
    session = make()
    session.request("a", [], "call")
    assert hear(session, [0, 1, "b", []], [1, 1, None, "x"]) == [
        ("request", 1, "b", []),
        ("response", "call", None, "x"),
    ]


# Numbers


def test_numbers_wrap_and_skip_what_is_in_flight() -> None:
    session = make()
    session.request("a", [], "first")
    session.last_id = MAX_ID - 1
    assert msgpack.unpackb(session.request("b", [], "second"))[1] == MAX_ID
    assert msgpack.unpackb(session.request("c", [], "third"))[1] == 2
    assert sorted(session.calls) == [1, 2, MAX_ID]


def test_a_number_that_was_given_up_is_not_used_before_its_response_came() -> None:
    session = make()
    session.request("a", [], "first")
    session.forget(1)
    session.last_id = MAX_ID
    assert msgpack.unpackb(session.request("b", [], "second"))[1] == 2
    assert hear(session, [1, 1, None, "late"]) == []
    assert session.stray == 0
    session.last_id = MAX_ID
    assert msgpack.unpackb(session.request("c", [], "third"))[1] == 1


def test_it_knows_what_was_given_up() -> None:
    session = make()
    for name in "ab":
        session.request(name, [], name)
    session.forget(1)
    session.forget(7)
    assert [session.was_forgotten(number) for number in (1, 2, 7)] == [True, False, False]
    hear(session, [1, 1, None, "late"])
    assert not session.was_forgotten(1)


def test_only_so_many_are_remembered() -> None:
    session = make()
    for number in range(1, MAX_FORGOTTEN + 2):
        session.request("a", [], number)
        session.forget(number)
    assert hear(session, [1, 1, None, 0]) == []
    assert session.stray == 1
    assert hear(session, [1, 2, None, 0]) == []
    assert session.stray == 1


def test_what_can_not_be_packed_leaves_no_call_and_no_number() -> None:
    session = make()
    with pytest.raises(TypeError):
        session.request("a", [object()], "call")
    assert session.calls == {}
    session.request("a", [], "next")
    assert session.last_id == 1


# What ends the connection


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        (5, "array"),
        ("text", "array"),
        ({}, "array"),
        (None, "array"),
        ([], "type 0, 1 or 2"),
        ([3, 1, "a", []], "type 0, 1 or 2"),
        ([-1, 1, "a", []], "type 0, 1 or 2"),
        ([True, 1, None, 2], "type 0, 1 or 2"),
        ([False, 1, "a", []], "type 0, 1 or 2"),
        ([0.0, 1, "a", []], "type 0, 1 or 2"),
        (["0", 1, "a", []], "type 0, 1 or 2"),
        ([[0], 1, "a", []], "type 0, 1 or 2"),
        ([0, 1, "a"], "4 elements"),
        ([0, 1, "a", [], {}], "4 elements"),
        ([1, 1, None], "4 elements"),
        ([1], "4 elements"),
        ([2, "a", [], 1], "3 elements"),
        ([2, "a"], "3 elements"),
        ([0, 2**32, "a", []], "32-bit"),
        ([0, -1, "a", []], "32-bit"),
        ([0, True, "a", []], "32-bit"),
        ([0, 7.0, "a", []], "32-bit"),
        ([0, None, "a", []], "32-bit"),
        ([0, [7], "a", []], "32-bit"),
        ([0, "7", "a", []], "32-bit"),
        ([1, 2**32, None, 1], "32-bit"),
        ([1, False, None, 1], "32-bit"),
        ([1, 1.0, None, 1], "32-bit"),
        ([1, {}, None, 1], "32-bit"),
    ],
)
def test_what_is_no_message_ends_it(message: object, reason: str) -> None:
    session = make()
    session.request("mine", [], "call")
    good = [2, "before", []]
    heard = hear(session, good, message, [2, "after", []])
    assert heard == [("notification", "before", [])]
    assert session.error is not None
    assert reason in session.error.reason
    assert session.error.offset == len(msgpack.packb(good))
    assert hear(session, [2, "later", []]) == []


def test_the_offset_is_that_of_the_connection() -> None:
    session = make()
    first = [2, "a", [1]]
    hear(session, first)
    hear(session, first, 5)
    assert session.error is not None
    assert session.error.offset == 2 * len(msgpack.packb(first))


def test_the_offset_of_the_first_message_of_all() -> None:
    session = make()
    hear(session, 5)
    assert session.error is not None
    assert session.error.offset == 0


def test_the_offset_behind_what_was_delivered_before() -> None:
    session = make()
    first = [2, "a", [1]]
    hear(session, first, first, first)
    hear(session, 5)
    assert session.error is not None
    assert session.error.offset == 3 * len(msgpack.packb(first))


@pytest.mark.parametrize("levels", [5, 6])
@pytest.mark.parametrize("where", ["request", "notification", "response", "error"])
def test_depth_is_limited_everywhere(where: str, levels: int) -> None:
    nested: Any = 1
    for _ in range(levels - 1 - (where in ("request", "notification"))):
        nested = [nested]
    message = {
        "request": [0, 1, "a", [nested]],
        "notification": [2, "a", [nested]],
        "response": [1, 1, None, nested],
        "error": [1, 1, nested, None],
    }[where]
    session = make(max_depth=5)
    session.request("mine", [], "call")
    heard = hear(session, message)
    assert len(heard) == (levels == 5)
    assert (session.error is None) is (levels == 5)


def test_an_id_that_is_being_served_is_not_to_be_used_again() -> None:
    session = make()
    session.serving[7] = "a call"
    assert hear(session, [0, 7, "a", []]) == []
    assert session.error is not None
    assert "7" in session.error.reason


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        (None, "expected an array for a message, got nil"),
        (True, "expected an array for a message, got a boolean"),
        (5, "expected an array for a message, got an integer"),
        (1.5, "expected an array for a message, got a float"),
        ("a", "expected an array for a message, got a string"),
        (b"a", "expected an array for a message, got binary data"),
        ({}, "expected an array for a message, got a map"),
        (msgpack.ExtType(1, b""), "expected an array for a message, got something else"),
        ([0, "seven", "a", []], "expected a msgid that is a 32-bit unsigned integer, got 'seven'"),
        ([7, 1, "a", []], "expected a message of type 0, 1 or 2, got 7"),
        ([2, "a"], "expected 3 elements of a message of type 2, got 2"),
    ],
)
def test_the_reason_says_what_came(message: object, reason: str) -> None:
    session = make()
    hear(session, message)
    assert session.error is not None
    assert session.error.reason == reason


def test_the_smallest_and_the_largest_number_are_numbers_whatever_the_parameters() -> None:
    session = make()
    for number in (0, MAX_ID):
        assert hear(session, [0, number, "a", [[1]]], [0, number, "a", [1]]) == [
            ("request", number, "a", [[1]]),
            ("request", number, "a", [1]),
        ]


def test_a_request_without_a_method_is_no_answer_to_a_call_of_that_number() -> None:
    session = make()
    session.request("mine", [], "call")
    (heard,) = hear(session, [0, 1, None, 5])
    assert heard[:2] == ("bad", 1)
    assert session.calls == {1: "call"}


def test_a_response_that_reads_like_a_request_is_none() -> None:
    session = make()
    session.request("mine", [], "call")
    assert hear(session, [1, 1, "a", [1]]) == [("response", "call", "a", [1])]


# What is answered by an error


@pytest.mark.parametrize("method", [5, None, ["a"], b"\xff", True, {"a": 1}])
def test_a_good_id_with_a_bad_method_gets_an_error(method: object) -> None:
    session = make()
    (heard,) = hear(session, [0, 3, method, []])
    assert heard[:4] == ("bad", 3, None, INVALID_REQUEST)
    assert session.error is None


@pytest.mark.parametrize("params", [5, None, "text", {"a": 1}, b"x"])
def test_params_that_are_no_array_get_an_error(params: object) -> None:
    session = make()
    (heard,) = hear(session, [0, 3, "a", params])
    assert heard[:4] == ("bad", 3, "a", INVALID_PARAMS)
    assert session.error is None


# What is dropped and counted


def test_strays_are_counted_and_too_many_end_it() -> None:
    session = make(max_stray=5)
    assert hear(session, *[[1, number, None, 0] for number in range(3)]) == []
    assert hear(session, [2, 5, []], [2, "a", 5]) == []
    assert session.stray == 5
    assert session.error is None
    hear(session, [1, 0, None, 0])
    assert session.error is not None


def test_a_second_response_is_a_stray() -> None:
    session = make()
    session.request("a", [], "call")
    assert len(hear(session, [1, 1, None, 1], [1, 1, None, 2])) == 1
    assert session.stray == 1


# Handing out


def test_it_hands_out_in_turns_in_order() -> None:
    session = make()
    recorder = Recorder()
    session.receive(b"".join(msgpack.packb([0, number, "a", []]) for number in range(7)))
    assert session.deliver(recorder, 3) is True
    assert session.waiting == 4
    assert session.deliver(recorder, 3) is True
    assert session.deliver(recorder, 3) is False
    assert [number for _, number, _, _ in recorder.heard] == list(range(7))
    assert session.waiting == 0


def test_a_turn_is_of_so_many_messages() -> None:
    session, recorder = make(), Recorder()
    session.receive(msgpack.packb([2, "a", []]) * (TURN + 2))
    assert session.deliver(recorder) is True
    assert len(recorder.heard) == TURN
    assert session.deliver(recorder) is False
    assert len(recorder.heard) == TURN + 2


@pytest.mark.parametrize("message", [[0, 5, "a", []], [0, 5, "a", [[]]], [2, "a", []], [0, 5, 5, []]])
def test_one_turn_is_for_all_kinds(message: list[Any]) -> None:
    session, recorder = make(), Recorder()
    session.receive(msgpack.packb(message) * 5)
    assert not session.deliver(recorder)
    assert len(recorder.heard) == 5


def test_what_is_held_waits_from_the_message_at_which_it_was_held() -> None:
    session = make()

    def hold(*what: Any) -> None:
        if what[1] == 2:
            session.held = 1

    recorder = Recorder(hold)
    session.receive(b"".join(msgpack.packb([0, number, "a", []]) for number in range(5)))
    assert session.deliver(recorder) is False
    assert session.waiting == 2
    session.receive(msgpack.packb([0, 9, "a", []]))
    session.held = 0
    assert not session.deliver(recorder)
    assert [number for _, number, _, _ in recorder.heard] == [0, 1, 2, 3, 4, 9]


def test_what_came_before_a_fault_is_handed_out_even_later() -> None:
    session = make()
    session.held = 1
    session.receive(msgpack.packb([2, "a", []]) + b"\xc1")
    recorder = Recorder()
    session.deliver(recorder)
    assert (recorder.heard, session.waiting) == ([], 1)
    assert session.error is not None
    session.held = 0
    session.deliver(recorder)
    assert recorder.heard == [("notification", "a", [])]


MESSAGES = st.one_of(
    st.tuples(
        st.just("request"),
        st.integers(0, MAX_ID),
        st.text(),
        st.lists(st.integers(0, 9) | st.lists(st.none())),
    ),
    st.tuples(st.just("notification"), st.text(), st.lists(st.booleans())),
    st.tuples(st.just("stray"), st.integers(100, MAX_ID)),
)


@given(st.lists(MESSAGES, max_size=20), st.lists(st.integers(0, 1000), max_size=6), st.integers(1, 5))
def test_whatever_the_cuts_and_turns_all_is_heard_once_and_in_order(
    messages: list[tuple[Any, ...]], cuts: list[int], turn: int
) -> None:
    wire = {
        "request": lambda number, name, params: [0, number, name, params],
        "notification": lambda name, params: [2, name, params],
        "stray": lambda number: [1, number, None, None],
    }
    data = b"".join(msgpack.packb(wire[kind](*rest)) for kind, *rest in messages)
    places = sorted({0, len(data), *(place % (len(data) + 1) for place in cuts)})
    session, recorder = make(), Recorder()
    for start, stop in itertools.pairwise(places):
        session.receive(data[start:stop])
        while session.deliver(recorder, turn):
            pass
    assert recorder.heard == [message for message in messages if message[0] != "stray"]
    assert session.stray == sum(message[0] == "stray" for message in messages)


def test_it_tells_its_state() -> None:
    session = make()
    assert repr(session) == "<Session idle calls=0 serving=0 stray=0>"
    hear(session, raw=b"\x93")
    assert "partial" in repr(session)
    hear(session, raw=b"\xc1")
    assert "failed" in repr(session)
