"""`Service`: what becomes of each message, and of handlers that fail, keep a request, or never answer."""

from collections.abc import Callable, Iterator
from typing import Literal

import pytest

from dns_server_aids import Kept, answer, code_of, counts, query
from evkit import COUNT_ADDED
from evkit.core.net import Address
from evkit.dns.server import ServerLimits, ServerRequest, ServerStatistics
from evkit.dns.server.service import Service
from evkit.testing import FakeBase

ONE = ("192.0.2.1", 1000)
OTHER = ("192.0.2.2", 1000)
SERVFAIL = 2


class Stage:
    """A service, whose replies are kept."""

    def __init__(
        self, fakes: FakeBase, handler: Callable[[ServerRequest], object] = answer, **limits: float
    ) -> None:
        self.transport: Literal["udp", "tcp"] = "udp"
        self.fakes = fakes
        self.escaped: list[tuple[Exception, object]] = []
        fakes.base.exception_handler = lambda exception, source: self.escaped.append((exception, source))  # type: ignore[arg-type]  # no other kind is raised here
        self.replies: list[bytes] = []
        self.idle = 0
        self.statistics = ServerStatistics()
        self.service = Service(
            fakes.base,
            handler,
            ServerLimits(**limits),  # type: ignore[arg-type]
            self.statistics,
            self.on_idle,
        )

    def on_idle(self) -> None:
        self.idle += 1

    def finish(self, request: ServerRequest, reply: bytes | None) -> bool:
        if reply is not None:
            self.replies.append(reply)
        self.service.finished(request)
        return reply is not None

    def ask(self, data: bytes | None = None, address: Address = ONE) -> bytes | ServerRequest | None:
        return self.service.receive(query() if data is None else data, address, self)


@pytest.fixture
def kept() -> Kept:
    return Kept()


@pytest.fixture
def stage(fakes: FakeBase) -> Iterator[Stage]:
    stage = Stage(fakes)
    yield stage
    assert stage.escaped == []


class TestWhatComes:
    def test_a_query_is_answered_by_the_handler(self, stage: Stage) -> None:
        assert stage.ask() is None
        assert [counts(reply)[1] for reply in stage.replies] == [1]
        assert stage.statistics.queries == 1
        assert stage.idle == 0  # nothing has waited

    def test_what_can_not_be_answered(self, stage: Stage) -> None:
        assert stage.ask(b"") == b""
        assert stage.ask(query()[:2] + b"\x80" + query()[3:]) == b""
        assert (stage.statistics.ignored, stage.statistics.queries) == (2, 0)

    def test_what_is_refused(self, stage: Stage) -> None:
        outcome = stage.ask(query() + b"x")
        assert isinstance(outcome, bytes)
        assert code_of(outcome) == 1
        assert (stage.statistics.refused, stage.statistics.queries) == (1, 0)


class TestHandlersThatRaise:
    @pytest.mark.parametrize("before", [True, False], ids=["before the answer", "after it"])
    def test_the_answer_comes_once(self, fakes: FakeBase, before: bool) -> None:
        def handler(request: ServerRequest) -> None:
            if not before:
                answer(request)
            raise LookupError("no such thing")

        stage = Stage(fakes, handler)
        assert stage.ask() is None
        assert [code_of(reply) for reply in stage.replies] == [SERVFAIL if before else 0]
        ((exception, source),) = stage.escaped
        assert isinstance(exception, LookupError)
        assert isinstance(source, ServerRequest)
        assert stage.statistics.failed == 1
        assert stage.service.waiting == 0

    def test_what_it_has_kept_is_answered(self, fakes: FakeBase, kept: Kept) -> None:
        def handler(request: ServerRequest) -> None:
            kept(request)
            raise LookupError

        stage = Stage(fakes, handler)
        stage.ask()
        assert not kept.requests[0].respond()
        assert len(stage.replies) == 1
        assert kept.closed == []

    def test_the_loops_own_exceptions_pass(self, fakes: FakeBase) -> None:
        def handler(request: ServerRequest) -> None:
            raise KeyboardInterrupt

        stage = Stage(fakes, handler)
        with pytest.raises(KeyboardInterrupt):
            stage.ask()


