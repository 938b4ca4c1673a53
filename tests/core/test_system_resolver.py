"""Look-ups in threads: what comes home, what is dropped, and that nothing waits for a system that hangs."""

import errno
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from evkit.core import system_resolver as module
from evkit.core.base import EventBase
from evkit.core.flags import COUNT_VIRTUAL, EVLOOP_NONBLOCK, EVLOOP_ONCE
from evkit.core.future import Future
from evkit.core.net import Address, Resolver
from evkit.core.system_resolver import Answer, SystemResolver, look_up
from evkit.errors import LoopError
from patience import PATIENCE

ANSWER: list[Address] = [("192.0.2.1", 80)]

needs_ipv6 = pytest.mark.skipif(not socket.has_ipv6, reason="this Python has no IPv6")


def own_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "evkit getaddrinfo"]


def join_threads() -> None:
    for thread in own_threads():
        thread.join(PATIENCE)
        assert not thread.is_alive()


class Gate:
    """A system that answers when it is told to."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.arrivals = threading.Semaphore(0)
        self.exits = threading.Semaphore(0)
        self.answers: dict[str, Answer] = {}
        self.lock = threading.Lock()
        self.inside = self.most_inside = 0

    def look_up(self, host: str, port: int, family: int, flags: int = 0) -> Answer:
        if flags & socket.AI_NUMERICHOST:
            return look_up(host, port, family, flags)
        with self.lock:
            self.asked.append(host)
            self.inside += 1
            self.most_inside = max(self.most_inside, self.inside)
        self.arrivals.release()
        assert self.exits.acquire(timeout=PATIENCE)
        with self.lock:
            self.inside -= 1
        return self.answers.get(host, ANSWER)

    def await_arrivals(self, count: int = 1) -> None:
        for _ in range(count):
            assert self.arrivals.acquire(timeout=PATIENCE)

    def let_go(self, count: int = 1) -> None:
        self.exits.release(count)


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Iterator[Gate]:
    gate = Gate()
    monkeypatch.setattr(module, "look_up", gate.look_up)
    yield gate
    gate.let_go(100)
    join_threads()


@pytest.fixture
def no_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)


class TestAnswers:
    def test_name_of_this_machine(self, base: EventBase) -> None:
        resolver: Resolver = SystemResolver(base)
        future = resolver.getaddrinfo("localhost", 80, socket.AF_INET)
        assert not future.done()
        assert ("127.0.0.1", 80) in future.result(PATIENCE)
        join_threads()

    def test_is_what_the_system_says_in_its_order_and_once(
        self, base: EventBase, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        asked: list[tuple[object, ...]] = []

        def system(*args: object, flags: int = 0) -> list[tuple[int, int, int, str, Address]]:
            asked.append((*args, flags))
            if flags:
                raise socket.gaierror(socket.EAI_NONAME, "no number")
            found: list[Address] = [("2001:db8::1", 80, 0, 0), ("192.0.2.9", 80), ("192.0.2.1", 80)]
            return [(0, 0, 0, "", address) for address in [*found, *found]]

        monkeypatch.setattr(socket, "getaddrinfo", system)
        future = SystemResolver(base).getaddrinfo("example.org", 80)
        assert future.result(PATIENCE) == [
            ("2001:db8::1", 80, 0, 0),
            ("192.0.2.9", 80),
            ("192.0.2.1", 80),
        ]
        join_threads()
        question = (b"example.org", 80, socket.AF_UNSPEC, socket.SOCK_STREAM)
        assert asked == [(*question, socket.AI_NUMERICHOST), (*question, 0)]

    def test_error_of_the_system(self, base: EventBase, gate: Gate) -> None:
        gate.answers["example.org"] = socket.gaierror(socket.EAI_AGAIN, "not now")
        gate.let_go()
        future = SystemResolver(base).getaddrinfo("example.org", 80)
        with pytest.raises(socket.gaierror, match="not now") as caught:
            future.result(PATIENCE)
        assert caught.value.errno == socket.EAI_AGAIN

    def test_arguments_reach_the_system(self, base: EventBase, monkeypatch: pytest.MonkeyPatch) -> None:
        asked: list[tuple[str, int, int]] = []

        def note(host: str, port: int, family: int, flags: int = 0) -> Answer:
            if flags:
                return look_up(host, port, family, flags)
            asked.append((host, port, family))
            return ANSWER

        monkeypatch.setattr(module, "look_up", note)
        assert SystemResolver(base).getaddrinfo("example.org", 0, socket.AF_INET6).result(PATIENCE) == ANSWER
        join_threads()
        assert asked == [("example.org", 0, socket.AF_INET6)]

    def test_many_at_once(self, base: EventBase) -> None:
        resolver = SystemResolver(base, threads=3)
        futures = [resolver.getaddrinfo("localhost", port, socket.AF_INET) for port in range(40)]
        assert base.dispatch() is False
        assert [future.result() for future in futures] == [[("127.0.0.1", port)] for port in range(40)]
        join_threads()


class TestNumeric:
    @pytest.mark.parametrize("family", [socket.AF_UNSPEC, socket.AF_INET])
    def test_ipv4(self, base: EventBase, no_threads: None, family: int) -> None:
        future = SystemResolver(base).getaddrinfo("192.0.2.1", 80, family)
        assert future.done()
        assert future.result() == [("192.0.2.1", 80)]
        assert base.dispatch() is False

    @needs_ipv6
    @pytest.mark.parametrize("family", [socket.AF_UNSPEC, socket.AF_INET6])
    def test_ipv6(self, base: EventBase, no_threads: None, family: int) -> None:
        assert SystemResolver(base).getaddrinfo("2001:db8::1", 65535, family).result() == [
            ("2001:db8::1", 65535, 0, 0)
        ]

    @needs_ipv6
    @pytest.mark.parametrize(("host", "family"), [("::1", socket.AF_INET), ("127.0.0.1", socket.AF_INET6)])
    def test_of_the_other_family(self, base: EventBase, host: str, family: int) -> None:
        with pytest.raises(socket.gaierror, match=host):
            SystemResolver(base).getaddrinfo(host, 80, family).result(PATIENCE)
        join_threads()

    def test_callback_comes_from_the_loop(self, base: EventBase) -> None:
        called: list[Future[list[Address]]] = []
        future = SystemResolver(base).getaddrinfo("192.0.2.1", 80)
        future.add_done_callback(called.append)
        assert called == []
        base.dispatch()
        assert called == [future]


class TestQuestions:
    @pytest.mark.parametrize("port", [-1, 65536, 80.0, "80", True, None])
    def test_bad_port(self, base: EventBase, port: int) -> None:
        with pytest.raises(ValueError, match="expected a port from 0 to 65535"):
            SystemResolver(base).getaddrinfo("localhost", port)

    @pytest.mark.parametrize("family", [socket.AF_UNIX, 9999, -1])
    def test_bad_family(self, base: EventBase, family: int) -> None:
        with pytest.raises(ValueError, match="expected the family AF_UNSPEC, AF_INET or AF_INET6"):
            SystemResolver(base).getaddrinfo("localhost", 80, family)

    @pytest.mark.parametrize("host", ["", "localhost\0.example.org", "\0"])
    def test_bad_host(self, base: EventBase, host: str) -> None:
        with pytest.raises(ValueError, match="expected a host name"):
            SystemResolver(base).getaddrinfo(host, 80)

    @pytest.mark.parametrize("host", [b"localhost", None, 7])
    def test_host_that_is_no_text(self, base: EventBase, host: str) -> None:
        with pytest.raises(TypeError, match="expected a host name or an IP address as a str"):
            SystemResolver(base).getaddrinfo(host, 80)

    @pytest.mark.parametrize("host", ["\u00e4" * 100, "\u00e4..b", "\udcff", "\u00e4" * 10_000])
    def test_what_can_be_no_name_does_not_exist(self, base: EventBase, host: str) -> None:
        with pytest.raises(socket.gaierror, match="no host name") as caught:
            SystemResolver(base).getaddrinfo(host, 80).result(PATIENCE)
        assert caught.value.errno == socket.EAI_NONAME
        join_threads()

    @given(st.text(min_size=1).filter(lambda host: "\0" not in host))
    def test_any_text_has_an_answer(self, host: str) -> None:
        answer = look_up(host, 80, socket.AF_UNSPEC, socket.AI_NUMERICHOST)  # which asks no network
        assert isinstance(answer, socket.gaierror) or answer

    def test_error_names_the_host(self) -> None:
        answer = look_up("host.invalid", 80, socket.AF_UNSPEC, socket.AI_NUMERICHOST)
        assert isinstance(answer, socket.gaierror)
        assert "host.invalid" in str(answer)
        assert answer.__traceback__ is None

    @pytest.mark.parametrize("error", [OSError(errno.EMFILE, "no file"), MemoryError("too much")])
    def test_whatever_the_system_fails_with_is_an_answer(
        self, monkeypatch: pytest.MonkeyPatch, error: Exception
    ) -> None:
        def fail(*args: object, **options: object) -> None:
            raise error

        monkeypatch.setattr(socket, "getaddrinfo", fail)
        assert look_up("example.org", 80, socket.AF_UNSPEC) is error
        assert error.__traceback__ is None

    def test_name_beyond_ascii_is_written_in_a_thread_only(
        self, base: EventBase, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        callers: list[str] = []

        def note(host: str, port: int, family: int, flags: int = 0) -> Answer:
            callers.append(threading.current_thread().name)
            return ANSWER

        monkeypatch.setattr(module, "look_up", note)  # the tables for it take long to load
        assert SystemResolver(base).getaddrinfo("b\u00fccher.example", 80).result(PATIENCE) == ANSWER
        assert callers == ["evkit getaddrinfo"]
        join_threads()

    @pytest.mark.parametrize("threads", [0, -1])
    def test_no_threads_asked_for(self, base: EventBase, threads: int) -> None:
        with pytest.raises(ValueError, match="expected 1 thread or more"):
            SystemResolver(base, threads)


class TestLoop:
    def test_goes_on_until_the_answer_is_there(self, base: EventBase, gate: Gate) -> None:
        future = SystemResolver(base).getaddrinfo("example.org", 80)
        gate.await_arrivals()
        assert base.loop(EVLOOP_ONCE | EVLOOP_NONBLOCK) is True  # it has something to wait for
        base.timer(lambda _event, _what: gate.let_go()).add(0)
        assert base.dispatch() is False  # and runs meanwhile, or there would be no answer
        assert future.result() == ANSWER
        assert base.num_events(COUNT_VIRTUAL) == 0

    def test_ends_when_the_look_up_is_cancelled(self, base: EventBase, gate: Gate) -> None:
        resolver = SystemResolver(base)
        future = resolver.getaddrinfo("example.org", 80)
        gate.await_arrivals()
        assert future.cancel()
        assert base.dispatch() is False  # though the thread hangs
        assert repr(resolver) == "<SystemResolver open pending=0>"

    def test_late_answer_is_dropped(self, base: EventBase, gate: Gate) -> None:
        future = SystemResolver(base).getaddrinfo("example.org", 80)
        gate.await_arrivals()
        future.cancel()
        gate.let_go()
        join_threads()
        base.dispatch()
        assert future.cancelled()
        assert base.num_events(COUNT_VIRTUAL) == 0

    def test_cancel_when_the_answer_is_on_its_way(self, base: EventBase, gate: Gate) -> None:
        future = SystemResolver(base).getaddrinfo("example.org", 80)
        gate.let_go()
        join_threads()
        future.cancel()
        base.dispatch()
        assert future.cancelled()
        assert base.num_events(COUNT_VIRTUAL) == 0


class TestThreads:
    def test_are_bounded_and_the_rest_waits_its_turn(self, base: EventBase, gate: Gate) -> None:
        resolver = SystemResolver(base, threads=2)
        futures = [resolver.getaddrinfo(name, 80) for name in "abcde"]
        gate.await_arrivals(2)
        assert len(own_threads()) == 2
        assert sorted(gate.asked) == ["a", "b"]
        for name in "cde":
            gate.let_go()
            gate.await_arrivals()
            assert gate.asked[-1] == name
        gate.let_go(2)
        base.dispatch()
        assert [future.result() for future in futures] == [ANSWER] * 5
        assert gate.most_inside == 2

    def test_none_is_left_when_there_is_nothing_to_do(self, base: EventBase, gate: Gate) -> None:
        resolver = SystemResolver(base)
        for _ in range(3):
            gate.let_go()
            resolver.getaddrinfo("example.org", 80).result(PATIENCE)
            join_threads()
            assert own_threads() == []

    def test_cancelled_in_the_queue_is_never_looked_up(self, base: EventBase, gate: Gate) -> None:
        resolver = SystemResolver(base, threads=1)
        first, second, third = (resolver.getaddrinfo(name, 80) for name in ("a", "b", "b"))
        gate.await_arrivals()
        second.cancel()
        gate.let_go(2)
        base.dispatch()
        assert gate.asked == ["a", "b"]
        assert second.cancelled()
        assert first.result() == third.result() == ANSWER

    def test_system_that_gives_none(self, base: EventBase, no_threads: None) -> None:
        future = SystemResolver(base).getaddrinfo("example.org", 80)
        with pytest.raises(OSError, match="can't start new thread") as caught:
            future.result(PATIENCE)
        assert caught.value.errno == errno.EAGAIN
        assert base.num_events(COUNT_VIRTUAL) == 0
        assert base.dispatch() is False

    def test_after_a_refusal_it_is_tried_anew(
        self, base: EventBase, gate: Gate, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        resolver = SystemResolver(base, threads=1)
        with monkeypatch.context() as patch:
            patch.setattr(threading.Thread, "start", lambda self: (_ for _ in ()).throw(RuntimeError("none")))
            refused = resolver.getaddrinfo("a", 80)
        gate.let_go()
        assert resolver.getaddrinfo("b", 80).result(PATIENCE) == ANSWER
        assert gate.asked == ["b"]
        assert isinstance(refused.exception(), OSError)

    def test_system_that_gives_no_second_one(
        self, base: EventBase, gate: Gate, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        resolver = SystemResolver(base)
        first = resolver.getaddrinfo("a", 80)
        gate.await_arrivals()
        with monkeypatch.context() as patch:
            patch.setattr(threading.Thread, "start", lambda self: (_ for _ in ()).throw(RuntimeError("none")))
            second = resolver.getaddrinfo("b", 80)
        gate.let_go(2)
        base.dispatch()
        assert first.result() == second.result() == ANSWER  # the thread that there is did both


class TestClose:
    def test_gives_up_what_is_pending(self, base: EventBase, gate: Gate) -> None:
        resolver = SystemResolver(base, threads=1)
        futures = [resolver.getaddrinfo(name, 80) for name in "ab"]
        gate.await_arrivals()
        resolver.close()
        resolver.close()
        assert base.dispatch() is False
        for name, future in zip("ab", futures, strict=True):
            with pytest.raises(OSError, match=f"resolver was closed: '{name}'") as caught:
                future.result()
            assert caught.value.errno == errno.ECANCELED
        gate.let_go(2)
        join_threads()
        base.dispatch()
        assert gate.asked == ["a"]
        assert repr(resolver) == "<SystemResolver closed pending=0>"

    def test_takes_no_more(self, base: EventBase, gate: Gate) -> None:
        resolver = SystemResolver(base)
        resolver.close()
        for host in ("example.org", "127.0.0.1"):
            with pytest.raises(LoopError, match="closed resolver"):
                resolver.getaddrinfo(host, 80)

    def test_base_closed_before(self, gate: Gate) -> None:
        base = EventBase()
        resolver = SystemResolver(base)
        base.close()
        with pytest.raises(LoopError, match="closed event base"):
            resolver.getaddrinfo("example.org", 80)

    def test_base_closed_meanwhile(self, gate: Gate) -> None:
        base = EventBase()
        future = SystemResolver(base, threads=1).getaddrinfo("a", 80)
        gate.await_arrivals()
        base.close()
        gate.let_go()
        join_threads()  # an exception in a thread fails the test
        assert not future.done()
        with pytest.raises(LoopError, match="closed"):
            future.result()

    @pytest.mark.parametrize("end", ["cancel", "close"])
    def test_what_is_given_up_after_the_base_was_closed(self, gate: Gate, end: str) -> None:
        base = EventBase()
        resolver = SystemResolver(base, threads=1)
        futures = [resolver.getaddrinfo(name, 80) for name in "ab"]
        gate.await_arrivals()
        base.close()
        if end == "close":
            resolver.close()
        else:
            for future in futures:
                future.cancel()
        gate.let_go(2)
        join_threads()
        assert gate.asked == ["a"]
        assert all(future.cancelled() is (end == "cancel") for future in futures)
        assert all(
            future.done() is (end == "cancel") for future in futures
        )  # no failure that nobody will ask for

    def test_base_closed_with_the_answer_at_its_door(self, gate: Gate) -> None:
        base = EventBase()
        future = SystemResolver(base).getaddrinfo("a", 80)
        gate.let_go()
        join_threads()
        base.close()
        assert not future.done()


_HANGS = """
import sys, threading
from evkit.core import system_resolver as module
from evkit.core.base import EventBase
asked = threading.Semaphore(0)
def hang(host, port, family, flags=0):
    if flags:
        return real(host, port, family, flags)
    asked.release()
    threading.Event().wait()
