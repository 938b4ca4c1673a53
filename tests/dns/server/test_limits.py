"""`ServerLimits`, who counts as one client, and `Crowd`."""

from dataclasses import fields

import pytest

from evkit.core.net import Address
from evkit.dns.server.limits import Crowd, ServerLimits, client_of

TIMES = {"reply_timeout", "tcp_idle_timeout"}
COUNTS = sorted({field.name for field in fields(ServerLimits)} - TIMES)


class TestServerLimits:
    @pytest.mark.parametrize("name", COUNTS)
    def test_a_count_is_one_at_least(self, name: str) -> None:
        with pytest.raises(ValueError, match=f"{name} must be >= 1, got 0"):
            ServerLimits(**{name: 0})

    @pytest.mark.parametrize("name", COUNTS)
    @pytest.mark.parametrize("value", [1.0, True, "1"])
    def test_a_count_is_a_whole_number(self, name: str, value: object) -> None:
        with pytest.raises(TypeError, match=f"{name} must be a whole number"):
            ServerLimits(**{name: value})  # type: ignore[arg-type]

    @pytest.mark.parametrize("name", sorted(TIMES))
    @pytest.mark.parametrize("value", [0, -1.0, float("inf"), float("nan")])
    def test_a_time_is_more_than_none(self, name: str, value: float) -> None:
        with pytest.raises(ValueError, match=f"{name} must be more than 0"):
            ServerLimits(**{name: value})  # type: ignore[arg-type]

    @pytest.mark.parametrize("name", sorted(TIMES))
    @pytest.mark.parametrize("value", [None, "1", True])
    def test_a_time_is_a_number(self, name: str, value: object) -> None:
        with pytest.raises(TypeError, match=f"{name} must be a number of seconds"):
            ServerLimits(**{name: value})  # type: ignore[arg-type]

    @pytest.mark.parametrize("size", [511, 65536])
    def test_a_size_of_datagrams_that_none_has(self, size: int) -> None:
        with pytest.raises(ValueError, match="max_udp_size must be 512 to 65535"):
            ServerLimits(max_udp_size=size)

    def test_the_bounds_are_allowed(self) -> None:
        assert ServerLimits(max_udp_size=512).max_udp_size == 512
        assert ServerLimits(max_udp_size=65535, max_tcp_queries=None).max_tcp_queries is None
        with pytest.raises(TypeError):
            ServerLimits(max_waiting=None)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (("192.0.2.1", 1), ("192.0.2.1", 2)),
        (("::ffff:192.0.2.1", 1, 0, 0), ("192.0.2.1", 2)),
        (("2001:db8:0:1::1", 1, 0, 0), ("2001:db8:0:1:ffff::2", 2, 0, 0)),
        (("fe80::1%lo", 1, 0, 1), ("fe80::2%eth0", 1, 0, 2)),
    ],
)
def test_one_client(one: Address, other: Address) -> None:
    assert client_of(one) == client_of(other)
    assert client_of(one)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (("192.0.2.1", 1), ("192.0.2.2", 1)),
        (("::ffff:192.0.2.1", 1, 0, 0), ("::ffff:192.0.2.2", 1, 0, 0)),
        (("2001:db8:0:1::1", 1, 0, 0), ("2001:db8:0:2::1", 1, 0, 0)),
    ],
)
def test_two_clients(one: Address, other: Address) -> None:
    assert client_of(one) != client_of(other)


@pytest.mark.parametrize("address", ["", "/run/x", b"\0x", None])
def test_a_unix_socket_is_nobody(address: Address | None) -> None:
    assert client_of(address) == ""


class TestCrowd:
    def test_it_counts_each_client_by_itself(self) -> None:
        crowd = Crowd(2)
        crowd.enter("a")
        assert crowd.has_room("a")
        crowd.enter("a")
        crowd.enter("b")
        assert not crowd.has_room("a")
        assert crowd.has_room("b")
        crowd.leave("a")
        assert crowd.has_room("a")

    def test_it_forgets_who_has_left(self) -> None:
        crowd = Crowd(1)
        crowd.enter("a")
        crowd.enter("")
        crowd.leave("a")
        crowd.leave("")
        assert len(crowd) == 0

    def test_nobody_has_no_limit(self) -> None:
        crowd = Crowd(1)
        crowd.enter("")
        assert crowd.has_room("")
