"""One connection of a pool."""

from typing import Any

import pytest

from evkit.core import EventBase
from evkit.errors import ConnectionLost
from evkit.rpc import Backoff, CallLost, ClientClosed, Overloaded, Pending
from evkit.rpc.client.target import Target, parse_target
from evkit.rpc.pool.discovery import Endpoint
from evkit.rpc.pool.health import Health
from evkit.rpc.pool.member import Member, Pinned
from evkit.testing import FakeBase
from rpc_pool_aids import FakeClient

TARGET = parse_target("rpc.test:7000")
ADDRESS = ("192.0.2.1", 7000)


class Keeper:
    """Writes down what it hears."""

    def __init__(self) -> None:
        self.heard: list[Any] = []

    def on_up(self, member: Member) -> None:
        self.heard.append("up")

    def on_down(self, member: Member, error: Exception | None) -> None:
        self.heard.append(("down", error))

    def on_failed(self, member: Member, error: Exception | None) -> None:
        self.heard.append(("failed", error))


def member_of(client: FakeClient, endpoint: Endpoint | None = None, keeper: Keeper | None = None) -> Member:
    return Member(client, endpoint, Health(5, Backoff()), keeper or Keeper())  # type: ignore[arg-type]  # a fake


def pending() -> Pending:
    return Pending("add", lambda pending: None)


def test_it_tells_its_keeper_what_becomes_of_the_connection() -> None:
    keeper = Keeper()
    client = FakeClient(TARGET)
    member = member_of(client, keeper=keeper)
    assert not member.up
    connection = client.come_up()
    assert member.up
    error = ConnectionLost("gone", during="read")
    connection.lose(error)
    assert not member.up
    failure = OSError("nobody there")
    client.on_failure(failure)
    assert keeper.heard == ["up", ("down", error), ("failed", failure)]


def test_it_is_up_with_a_client_that_has_a_connection() -> None:
    client = FakeClient(TARGET)
    client.come_up()
    assert member_of(client).up


def test_what_is_sent_goes_to_the_connection() -> None:
    client = FakeClient(TARGET)
    member = member_of(client)
    connection = client.come_up()
    call = pending()
    member.begin(call, [1, 2])
    member.notify("tell", ["news", 3])
    assert connection.calls == [(call, [1, 2])]
    assert connection.told == [("tell", "news", 3)]


@pytest.mark.parametrize("state", ["away", "ending"])
def test_without_a_connection_that_takes_it_a_call_is_refused(state: str) -> None:
    client = FakeClient(TARGET)
    member = member_of(client)
    if state == "ending":
        client.come_up().ended = True
    for use in (lambda: member.begin(pending(), []), lambda: member.notify("add", [])):
        with pytest.raises(CallLost, match=r"^add: .*not sent$") as caught:
            use()
        assert not caught.value.sent


def test_that_a_hook_has_closed_the_connection_is_no_end_of_the_call() -> None:
    client = FakeClient(TARGET)
    member = member_of(client)
    connection = client.come_up()
    connection.refuses = ClientClosed("closed by this program")
    for use in (lambda: member.begin(pending(), []), lambda: member.notify("add", [])):
        with pytest.raises(CallLost, match=r"^add: ") as caught:
            use()
        assert caught.value.__cause__ is connection.refuses
        assert not caught.value.sent


def test_what_else_a_connection_raises_is_let_through() -> None:
    client = FakeClient(TARGET)
    member = member_of(client)
    client.come_up().refuses = Overloaded("full")
    with pytest.raises(Overloaded):
        member.begin(pending(), [])
    with pytest.raises(Overloaded):
        member.notify("add", [])


def test_it_takes_on_what_its_endpoint_says() -> None:
    member = member_of(FakeClient(TARGET), Endpoint(TARGET, ADDRESS, 10, 0.5))
    assert (member.priority, member.weight, member.place) == (10, 0.5, (TARGET, ADDRESS))
    member.settle(Endpoint(TARGET, ADDRESS, 20, 2.0))
    assert (member.priority, member.weight) == (20, 2.0)


def test_one_of_the_programs_own_is_at_its_target() -> None:
    member = member_of(FakeClient(TARGET))
    assert (member.priority, member.weight, member.place) == (0, 1.0, (TARGET, None))
    assert member.place == Endpoint(TARGET).place  # a target that needs no look-up is the same server


def test_one_that_leaves_does_not_come_up_again() -> None:
    client = FakeClient(TARGET)
    member = member_of(client)
    client.come_up()
    member.leave()
    assert not member.up
    client.come_up()
    assert not member.up


def test_a_connection_is_ended_when_all_is_sent() -> None:
    client = FakeClient(TARGET)
    member = member_of(client)
    connection = client.come_up()
    assert member.finish()
    assert connection.stopped
    assert not client.closed


@pytest.mark.parametrize("state", ["away", "closed"])
def test_where_there_is_no_connection_there_is_none_to_end(state: str) -> None:
    client = FakeClient(TARGET)
    member = member_of(client)
    if state == "closed":
        client.come_up().closed = True
    assert not member.finish()


def test_closing_closes_the_client() -> None:
    client = FakeClient(TARGET)
    member = member_of(client)
    client.come_up()
    member.close()
    assert client.closed
    assert member.leaving


def test_it_shows_its_state() -> None:
    client = FakeClient(TARGET)
    member = member_of(client)
    shown = []
    for change in (lambda: None, client.come_up, member.leave):
        change()
        shown.append(repr(member))
    assert shown == [
        f"<Member {state} of rpc.test:7000 load=0 <Health well failures=0>>"
        for state in ("away", "up", "leaving")
    ]


def test_a_pinned_resolver_has_one_address_for_all_names(fakes: FakeBase) -> None:
    base: EventBase = fakes.base
    pinned = Pinned(base, ADDRESS)
    assert pinned.getaddrinfo("any.test", 1).result() == [ADDRESS]
    assert repr(pinned) == "<Pinned to 192.0.2.1:7000>"


def test_a_target_of_its_own_is_another_place() -> None:
    assert member_of(FakeClient(Target("other.test", 1))).place != member_of(FakeClient(TARGET)).place
