"""`WebSocketGroup`: who belongs to it, what all are told, and the end of all."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from evkit import LocalProtocolError
from evkit.http.websocket.group import WebSocketGroup
from evkit.http.websocket.options import WebSocketOptions
from evkit.http.websocket.websocket import WebSocket
from websocket_aids import Ends, Frame, close_frame


@contextmanager
def members(
    group: WebSocketGroup, count: int, *, client: bool = False, **settings: WebSocketOptions
) -> Iterator[list[Ends]]:
    """Make WebSockets, each with a world of its own, in one group."""
    made = [Ends(client=client, **settings) for _ in range(count)]
    try:
        for ends in made:
            group.add(ends.ws)
        yield made
    finally:
        for ends in made:
            ends.pair.close()


def test_who_ends_leaves() -> None:
    group = WebSocketGroup()
    with members(group, 3) as (first, second, third):
        assert len(group) == 3
        assert list(group) == [first.ws, second.ws, third.ws]
        assert repr(group) == "<WebSocketGroup 3 members>"
        first.feed(close_frame(1000))
        second.ws.abort()
        assert list(group) == [third.ws]
        assert first.ws not in group
        assert third.ws in group
        assert second.ws.group is None
        group.remove(third.ws)
        with pytest.raises(KeyError):
            group.remove(third.ws)
        assert third.ws.open
        assert third.ws.group is None
        assert len(group) == 0


def test_a_websocket_is_in_one_group() -> None:
    group, other = WebSocketGroup(), WebSocketGroup()
    with members(group, 1) as (ends,):
        group.add(ends.ws)
        assert len(group) == 1
        with pytest.raises(ValueError, match="in no other group"):
            other.add(ends.ws)
        ends.ws.abort()
        with pytest.raises(ValueError, match="expected a WebSocket that is open"):
            other.add(ends.ws)
        assert len(group) == len(other) == 0


@pytest.mark.parametrize("client", [False, True])
@pytest.mark.parametrize(("data", "first"), [("ü", 0x81), (b"x" * 200, 0x82)])
def test_broadcast(client: bool, data: str | bytes, first: int) -> None:
    group = WebSocketGroup()
    with members(group, 3, client=client) as (one, two, three):
        two.ws.close()
        two.run()
        group.broadcast(data, but=three.ws)
        payload = data.encode() if isinstance(data, str) else data
        assert one.run() == [Frame(first, client, payload)]
        assert two.run() == three.run() == []


def test_broadcast_gives_up_who_does_not_keep_up() -> None:
    group = WebSocketGroup()
    with members(group, 2, options=WebSocketOptions(high_water=100, max_buffered=1000)) as (slow, quick):
        slow.pair._far.disable(2)
        for _ in range(12):
            group.broadcast(bytes(98))
            quick.run()
        assert list(group) == [quick.ws]
        assert [code for code, _ in slow.log.ends] == [1006]


def test_broadcast_does_not_break_a_message_in_fragments() -> None:
    group = WebSocketGroup()
    with members(group, 2) as (one, two):
        two.ws.send_start(text=True)
        with pytest.raises(LocalProtocolError, match="send_end"):
            group.broadcast("x")
        assert one.run() == []
        group.broadcast("x", but=two.ws)
        assert one.run() == [Frame(0x81, False, b"x")]
        with pytest.raises(TypeError, match="int"):
            group.broadcast(1)  # type: ignore[arg-type]  # that is the point


def test_closing_all() -> None:
    group, closed = WebSocketGroup(), list[str]()
    with members(group, 2) as (one, two):
        group.close(1012, "back soon", lambda: closed.append("first"))
        group.close(closed=lambda: closed.append("second"))
        assert group.closing
        assert repr(group) == "<WebSocketGroup 2 members closing>"
        assert one.run() == two.run() == [Frame(0x88, False, b"\x03\xf4back soon")]
        one.feed(close_frame(1012))
        two.feed(close_frame(1012))
        assert len(group) == 0
        one.end()
        assert closed == []
        two.end()
        assert closed == ["first", "second"]


def test_letting_the_last_go_while_closing() -> None:
    group, closed = WebSocketGroup(), list[str]()
    with members(group, 1) as (ends,):
        group.close(closed=lambda: closed.append("closed"))
        group.remove(ends.ws)
        assert closed == ["closed"]


def test_closing_nobody() -> None:
    closed = list[str]()
    WebSocketGroup().close(closed=lambda: closed.append("at once"))
    assert closed == ["at once"]


def test_who_comes_later_is_told_to_go() -> None:
    group = WebSocketGroup()
    group.close(1012, "back soon")
    with members(group, 1) as (ends,):
        assert ends.run() == [Frame(0x88, False, b"\x03\xf4back soon")]


def test_a_code_that_may_not_be_closes_nobody() -> None:
    group = WebSocketGroup()
    with members(group, 1) as (ends,), pytest.raises(ValueError, match="close code"):
        group.close(1006)
    assert not group.closing
    assert ends.log.ends == [(1006, "")]


def test_what_can_not_be_called_closes_nobody() -> None:
    group = WebSocketGroup()
    with Ends() as ends:
        group.add(ends.ws)
        with pytest.raises(TypeError, match="callable"):
            group.close(closed="later")  # type: ignore[arg-type]  # that is the point
        assert not group.closing
        assert ends.ws.open


def test_ending_all_now() -> None:
    group, closed = WebSocketGroup(), list[str]()
    with members(group, 3) as made:
        made[0].feed(close_frame(1000))
        assert not made[0].ws.bev.closed
        group.close(closed=lambda: closed.append("closed"))
        group.abort()
        assert closed == ["closed"]
        assert all(ends.ws.bev.closed for ends in made)


def test_an_end_may_end_the_others() -> None:
    group = WebSocketGroup()
    with members(group, 3) as made:

        def on_close(ws: WebSocket, code: int, reason: str) -> None:
            for other in group:
                other.abort()

        made[1].ws.on_close = on_close
        group.abort()
        assert len(group) == 0
