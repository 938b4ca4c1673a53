"""DNS: evdns' resolver on evkit's event base; its name server port is `evkit.dns.server`.

Imports no third-party package; records of the rarer types are read by dnspython, when there are some.
"""

from evkit.dns.address_lookup import AddrInfo
from evkit.dns.answer import Answer, Attempt, Record
from evkit.dns.configuration import (
    DNS_OPTION_HOSTSFILE,
    DNS_OPTION_MISC,
    DNS_OPTION_NAMESERVERS,
    DNS_OPTION_NAMESERVERS_NO_DEFAULT,
    DNS_OPTION_SEARCH,
    DNS_OPTIONS_ALL,
)
from evkit.dns.nameserver import Statistics
from evkit.dns.options import ResolverOptions
from evkit.dns.record_data import RecordData
from evkit.dns.resolver import Resolver
from evkit.dns.server_address import ServerAddress, parse_server
from evkit.dns.tally import Tally

__all__ = [
    "DNS_OPTIONS_ALL",
    "DNS_OPTION_HOSTSFILE",
    "DNS_OPTION_MISC",
    "DNS_OPTION_NAMESERVERS",
    "DNS_OPTION_NAMESERVERS_NO_DEFAULT",
    "DNS_OPTION_SEARCH",
    "AddrInfo",
    "Answer",
    "Attempt",
    "Record",
    "RecordData",
    "Resolver",
    "ResolverOptions",
    "ServerAddress",
    "Statistics",
    "Tally",
    "parse_server",
]
