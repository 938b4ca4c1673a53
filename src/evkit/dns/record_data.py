"""What the data of a record becomes for the user: addresses and names are ``str``, texts ``bytes``, the rest tuples.

Values only; they are read and written in `evkit.dns.rdata`.
"""

from typing import Any, NamedTuple


class Soa(NamedTuple):
    """The start of a zone: RFC 1035 §3.3.13. The numbers but for the serial are seconds."""

    mname: str
    rname: str
    serial: int
    refresh: int
    retry: int
    expire: int
    minimum: int


class Mx(NamedTuple):
    """A mail server; those with the lower preference are tried first: RFC 1035 §3.3.9."""

    preference: int
    exchange: str


class Srv(NamedTuple):
    """Where a service is found: RFC 2782."""

    priority: int
    weight: int
    port: int
    target: str


class Naptr(NamedTuple):
    """A rule to rewrite a name: RFC 3403 §4.1."""

    order: int
    preference: int
    flags: bytes
    services: bytes
    regexp: bytes
    replacement: str


class Caa(NamedTuple):
    """Who may issue certificates: RFC 8659 §4.1."""

    flags: int
    tag: bytes
    value: bytes


class Ds(NamedTuple):
    """The digest of a key of the zone below: RFC 4034 §5.1; also CDS and DLV."""

    key_tag: int
    algorithm: int
    digest_type: int
    digest: bytes


class Tlsa(NamedTuple):
    """A certificate to be found: RFC 6698 §2.1; also SMIMEA, RFC 8162."""

    usage: int
    selector: int
    matching_type: int
    data: bytes


class Sshfp(NamedTuple):
    """The fingerprint of an SSH key: RFC 4255 §3.1."""

    algorithm: int
    fingerprint_type: int
    fingerprint: bytes


class Uri(NamedTuple):
    """A URI for a service: RFC 7553 §4."""

    priority: int
    weight: int
    target: bytes


class Hinfo(NamedTuple):
    """What a host is: RFC 1035 §3.3.2, and RFC 8482 for answers to ANY."""

    cpu: bytes
    os: bytes


class Preferred(NamedTuple):
    """A number and a host: AFSDB and RT (RFC 1183), KX (RFC 2230), LP (RFC 6742)."""

    preference: int
    host: str


class NamePair(NamedTuple):
    """Two names: RP (RFC 1183 §2.2: mailbox, and where a text is) and MINFO (RFC 1035 §3.3.7: two mailboxes)."""

    first: str
    second: str


class Px(NamedTuple):
    """Mail of X.400: RFC 2163 §4."""

    preference: int
    map822: str
    mapx400: str


class Generic:
    """The data of any other type.

    Attributes:
        wire: The bytes.
        fields: Their parts by name, plain values; ``{}`` where nobody knows them.
    """

    __slots__ = ("_said", "fields", "wire")

    def __init__(self, wire: bytes, fields: dict[str, Any] | None = None, said: object = None) -> None:
        self.wire = wire
        self.fields = {} if fields is None else fields
        # Made into text when somebody asks: some long data takes longer to be written than to be read.
        self._said = said

    @property
    def text(self) -> str:
        r"""As in a master file; where nobody knows the parts, ``\# 2 0102`` (RFC 3597 §5)."""
        return rf"\# {len(self.wire)} {self.wire.hex()}".rstrip() if self._said is None else str(self._said)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Generic) and (self.wire, self.fields) == (other.wire, other.fields)

    def __hash__(self) -> int:
        return hash(self.wire)

    def __repr__(self) -> str:
        return f"<Generic {self.text}>"


RecordData = (
    str
    | tuple[bytes, ...]
    | Soa
    | Mx
    | Srv
    | Naptr
    | Caa
    | Ds
    | Tlsa
    | Sshfp
    | Uri
    | Hinfo
    | Preferred
    | NamePair
    | Px
    | Generic
)
"""``str``: the address of A and AAAA, the name of CNAME, DNAME, NS and PTR. A tuple of bytes: the texts of TXT."""
