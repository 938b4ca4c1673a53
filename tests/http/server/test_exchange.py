"""`Exchange`: every state that a connection can be in, and the one step that follows."""

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evkit.core import Buffer
from evkit.http.parser import Limits, make_engine
from evkit.http.server.body import BodyReader
from evkit.http.server.exchange import MAX_OUTPUT, Exchange, Step
from evkit.http.server.request import BodyReceiver, Request
from evkit.http.server.routes import Route
from http_server_aids import request

PLENTY = 32


def parsed(sent: bytes) -> Request:
    source = Buffer(sent)
    head = make_engine("native", Limits(), Request).read_head(source)
    assert isinstance(head, Request)
    return head


def exchange(
    *, due: bool = False, body: str = "", last: bool = False, ended: bool = False, persists: bool = True
) -> Exchange:
    """Make one whose request, if ``due``, has a body of which something is missing: ``wanted`` or ``unwanted``."""
    made = Exchange(persists=persists)
    if due or body:
        made.request = parsed(request("POST", "/", "Content-Length: 6"))
    if body:
        assert made.request is not None
        route = Route(lambda request: None, stream=body == "unwanted")
        made.body = BodyReader(make_engine("native", Limits(), Request), made.request, route)
    if last:
        made.end()
    made.ended = ended
    return made


# Each row: what is under way, and the step with (nothing, something) waiting to be read.
NO_MATTER = [Step.CLOSE, Step.CLOSE]
TABLE = [
    ({}, [Step.REQUEST, Step.HEAD]),
    ({"ended": True}, [Step.CLOSE, Step.HEAD]),
    ({"last": True}, NO_MATTER),
    ({"last": True, "ended": True}, NO_MATTER),
    *(
        ({"due": True, "body": body, "last": last, "ended": ended}, steps)
        for last, ended in product([False, True], repeat=2)
        for body, steps in [
            ("", [Step.REPLY, Step.REPLY]),
            ("wanted", [Step.CLOSE if ended else Step.REST_OF_BODY, Step.BODY]),
            ("unwanted", [Step.RECEIVER, Step.RECEIVER]),
        ]
    ),
]


@pytest.mark.parametrize(("state", "steps"), TABLE)
def test_next_step(state: dict[str, bool], steps: list[Step]) -> None:
    made = exchange(**state)
    assert [made.next_step(waiting, 0, PLENTY) for waiting in (0, 1)] == steps


@pytest.mark.parametrize(
    ("unsent", "turns", "step"),
    [
        (MAX_OUTPUT, 1, Step.HEAD),
        (MAX_OUTPUT + 1, 1, Step.ROOM),
        (0, 0, Step.TURN),
        (0, -1, Step.TURN),
        (MAX_OUTPUT + 1, 0, Step.ROOM),
    ],
)
def test_a_head_waits_for_room_and_for_others(unsent: int, turns: int, step: Step) -> None:
    assert exchange().next_step(1, unsent, turns) is step


@pytest.mark.parametrize("body", ["", "wanted", "unwanted"])
def test_what_is_under_way_waits_neither_for_room_nor_for_others(body: str) -> None:
    made = exchange(due=True, body=body)
    assert made.next_step(1, MAX_OUTPUT + 1, 0) is made.next_step(1, 0, PLENTY)


def test_with_nothing_to_read_there_is_nothing_to_wait_for_but_a_request() -> None:
    assert exchange().next_step(0, MAX_OUTPUT + 1, 0) is Step.REQUEST


@pytest.mark.parametrize(
    ("state", "steps"),
    [
        ({}, [Step.REQUEST, Step.REST_OF_HEAD]),
        ({"ended": True}, NO_MATTER),
        ({"last": True}, NO_MATTER),
        ({"due": True, "body": "wanted"}, [Step.REST_OF_BODY, Step.REST_OF_BODY]),
        ({"due": True}, [Step.REPLY, Step.REPLY]),
    ],
)
def test_starving(state: dict[str, bool], steps: list[Step]) -> None:
    """Less came than can be read: never the step that has just read nothing, or it would be taken for ever."""
    made = exchange(**state)
    assert [made.starve(waiting) for waiting in (0, 1)] == steps


def test_a_reply_that_keeps_the_connection_lets_the_next_request_come() -> None:
    made = exchange(due=True)
    made.finish(keep_alive=True)
    assert (made.request, made.last, made.persists) == (None, False, True)


@pytest.mark.parametrize(("body", "keep_alive"), [("", False), ("wanted", True), ("unwanted", True)])
def test_a_reply_that_does_not_is_the_last(body: str, keep_alive: bool) -> None:
    made = exchange(due=True, body=body)
    made.finish(keep_alive=keep_alive)
    assert (made.request, made.body, made.last, made.persists) == (None, None, True, False)
    assert made.next_step(1, 0, PLENTY) is Step.CLOSE


@pytest.mark.parametrize(
    ("due", "body", "waiting", "last"),
    [
        (False, "", 0, True),
        (False, "", 1, False),
        (True, "", 0, True),
        (True, "", 1, False),
        (True, "wanted", 0, False),
    ],
)
def test_the_end_of_the_client_is_the_last_when_nothing_is_left_to_read(
    due: bool, body: str, waiting: int, last: bool
) -> None:
    made = exchange(due=due, body=body)
    made.client_ended(waiting)
    assert (made.ended, made.last) == (True, last)


def test_dropping_gives_the_request_back_and_is_the_end() -> None:
    made = exchange(due=True, body="wanted")
    dropped = made.request
    assert dropped is not None
    assert made.drop() is dropped
    assert (made.request, made.body, made.last) == (None, None, True)
    assert made.drop() is None


def test_a_server_that_keeps_nothing_alive_still_takes_one_request() -> None:
    made = exchange(persists=False)
    assert made.next_step(1, 0, PLENTY) is Step.HEAD


MOVES = ["head", "head with body", "body", "receive", "reply", "reply and close", "ends", "stop", "drop"]


@given(
    moves=st.lists(st.sampled_from(MOVES)), waiting=st.integers(0, 2), unsent=st.integers(0, 2 * MAX_OUTPUT)
)
def test_no_order_of_events_leads_astray(moves: list[str], waiting: int, unsent: int) -> None:
    """No second request while one is under way, none after the last, and always a step that somebody can take."""
    made = Exchange(persists=True)
    ended = False  # what was said to be the end is never taken back
    for move in moves:
        step = made.next_step(1, 0, PLENTY)
        if move.startswith("head") and step is Step.HEAD:
            other = exchange(due=True, body="unwanted" if "body" in move else "")
            made.request, made.body = other.request, other.body
        elif move == "body":
            made.body = None
        elif move == "receive" and made.request is not None:
            made.request.receiver = BodyReceiver(lambda *_: None, lambda _: None)
        elif move.startswith("reply") and made.request is not None:
            made.finish(keep_alive="close" not in move)
        elif move == "ends":
            made.client_ended(waiting)
        elif move == "stop":
            made.end()
        elif move == "drop":
            made.drop()
        ended = ended or made.last
        assert made.last == ended
        assert not (made.last and made.persists)
        step = made.next_step(waiting, unsent, PLENTY)
        if made.request is not None:
            assert step in (Step.BODY, Step.REST_OF_BODY, Step.RECEIVER, Step.REPLY, Step.CLOSE)
            assert step is not Step.CLOSE or (made.ended and made.body is not None and not waiting)
        else:
            assert made.body is None
            assert (step is Step.CLOSE) == (made.last or (made.ended and not waiting))
        if step in (Step.HEAD, Step.BODY):
            assert waiting
