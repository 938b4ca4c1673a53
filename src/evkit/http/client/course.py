"""`Course`: what a request has behind it that is no plain answer, redirects and failures, and what follows from that.

Most requests never have one. The rules are those of `redirects` and `retries`, applied here to one request; who sends
what follows, and when, is `Call`'s business. It knows nothing of connections.
"""

import random
from typing import Final

from evkit.http.client.redirects import Redirects, Step, Trail
from evkit.http.client.response import Response
from evkit.http.client.retries import Attempts, Progress, Retries, RetryBudget

_DICE: Final = random.Random()  # noqa: S311 - it spreads retries in time, and guards no secret


class Course:
    """The redirects of one request, and the attempts at the present one of its steps.

    Args:
        redirects: Which are followed.
        retries: Which failures are tried again.
        budget: How many retries there may be in all; ``None``: any number.

    Attributes:
        attempt: The number of the attempt, from 1, at what was asked for last.
        fresh: Whether the next one needs a connection that was not used before, since an earlier one has failed.
        history: The redirects, the first one first.
    """

    __slots__ = ("_attempts", "_budget", "_redirects", "_retries", "_trail", "attempt", "fresh", "history")

    def __init__(self, redirects: Redirects, retries: Retries, budget: RetryBudget | None) -> None:
        self._redirects = redirects
        self._retries = retries
        self._budget = budget
        self._trail: Trail | None = None
        self._attempts: Attempts | None = None
        self.attempt = 1
        self.fresh = False
        self.history: list[Response] = []

    def __repr__(self) -> str:
        return f"<Course{self} fresh={self.fresh}>"

    def __str__(self) -> str:
        """Tell it behind a request, for who reads an error: ``", attempt 2, after 1 redirects"``."""
        attempt = "" if self.attempt == 1 else f", attempt {self.attempt}"
        return attempt + (f", after {len(self.history)} redirects" if self.history else "")

    def answered(
        self, response: Response, step: Step, *, follow: bool, repeatable: bool, now: float
    ) -> Step | float | None:
        """Decide what follows a response.

        Args:
            response: Its head; the body need not be there.
            step: What it answers.
            follow: Whether redirects are followed.
            repeatable: Whether the request's body, if it has one, can be sent again.
            now: Seconds since 1970, from the wall's clock.

        Returns:
            The next request; or how many seconds to wait before the same one; ``None``: the response is the answer.

        Raises:
            RedirectError: It is a redirect that can't or mustn't be followed.
        """
        status = response.status
        if status in self._retries.statuses:
            retry_after = response.headers.get("Retry-After")
            attempts = self._count(step, repeatable=repeatable)
            pause = attempts.answered(status, retry_after, now, _DICE.random())
            if pause is not None:
                return pause
        if not follow or not 300 <= status < 400:
            return None
        if self._trail is None:
            self._trail = Trail(self._redirects, step)
        return self._trail.follow(status, response.headers, repeatable=repeatable)

    def failed(self, progress: Progress, step: Step, *, repeatable: bool) -> float | None:
        """Decide what follows an attempt whose connection has failed.

        Args:
            progress: How far it had come.
            step: What was asked for.
            repeatable: As for `answered`.

        Returns:
            Seconds to wait before the next attempt; ``None``: there is none.
        """
        self.fresh = True
        return self._count(step, repeatable=repeatable).failed(progress, _DICE.random())

    def follow(self, response: Response) -> None:
        """The step that a response has led to is under way from now on."""
        self.history.append(response)
        self._attempts = None
        self.attempt = 1
        self.fresh = False

    def _count(self, step: Step, *, repeatable: bool) -> Attempts:
        if self._attempts is None:
            self._attempts = Attempts(self._retries, step.method, repeatable=repeatable, budget=self._budget)
        return self._attempts
