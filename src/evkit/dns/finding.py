"""`Finding`: how the asking of one question has ended, for all who have asked it, and for the cache.

A value; it knows nothing of who asks, nor of time.
"""

from typing import TYPE_CHECKING, Final

from evkit.dns.answer import Answer, Record
from evkit.dns.interpretation import Kind, Verdict
from evkit.dns.names import to_text
from evkit.dns.types import AAAA, A, type_name
from evkit.errors import NameNotFound, NoData, ResolveError, ServerFailure

if TYPE_CHECKING:
    from evkit.dns.answer import Attempt

_ERRORS: Final = {
    Kind.ANSWER: ResolveError,
    Kind.ALIAS: ResolveError,
    Kind.NO_NAME: NameNotFound,
    Kind.NO_DATA: NoData,
    Kind.FAILURE: ServerFailure,
}


class Finding:
    """What was found out.

    Args:
        kind: `Kind.ANSWER`, `Kind.ALIAS`, `Kind.NO_DATA`, `Kind.NO_NAME`, or `Kind.FAILURE`: no server was of any use.
        answer: What a server has said; ``None`` with `Kind.FAILURE`.
        trail: What was tried.
        target: With `Kind.ALIAS`: the name to ask for, folded, in wire form.
        error: The exception for whoever has asked; ``None``: that of the kind.
        code: Its code; ``None``: that of its class.
        reason: Its words; ``None``: those of its class.

    Attributes:
        kind: As given, as are the others of these names.
    """

    __slots__ = ("_age", "_aged", "_error", "answer", "code", "kind", "reason", "target", "trail")

    def __init__(
        self,
        kind: Kind,
        answer: Answer | None,
        trail: "tuple[Attempt, ...]" = (),
        *,
        target: bytes = b"",
        error: type[ResolveError] | None = None,
        code: int | None = None,
        reason: str | None = None,
    ) -> None:
        self.kind = kind
        self.answer = answer
        self.trail = trail
        self.target = target
        self._error = error
        self.code = code
        self.reason = reason
        self._age = -1
        self._aged: Finding | None = None  # itself would be a cycle

    @property
    def error(self) -> type[ResolveError]:
        """The exception for whoever has asked."""
        return self._error or _ERRORS[self.kind]

    def __repr__(self) -> str:
        return f"<Finding {self.kind.value} {self.answer!r}>"

    def tell(self, trail: "tuple[Attempt, ...]", *, trusted: bool) -> None:
        """Add what was tried for it, and whether the server is trusted where it vouches for the answer."""
        self.trail = trail
        answer = self.answer
        if answer is not None:
            answer.attempts = trail
            answer.authenticated = answer.authenticated and trusted

    def aged(self, seconds: float) -> "Finding":
        """Return the same as it is so many seconds later: all who ask within one second get one answer."""
        age = int(seconds)
        aged = self._aged
        if aged is None or age != self._age:
            answer = None if self.answer is None else self.answer.aged(age)
            aged = self._aged = Finding(
                self.kind,
                answer,
                self.trail,
                target=self.target,
                error=self.error,
                code=self.code,
                reason=self.reason,
            )
            self._age = age
        return aged

    def exception(self, name: str, type: str, trail: "tuple[Attempt, ...]") -> ResolveError:  # noqa: A002 - the term
        """Make the exception for whoever has asked for ``name``, and for whom ``trail`` was tried."""
        return self.error(name, type, self.reason, code=self.code, attempts=trail, answer=self.answer)


def found(name: bytes, rdtype: int, verdict: Verdict, *, authenticated: bool) -> Finding:
    """Return what the verdict about a reply comes to.

    Args:
        name: What was asked for, folded, in wire form.
        rdtype: Of which type.
        verdict: Of one of the kinds that end the asking.
        authenticated: See `Answer`.
    """
    records = verdict.records
    asked = records[0].name if records and not verdict.aliases else to_text(name)
    answer = Answer(
        asked,
        type_name(rdtype),
        records,
        canonical_name=to_text(verdict.target) if verdict.aliases else None,
        aliases=verdict.aliases,
        ttl=verdict.ttl,
        authority=verdict.authority,
        authenticated=authenticated,
    )
    return Finding(verdict.kind, answer, target=verdict.target)


def failed(
    trail: "tuple[Attempt, ...]",
    error: type[ResolveError],
    code: int | None = None,
    reason: str | None = None,
) -> Finding:
    """Return the finding that no server was of any use."""
    return Finding(Kind.FAILURE, None, trail, error=error, code=code, reason=reason)


def joined(name: bytes, links: list[Answer]) -> Finding:
    """Return what several answers make, each of which begins where the aliases of the one before lead to.

    Args:
        name: What was asked for, folded, in wire form.
        links: At least one; the last has the records.
    """
    answer = links[-1].replaced(
        name=to_text(name),
        aliases=tuple([alias for link in links for alias in link.aliases]),
        ttl=min([link.ttl for link in links]),
        attempts=tuple([attempt for link in links for attempt in link.attempts]),
        authenticated=all(link.authenticated for link in links),
    )
    return Finding(Kind.ANSWER, answer, answer.attempts)


def known(name: bytes, rdtype: int, addresses: tuple[str, ...], ttl: int = 0) -> Finding:
    """Return what is known of a name for which nobody is asked.

    Args:
        name: The name, folded, in wire form.
        rdtype: The type that is asked for.
        addresses: Of the name; none: there is no such name.
        ttl: Seconds for which that holds.
    """
    text, kind = to_text(name), type_name(rdtype)
    records = [
        Record(text, kind, ttl, address) for address in addresses if rdtype == (AAAA if ":" in address else A)
    ]
    answer = Answer(text, kind, tuple(records), ttl=ttl)
    found_kind = Kind.ANSWER if records else Kind.NO_DATA if addresses else Kind.NO_NAME
    return Finding(found_kind, answer, ())
