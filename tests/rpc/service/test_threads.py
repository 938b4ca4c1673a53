"""`Threads`: methods that block, and the loop that does not wait for them."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, cast

import pytest

from evkit.core.base import EventBase
from evkit.core.flags import EVLOOP_NONBLOCK, EVLOOP_ONCE
from evkit.core.future import Future
from evkit.rpc.connection.call import Call
from evkit.rpc.errors import OVERLOADED, MethodError
from evkit.rpc.service.method import Method
from evkit.rpc.service.threads import Threads


class Site:
    """A base, and a connection that keeps the answers instead of sending them."""

    def __init__(self, base: EventBase) -> None:
        self.base = base
        self.peer = "here"
        self.answers: list[tuple[int | None, object]] = []
        self.answered_in: list[int] = []
        self.escaped: list[BaseException] = []
        base.exception_handler = lambda exception, _source: self.escaped.append(exception)

    def answer(self, call: Call, result: object) -> None:
        call.end()
        self.answers.append((call.number, result))
        self.answered_in.append(threading.get_ident())

    def answer_error(self, call: Call, error: BaseException) -> None:
        self.answer(call, error)

    def begin(self, threads: Threads, function: Callable[..., Any], *params: Any, number: int = 1) -> Call:
        """Call a method as a connection does."""
        method = Method(function, "f", threads)
        call = Call(cast(Any, self), method, number)
        assert method.invoke(call, list(params)) is None
        return call

    def until(self, count: int) -> None:
        """Run the loop until there are so many answers."""
        late = self.base.timer(lambda _event, _what: pytest.fail("no answer in 30 s"))
        late.add(30)
        while len(self.answers) < count:
            self.base.loop(EVLOOP_ONCE)
        late.free()


@pytest.fixture
def site(base: EventBase) -> Site:
    return Site(base)


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    """One thread."""
    with ThreadPoolExecutor(1) as pool:
        yield pool


class Gate:
    """Keeps the only thread of a pool busy until it is opened."""

    def __init__(self) -> None:
        self.entered = threading.Event()
        self.opened = threading.Event()

    def __call__(self) -> str:
        self.entered.set()
        assert self.opened.wait(30)
        return "open"


def test_it_runs_elsewhere_and_is_answered_here(site: Site, pool: ThreadPoolExecutor) -> None:
    ran_in: list[int] = []

    def double(number: int) -> int:
        ran_in.append(threading.get_ident())
        return 2 * number

    call = site.begin(Threads(pool), double, 4)
    assert call.deferred
    assert site.answers == []
    site.until(1)
    assert site.answers == [(1, 8)]
    assert ran_in != [threading.get_ident()]
    assert site.answered_in == [threading.get_ident()]


def test_a_pool_of_its_own_is_made_when_it_is_needed(site: Site) -> None:
    threads = Threads()
    site.begin(threads, lambda: threading.current_thread().name)
    site.until(1)
    assert str(site.answers[0][1]).startswith("evkit-rpc")
    assert threads._pool._executor is not None
    threads._pool._executor.shutdown()


def test_it_may_have_the_call_and_answer_itself(site: Site, pool: ThreadPoolExecutor) -> None:
    def talk(call: Call, number: int) -> str:
        call.reply(number)
        return "not this"

    def fail(call: Call) -> None:
        call.fail(MethodError("mine"))
        raise ValueError("and more")

    site.begin(Threads(pool), talk, 7)
    site.begin(Threads(pool), fail, number=2)
    site.until(2)
    pool.shutdown()
    site.base.loop(EVLOOP_NONBLOCK)
    assert site.answers[0] == (1, 7)
    assert str(site.answers[1][1]) == "mine"
    assert len(site.answers) == 2
    assert [str(error) for error in site.escaped] == ["and more"]


def test_a_future_is_followed(site: Site, pool: ThreadPoolExecutor) -> None:
    future: Future[int] = Future(site.base)
    site.begin(Threads(pool), lambda: future)
    site.base.call_soon_threadsafe(future.set_result, 5)
    site.until(1)
    assert site.answers == [(1, 5)]


@pytest.mark.parametrize(
    ("error", "heard"), [(ValueError("no"), True), (SystemExit(3), True), (MethodError("no"), False)]
)
def test_what_it_raises_is_the_answer(
    site: Site, pool: ThreadPoolExecutor, error: BaseException, heard: bool
) -> None:
    def fail() -> None:
        raise error

    site.begin(Threads(pool), fail)
    site.until(1)
    assert site.answers == [(1, error)]
    assert site.escaped == ([error] if heard else [])


def test_one_more_than_may_wait(site: Site, pool: ThreadPoolExecutor) -> None:
    gate = Gate()
    threads = Threads(pool, max_waiting=2)
    site.begin(threads, gate, number=1)
    assert gate.entered.wait(30)
    site.begin(threads, lambda: "second", number=2)
    site.begin(threads, lambda: "third", number=3)
    assert repr(threads) == "<Threads waiting=2 of 2>"
    with pytest.raises(MethodError, match="too many calls wait for a thread") as caught:
        site.begin(threads, lambda: "fourth", number=4)
    assert caught.value.code == OVERLOADED
    gate.opened.set()
    site.until(3)
    assert site.answers == [(1, "open"), (2, "second"), (3, "third")]
    site.begin(threads, lambda: "fifth", number=5)
    site.until(4)
    assert repr(threads) == "<Threads waiting=0 of 2>"


def test_nobody_waits_for_it_any_more(site: Site, pool: ThreadPoolExecutor) -> None:
    gate, ran = Gate(), []
    threads = Threads(pool)
    site.begin(threads, gate, number=1)
    assert gate.entered.wait(30)
    call = site.begin(threads, lambda: ran.append(2), number=2)
    call.give_up()
    site.begin(threads, lambda: "last", number=3)
    gate.opened.set()
    site.until(2)
    assert site.answers == [(1, "open"), (3, "last")]
    assert ran == []


def test_one_that_is_given_up_while_it_runs(site: Site, pool: ThreadPoolExecutor) -> None:
    gate = Gate()
    threads = Threads(pool)
    call = site.begin(threads, gate)
    assert gate.entered.wait(30)
    call.give_up()
    gate.opened.set()
    site.begin(threads, lambda: "last", number=2)
    site.until(1)
    assert site.answers == [(2, "last")]
    assert site.escaped == []


def test_a_pool_that_was_shut_down_before(site: Site, pool: ThreadPoolExecutor) -> None:
    pool.shutdown()
    threads = Threads(pool)
    with pytest.raises(MethodError, match="the server is stopping") as caught:
        site.begin(threads, lambda: 1)
    assert caught.value.code == OVERLOADED
    assert repr(threads) == "<Threads waiting=0 of 1000>"


def test_a_pool_that_is_shut_down_meanwhile(site: Site, pool: ThreadPoolExecutor) -> None:
    gate = Gate()
    threads = Threads(pool)
    site.begin(threads, gate, number=1)
    assert gate.entered.wait(30)
    site.begin(threads, lambda: "never", number=2)
    pool.shutdown(wait=False, cancel_futures=True)
    gate.opened.set()
    site.until(2)
    assert sorted((number, str(answer)) for number, answer in site.answers) == [
        (1, "open"),
        (2, "the server is stopping"),
    ]
    assert repr(threads) == "<Threads waiting=0 of 1000>"


def test_a_base_that_is_closed_meanwhile(pool: ThreadPoolExecutor, caplog: pytest.LogCaptureFixture) -> None:
    gate = Gate()
    with EventBase() as base:
        site = Site(base)
        threads = Threads(pool)
        site.begin(threads, gate, number=1)
        assert gate.entered.wait(30)
        site.begin(threads, lambda: "never", number=2)
    pool.shutdown(wait=False, cancel_futures=True)
    gate.opened.set()
    pool.shutdown()
    assert site.answers == []
    assert caplog.records == []  # where a pool tells of callbacks that fail
    assert repr(threads) == "<Threads waiting=0 of 1000>"


@pytest.mark.parametrize("number", [0, -1, 1.5, True, "1"])
def test_no_number_of_waiting_calls(number: Any) -> None:
    with pytest.raises(ValueError, match="expected max_waiting as a number >= 1 or None"):
        Threads(max_waiting=number)
