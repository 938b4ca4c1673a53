"""What a message that came on a try's road means for it: whether it is a reply at all, and what is to be done.

A decider: bytes and a try go in, a `Step` comes out. It knows nothing of sockets or time, and changes nothing.

Source: RFC 5452 §9.1 and RFC 9267 for what is no reply; draft-li-dnsop-response-preprocessing for going on waiting.
"""

from enum import Enum
from typing import TYPE_CHECKING, Final

from evkit.dns.errors import MessageError
from evkit.dns.finding import Finding, found
from evkit.dns.interpretation import ANSWER, Kind, interpret
from evkit.dns.message import AD, Message, Options, decode_reply
from evkit.dns.types import rcode_name
from evkit.dns.usual_reply import read_usual

if TYPE_CHECKING:
    from evkit.dns.tries import Try

HEADER_SIZE: Final = 12
_QR: Final = 0x80  # in the third byte
_OPCODE: Final = 0x78
_TC: Final = 0x02
_FORMERR: Final = 1
_NXDOMAIN: Final = 3
_NOTIMP: Final = 4
_BADVERS: Final = 16
_BADCOOKIE: Final = 23
_WITHOUT_QUESTION: Final = frozenset({_FORMERR, 2, _NOTIMP, 5})
"""FORMERR, SERVFAIL, NOTIMP, REFUSED: servers that have not read the question can't repeat it."""
EDNS_TROUBLE: Final = frozenset({_FORMERR, _NOTIMP, _BADVERS})
"""Response codes of servers that choke on EDNS."""

CASE: Final = "case"
"""A `kind` of what is no reply: many of these mean a server that keeps no case, or somebody who guesses."""


class Step(Enum):
    """What to do with a message."""

    DONE = "done"
    """It is the answer, or says that there is none: see the verdict."""
    DROP = "drop"
    """It is no reply to this try: go on waiting, and ask over TCP as well."""
    SOFT = "soft"
    """It may be anybody's: believe it only if nothing better comes soon."""
    NEXT = "next"
    """This server can't help: ask the next one."""
    OVER_TCP = "over tcp"
    """It was cut: ask the same server over TCP."""
    WITHOUT_EDNS = "without edns"
    """The server does not know EDNS: ask it without."""
    NEW_COOKIE = "new cookie"
    """The server wants its new cookie: ask it again."""


# Each look-up would take some time to find these in their class.
DONE: Final = Step.DONE
DROP: Final = Step.DROP
SOFT: Final = Step.SOFT


class Assessment:
    """What `assess` has found.

    Attributes:
        step: What to do.
        why: The response code in words, or what is wrong.
        code: The response code; -1: there is none to believe.
        options: Those of EDNS that came with it; ``None``: it could not be read, or need not be.
        finding: What it says, with `Step.DONE`. Its answer is authenticated if the server says so.
        kind: With `Step.DROP`: what is wrong, in a word.
    """

    __slots__ = ("code", "finding", "kind", "options", "step", "why")

    def __init__(
        self,
        step: Step,
        why: str,
        code: int = -1,
        options: Options | None = None,
        finding: Finding | None = None,
        kind: str = "malformed",
    ) -> None:
        self.step = step
        self.why = why
        self.code = code
        self.options = options
        self.finding = finding
        self.kind = kind

    def __repr__(self) -> str:
        return f"<Assessment {self.step.value}: {self.why}>"


def assess(data: bytes, attempt: "Try", *, ignore_tc: bool = False) -> Assessment:
    """Say what ``data`` means for a try to whose number and road it came.

    Args:
        data: What came.
        attempt: The try that has the number of the message.
        ignore_tc: Take a reply that was cut for what there is in it.
    """
    question = attempt.question
    name, rdtype, _, _ = attempt.inquiry.key
    usual = read_usual(data, question, name, rdtype)
    if usual is not None:
        answer, options = usual
        return Assessment(DONE, "NOERROR", 0, options, Finding(ANSWER, answer))
    if data[HEADER_SIZE : HEADER_SIZE + len(question)] != question or data[4:6] != b"\0\1":
        return _without_question(data, question)
    flags = data[2]
    if flags & (_QR | _OPCODE) != _QR:
        why = "a reply to another operation" if flags & _QR else "no reply"
        return Assessment(Step.DROP, why, kind="kind")
    if flags & _TC and not ignore_tc:
        if attempt.transport == "udp":
            return Assessment(Step.OVER_TCP, "truncated")
        return Assessment(Step.NEXT, "truncated, though it is no datagram")
    try:
        message = decode_reply(data, question)
    except MessageError as error:
        return Assessment(Step.DROP, str(error))
    code = message.rcode
    if code == 0 or code == _NXDOMAIN:
        return _interpreted(message, name, rdtype)
    if code in EDNS_TROUBLE and not attempt.plain:
        step = Step.WITHOUT_EDNS
    else:
        step = Step.NEW_COOKIE if code == _BADCOOKIE else Step.NEXT
    return Assessment(step, rcode_name(code), code, _options(message))


def _interpreted(message: Message, name: bytes, rdtype: int) -> Assessment:
    verdict = interpret(message, name, rdtype)
    if verdict.kind is Kind.BAD:
        return Assessment(Step.DROP, verdict.why)
    options = _options(message)
    if verdict.kind is Kind.LAME:
        return Assessment(Step.NEXT, "not in charge of the name", options=options)
    finding = found(name, rdtype, verdict, authenticated=message.flags & AD != 0)
    return Assessment(Step.DONE, rcode_name(message.rcode), message.rcode, options, finding)


def _options(message: Message) -> Options:
    return () if message.opt is None else message.opt.options


def _without_question(data: bytes, question: bytes) -> Assessment:
    """Say what is wrong with a message that does not repeat the question byte by byte."""
    if len(data) < HEADER_SIZE:
        return Assessment(Step.DROP, f"{len(data)} bytes, less than a header")
    code = data[3] & 0x0F
    if data[4:6] == b"\0\0" and data[2] & (_QR | _OPCODE) == _QR and code in _WITHOUT_QUESTION:
        return Assessment(Step.SOFT, f"{rcode_name(code)} without the question", code)
    if data[4:6] == b"\0\1" and repeats(data, question):
        return Assessment(Step.DROP, "the question in another case", kind=CASE)
    return Assessment(Step.DROP, "another question", kind="question")


def repeats(data: bytes, question: bytes) -> bool:
    """Return whether a message is about a question, in whatever case."""
    return data[HEADER_SIZE : HEADER_SIZE + len(question)].lower() == question.lower()
