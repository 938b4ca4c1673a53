"""`Waiting`: who waits, since when, and how many may."""

from typing import cast

from hypothesis import given
from hypothesis import strategies as st

from evkit.dns.server.limits import ServerLimits
from evkit.dns.server.request import ServerRequest
from evkit.dns.server.waiting import Waiting


def made() -> ServerRequest:
    """Return something that stands for a request: it is only compared."""
    return cast(ServerRequest, object())


def test_nothing_waits() -> None:
    waiting = Waiting(ServerLimits())
    assert (len(waiting), waiting.next_at(), waiting.due(1e9), waiting.all()) == (0, None, [], [])


def test_the_oldest_is_due_first() -> None:
    waiting = Waiting(ServerLimits(reply_timeout=2.0))
    first, second = made(), made()
    waiting.enter(first, "a", 10.0)
    waiting.enter(second, "a", 11.0)
    assert waiting.next_at() == 12.0
    assert waiting.due(11.9) == []
    assert waiting.due(12.0) == [first]
    assert waiting.due(13.0) == [first, second]
    assert waiting.all() == [first, second]
    assert waiting.leave(first)
    assert waiting.next_at() == 13.0


def test_it_leaves_once() -> None:
    waiting = Waiting(ServerLimits())
    request = made()
    waiting.enter(request, "a", 0.0)
    assert waiting.leave(request)
    assert not waiting.leave(request)
    assert not waiting.leave(made())


def test_there_is_room_for_so_many_of_a_client_and_in_all() -> None:
    waiting = Waiting(ServerLimits(max_waiting=3, max_waiting_per_client=2))
    requests = [made() for _ in range(3)]
    for request in requests[:2]:
        assert waiting.has_room("a")
        waiting.enter(request, "a", 0.0)
    assert not waiting.has_room("a")
    assert waiting.has_room("b")
    waiting.enter(requests[2], "b", 0.0)
    assert not waiting.has_room("c")
    waiting.leave(requests[0])
    assert waiting.has_room("a")


@given(st.lists(st.tuples(st.sampled_from("ab"), st.booleans())))
def test_it_is_as_its_model(steps: list[tuple[str, bool]]) -> None:
    limits = ServerLimits(max_waiting=4, max_waiting_per_client=3, reply_timeout=1.0)
    waiting = Waiting(limits)
    model: list[tuple[ServerRequest, str, float]] = []
    for now, (client, comes) in enumerate(steps):
        if comes:
            fits = len(model) < 4 and sum(each[1] == client for each in model) < 3
            assert waiting.has_room(client) == fits
            if fits:
                model.append((made(), client, float(now)))
                waiting.enter(*model[-1])
        elif model:
            waiting.leave(model.pop(now % len(model))[0])
        assert waiting.all() == [request for request, _, _ in model]
        assert waiting.due(now) == [request for request, _, since in model if since + 1.0 <= now]
