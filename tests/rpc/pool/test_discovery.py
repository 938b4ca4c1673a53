"""What targets stand for, and when they are looked up."""

from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evkit.rpc.client.target import Target
from evkit.rpc.pool.discovery import (
    ADDRESS_TTL,
    LEAST,
    MAX_ENDPOINTS,
    MOST,
    SMALL_WEIGHT,
    Endpoint,
    Schedule,
    ServiceRecord,
    Source,
    endpoints_at,
    parse_source,
    usable_services,
)

NOW = 1000.0
RPC = Target("rpc.example.org", 7000)


@pytest.mark.parametrize(
    ("where", "kind", "target", "text"),
    [
        ("192.0.2.1:7000", "fixed", Target("192.0.2.1", 7000), "192.0.2.1:7000"),
        ("[2001:db8::1]:7000", "fixed", Target("2001:db8::1", 7000), "[2001:db8::1]:7000"),
        ("unix:/run/rpc", "fixed", Target("", 0, "/run/rpc"), "unix:/run/rpc"),
        ("rpc.example.org:7000", "host", RPC, "rpc.example.org:7000"),
        (("rpc.example.org", 7000), "host", RPC, "rpc.example.org:7000"),
        (
            "tls://rpc.example.org:7000",
            "host",
            Target("rpc.example.org", 7000, None, True),
            "tls://rpc.example.org:7000",
        ),
        ("_rpc._tcp.example.org", "srv", Target("_rpc._tcp.example.org", 0), "_rpc._tcp.example.org"),
        (
            "tls://_rpc._tcp.example.org",
            "srv",
            Target("_rpc._tcp.example.org", 0, None, True),
            "tls://_rpc._tcp.example.org",
        ),
        ("_odd:7000", "host", Target("_odd", 7000), "_odd:7000"),
    ],
)
def test_targets_are_read(where: str | tuple[str, int], kind: str, target: Target, text: str) -> None:
    source = parse_source(where)
    assert source == Source(target, kind)
    assert str(source) == text


@pytest.mark.parametrize("where", ["", "example.org", "example.org:0", "192.0.2.1"])
def test_what_is_nowhere_is_refused(where: str) -> None:
    with pytest.raises(ValueError, match="expected"):
        parse_source(where)


def test_addresses_share_the_weight_of_their_name() -> None:
    places = [("192.0.2.1", 7000), ("192.0.2.2", 7000), ("192.0.2.1", 7000)]
    assert endpoints_at(RPC, places, 5, 30) == [
        Endpoint(RPC, ("192.0.2.1", 7000), 5, 15.0),
        Endpoint(RPC, ("192.0.2.2", 7000), 5, 15.0),
    ]
    assert endpoints_at(RPC, []) == []


def test_no_weight_is_a_small_one() -> None:
    (one,) = endpoints_at(RPC, [("192.0.2.1", 7000)], 0, 0)
    assert one.weight == SMALL_WEIGHT


def test_services_come_in_their_order_and_each_once() -> None:
    data = [(20, 1, 7000, "b"), (10, 5, 7000, "a"), (20, 1, 7000, "b")]
    assert usable_services(data) == [ServiceRecord(10, 5, 7000, "a"), ServiceRecord(20, 1, 7000, "b")]


@pytest.mark.parametrize("record", [(0, 0, 0, "."), (0, 0, 7000, "."), (0, 0, 0, "a"), (0, 0, 7000, "")])
def test_a_record_that_names_no_service_is_none(record: tuple[int, int, int, str]) -> None:
    assert usable_services([record]) == []


def test_a_flood_of_records_is_cut() -> None:
    many = usable_services([(0, 0, 7000, f"h{n}") for n in range(5000)])
    assert len(many) == MAX_ENDPOINTS


def asked(now: float = NOW) -> Schedule:
    schedule = Schedule()
    assert schedule.due == 0.0
    schedule.asked(now)
    assert schedule.due == inf
    return schedule


@pytest.mark.parametrize(("ttl", "pause"), [(0, LEAST), (0.5, LEAST), (60, 60), (86400, MOST)])
def test_it_is_looked_up_again_when_its_time_is_over(ttl: float, pause: float) -> None:
    schedule = asked()
    schedule.found(NOW, ttl, 0.0, away=False)
    assert schedule.due == NOW + pause


def test_failures_are_repeated_after_longer_and_longer() -> None:
    schedule = asked()
    pauses = []
    for _ in range(8):
        schedule.failed(NOW, 0.0)
        pauses.append(schedule.due - NOW)
        schedule.asked(NOW)
    assert pauses == [1, 2, 4, 8, 16, ADDRESS_TTL, ADDRESS_TTL, ADDRESS_TTL]


def test_while_a_server_is_away_it_is_looked_for_sooner() -> None:
    schedule = asked()
    for pause in (1, 2, 4):
        schedule.found(NOW, 300, 0.0, away=True)
        assert schedule.due == NOW + pause
    schedule.found(NOW, 3, 0.0, away=True)
    assert schedule.due == NOW + 3  # its time is over before
    schedule.found(NOW, 300, 0.0, away=False)
    assert schedule.due == NOW + 300
    schedule.found(NOW, 300, 0.0, away=True)
    assert schedule.due == NOW + 1


def test_a_loss_has_it_looked_up_at_once_but_not_too_often() -> None:
    schedule = asked()
    schedule.found(NOW, 300, 0.0, away=False)
    schedule.lost(NOW + 0.25)
    assert schedule.due == NOW + LEAST
    schedule.lost(NOW + 50)
    assert schedule.due == NOW + LEAST  # it is due already
    schedule.asked(NOW + 50)
    schedule.found(NOW + 50, 300, 0.0, away=False)
    schedule.lost(NOW + 100)
    assert schedule.due == NOW + 100


def test_a_loss_during_a_look_up_has_it_repeated() -> None:
    schedule = asked()
    schedule.lost(NOW + 0.25)
    assert schedule.due == inf
    schedule.found(NOW + 0.5, 300, 0.0, away=False)
    assert schedule.due == NOW + LEAST
    schedule.asked(NOW + 1)
    schedule.found(NOW + 1.5, 300, 0.0, away=False)
    assert schedule.due == NOW + 301.5


@given(
    steps=st.lists(
        st.tuples(
            st.sampled_from(["found", "away", "failed", "lost"]),
            st.floats(0, 400),
            st.floats(0, 1e9),
            st.floats(0, 1),
        )
    )
)
def test_it_is_never_due_too_soon_or_never_again(steps: list[tuple[str, float, float, float]]) -> None:
    schedule = asked()
    last = now = NOW
    for what, pause, ttl, roll in steps:
        now += pause
        if what == "lost":
            schedule.lost(now)
            continue
        if schedule.due != inf:
            now = max(now, schedule.due)
            assert now >= last + LEAST
            schedule.asked(now)
            last = now
        if what == "failed":
            schedule.failed(now, roll)
        else:
            schedule.found(now, ttl, roll, away=what == "away")
        assert schedule.due <= now + MOST
