"""`Try`: a question on its way to one server. A value; it knows nothing of what becomes of it."""

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from evkit.dns.pursuit import Pursuit
    from evkit.dns.upstream import Upstream


class Carrier(Protocol):
    """What a try travels by: a port or a stream."""

    def withdraw(self, attempt: "Try") -> None:
        """Forget a try: nobody waits for its reply any more. Again is harmless."""


class Try:
    """A question on its way to one server.

    Attributes:
        inquiry: What it is for.
        upstream: The server.
        transport: ``"udp"``, ``"tcp"`` or ``"tls"``.
        question: The question section as it was sent: the reply has to repeat it byte by byte.
        id: The number of the message, unique among those of its carrier.
        carrier: What it travels by; ``None`` before it is sent, and when that has ended.
        cookie: The COOKIE option's data that was sent; empty: none.
        plain: Whether it was sent without EDNS.
        began: When it was sent, on the base's clock.
    """

    __slots__ = ("began", "carrier", "cookie", "id", "inquiry", "plain", "question", "transport", "upstream")

    def __init__(
        self, inquiry: "Pursuit", upstream: "Upstream", transport: str, question: bytes, began: float
    ) -> None:
        self.inquiry = inquiry
        self.upstream = upstream
        self.transport = transport
        self.question = question
        self.began = began
        self.id = -1
        self.carrier: Carrier | None = None
        self.cookie = b""
        self.plain = False

    def __repr__(self) -> str:
        return f"<Try id={self.id} over {self.transport} to {self.upstream.text}>"

    def withdraw(self) -> None:
        """Expect no reply any more."""
        if self.carrier is not None:
            self.carrier.withdraw(self)
