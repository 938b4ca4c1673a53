"""`Lookup`: one look-up, from its first question to the result of its future.

It decides what is asked: the names of a search list, one after the other, and the names that aliases lead to; and what
is told when nothing was found. Who is asked is `evkit.dns.asker`'s business, what is known already that of
`evkit.dns.lookups`.

Source: RFC 1034 §5.3.3, with the search list as in glibc's ``res_nsearch``.
"""

from typing import TYPE_CHECKING, Final

from evkit.core.future import Future
from evkit.dns.answer import Answer
from evkit.dns.finding import Finding, failed, joined, known
from evkit.dns.interpretation import ANSWER, MAX_CHAIN, Kind
from evkit.dns.names import to_text
from evkit.dns.pursuit import MAX_TRAIL
from evkit.dns.special_names import special_addresses
from evkit.dns.types import type_name
from evkit.errors import ResolveCancelled, ResolveTimeout, ServerFailure

if TYPE_CHECKING:
    from evkit.dns.answer import Attempt
    from evkit.dns.lookups import Lookups
    from evkit.dns.pursuit import Key, Pursuit

_RANKS: Final = {Kind.NO_NAME: 0, Kind.FAILURE: 1, Kind.NO_DATA: 2}
"""What a search that has found nothing tells of: a name without such records more than a failure (``res_nsearch``)."""


class Lookup:
    """One look-up.

    Args:
        lookups: What it shares with all others.
        candidates: The names to ask for, folded, in wire form, until one is answered; at least one.
        key: The question for the first of them.
        fresh: Take nothing out of the cache.
        seconds: How long it may take; infinite: as long as the servers may.

    Attributes:
        future: Its result.
        seconds: How long it may take.
    """

    __slots__ = (
        "_candidates",
        "_failure",
        "_fresh",
        "_inquiry",
        "_key",
        "_links",
        "_lookups",
        "_place",
        "_trail",
        "future",
        "seconds",
    )

    def __init__(
        self, lookups: "Lookups", candidates: list[bytes], key: "Key", fresh: bool, seconds: float
    ) -> None:
        self._lookups = lookups
        self._candidates = candidates
        self._place = 0  # of the one that is asked for
        self._key = key
        self._inquiry: Pursuit | None = None
        self._links: tuple[Answer, ...] = ()
        self._trail: tuple[Attempt, ...] = ()
        self._failure: Finding | None = None
        self._fresh = fresh
        self.seconds = seconds
        self.future: Future[Answer] = Future(lookups.base, self._on_cancel)

    def __repr__(self) -> str:
        return f"<Lookup {to_text(self._key[0])} {type_name(self._key[1])} {self.future!r}>"

    def begin(self, finding: Finding | None) -> None:
        """Begin with the first name, of which ``finding`` is known already."""
        self._take(finding or self._find_out(self._key))

    def on_found(self, finding: Finding) -> None:
        """Hear what one name came to."""
        self._inquiry = None
        if finding.kind is ANSWER and finding.answer is not None:
            self._succeed(finding.answer)  # as nearly all do
        else:
            self._take(finding)

    def _take(self, finding: Finding | None) -> None:
        """Go on with what was found out, and with what is known at once of the names to ask for next."""
        while finding is not None:
            answer = finding.answer
            if finding.kind is ANSWER and answer is not None:
                self._succeed(answer)
                return
            if finding.kind is Kind.ALIAS and answer is not None:
                finding = self._follow(answer, finding.target)
            else:
                finding = self._take_failure(finding)

    def _go_on(self) -> Finding | None:
        """Ask for the next name there is; without one that is the end."""
        self._place += 1
        if self._place == len(self._candidates):
            self._fail()
            return None
        self._links = ()
        self._key = (self._candidates[self._place], *self._key[1:])
        return self._ask(self._key)

    def _ask(self, key: "Key") -> Finding | None:
        """Return what is known, or ask."""
        return (None if self._fresh else self._lookups.cached(key)) or self._find_out(key)

    def _find_out(self, key: "Key") -> Finding | None:
        special = special_addresses(key[0])
        if special is not None:
            return known(key[0], key[1], special)
        self._inquiry = self._lookups.asker.ask(key, self)
        return None

    def _succeed(self, answer: Answer) -> None:
        if self._links:
            finding = joined(self._key[0], [*self._links, answer])
            self._lookups.remember(self._key, finding)
            answer = finding.answer or answer
        if self._trail:
            answer = answer.replaced(attempts=self._trail + answer.attempts)
        self._lookups.under_way.discard(self, self.seconds)
        self.future.set_result(answer)

    def _follow(self, link: Answer, target: bytes) -> Finding | None:
        self._links += (link,)
        if sum([len(answer.aliases) for answer in self._links]) <= MAX_CHAIN:
            return self._ask((target, *self._key[1:]))
        reason = f"more than {MAX_CHAIN} aliases, or a circle of them"
        return self._take_failure(failed((), ServerFailure, None, reason))

    def _take_failure(self, finding: Finding) -> Finding | None:
        for link in self._links:
            self._trail += link.attempts
        self._trail += finding.trail
        best = self._failure
        if best is None or _RANKS[finding.kind] > _RANKS[best.kind]:
            self._failure = finding
        if finding.error is not ResolveTimeout:
            return self._go_on()
        self._fail()  # the next name would have the same servers to wait for
        return None

    def _fail(self) -> None:
        finding = self._failure
        assert finding is not None  # the last name has left one
        stale = self._lookups.stale(self._key) if finding.kind is Kind.FAILURE else None
        self._lookups.under_way.discard(self, self.seconds)
        if stale is not None:
            self.future.set_result(stale)
        else:
            name, kind = to_text(self._candidates[0]), type_name(self._key[1])
            self.future.set_exception(finding.exception(name, kind, self._trail[:MAX_TRAIL]))

    def on_late(self) -> None:
        """Hear that it has taken too long."""
        if self._inquiry is not None:
            self._inquiry.note_waiting()
        inquiry = self._leave(late=True)
        if inquiry is None:
            finding = failed((), ResolveTimeout)
        elif inquiry.bad:
            finding = failed(inquiry.trail, ServerFailure, None, "all that came was no answer")
        else:
            finding = failed(inquiry.trail, ResolveTimeout)
        self._trail += finding.trail
        self._failure = finding
        self._fail()

    def give_up(self) -> None:
        """Hear that the resolver is closed."""
        self.future.set_exception(ResolveCancelled(to_text(self._candidates[0]), type_name(self._key[1])))

    def _on_cancel(self, future: Future[Answer]) -> None:  # noqa: ARG002 - a callback
        self._lookups.under_way.discard(self, self.seconds)
        self._leave()

    def _leave(self, *, late: bool = False) -> "Pursuit | None":
        inquiry, self._inquiry = self._inquiry, None
        if inquiry is not None:
            self._lookups.asker.leave(inquiry, self, late=late)
        return inquiry