real, module.look_up = module.look_up, hang
base = EventBase()
resolver = module.SystemResolver(base, threads=2)
futures = [resolver.getaddrinfo("example.org", 80) for _ in range(4)]
asked.acquire(), asked.acquire()
base.loopexit(0)
base.dispatch()
base.close()
print("end", *sorted({"asyncio", "concurrent.futures", "logging", "encodings.idna"} & set(sys.modules)))
"""


def test_a_system_that_hangs_does_not_keep_the_process() -> None:
    run = subprocess.run(
        [sys.executable, "-X", "dev", "-W", "error", "-c", _HANGS],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert run.stderr == ""
    assert run.stdout == "end\n"  # and no package was loaded that costs more than the work
    assert run.returncode == 0


@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    threads=st.integers(1, 3),
    happenings=st.lists(
        st.tuples(
            st.sampled_from(["ask", "ask", "numeric", "cancel", "answer", "run", "close"]), st.integers(0, 9)
        ),
        max_size=25,
    ),
)
def test_any_sequence_of_calls_leaves_a_legal_state(
    monkeypatch: pytest.MonkeyPatch, threads: int, happenings: list[tuple[str, int]]
) -> None:
    gate = Gate()
    with monkeypatch.context() as patch, EventBase() as base:
        patch.setattr(module, "look_up", gate.look_up)
        resolver = SystemResolver(base, threads)
        futures: list[Future[list[Address]]] = []
        for kind, number in happenings:
            if kind in ("ask", "numeric") and not resolver.closed:
                futures.append(resolver.getaddrinfo("name" if kind == "ask" else "192.0.2.1", number))
            elif kind == "cancel" and number < len(futures):
                futures[number].cancel()
            elif kind == "answer":
                gate.let_go()
            elif kind == "run":
                base.loop(EVLOOP_NONBLOCK | EVLOOP_ONCE)
            elif kind == "close":
                resolver.close()
            pending = sum(not future.done() for future in futures)
            assert base.num_events(COUNT_VIRTUAL) == pending
            assert repr(resolver).endswith(f"pending={pending}>")
        gate.let_go(len(futures) + 1)
        assert base.dispatch() is False
        join_threads()
        assert gate.most_inside <= threads
        for future in futures:
            assert future.cancelled() or future.exception() is not None or future.result()
        assert base.num_events(COUNT_VIRTUAL) == 0
