"""What the name servers of `dns_peers` serve: two zones, two to look addresses up in, and a generator of many names.

The text of each zone, and what has to come back, are made of the same values here, so that no test need copy one.
"""

from collections.abc import Iterator
from typing import Final

ZONE: Final = "peers.test"
THOUSANDS: Final = "thousands.test"
REVERSE: Final = "2.0.192.in-addr.arpa"
REVERSE_6: Final = "8.b.d.0.1.0.0.2.ip6.arpa"
"""The zones of 192.0.2.0/24 and 2001:db8::/32, which are for documentation."""
ZONES: Final = (ZONE, THOUSANDS, REVERSE, REVERSE_6)

TTL: Final = 300
NEGATIVE_TTL: Final = 60
"""Seconds that an absence may be kept: the zones' SOA says so (RFC 2308 §4)."""
DISTINCT: Final = 10_000
WWW: Final = "192.0.2.1"
WWW_6: Final = "2001:db8::1"
THREE: Final = ("192.0.2.10", "192.0.2.11", "192.0.2.12")
WILD: Final = "192.0.2.77"
MANY: Final = tuple(f"198.51.100.{number}" for number in range(1, 121))
"""The addresses of ``many``: 1.9 kB, more than a datagram without EDNS may have, or with 1,232 bytes of it."""
BIG_TEXT: Final = tuple(bytes([97 + number]) * 250 for number in range(12))
"""The strings of the TXT record of ``big``: 3 kB in one record, so that it comes by TCP alone."""
NASTY_TEXT: Final = (b"\x1b]0;owned\x07\x1b[31mred", b"two\nlines", b'"\\', b"\xff\x00\x9b\x7f")
"""The strings of ``nasty``: what a terminal would obey, and what is no text."""
CHAIN: Final = ("chain", "chain-1", "chain-2", "www")
"""Three aliases, and where they lead."""

_SOA: Final = f"""\
$TTL {TTL}
@ SOA ns1.{ZONE}. hostmaster.{ZONE}. 2026112301 3600 600 86400 {NEGATIVE_TTL}
@ NS ns1.{ZONE}.
@ NS ns2.{ZONE}.
"""
_RECORDS: Final = r"""
@           A      192.0.2.1
@           MX     10 mail
@           MX     20 backup
@           TXT    "v=spf1 -all"
@           CAA    0 issue "ca.example.net"
@           HTTPS  1 . alpn=h2,h3 ipv4hint=192.0.2.1
ns1         A      192.0.2.53
ns2         A      192.0.2.54
www         A      192.0.2.1
www         AAAA   2001:db8::1
mail        A      192.0.2.25
backup      AAAA   2001:db8::25
three       A      192.0.2.10
three       A      192.0.2.11
three       A      192.0.2.12
six         AAAA   2001:db8::6
short       1 A    192.0.2.2
zero        0 A    192.0.2.3
chain       CNAME  chain-1
chain-1     CNAME  chain-2
chain-2     10 CNAME www
loop-1      CNAME  loop-2
loop-2      CNAME  loop-1
dangling    CNAME  nowhere
outside     CNAME  www.elsewhere.invalid.
tree        DNAME  under
leaf.under  A      192.0.2.40
*.wild      A      192.0.2.77
deep.empty  A      192.0.2.50
_sip._tcp   SRV    10 60 5060 www
_sip._tcp   SRV    20 0 5061 mail
_443._tcp.www TLSA 3 1 1 92003ba34942dc74152e2f2c408d29eca5a520e7f2e06bb944f4dca346baf63c
sip         NAPTR  10 100 "S" "SIP+D2T" "" _sip._tcp
host        SSHFP  4 2 123456789abcdef67890123456789abcdef67890123456789abcdef123456789
location    LOC    52 22 23.000 N 4 53 32.000 E -2.00m 0.00m 10000m 10m
program     HINFO  "PC-Intel-700mhz" "Redhat Linux 7.1"
link        URI    10 1 "https://www.peers.test/"
strange     TYPE65280 \# 4 0a000001
a\.dot      A      192.0.2.60
a\ space    A      192.0.2.61
MiXeD       A      192.0.2.62
under_score A      192.0.2.63
xn--strae-oqa A    192.0.2.64
mx          A      192.0.2.65
sub         NS     ns.sub
ns.sub      A      192.0.2.99
"""


def zone_text(origin: str) -> str:
    """Return the zone file of ``origin``, one of `ZONES`."""
    made = {ZONE: _zone, THOUSANDS: _thousands, REVERSE: _reverse, REVERSE_6: _reverse_6}
    return f"$ORIGIN {origin}.\n{_SOA}{made[origin]()}"


def distinct(count: int = DISTINCT) -> Iterator[tuple[str, str]]:
    """Give names of the zone `THOUSANDS`, each with the address that it alone has."""
    for number in range(count):
        yield f"h{number}.{THOUSANDS}", f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}"


def _zone() -> str:
    many = "".join(f"many A {address}\n" for address in MANY)
    return f"{_RECORDS}{many}big TXT {_strings(BIG_TEXT)}\nnasty TXT {_strings(NASTY_TEXT)}\n"


def _thousands() -> str:
    return "".join(f"{name}. A {address}\n" for name, address in distinct())


def _reverse() -> str:
    return f"1 PTR www.{ZONE}.\n25 PTR mail.{ZONE}.\n10 PTR three.{ZONE}.\n10 PTR ten.{ZONE}.\n"


def _reverse_6() -> str:
    nibbles = ".".join(reversed(f"{1:024x}"))
    return f"{nibbles} PTR www.{ZONE}.\n"


def _strings(strings: tuple[bytes, ...]) -> str:
    """Write strings as a zone file has them, whatever bytes they are of (RFC 1035 §5.1)."""
    return " ".join('"' + "".join(f"\\{byte:03}" for byte in string) + '"' for string in strings)