class TestRequestsThatWait:
    def test_the_answer_may_come_later(self, fakes: FakeBase, kept: Kept) -> None:
        stage = Stage(fakes, kept)
        assert stage.ask() is kept.requests[0]
        assert stage.service.waiting == 1
        fakes.run(4.9)
        assert kept.requests[0].respond()
        assert stage.service.waiting == 0
        assert (len(stage.replies), stage.idle, kept.closed) == (1, 1, [])

    def test_a_handler_that_never_answers(self, fakes: FakeBase, kept: Kept) -> None:
        stage = Stage(fakes, kept, reply_timeout=2.0)
        stage.ask()
        fakes.run(1.0)
        stage.ask()
        fakes.run(0.9)
        assert stage.replies == []
        fakes.run(0.2)
        assert [code_of(reply) for reply in stage.replies] == [SERVFAIL]
        assert kept.closed == kept.requests[:1]
        assert stage.service.waiting == 1
        fakes.run(1.0)
        assert kept.closed == kept.requests
        assert (stage.service.waiting, stage.statistics.timed_out, stage.idle) == (0, 2, 1)
        assert not kept.requests[0].respond()
        assert len(stage.replies) == 2

    def test_one_alone_is_late_too(self, fakes: FakeBase, kept: Kept) -> None:
        stage = Stage(fakes, kept)
        stage.ask()
        fakes.run(5.1)
        assert [code_of(reply) for reply in stage.replies] == [SERVFAIL]

    def test_many_that_are_late_at_once(self, fakes: FakeBase, kept: Kept) -> None:
        stage = Stage(fakes, kept)
        for _ in range(50):
            stage.ask()
        fakes.run(5.1)
        assert len(stage.replies) == 50
        assert stage.service.waiting == 0

    def test_an_on_close_that_answers_the_others(self, fakes: FakeBase) -> None:
        requests: list[ServerRequest] = []

        def handler(request: ServerRequest) -> None:
            request.on_close = lambda _: [other.respond(5) for other in requests if not other.done]
            requests.append(request)

        stage = Stage(fakes, handler)
        for _ in range(3):
            stage.ask()
        fakes.run(5.1)
        assert [code_of(reply) for reply in stage.replies] == [SERVFAIL, 5, 5]
        assert stage.statistics.timed_out == 1

    def test_an_on_close_that_raises(self, fakes: FakeBase) -> None:
        def handler(request: ServerRequest) -> None:
            request.on_close = lambda request: 1 / 0

        stage = Stage(fakes, handler)
        stage.ask()
        stage.ask()
        fakes.run(5.1)
        assert [type(exception) for exception, _ in stage.escaped] == [ZeroDivisionError] * 2
        assert len(stage.replies) == 2

    def test_no_timer_is_left(self, fakes: FakeBase, kept: Kept) -> None:
        stage = Stage(fakes, kept)
        stage.ask()
        kept.requests[0].drop()
        assert fakes.base.num_events(COUNT_ADDED) == 0


class TestRoom:
    def test_of_one_client(self, fakes: FakeBase, kept: Kept) -> None:
        stage = Stage(fakes, kept, max_waiting_per_client=2)
        for _ in range(3):
            stage.ask()
        stage.ask(address=OTHER)
        assert len(kept.requests) == 3
        assert stage.replies == []  # over UDP the client asks again
        assert stage.statistics.turned_away == 1
        kept.requests[0].respond()
        stage.ask()
        assert len(kept.requests) == 4

    def test_of_all(self, fakes: FakeBase, kept: Kept) -> None:
        stage = Stage(fakes, kept, max_waiting=2)
        for address in (ONE, OTHER, ("192.0.2.3", 1)):
            stage.ask(address=address)
        assert len(kept.requests) == 2
        assert stage.statistics.turned_away == 1

    def test_who_is_flooded_in_the_name_of_another_is_served_over_tcp(
        self, fakes: FakeBase, kept: Kept
    ) -> None:
        stage = Stage(fakes, kept, max_waiting_per_client=1)
        stage.ask()
        stage.ask()
        assert stage.statistics.turned_away == 1
        stage.transport = "tcp"
        assert stage.ask() is not None
        assert len(kept.requests) == 2
        for request in kept.requests:
            request.respond()
        assert stage.service.waiting == 0

    def test_over_tcp_the_client_is_told(self, fakes: FakeBase, kept: Kept) -> None:
        stage = Stage(fakes, kept, max_waiting=1)
        stage.transport = "tcp"
        stage.ask()
        assert stage.ask() is None
        assert [code_of(reply) for reply in stage.replies] == [SERVFAIL]
        assert kept.closed == []  # the handler never saw it
        assert stage.service.waiting == 1


class TestClosing:
    def test_what_waits_is_given_up(self, fakes: FakeBase, kept: Kept) -> None:
        stage = Stage(fakes, kept)
        stage.ask()
        stage.ask()
        stage.service.close()
        assert kept.closed == kept.requests
        assert (stage.replies, stage.service.waiting) == ([], 0)
        assert fakes.base.num_events(COUNT_ADDED) == 0

    def test_what_a_handler_keeps_that_has_closed(self, fakes: FakeBase, kept: Kept) -> None:
        def handler(request: ServerRequest) -> None:
            kept(request)
            stage.service.close()

        stage = Stage(fakes, handler)
        assert stage.ask() is None
        assert kept.closed == kept.requests
        assert stage.service.waiting == 0

    def test_a_client_that_is_gone(self, fakes: FakeBase, kept: Kept) -> None:
        stage = Stage(fakes, kept)
        stage.ask()
        stage.service.abandon(kept.requests[0])
        stage.service.abandon(kept.requests[0])
        assert kept.closed == kept.requests
        assert (stage.replies, stage.service.waiting, stage.idle) == ([], 0, 1)
