"""`Pursuit`: how one question is put to name servers, one after the other, until nobody is left to ask.

It decides whom to ask next and how long to wait, by what `evkit.dns.choice` and `evkit.dns.nameserver` say. What comes
is `Inquiry`'s half. It knows nothing of sockets, caches, or who else asks.
"""

from collections.abc import Sequence
from errno import EMFILE, ENFILE, ENOBUFS, ENOMEM
from functools import lru_cache
from typing import TYPE_CHECKING, Final, Protocol

from evkit.core.log import LOG_WARN, log
from evkit.dns.answer import Attempt
from evkit.dns.finding import Finding, failed
from evkit.dns.message import encode_question
from evkit.dns.tries import Try
from evkit.dns.types import rcode_name
from evkit.errors import ResolveTimeout, ServerFailure

if TYPE_CHECKING:
    from evkit.dns.asker import Asker
    from evkit.dns.nameserver import NameServer
    from evkit.dns.upstream import Upstream

Key = tuple[bytes, int, bool, bool]
"""What makes two questions equal: folded name, type, whether TCP alone will do, and whether a cut reply will do."""

MAX_TRAIL: Final = 64
"""Attempts that are told of: what a server makes us do must not fill the memory."""
MAX_REPEATS: Final = 4
"""How often a question is asked again in other words: without options, without EDNS, with a new cookie, over TCP."""
OWN_SHORTAGE: Final = frozenset({EMFILE, ENFILE, ENOBUFS, ENOMEM})
"""What keeps a question from being sent, and is not the server's fault."""
_NEVER: Final = float("inf")
_attempt: Final = tuple.__new__
"""``_attempt(Attempt, fields)`` is `Attempt` without its detour."""


@lru_cache(maxsize=64)
def _tail(rdtype: int) -> bytes:
    """Return type and class as they follow the name; that of the Internet is the only one that is asked for."""
    return encode_question(b"", rdtype)


class Waiter(Protocol):
    """Who has asked."""

    def on_found(self, finding: Finding) -> None:
        """Hear the end of it, from the loop."""


