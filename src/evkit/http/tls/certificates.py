"""`Certificates`: what a TLS server shows and demands, made into an ``ssl.SSLContext``, and made anew from its files.

It decides which certificate a client sees, by the name that it asks for, how strict a session is, and what is told of
files that are wrong. It knows nothing of connections, listeners and time-outs. Nothing imports this before somebody
asks for TLS, as it imports ``ssl``.
"""

import os
import re
import ssl
import time
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Final, NamedTuple, NoReturn

from evkit.core.log import LOG_WARN, log
from evkit.http.host_names import ascii_name
from evkit.http.tls.x509 import CertificateFacts, certificates_in, read_certificate

FilePath = str | os.PathLike[str]
Password = str | bytes | bytearray | Callable[[], str | bytes | bytearray]

# What is not in the defaults of each Python and OpenSSL that evkit runs on.
_OPTIONS: Final = ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION | ssl.OP_CIPHER_SERVER_PREFERENCE
_NAME: Final = re.compile(r"(\*\.)?[a-z0-9_-]+(\.[a-z0-9_-]+)*")
_IPV4: Final = re.compile(r"[0-9.]+")
# OpenSSL's words for a key of another certificate: of the same kind, or of another one.
_MISMATCH: Final = frozenset({"KEY_VALUES_MISMATCH", "NO_CERTIFICATE_ASSIGNED"})
_DER: Final = b"\x30"  # a SEQUENCE, as certificates, keys and PKCS #12 are


class _Source(NamedTuple):
    """Where a certificate comes from."""

    cert: str
    key: str
    password: Password | None
    names: tuple[str, ...] | None
    """Those of the certificate, if ``None``."""


class _Loaded(NamedTuple):
    """A certificate that was read."""

    context: ssl.SSLContext
    facts: CertificateFacts
    source: _Source

    @property
    def names(self) -> tuple[str, ...]:
        return self.facts.names if self.source.names is None else self.source.names


