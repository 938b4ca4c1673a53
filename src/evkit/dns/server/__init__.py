"""The server port: queries come in over UDP and TCP, and a handler answers them. Its face is what is imported below."""

from evkit.dns.message import AA, AD, CD, RA, RD
from evkit.dns.server.limits import ServerLimits
from evkit.dns.server.port import ServerPort
from evkit.dns.server.reply_builder import ADDITIONAL, ANSWER, AUTHORITY
from evkit.dns.server.request import Question, ServerRequest
from evkit.dns.server.statistics import ServerStatistics
from evkit.dns.server.zone import Zone, ZoneAnswer
from evkit.dns.types import FORMERR, NOERROR, NOTIMP, NXDOMAIN, REFUSED, SERVFAIL

__all__ = [
    "AA",
    "AD",
    "ADDITIONAL",
    "ANSWER",
    "AUTHORITY",
    "CD",
    "FORMERR",
    "NOERROR",
    "NOTIMP",
    "NXDOMAIN",
    "RA",
    "RD",
    "REFUSED",
    "SERVFAIL",
    "Question",
    "ServerLimits",
    "ServerPort",
    "ServerRequest",
    "ServerStatistics",
    "Zone",
    "ZoneAnswer",
]
