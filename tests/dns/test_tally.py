"""What a resolver counts."""

from evkit.dns.tally import Tally


def test_begins_at_nothing_and_shows_all() -> None:
    tally = Tally()
    counts = (
        tally.lookups,
        tally.from_cache,
        tally.sent,
        tally.received,
        tally.timeouts,
        tally.dropped.total(),
    )
    assert counts == (0,) * 6
    tally.lookups, tally.from_cache, tally.sent, tally.received, tally.timeouts = 1, 2, 3, 4, 5
    tally.dropped["case"] += 2
    tally.dropped["number"] += 4
    assert repr(tally) == "<Tally lookups=1 from_cache=2 sent=3 received=4 timeouts=5 dropped=6>"


def test_is_each_resolver_s_own() -> None:
    one, other = Tally(), Tally()
    one.dropped["case"] += 1
    assert other.dropped == {}
