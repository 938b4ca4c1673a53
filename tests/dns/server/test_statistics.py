"""`ServerStatistics`: every count is there, and told by its name."""

from evkit.dns.server import ServerStatistics


def test_all_begin_with_nothing() -> None:
    statistics = ServerStatistics()
    assert set(statistics.as_dict()) == set(ServerStatistics.__slots__)
    assert set(statistics.as_dict().values()) == {0}


def test_they_are_told_by_name() -> None:
    statistics = ServerStatistics()
    statistics.queries += 2
    assert statistics.as_dict()["queries"] == 2
    assert "queries=2" in repr(statistics)