class Certificates:
    """The certificates of a server, and what it demands of its clients.

        certificates = Certificates("example.pem", "example.key")
        certificates.add("other.pem", "other.key")             # for the names that stand in it
        base.signal(signal.SIGHUP, lambda event, what: certificates.reload()).add()

    All files are PEM. The first certificate is shown to clients that ask for a name that none has, or for no name. A
    certificate for ``*.example.org`` is for ``www.example.org``, but neither for ``example.org`` nor for
    ``a.b.example.org``; one for the very name goes before it, and the earlier before the later. A certificate that has
    expired, or is not valid yet, is shown all the same, and a warning logged.

    No session is compressed or negotiated anew, the server chooses the cipher, and clients may resume a session by its
    ticket. A ticket is good until the next `reload`: who brings an older one shakes hands as at first.

    Args:
        cert: File of the certificate, which comes first, and of those that lead to a root.
        key: File of its private key; ``None``: ``cert`` has it, too.
        password: What the key is encrypted with, or a function without arguments that returns it. It is asked at each
            `reload`, too.
        client_ca: File of the authorities whose certificates clients may show; a client with a wrong one is refused.
            ``None``: clients are not asked.
        require_client: Whether a client without a certificate is refused.
        min_version: The oldest version of TLS.
        alpn: Protocols to choose from by ALPN (RFC 7301), the best one first; none: no choice.
        ciphers: Those of TLS 1.2, as OpenSSL's ``ciphers`` writes them; ``None``: Python's choice. Those of TLS 1.3 are
            all good.

    Attributes:
        context: What a new connection takes. `reload` replaces it, so ask for it with each connection.

    Raises:
        OSError: A file cannot be read.
        ValueError: A file has not what it should, which the text tells, or an argument is wrong.

    Source: libevent has nothing like it; nginx's ``ssl_certificate``, ``ssl_verify_client`` and ``reload``.
    """

    __slots__ = (
        "_alpn",
        "_authorities",
        "_ciphers",
        "_client_ca",
        "_loaded",
        "_min_version",
        "_require_client",
        "context",
    )

    def __init__(
        self,
        cert: FilePath,
        key: FilePath | None = None,
        *,
        password: Password | None = None,
        client_ca: FilePath | None = None,
        require_client: bool = False,
        min_version: ssl.TLSVersion = ssl.TLSVersion.TLSv1_2,
        alpn: Sequence[str] = ("http/1.1",),
        ciphers: str | None = None,
    ) -> None:
        if require_client and client_ca is None:
            raise ValueError("require_client needs client_ca, which tells whose certificates are good")
        self._client_ca = None if client_ca is None else os.fspath(client_ca)
        self._require_client = require_client
        self._min_version = min_version
        self._alpn = _listed("alpn", alpn)
        self._ciphers = ciphers
        self._authorities = self._read_authorities()
        loaded = self._load(_source(cert, key, password, None), self._authorities)
        _warn(loaded)
        self._show([loaded])

    def __repr__(self) -> str:
        files = ", ".join(loaded.source.cert for loaded in self._loaded)
        return f"<Certificates {files} client_ca={self._client_ca}>"

    def add(
        self,
        cert: FilePath,
        key: FilePath | None = None,
        names: Iterable[str] | None = None,
        *,
        password: Password | None = None,
    ) -> None:
        """Show another certificate to clients that ask for its names (SNI).

        Args:
            cert: As for `Certificates`, as are ``key`` and ``password``.
            names: Hosts, perhaps ``*.`` and a host; ``None``: the names in the certificate's subjectAltName. What is
                not ASCII is encoded as Python does it, by IDNA 2003.

        Raises:
            OSError: A file cannot be read. Nothing was added, as with the next one.
            ValueError: A file has not what it should, there are no names, or one is wrong.

        Source: RFC 6066 §3; RFC 9525 §6.3 for wildcards. nginx: a ``server`` with a certificate of its own.
        """
        chosen = None if names is None else tuple(_host(name) for name in _listed("names", names))
        loaded = self._load(_source(cert, key, password, chosen), self._authorities)
        if not loaded.names:
            raise ValueError(
                f"{loaded.source.cert}: it has no DNS name that a client could ask for; give names"
            )
        _warn(loaded)
        self._show([*self._loaded, loaded])

    def reload(self) -> None:
        """Read all files anew. Connections that come from now on get what is in them, and older ones go on.

        Raises:
            OSError: A file cannot be read. Then all stays as it was, as with the next one.
            ValueError: A file has not what it should.
        """
        authorities = self._read_authorities()
        loaded = [self._load(loaded.source, authorities) for loaded in self._loaded]
        self._authorities = authorities
        for one in loaded:
            _warn(one)
        self._show(loaded)

    def _show(self, loaded: list[_Loaded]) -> None:
        """Have new connections get these."""
        context = loaded[0].context
        # A single one needs no name, and Python prints a traceback for each that is not ASCII.
        if len(loaded) > 1:
            context.sni_callback = _Chooser(loaded).choose
        self._loaded = loaded
        self.context = context

    # Files

    def _read_authorities(self) -> bytes:
        """Return the certificates of ``client_ca`` as DER."""
        return b"" if self._client_ca is None else _read_certificates(self._client_ca)[0]

    def _load(self, source: _Source, authorities: bytes) -> _Loaded:
        """Read a certificate and its key."""
        _, facts = _read_certificates(source.cert)
        context = self._make_context()
        if authorities:
            context.load_verify_locations(cadata=authorities)
            context.verify_mode = ssl.CERT_REQUIRED if self._require_client else ssl.CERT_OPTIONAL
        _load_chain(context, source)
        return _Loaded(context, facts, source)

    def _make_context(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.options |= _OPTIONS
        context.minimum_version = self._min_version
        try:
            if self._alpn:
                context.set_alpn_protocols(self._alpn)
            if self._ciphers is not None:
                context.set_ciphers(self._ciphers)
        except ssl.SSLError as error:
            raise ValueError(f"{_words(error)} (alpn={self._alpn!r}, ciphers={self._ciphers!r})") from error
        return context


class _Chooser:
    """Which certificate goes with a name."""

    __slots__ = ("_contexts",)

    def __init__(self, loaded: Iterable[_Loaded]) -> None:
        self._contexts: dict[str, ssl.SSLContext] = {}
        for one in loaded:
            for name in one.names:
                self._contexts.setdefault(name, one.context)

    def choose(self, session: ssl.SSLObject, name: str | None, context: ssl.SSLContext) -> None:  # noqa: ARG002
        """See ``ssl.SSLContext.sni_callback``."""
        if name is None:
            return
        name = name.lower()
        chosen = self._contexts.get(name) or self._contexts.get("*" + name[name.find(".") :])
        if chosen is not None:
            session.context = chosen


def _source(
    cert: FilePath, key: FilePath | None, password: Password | None, names: tuple[str, ...] | None
) -> _Source:
    return _Source(os.fspath(cert), os.fspath(cert if key is None else key), password, names)


def _listed(what: str, given: Iterable[str]) -> tuple[str, ...]:
    if isinstance(given, str):
        raise TypeError(f"{what} must be a list of str, got the single {given!r}")
    return tuple(given)


def _host(name: str) -> str:
    """Return a name as clients ask for it: in lower case, and in ASCII (RFC 6066 §3)."""
    host = ascii_name(name).lower().removesuffix(".")
    if not _NAME.fullmatch(host) or _IPV4.fullmatch(host):
        raise ValueError(f"expected the name of a host, perhaps with '*.' before it, got {name!r}")
    return host


def _read(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read()


def _read_certificates(path: str) -> tuple[bytes, CertificateFacts]:
    """Return the certificates of a file as DER, and the facts of the first."""
    pem = _read(path)
    try:
        ders = certificates_in(pem)
        facts = [read_certificate(der) for der in ders]
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    if not facts:
        raise ValueError(f"{path}: there is no certificate in it" + _hint(pem))
    chain = b"".join(ders)
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=chain)
    except (
        ssl.SSLError
    ) as error:  # here, for load_cert_chain() does not tell a broken certificate from a broken key
        raise ValueError(f"{path}: a certificate in it is broken: {_words(error)}") from error
    return chain, facts[0]


def _load_chain(context: ssl.SSLContext, source: _Source) -> None:
    key = _read(source.key)  # by ourselves, as the errors of ssl do not tell which of the files is wrong
    if b"PRIVATE KEY-----" not in key:
        raise ValueError(f"{source.key}: there is no private key in it" + _hint(key))
    # Without one, OpenSSL would ask on the terminal.
    password = partial(_refuse, source.key) if source.password is None else source.password
    try:
        context.load_cert_chain(source.cert, source.key, password)
    except ssl.SSLError as error:
        raise ValueError(_fault(source, error, encrypted=b"ENCRYPTED" in key)) from error


def _refuse(path: str) -> NoReturn:
    raise ValueError(f"{path}: the private key is encrypted; give its password")


def _fault(source: _Source, error: ssl.SSLError, *, encrypted: bool) -> str:
    """Tell why a certificate and its key cannot be used."""
    if error.reason in _MISMATCH:
        return f"{source.cert}: the key in {source.key} is not that of the certificate, which must come first"
    if error.reason:
        return f"{source.cert}: {_words(error)}"
    return f"{source.key}: the private key cannot be read" + ("; is the password right?" if encrypted else "")


def _words(error: ssl.SSLError) -> str:
    """Return the words of OpenSSL's own, or else of Python's."""
    reason: str | None = getattr(error, "reason", None)  # Python's own errors have none
    return reason.replace("_", " ").lower() if reason else str(error.args[-1])


def _hint(data: bytes) -> str:
    return "; it is DER, make PEM of it with openssl" if data.startswith(_DER) else ""


def _warn(one: _Loaded) -> None:
    """Log that clients are going to refuse a certificate."""
    now = time.time()
    facts = one.facts
    if now >= facts.not_after:
        log(LOG_WARN, f"{one.source.cert}: the certificate has expired, {_date(facts.not_after)}")
    elif now < facts.not_before:
        log(LOG_WARN, f"{one.source.cert}: the certificate is not valid before {_date(facts.not_before)}")


def _date(seconds: int) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(seconds))
