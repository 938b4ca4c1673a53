"""`SendQueue` against a list, and the one time at which somebody is to hear of room."""

from hypothesis import given
from hypothesis import strategies as st

from evkit.core.datagram_queue import OVERHEAD, SendQueue
from evkit.core.net import Address

STEPS = st.lists(st.one_of(st.integers(0, 200).map(bytes), st.just(None)), max_size=60)


@given(STEPS, st.integers(0, 1000))
def test_any_course_is_that_of_a_list_with_a_limit(steps: list[bytes | None], limit: int) -> None:
    queue = SendQueue(limit)
    model: list[tuple[bytes, Address | None]] = []
    refused = False
    for number, data in enumerate(steps):
        if data is None:
            if model:
                assert queue.first() == model.pop(0)
                queue.drop_first()
            assert queue.take_relief() is (refused and not model)
            refused = refused and bool(model)
        else:
            fits = sum(len(each) + OVERHEAD for each, _ in model) + len(data) + OVERHEAD <= limit
            assert queue.put(data, ("127.0.0.1", number)) is fits
            if fits:
                model.append((data, ("127.0.0.1", number)))
            refused = refused or not fits
        assert len(queue) == len(model)


def test_bytes_are_the_queue_s_own() -> None:
    queue = SendQueue(1000)
    data = bytearray(b"before")
    queue.put(data, None)
    data[:] = b"after!"
    assert queue.first() == (b"before", None)


def test_wide_items_count_their_bytes() -> None:
    queue = SendQueue(OVERHEAD + 15)
    assert not queue.put(memoryview(bytes(16)).cast("Q"), None)
    assert queue.put(memoryview(bytes(8)).cast("Q"), None)
    queue.drop_first()
    assert queue.put(memoryview(bytes(8)).cast("Q"), None)  # all of it was given back


def test_clear_makes_room() -> None:
    queue = SendQueue(OVERHEAD)
    assert queue.put(b"", None)
    assert not queue.put(b"", None)
    queue.clear()
    assert len(queue) == 0
    assert queue.put(b"", None)
