"""DNS cookies, the client's side: what to send to a server, and whether a reply has what the server owes us.

A cookie goes out with a query and comes back with the reply, so that who can't see the queries can't forge replies.
The server adds a cookie of its own, by which it knows us the next time. A decider: it is told the time and what came;
it knows nothing of messages or sockets.

What a server does is learned from its replies:

- Unknown: it gets our cookie. If none comes back it knows nothing of cookies, and gets none for five minutes.
- Known: it has sent cookies, so from then on a reply without one is a forgery, or the server has changed. A reply over
  TCP, which nobody forges, tells which; without such a one, two minutes do.

Source: RFC 7873 §5, RFC 9018 §3; the times are those of c-ares.
"""

from collections.abc import Hashable, Sequence
from enum import Enum
from typing import Final

CODE: Final = 10
"""The EDNS option (RFC 7873 §4)."""
BADCOOKIE: Final = 23
"""The response code."""
RENEW_AFTER: Final = 86_400.0
"""Seconds after which a server sees another cookie: it must not know us by it for ever (RFC 7873 §7.1)."""
RETRY_AFTER: Final = 300.0
"""Seconds for which a server that knows nothing of cookies gets none."""
DOUBT_AFTER: Final = 120.0
"""Seconds for which a server that has sent cookies may send replies without one; these are dropped."""
MAX_SERVERS: Final = 1024
"""Servers that are remembered; the oldest one is forgotten for another one."""

_CLIENT_SIZE: Final = 8
_MIN_SIZE: Final = 16
_MAX_SIZE: Final = 40
_NEVER: Final = float("inf")


class CookieVerdict(Enum):
    """What the cookie of a reply says."""

    OK = "ok"
    """Nothing against the reply."""
    WRONG = "wrong"
    """The reply is none: drop it, and wait on."""
    MISSING = "missing"
    """Most likely it is none: drop it, and ask over TCP."""
    BADCOOKIE = "bad cookie"
    """It is one, and says that the server wants another cookie: ask again with `Cookies.option_for`."""


class _Acquaintance:
    """What is known of one server.

    Attributes:
        option: What to send; empty: nothing.
        own: The address that we send from.
        known: Whether it has sent cookies.
        renew_at: When to begin anew.
    """

    __slots__ = ("_doubted_at", "known", "option", "own", "renew_at")

    def __init__(self, option: bytes, own: str, known: bool, renew_at: float) -> None:
        self.option = option
        self.own = own
        self.known = known
        self.renew_at = renew_at
        self._doubted_at = _NEVER

    def without_ours(self, rcode: int) -> CookieVerdict:
        """Judge a reply to a query that had no cookie: whether the server would have liked one."""
        if rcode != BADCOOKIE:
            return CookieVerdict.OK
        self.renew_at = -_NEVER
        return CookieVerdict.BADCOOKIE

    def without_theirs(self, rcode: int, now: float, reliable: bool) -> CookieVerdict:
        """Judge a reply that has no cookie, though the query had one."""
        if rcode == BADCOOKIE:
            return CookieVerdict.WRONG
        if self.known and not reliable:
            self._doubted_at = min(self._doubted_at, now)
            if now - self._doubted_at < DOUBT_AFTER:
                return CookieVerdict.MISSING
        self.known = False
        self.option = b""
        self.renew_at = now + RETRY_AFTER
        return CookieVerdict.OK

    def with_theirs(self, got: bytes, sent: bytes, rcode: int) -> CookieVerdict:
        """Judge a reply with the cookie ``got``, and keep the cookie."""
        if got == sent:
            pass  # be it only ours, where a server sends back what it does not know: nobody else knows it either
        elif not _MIN_SIZE <= len(got) <= _MAX_SIZE or got[:_CLIENT_SIZE] != sent[:_CLIENT_SIZE]:
            return CookieVerdict.WRONG
        if len(got) >= _MIN_SIZE and got[:_CLIENT_SIZE] == self.option[:_CLIENT_SIZE]:
            self.option = got
            self.known = True
            self._doubted_at = _NEVER
        return CookieVerdict.BADCOOKIE if rcode == BADCOOKIE else CookieVerdict.OK


class Cookies:
    """The cookies of all servers that one resolver asks.

    Args:
        secret: 16 to 64 bytes that nobody can foretell. The cookies are made from it.

    Raises:
        ValueError: ``secret`` is too short or too long.
    """

    __slots__ = ("_made", "_secret", "_servers")

    def __init__(self, secret: bytes) -> None:
        if not 16 <= len(secret) <= 64:
            raise ValueError(f"expected a secret of 16 to 64 bytes, got {len(secret)}")
        self._secret = secret
        self._made = 0
        self._servers: dict[Hashable, _Acquaintance] = {}

    def __repr__(self) -> str:
        known = sum(server.known for server in self._servers.values())
        return f"<Cookies servers={len(self._servers)} known={known}>"

    def option_for(self, server: Hashable, now: float, own: str = "") -> bytes:
        """Return the data of the COOKIE option for a query.

        Args:
            server: Who is asked. Its ``str()`` has to name it.
            now: The time.
            own: The address that the query goes out from, if it is known: another one gets another cookie, so that
                nobody can follow us from network to network.

        Returns:
            Our cookie, and the server's behind it if there is one: 8 to 40 bytes. Empty: send none.

        Source: RFC 7873 §5.1, RFC 9018 §3.
        """
        known = self._servers.get(server)
        if known is None or now >= known.renew_at or known.own != own:
            known = self._meet(server, now, own, known is not None and known.known)
        return known.option

    def check(
        self,
        server: Hashable,
        sent: bytes,
        options: Sequence[tuple[int, bytes]],
        rcode: int,
        now: float,
        *,
        reliable: bool = False,
    ) -> CookieVerdict:
        """Say what the cookie of a reply says about it, and learn from it.

        Args:
            server: Who was asked.
            sent: What `option_for` returned for that query.
            options: The EDNS options of the reply, code and data; none where it has no OPT record. Of several cookies
                the first counts.
            rcode: Its response code, with the upper bits from the OPT record.
            now: The time.
            reliable: It came over TCP or TLS, so that nobody else can have sent it.

        Source: RFC 7873 §5.3.
        """
        known = self._servers.get(server)
        if known is None:
            return CookieVerdict.OK  # it was forgotten meanwhile
        if not sent:
            return known.without_ours(rcode)
        for code, got in options:
            if code == CODE:
                return known.with_theirs(got, sent, rcode)
        return known.without_theirs(rcode, now, reliable)

    def _meet(self, server: Hashable, now: float, own: str, known: bool) -> _Acquaintance:
        """Make a cookie that the server has not seen; whether it has sent any is still so."""
        from hashlib import blake2b  # which loads OpenSSL, and not everybody who imports this asks anybody

        if len(self._servers) >= MAX_SERVERS and server not in self._servers:
            self._servers.pop(next(iter(self._servers)))
        self._made += 1
        text = f"{server}\n{own}\n{self._made}".encode()
        cookie = blake2b(text, digest_size=_CLIENT_SIZE, key=self._secret).digest()
        acquaintance = self._servers[server] = _Acquaintance(cookie, own, known, now + RENEW_AFTER)
        return acquaintance

    def forget(self, server: Hashable) -> None:
        """Meet a server as if for the first time; unknown ones are no error."""
        self._servers.pop(server, None)

    def clear(self) -> None:
        """Forget all servers."""
        self._servers.clear()
