"""`Inquiry`: one question under way, and what comes of it.

It decides what to do with what has come, by what `evkit.dns.assessment` says of it, and with what has not. Whom to ask
is `Pursuit`'s half. It knows nothing of sockets, caches, or who else asks.
"""

from typing import TYPE_CHECKING, Final

from evkit.core.log import LOG_MSG, log
from evkit.dns.assessment import CASE, DONE, DROP, EDNS_TROUBLE, SOFT, Assessment, Step, assess
from evkit.dns.cookies import CookieVerdict
from evkit.dns.nameserver import EDNS, EDNS_OPTIONS, MIXED_CASE
from evkit.dns.pursuit import Pursuit, tell_down
from evkit.dns.tries import Try
from evkit.dns.types import rcode_name

if TYPE_CHECKING:
    from evkit.dns.upstream import Upstream

MAX_FOLDED: Final = 3
"""Replies in the wrong case, each followed by one over TCP, until a server is taken for one that keeps no case."""
SOFT_WAIT: Final = 0.2
"""Seconds in which a better reply may follow one that could be anybody's."""
_REFUSING: Final = frozenset({4, 5})
"""NOTIMP and REFUSED: the server will not be of more help with the next question."""


class Inquiry(Pursuit):
    """One question; those who ask the same meanwhile share it. See `Pursuit` for its attributes."""

    __slots__ = ()

    # What comes

    def on_message(self, attempt: Try, data: bytes) -> None:
        """See `Pursuit.on_message`."""
        asker = self._asker
        asker.tally.received += 1
        now = asker.base.pass_time or asker.base.now()
        judged = assess(data, attempt, ignore_tc=self.key[3])
        step = judged.step
        if step is DROP:
            self._on_bad(attempt, judged.kind, judged.why)
        elif attempt.cookie and not self._cookie_fits(attempt, judged, now):
            self._on_bad(attempt, "cookie", "without our cookie")
        elif step is SOFT:
            self._on_soft(attempt, judged.code)
        else:
            if attempt.upstream.known.replied(attempt.began, now):
                log(LOG_MSG, f"name server {attempt.upstream.text} is up again")
            self._note(attempt.upstream.text, attempt.transport, judged.why, now - attempt.began)
            if step is DONE:
                self._on_answer(attempt, judged, now)
            elif self._ended(attempt):
                self._on_refused(attempt, judged, now)

    def _on_answer(self, attempt: Try, judged: Assessment, now: float) -> None:
        finding = judged.finding
        assert finding is not None  # what is done was found
        if self._folded is not None:
            self._learn_case(attempt, now)
        finding.tell(self.trail, trusted=self._asker.options.trust_ad)
        self._asker.finish(self, finding)

    def _on_refused(self, attempt: Try, judged: Assessment, now: float) -> None:
        """Go on after a reply that is no answer."""
        step, upstream = judged.step, attempt.upstream
        if step is Step.OVER_TCP:
            self._send_again(upstream, by_stream=True)
        elif step is Step.WITHOUT_EDNS:
            self._without_edns(attempt, now)
        elif step is Step.NEW_COOKIE:
            self._send_again(upstream, by_stream=self._repeats > 0)
        else:
            self._on_failure(upstream, judged.code, now)

    def _on_failure(self, upstream: "Upstream", code: int, now: float) -> None:
        if code in _REFUSING or code < 0:
            self._blame(upstream, now)
            self._exclude(upstream)
        if code >= 0:
            self._failure = code
        self._ask_next()

    def _without_edns(self, attempt: Try, now: float) -> None:
        attempt.upstream.known.give_up(EDNS_OPTIONS if attempt.cookie else EDNS, now)
        attempt.upstream.reword()
        self._send_again(attempt.upstream, by_stream=attempt.transport != "udp")

    def _on_bad(self, attempt: Try, kind: str, why: str) -> None:
        """Go on waiting after what is no reply; but over a connection, where nothing can be forged, it is the end."""
        self._asker.tally.dropped[kind] += 1
        if kind == CASE:
            self._folded = attempt.upstream
        self.suspect(attempt, why)
        if attempt.transport != "udp":
            self._distrust(attempt.upstream)

    def suspect(self, attempt: Try, why: str) -> None:
        """Hear that somebody sends what is no reply to a try: ask over TCP as well, where nobody can forge one."""
        self._note_of(attempt, f"dropped: {why}", self._asker.base.now())
        first = not self.bad
        self.bad = True
        if first and attempt.transport == "udp":
            current = self._current
            if self._send(attempt.upstream, by_stream=True):
                self._extra = self._current
            self._current = current

    def _distrust(self, upstream: "Upstream") -> None:
        self._exclude(upstream)
        for attempt in [attempt for attempt in self._tries if attempt.upstream is upstream]:
            if self._ended(attempt):
                self._ask_next()

    def _learn_case(self, attempt: Try, now: float) -> None:
        """Note that a server which sends back another case is right otherwise: TCP says so."""
        upstream = attempt.upstream
        if self._folded is upstream and attempt.transport != "udp":
            upstream.folded += 1
            if upstream.folded >= MAX_FOLDED:
                upstream.known.give_up(MIXED_CASE, now)
                upstream.reword()
                upstream.folded = 0

    def _cookie_fits(self, attempt: Try, judged: Assessment, now: float) -> bool:
        if judged.options is None:
            return True
        verdict = self._asker.cookies.check(
            attempt.upstream.known.address,
            attempt.cookie,
            judged.options,
            judged.code,
            now,
            reliable=attempt.transport != "udp",
        )
        attempt.upstream.reword()
        return verdict in (CookieVerdict.OK, CookieVerdict.BADCOOKIE)

    def _on_soft(self, attempt: Try, code: int) -> None:
        if attempt is self._current and self._soft is None:
            self._soft = code
            self._stop_waiting()
            self._start_waiting(SOFT_WAIT)

    # What does not come

    def on_wait(self) -> None:
        """See `Pursuit.on_wait`."""
        attempt = self._current
        if attempt is None or not self._wait:
            return
        self._wait = 0.0
        now = self._asker.base.now()
        if self._soft is not None:
            self._on_soft_end(attempt, self._soft, now)
            return
        self._asker.tally.timeouts += 1
        self._timed_out = True
        self._note_of(attempt, "timed out", now)
        if attempt.upstream.known.timed_out(attempt.began, now):
            tell_down(attempt.upstream)
        self._current = None  # but a late reply is welcome
        if attempt.transport != "udp":
            attempt.upstream.stream.doubt(attempt)
        if not self._take_extra():
            self._ask_next()

    def _on_soft_end(self, attempt: Try, code: int, now: float) -> None:
        """Believe a response code that came without the question, as nothing better has come."""
        self._note_of(attempt, rcode_name(code), now)
        if not self._ended(attempt):
            return
        if code in EDNS_TROUBLE and not attempt.plain:
            self._without_edns(attempt, now)
        else:
            self._on_failure(attempt.upstream, code, now)

    def on_late(self) -> None:
        """See `Pursuit.on_late`."""
        attempt = self._current
        now = self._asker.base.now()
        if attempt is None or now - attempt.began < self._asker.options.min_timeout:
            return
        if attempt.upstream.known.timed_out(attempt.began, now):
            tell_down(attempt.upstream)
        if attempt.transport != "udp":
            attempt.upstream.stream.doubt(attempt)

    def on_lost(self, attempt: Try, why: str) -> None:
        """See `Pursuit.on_lost`."""
        now = self._asker.base.now()
        self._note_of(attempt, why, now)
        self._blame(attempt.upstream, now, attempt.began)
        if self._ended(attempt):
            self._ask_next()