class Pursuit:
    """One question on its way; see `Inquiry`.

    Args:
        asker: What it shares with all others.
        key: What it asks.

    Attributes:
        key: As given.
        name: The name, folded, as it goes over the wire.
        tail: Type and class, as they follow the name over the wire.
        trail: How the tries ended until now.
        waiters: Who waits for the answer.
        launched: Whether it is under way, and does not wait for its turn.
        over: Whether it has ended.
        sent: Whether it was sent to anybody.
        bad: Whether something came that was no reply.
    """

    __slots__ = (
        "_asked",
        "_asker",
        "_current",
        "_extra",
        "_failure",
        "_folded",
        "_known",
        "_repeats",
        "_soft",
        "_timed_out",
        "_tries",
        "_upstreams",
        "_wait",
        "bad",
        "key",
        "launched",
        "name",
        "over",
        "sent",
        "tail",
        "trail",
        "waiters",
    )

    def __init__(self, asker: "Asker", key: Key) -> None:
        self.key = key
        self.name = key[0]
        self.tail = _tail(key[1])
        self.waiters: dict[Waiter, None] = {}
        self.launched = False
        self.over = False
        self.sent = False
        self.bad = False
        self._asker = asker
        self._upstreams: tuple[Upstream, ...] = ()
        self._known: tuple[NameServer, ...] = ()
        # What is empty for most of its life is a tuple: each list would be one more thing for Python's collector.
        self._asked: Sequence[int] = ()  # how often each of them was; empty: none was yet
        self._current: Try | None = None  # the one whose time-out runs
        self._extra: Try | None = None  # over TCP, beside it, since something came that was no reply
        self._tries: tuple[Try, ...] = ()  # all that may still be answered: a late reply is a reply
        self.trail: tuple[Attempt, ...] = ()
        self._wait = 0.0  # what the time-out was set to; 0: it does not run
        self._repeats = 0  # in other words
        self._soft: int | None = None  # a response code that came without the question
        self._failure: int | None = None  # the response code of the last server that could not help
        self._folded: Upstream | None = None  # from where something has come in another case
        self._timed_out = False

    def __repr__(self) -> str:
        state = "over" if self.over else "under way" if self.launched else "waiting"
        return f"<{type(self).__name__} {self.name!r} {state} tries={len(self._tries)} waiters={len(self.waiters)}>"

    def launch(self, upstreams: "tuple[Upstream, ...]", known: "tuple[NameServer, ...]") -> None:
        """Ask, one of these servers after the other.

        Args:
            upstreams: The servers.
            known: What is known of each.
        """
        self.launched = True
        self._upstreams = upstreams
        self._known = known
        self._asked = ()  # it may have been launched before
        self._soft = self._failure = None
        self._repeats = 0
        self._timed_out = self.bad = False
        self._ask_next()

    def probe(self, upstream: "Upstream") -> None:
        """Ask a server that is down, once, to see whether it is up again."""
        self.launched = True
        self._upstreams = (upstream,)
        self._known = (upstream.known,)
        self._asked = (self._asker.options.attempts,)
        if self._send(upstream, by_stream=upstream.streams_only):
            self._start_waiting(self._asker.options.timeout)
        else:
            self._give_up_soon()

    def stop(self) -> None:
        """Take back all that is under way; it may be launched again."""
        self.launched = False
        self._stop_waiting()
        self._current = self._extra = None
        for attempt in self._tries:
            attempt.withdraw()
        self._tries = ()

    def _ask_next(self) -> None:
        """Ask the server whose turn it is; if there is none that could be asked, that is the end."""
        upstreams, choose = self._upstreams, self._asker.choice.choose
        while True:
            index = choose(self._known, self._asked)
            if index is None:
                self._give_up_soon()
                return
            before = self._asked[index] if self._asked else 0
            if len(upstreams) == 1:
                self._asked = (before + 1,)
            else:
                self._count(index, before + 1)
            upstream = upstreams[index]
            if self._send(upstream, by_stream=upstream.streams_only or self.key[2]):
                self._start_waiting(upstream.known.timeout_for(before))
                return

    def _count(self, index: int, times: int) -> None:
        """Note how often a server was asked."""
        asked = list(self._asked or (0,) * len(self._upstreams))
        asked[index] = times
        self._asked = tuple(asked)

    def _send(self, upstream: "Upstream", *, by_stream: bool) -> bool:
        """Send it; this is the try whose time-out counts from now on. Return whether it could be sent."""
        asker = self._asker
        now = asker.base.pass_time or asker.base.now()
        try:
            attempt = (upstream.ask_by_stream if by_stream else upstream.ask_by_datagram)(self, now)
        except (OSError, ValueError) as error:
            if getattr(error, "errno", None) not in OWN_SHORTAGE:
                self._blame(upstream, now)
            self._note(upstream.text, upstream.transport(by_stream), words(error), 0.0)
            return False
        asker.tally.sent += 1
        self.sent = True
        self._tries += (attempt,)
        self._current = attempt
        return True

    def _send_again(self, upstream: "Upstream", *, by_stream: bool) -> None:
        """Ask the same server once more, in other words or another way."""
        self._repeats += 1
        if self._repeats <= MAX_REPEATS and self._send(upstream, by_stream=by_stream):
            self._start_waiting(self._asker.options.timeout if by_stream else upstream.known.timeout_for(0))
        else:
            self._ask_next()

    def _note(self, server: str, transport: str, outcome: str, seconds: float) -> None:
        """Put into the trail how a try ended, or what came in place of its reply."""
        if len(self.trail) < MAX_TRAIL:
            self.trail += (_attempt(Attempt, (server, transport, outcome, seconds)),)

    def _note_of(self, attempt: Try, outcome: str, now: float) -> None:
        self._note(attempt.upstream.text, attempt.transport, outcome, now - attempt.began)

    def _blame(self, upstream: "Upstream", now: float, sent_at: float = _NEVER) -> None:
        """Note that a server could not be reached, or won't serve us."""
        if upstream.known.failed(now, sent_at):
            tell_down(upstream)

    def note_waiting(self) -> None:
        """Put into the trail whose reply is still waited for, as somebody who has asked does not any more."""
        if self._current is not None:
            self._note_of(self._current, "no reply yet", self._asker.base.now())

    def _exclude(self, upstream: "Upstream") -> None:
        """Ask a server no more: what it said once it would say again."""
        for index, other in enumerate(self._upstreams):
            if other is upstream:
                self._count(index, self._asker.options.attempts)

    # Waiting

    def _start_waiting(self, seconds: float) -> None:
        base = self._asker.base
        self._wait = seconds
        self._asker.waits.add(self, seconds, base.pass_time or base.now())

    def _stop_waiting(self) -> None:
        if self._wait:
            self._asker.waits.discard(self, self._wait)
            self._wait = 0.0

    # The end of a try, and of all

    def _ended(self, attempt: Try) -> bool:
        """Forget a try; return whether another has to take its place."""
        attempt.withdraw()
        self._tries = tuple([other for other in self._tries if other is not attempt])
        if attempt is self._extra:
            self._extra = None
            return False
        if attempt is not self._current:
            return False
        self._current = self._soft = None
        self._stop_waiting()
        return not self._take_extra()

    def _take_extra(self) -> bool:
        """Let the try over TCP take the place of the one beside which it was made."""
        if self._extra is None:
            return False
        self._current, self._extra = self._extra, None
        self._start_waiting(self._asker.options.timeout)
        return True

    def _give_up_soon(self) -> None:
        self._asker.base.call_soon(self._give_up)  # whoever asks must not hear of it from inside

    def _give_up(self) -> None:
        if self.launched and self._current is None:  # else a late reply, or a suspension, was quicker
            self._asker.finish(self, self._failed())

    def _failed(self) -> Finding:
        """Say why nobody could help."""
        if self._failure is not None:
            reason = f"the servers can't answer: {rcode_name(self._failure)}"
            return failed(self.trail, ServerFailure, self._failure, reason)
        if self.bad:
            return failed(self.trail, ServerFailure, None, "all that came was no answer")
        if self._timed_out:
            return failed(self.trail, ResolveTimeout)
        why = "no name server could be reached" if self.trail else "no name server is known"
        return failed(self.trail, ServerFailure, None, why)

    # What comes: filled in by `Inquiry`

    def on_message(self, attempt: Try, data: bytes) -> None:
        """Take what has come with the number of a try, on its way."""
        raise NotImplementedError

    def suspect(self, attempt: Try, why: str) -> None:
        """Hear that somebody sends what is no reply to a try."""
        raise NotImplementedError

    def on_lost(self, attempt: Try, why: str) -> None:
        """Hear that no reply can come to a try any more."""
        raise NotImplementedError

    def on_wait(self) -> None:
        """Hear that the time-out is over."""
        raise NotImplementedError

    def on_late(self) -> None:
        """Hear that all who waited have waited too long: the server of the current try had its chance."""
        raise NotImplementedError


def words(error: OSError | ValueError) -> str:
    """Return what the system said, for the trail."""
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


def tell_down(upstream: "Upstream") -> None:
    """Say once that a server is asked no more for the time being."""
    log(LOG_WARN, f"name server {upstream.text} is down")
