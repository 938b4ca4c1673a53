"""What a server's certificates make of a handshake: in memory, and with the ``openssl`` program as the client."""

import re
import shutil
import socket
import ssl
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from below import Ear, until
from certificates import Certificates as Authority
from evkit.core import EV_READ, LOG_WARN, EventBase, Listener, TLSBufferEvent, set_log_callback
from evkit.http.tls.certificates import Certificates

VERSIONS = [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]
NAMES = {
    "site": "DNS:www.site.example,DNS:*.site.example",
    "wild": "DNS:*.wild.example,DNS:Exact.example,DNS:localhost",
    "late": "DNS:www.wild.example,DNS:exact.example,DNS:a.*.example",
    "nameless": "IP:127.0.0.1",
}


@pytest.fixture(scope="session", name="authority")
def make_authority(certificates: Authority) -> Authority:
    """The authority, with certificates for several names; the first one has the name ``localhost``."""
    for name, names in NAMES.items():
        certificates.signed(name, name, names)
    certificates.signed("young", "young", "DNS:localhost", ["-startdate", "20900101000000Z"])
    return certificates


@pytest.fixture(params=VERSIONS, ids=str, name="version")
def make_version(request: pytest.FixtureRequest) -> ssl.TLSVersion:
    chosen: ssl.TLSVersion = request.param
    return chosen


@pytest.fixture
def logged() -> Iterator[list[tuple[int, str]]]:
    lines: list[tuple[int, str]] = []
    set_log_callback(lambda severity, message: lines.append((severity, message)))
    yield lines
    set_log_callback(None)


# Two ends in memory


class Session:
    """A client and a server, before their handshake."""

    def __init__(
        self,
        server: ssl.SSLContext,
        client: ssl.SSLContext,
        name: str | None = "localhost",
        resumed: ssl.SSLSession | None = None,
    ) -> None:
        self.to_server, self.to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.server = server.wrap_bio(self.to_server, self.to_client, server_side=True)
        self.client = client.wrap_bio(self.to_client, self.to_server, server_hostname=name, session=resumed)

    def shake(self) -> "Session":
        for _ in range(3):
            for end in (self.client, self.server):
                try:
                    end.do_handshake()
                except ssl.SSLWantReadError:
                    pass
        self.server.write(b"hello")  # with TLS 1.3 the client gets its ticket with it
        assert self.client.read(9) == b"hello"
        return self

    @property
    def shown(self) -> bytes | None:
        return self.client.getpeercert(binary_form=True)


def any_client(version: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3) -> ssl.SSLContext:
    """Return a client that takes any certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.maximum_version = version
    return context


def client_of(
    authority: Authority, version: ssl.TLSVersion, certificate: str | None = None
) -> ssl.SSLContext:
    context = authority.client(certificate)
    context.maximum_version = version
    return context


def shown_to(name: str | None, certificates: Certificates, authority: Authority) -> str | None:
    """Return which certificate a client sees."""
    shown = Session(certificates.context, any_client(), name).shake().shown
    for known in ("server", *NAMES, "expired"):
        pem = Path(authority.path(known)).read_text("ascii").partition("-----BEGIN PRIVATE")[0]
        if ssl.PEM_cert_to_DER_cert(pem) == shown:
            return known
    return None


def subject(session: Session) -> str | None:
    """Return the name of the client that the server has verified."""
    shown = session.server.getpeercert()
    return None if not shown else dict(pair for [pair] in shown["subject"])["commonName"]


# What a session is like


def test_a_session_is_strict(authority: Authority) -> None:
    context = Certificates(authority.path("server")).context
    wanted = ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION | ssl.OP_CIPHER_SERVER_PREFERENCE
    assert context.options & wanted == wanted
    assert context.minimum_version == ssl.TLSVersion.TLSv1_2
    assert context.verify_mode == ssl.CERT_NONE


def test_a_client_verifies_it(authority: Authority, version: ssl.TLSVersion) -> None:
    session = Session(Certificates(authority.path("server")).context, client_of(authority, version)).shake()
    assert session.client.version() == version.name.replace("_", ".")
    assert session.client.compression() is None
    assert subject(session) is None


def test_versions_too_old_are_refused(authority: Authority) -> None:
    certificates = Certificates(authority.path("server"), min_version=ssl.TLSVersion.TLSv1_3)
    with pytest.raises(ssl.SSLError, match="PROTOCOL"):
        Session(certificates.context, client_of(authority, ssl.TLSVersion.TLSv1_2)).shake()


@pytest.mark.parametrize(
    ("alpn", "agreed"),
    [
        (("http/1.1",), "http/1.1"),
        (["x", "http/1.1"], "http/1.1"),
        (("http/1.1", "x"), "http/1.1"),
        ((), None),
    ],
)
def test_alpn(authority: Authority, alpn: list[str], agreed: str | None) -> None:
    client = any_client()
    client.set_alpn_protocols(["h2", "http/1.1"])
    certificates = Certificates(authority.path("server"), alpn=alpn)
    certificates.add(authority.path("site"))
    for name in ("localhost", "www.site.example"):
        session = Session(certificates.context, client, name).shake()
        assert session.server.selected_alpn_protocol() == session.client.selected_alpn_protocol() == agreed


def test_the_first_of_our_protocols_goes_before_the_clients(authority: Authority) -> None:
    client = any_client()
    client.set_alpn_protocols(["x", "http/1.1"])
    certificates = Certificates(authority.path("server"), alpn=("http/1.1", "x"))
    assert Session(certificates.context, client).shake().client.selected_alpn_protocol() == "http/1.1"


def test_ciphers(authority: Authority) -> None:
    chosen = "ECDHE-ECDSA-CHACHA20-POLY1305"
    certificates = Certificates(authority.path("server"), ciphers=chosen)
    session = Session(certificates.context, client_of(authority, ssl.TLSVersion.TLSv1_2)).shake()
    cipher = session.client.cipher()
    assert cipher is not None
    assert cipher[0] == chosen


def test_repr(authority: Authority) -> None:
    certificates = Certificates(Path(authority.path("server")), client_ca=Path(authority.path("ca")))
    certificates.add(Path(authority.path("site")))
    names = f"{authority.path('server')}, {authority.path('site')}"
    assert repr(certificates) == f"<Certificates {names} client_ca={authority.path('ca')}>"


# Names


@pytest.mark.parametrize(
    ("name", "chosen"),
    [
        (None, "server"),
        ("unknown.example", "server"),
        ("example", "server"),
        ("www.site.example", "site"),
        ("WWW.Site.Example", "site"),
        ("other.site.example", "site"),
        ("site.example", "server"),
        ("a.b.site.example", "server"),
        ("exact.example", "wild"),
        ("any.wild.example", "wild"),
        ("www.wild.example", "late"),
        ("localhost", "server"),
        ("a.b.example", "server"),
        ("xn--bcher-kva.example", "nameless"),
        ("xn--fa-hia.example", "nameless"),
    ],
)
def test_which_certificate_a_client_sees(authority: Authority, name: str | None, chosen: str) -> None:
    certificates = Certificates(authority.path("server"))
    for more in ("site", "wild", "late"):
        certificates.add(authority.path(more))
    certificates.add(authority.path("nameless"), names=["bücher.example", "faß.example", "*.Some.example."])
    assert shown_to(name, certificates, authority) == chosen
    certificates.reload()
    assert shown_to(name, certificates, authority) == chosen


def test_names_of_ones_own_replace_those_of_the_certificate(authority: Authority) -> None:
    certificates = Certificates(authority.path("server"))
    certificates.add(authority.path("site"), None, ["*.own.example"])
    assert shown_to("www.own.example", certificates, authority) == "site"
    assert shown_to("www.site.example", certificates, authority) == "server"


def test_a_certificate_without_a_name(authority: Authority) -> None:
    certificates = Certificates(authority.path("server"))
    with pytest.raises(ValueError, match=r"nameless\.pem: it has no DNS name"):
        certificates.add(authority.path("nameless"))
    with pytest.raises(ValueError, match=r"nameless\.pem: it has no DNS name"):
        certificates.add(authority.path("nameless"), names=[])
    certificates.reload()
    assert repr(certificates).count(".pem") == 1


@pytest.mark.parametrize(
    "name",
    [
        "",
        "*",
        "*.",
        "a*.example",
        "*.*.example",
        "a..b",
        ".a",
        "a b",
        "a:443",
        "::1",
        "127.0.0.1",
        "é" * 64,
        "a\n",
    ],
)
def test_wrong_names(authority: Authority, name: str) -> None:
    certificates = Certificates(authority.path("server"))
    with pytest.raises(ValueError, match=re.escape(repr(name))):
        certificates.add(authority.path("site"), names=["good.example", name])
    assert shown_to("good.example", certificates, authority) == "server"


def test_a_single_str_is_no_list(authority: Authority) -> None:
    certificates = Certificates(authority.path("server"))
    with pytest.raises(TypeError, match="names must be a list"):
        certificates.add(authority.path("site"), names="www.example")
    with pytest.raises(TypeError, match="alpn must be a list"):
        Certificates(authority.path("server"), alpn="http/1.1")


def hello(context: ssl.SSLContext, name: bytes) -> ssl.SSLObject:
    """Return a server that has been greeted by a client that asks for ``name``, as long as ``localhost``."""
    session = Session(context, any_client())
    with pytest.raises(ssl.SSLWantReadError):
        session.client.do_handshake()
    session.to_server.write(session.to_server.read().replace(b"localhost", name))
    return session.server


def test_a_name_that_is_none(authority: Authority) -> None:
    """With a single certificate nobody asks for the name; pytest makes a failure of what Python prints about it."""
    server = hello(Certificates(authority.path("server")).context, b"local\xffost")
    with pytest.raises(ssl.SSLWantReadError):
        server.do_handshake()


@pytest.mark.filterwarnings(
    "ignore::pytest.PytestUnraisableExceptionWarning"
)  # Python's own; see Certificates
def test_a_name_that_is_none_among_several(authority: Authority) -> None:
    certificates = Certificates(authority.path("server"))
    certificates.add(authority.path("site"))
    with pytest.raises(ssl.SSLError, match="CALLBACK_FAILED"):
        hello(certificates.context, b"local\xffost").do_handshake()
    with pytest.raises(ssl.SSLWantReadError):
        hello(certificates.context, b"a:/..*..b").do_handshake()


# Reading the files anew


class Files:
    """Copies of certificates, to be replaced."""

    def __init__(self, folder: Path, authority: Authority) -> None:
        self.folder = folder
        self.authority = authority

    def put(self, name: str, source: str) -> str:
        """Have the certificate ``source`` in the file ``name``."""
        path = str(self.folder / f"{name}.pem")
        shutil.copy(self.authority.path(source), path)
        return path


@pytest.fixture
def files(tmp_path: Path, authority: Authority) -> Files:
    return Files(tmp_path, authority)


def test_a_reload(files: Files, authority: Authority, version: ssl.TLSVersion) -> None:
    certificates = Certificates(files.put("one", "server"))
    certificates.add(files.put("two", "site"))
    client = any_client(version)
    old = Session(certificates.context, client).shake()
    begun = Session(certificates.context, client)  # has its context, and has not shaken hands
    files.put("one", "late")
    files.put("two", "wild")
    assert shown_to("localhost", certificates, authority) == "server"
    certificates.reload()
    assert shown_to(None, certificates, authority) == "late"
    assert shown_to("localhost", certificates, authority) == "wild"
    assert shown_to("www.wild.example", certificates, authority) == "late"
    assert shown_to("other.site.example", certificates, authority) == "late"
    old.client.write(b"still here")
    assert old.server.read(99) == b"still here"
    assert begun.shake().shown == old.shown


def break_file(path: Path) -> None:
    path.write_text("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")


@pytest.mark.parametrize("broken", ["one", "two", "ca"])
@pytest.mark.parametrize(
    ("harm", "told"), [(break_file, ValueError), (Path.unlink, FileNotFoundError)], ids=["broken", "missing"]
)
def test_a_reload_that_fails_changes_nothing(
    files: Files, authority: Authority, broken: str, harm: Callable[[Path], None], told: type[Exception]
) -> None:
    certificates = Certificates(files.put("one", "server"), client_ca=files.put("ca", "ca"))
    certificates.add(files.put("two", "site"))
    before = certificates.context
    for name in ("one", "two", "ca"):
        files.put(name, "late" if name != "ca" else "self-signed")
    harm(files.folder / f"{broken}.pem")
    with pytest.raises(told, match=re.escape(f"{broken}.pem")):
        certificates.reload()
    assert certificates.context is before
    assert shown_to("www.site.example", certificates, authority) == "site"
    certificates.add(authority.path("wild"))  # takes the authorities of before, too
    client = authority.client("client")
    client.check_hostname = False
    assert subject(Session(certificates.context, client, "exact.example").shake()) == "a client"
    for name, source in (("one", "late"), ("two", "wild"), ("ca", "ca")):
        files.put(name, source)
    certificates.reload()
    assert shown_to(None, certificates, authority) == "late"


def test_what_was_added_in_vain_is_not_read_again(files: Files) -> None:
    certificates = Certificates(files.put("one", "server"))
    path = files.put("two", "nameless")
    with pytest.raises(ValueError, match="no DNS name"):
        certificates.add(path)
    Path(path).unlink()
    before = certificates.context
    certificates.reload()
    assert certificates.context is not before


def test_a_reload_asks_for_the_password(authority: Authority, tmp_path: Path) -> None:
    asked: list[str] = []

    def password() -> str:
        asked.append("once")
        return "secret"

    key = encrypted(authority, tmp_path)
    certificates = Certificates(authority.path("server"), key, password=password)
    certificates.reload()
    assert asked == ["once", "once"]


# Resuming


def resume(
    certificates: Certificates, client: ssl.SSLContext, first: Session, name: str = "localhost"
) -> Session:
    return Session(certificates.context, client, name, first.client.session).shake()


@pytest.mark.parametrize("name", ["localhost", "www.site.example"])
def test_a_session_is_resumed(authority: Authority, version: ssl.TLSVersion, name: str) -> None:
    certificates = Certificates(authority.path("server"), client_ca=authority.path("ca"), require_client=True)
    certificates.add(authority.path("site"))
    client = client_of(authority, version, "client")
    first = Session(certificates.context, client, name).shake()
    again = resume(certificates, client, first, name)
    assert [first.server.session_reused, again.server.session_reused] == [False, True]
    assert subject(first) == subject(again) == "a client"


def test_a_ticket_of_before_a_reload(authority: Authority, version: ssl.TLSVersion) -> None:
    certificates = Certificates(authority.path("server"))
    client = client_of(authority, version)
    first = Session(certificates.context, client).shake()
    certificates.reload()
    again = resume(certificates, client, first)
    once_more = resume(certificates, client, again)
    assert [again.server.session_reused, once_more.server.session_reused] == [False, True]


def test_a_ticket_does_not_outlive_its_authority(files: Files, version: ssl.TLSVersion) -> None:
    certificates = Certificates(
        files.put("one", "server"), client_ca=files.put("ca", "ca"), require_client=True
    )
    client = client_of(files.authority, version, "client")
    first = Session(certificates.context, client).shake()
    files.put("ca", "self-signed")
    certificates.reload()
    with pytest.raises(ssl.SSLError, match="CERTIFICATE_VERIFY_FAILED"):
        resume(certificates, client, first)


def test_what_is_added_after_a_reload_knows_the_new_authorities(files: Files) -> None:
    certificates = Certificates(files.put("one", "server"), client_ca=files.put("ca", "self-signed"))
    files.put("ca", "ca")
    certificates.reload()
    certificates.add(files.put("two", "site"))
    client = client_of(files.authority, ssl.TLSVersion.TLSv1_3, "client")
    assert subject(Session(certificates.context, client, "www.site.example").shake()) == "a client"


# Clients that show themselves


@pytest.mark.parametrize("name", ["localhost", "www.site.example"])
@pytest.mark.parametrize("require", [False, True])
def test_a_client_with_a_certificate(
    authority: Authority, version: ssl.TLSVersion, name: str, *, require: bool
) -> None:
    certificates = Certificates(
        authority.path("server"), client_ca=authority.path("ca"), require_client=require
    )
    certificates.add(authority.path("site"))
    session = Session(certificates.context, client_of(authority, version, "client"), name).shake()
    assert subject(session) == "a client"


@pytest.mark.parametrize("name", ["localhost", "www.site.example"])
@pytest.mark.parametrize("require", [False, True])
def test_a_client_with_a_wrong_certificate(
    authority: Authority, version: ssl.TLSVersion, name: str, *, require: bool
) -> None:
    certificates = Certificates(
        authority.path("server"), client_ca=authority.path("ca"), require_client=require
    )
    certificates.add(authority.path("site"))
    with pytest.raises(ssl.SSLError, match="CERTIFICATE_VERIFY_FAILED"):
        Session(certificates.context, client_of(authority, version, "self-signed"), name).shake()


def test_a_client_without_a_certificate(authority: Authority, version: ssl.TLSVersion) -> None:
    client = client_of(authority, version)
    welcome = Certificates(authority.path("server"), client_ca=authority.path("ca"))
    assert subject(Session(welcome.context, client).shake()) is None
    refused = Certificates(authority.path("server"), client_ca=authority.path("ca"), require_client=True)
    with pytest.raises(ssl.SSLError, match="PEER_DID_NOT_RETURN_A_CERTIFICATE"):
        Session(refused.context, client).shake()


def test_a_client_is_not_asked(authority: Authority) -> None:
    certificates = Certificates(authority.path("server"))
    client = client_of(authority, ssl.TLSVersion.TLSv1_3, "client")
    assert subject(Session(certificates.context, client).shake()) is None


def test_to_require_a_client_without_an_authority(authority: Authority) -> None:
    with pytest.raises(ValueError, match="client_ca"):
        Certificates(authority.path("server"), require_client=True)


# Mistakes


def openssl(*arguments: str) -> None:
    subprocess.run(["openssl", *arguments], check=True, capture_output=True)


def encrypted(authority: Authority, folder: Path, *, old: bool = False) -> str:
    """Return the key of the server, encrypted with ``secret``; ``old``: as OpenSSL did it before PKCS #8."""
    path = str(folder / "encrypted.key")
    command = ["ec", "-aes128"] if old else ["pkcs8", "-topk8"]
    openssl(*command, "-in", str(authority.folder / "server.key"), "-passout", "pass:secret", "-out", path)
    return path


@pytest.mark.parametrize("old", [False, True])
@pytest.mark.parametrize(
    "password", ["secret", b"secret", bytearray(b"secret"), lambda: "secret", lambda: b"secret"]
)
def test_a_key_that_is_encrypted(authority: Authority, tmp_path: Path, password: str, *, old: bool) -> None:
    certificates = Certificates(
        authority.path("server"), encrypted(authority, tmp_path, old=old), password=password
    )
    assert shown_to("localhost", certificates, authority) == "server"


@pytest.mark.parametrize("old", [False, True])
@pytest.mark.parametrize(
    ("password", "told"),
    [
        (None, "is encrypted; give its password"),
        ("wrong", "is the password right"),
        ("", "is the password right"),
    ],
)
def test_a_wrong_password(
    authority: Authority, tmp_path: Path, password: str | None, told: str, *, old: bool
) -> None:
    key = encrypted(authority, tmp_path, old=old)
    with pytest.raises(ValueError, match=f"^{re.escape(key)}: .*{told}"):
        Certificates(authority.path("server"), key, password=password)


def test_a_password_that_cannot_be_had(authority: Authority, tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError):
        Certificates(authority.path("server"), encrypted(authority, tmp_path), password=lambda: str(1 / 0))


# It has the dates, and is none for OpenSSL.
DATE = b"\x17\x0d260102030405Z"
ODD = b"\x30\x2d\x30\x2b\x02\x01\x01\x30\0\x30\0\x30\x1e" + DATE + DATE + b"\x30\0\x30\0"


@pytest.fixture(name="wrong")
def make_wrong_files(authority: Authority, tmp_path: Path) -> SimpleNamespace:
    """Paths of files that are right, and of files that are wrong each in its own way."""
    wrong = SimpleNamespace(
        server=authority.path("server"), missing=str(tmp_path / "missing"), folder=str(tmp_path)
    )
    for name in (
        "alone",
        "der",
        "key_der",
        "empty",
        "text",
        "broken",
        "broken_key",
        "rsa",
        "weak",
        "weak_key",
        "second",
        "odd",
    ):
        setattr(wrong, name, str(tmp_path / name))
    openssl("x509", "-in", wrong.server, "-out", wrong.alone)
    openssl("x509", "-in", wrong.server, "-outform", "der", "-out", wrong.der)
    openssl("ec", "-in", wrong.server, "-outform", "der", "-out", wrong.key_der)
    openssl("genrsa", "-out", wrong.rsa, "2048")
    openssl(
        "req",
        "-x509",
        "-newkey",
        "rsa:512",
        "-nodes",
        "-subj",
        "/CN=x",
        "-keyout",
        wrong.weak_key,
        "-out",
        wrong.weak,
    )
    wrong.other = str(authority.folder / "client.key")
    Path(wrong.empty).touch()
    Path(wrong.text).write_text("-----BEGIN NOTHING-----\n")
    break_file(Path(wrong.broken))
    Path(wrong.odd).write_text(ssl.DER_cert_to_PEM_cert(ODD))
    Path(wrong.broken_key).write_text("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n")
    # Behind a certificate, Python takes a header that is too long for the end.
    Path(wrong.second).write_text(Path(wrong.alone).read_text() + ssl.DER_cert_to_PEM_cert(b"\xff" * 10))
    return wrong


@pytest.mark.parametrize(
    ("cert", "key", "told", "guilty"),
    [
        ("alone", None, "there is no private key in it$", "alone"),
        ("alone", "other", "the key in .*client.key is not that of the certificate", "alone"),
        ("alone", "rsa", "the key in .*rsa is not that of the certificate", "alone"),
        ("alone", "key_der", "there is no private key in it; it is DER", "key_der"),
        ("alone", "broken_key", "the private key cannot be read$", "broken_key"),
        ("der", None, "there is no certificate in it; it is DER", "der"),
        ("empty", None, "there is no certificate in it$", "empty"),
        ("text", None, "there is no certificate in it$", "text"),
        ("broken", "rsa", "a certificate in it is broken", "broken"),
        ("second", "server", "a certificate in it is broken", "second"),
        ("odd", "server", "a certificate in it is broken: ", "odd"),
        ("weak", "weak_key", "ee key too small", "weak"),
    ],
)
def test_files_that_are_wrong(
    wrong: SimpleNamespace, cert: str, key: str | None, told: str, guilty: str
) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(getattr(wrong, guilty))}: {told}"):
        Certificates(getattr(wrong, cert), None if key is None else getattr(wrong, key))


@pytest.mark.parametrize(
    ("ca", "told"),
    [
        ("empty", "no certificate"),
        ("der", "DER"),
        ("broken", "broken"),
        ("second", "broken"),
        ("odd", "broken"),
    ],
)
def test_authorities_that_are_wrong(wrong: SimpleNamespace, ca: str, told: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(getattr(wrong, ca))}: .*{told}"):
        Certificates(wrong.server, client_ca=getattr(wrong, ca))


@pytest.mark.parametrize(("path", "told"), [("missing", FileNotFoundError), ("folder", IsADirectoryError)])
def test_files_that_cannot_be_read(wrong: SimpleNamespace, path: str, told: type[OSError]) -> None:
    file = getattr(wrong, path)
    for cert, key, ca in ((file, None, None), (wrong.server, file, None), (wrong.server, None, file)):
        with pytest.raises(told, match=re.escape(file)):
            Certificates(cert, key, client_ca=ca)


@pytest.mark.parametrize(("option", "told"), [({"ciphers": "NONE-SUCH"}, "cipher"), ({"alpn": [""]}, "ALPN")])
def test_options_that_are_wrong(authority: Authority, option: dict[str, str], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        Certificates(authority.path("server"), **option)  # type: ignore[arg-type]  # that is the point


def test_the_first_certificate_out_of_time(authority: Authority, logged: list[tuple[int, str]]) -> None:
    Certificates(authority.path("expired"))
    assert logged == [
        (LOG_WARN, f"{authority.path('expired')}: the certificate has expired, 2020-01-02 00:00:00 UTC")
    ]


def test_certificates_out_of_time(authority: Authority, logged: list[tuple[int, str]]) -> None:
    certificates = Certificates(authority.path("server"))
    assert logged == []
    path = authority.path("expired")
    certificates.add(path)
    expired = (LOG_WARN, f"{path}: the certificate has expired, 2020-01-02 00:00:00 UTC")
    assert logged == [expired]
    path = authority.path("young")
    certificates.add(path)
    assert logged[1:] == [(LOG_WARN, f"{path}: the certificate is not valid before 2090-01-01 00:00:00 UTC")]
    certificates.reload()
    assert logged[2:] == logged[:2]


# The openssl program as the client


class Server:
    """Answers each line of each client with who it is, and what was agreed."""

    def __init__(self, base: EventBase, certificates: Certificates) -> None:
        self.certificates = certificates
        self.ears: list[Ear] = []
        self.sessions: list[TLSBufferEvent] = []
        self.listener = Listener.bind(base, self.accept, ("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self.listener.port}"

    def accept(self, listener: Listener, sock: socket.socket, _address: object) -> None:
        context = self.certificates.context
        bev = TLSBufferEvent.over_socket(listener.base, sock, context, server_side=True)
        self.sessions.append(bev)
        self.ears.append(Ear(bev))
        bev.enable(EV_READ)

    def close(self) -> None:
        self.listener.close()
        for bev in self.sessions:
            bev.close()


@pytest.fixture
def serve(base: EventBase) -> Iterator[Callable[[Certificates], Server]]:
    servers: list[Server] = []

    def start(certificates: Certificates) -> Server:
        servers.append(Server(base, certificates))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


class Client:
    """``openssl s_client``, which says ``hello`` and, when it was heard, leaves."""

    def __init__(self, base: EventBase, server: Server, authority: Authority, *options: str) -> None:
        count = len(server.ears)
        command = [
            "openssl",
            "s_client",
            "-connect",
            server.address,
            "-CAfile",
            authority.path("ca"),
            *options,
        ]
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        try:
            assert process.stdin is not None
            process.stdin.write(b"hello\n")
            process.stdin.flush()
            until(
                base,
                lambda: (
                    len(server.ears) > count and (server.ears[count].data or self.failed(server.ears[count]))
                ),
            )
            server.sessions[count].shutdown()
            until(base, lambda: server.sessions[count].closed)
            self.said = process.communicate(timeout=30)[0].decode()
        finally:
            process.kill()
            process.communicate()
        self.heard = server.ears[count].heard
        self.object = server.sessions[count].ssl_object

    @staticmethod
    def failed(ear: Ear) -> bool:
        return any("ERROR" in what for what in ear.heard)


peer = pytest.mark.peer
OPTION = {ssl.TLSVersion.TLSv1_2: "-tls1_2", ssl.TLSVersion.TLSv1_3: "-tls1_3"}


@peer
@pytest.mark.parametrize("name", ["localhost", "www.site.example", "other.site.example"])
def test_a_client_of_theirs_asks_for_a_name(
    base: EventBase, authority: Authority, serve: Callable[..., Server], version: ssl.TLSVersion, name: str
) -> None:
    certificates = Certificates(authority.path("server"))
    certificates.add(authority.path("site"))
    options = ["-servername", name, "-verify_hostname", name, "-verify_return_error", OPTION[version]]
    client = Client(base, serve(certificates), authority, *options, "-alpn", "h2,http/1.1")
    assert client.heard[:2] == ["CONNECTED", "read 6"]
    assert "Verify return code: 0 (ok)" in client.said
    assert "ALPN protocol: http/1.1" in client.said
    assert f"CN = {'site' if 'site' in name else 'localhost'}\n" in client.said


@peer
def test_a_client_of_theirs_shows_itself(
    base: EventBase, authority: Authority, serve: Callable[..., Server], version: ssl.TLSVersion
) -> None:
    server = serve(
        Certificates(authority.path("server"), client_ca=authority.path("ca"), require_client=True)
    )
    client = Client(base, server, authority, OPTION[version], "-cert", authority.path("client"))
    shown = client.object.getpeercert()
    assert shown is not None
    assert shown["subjectAltName"] == (("DNS", "client"),)
    stranger = Client(base, server, authority, OPTION[version], "-cert", authority.path("self-signed"))
    assert re.search(r"certificate verify failed: self.signed certificate$", stranger.heard[0])
    nobody = Client(base, server, authority, OPTION[version])
    assert nobody.heard == ["ERROR connect: the TLS handshake failed: peer did not return a certificate"]


@peer
def test_a_client_of_theirs_resumes(
    base: EventBase,
    authority: Authority,
    serve: Callable[..., Server],
    version: ssl.TLSVersion,
    tmp_path: Path,
) -> None:
    certificates = Certificates(authority.path("server"))
    server = serve(certificates)
    ticket = str(tmp_path / "ticket")
    first = Client(base, server, authority, OPTION[version], "-sess_out", ticket)
    again = Client(base, server, authority, OPTION[version], "-sess_in", ticket)
    certificates.reload()
    after = Client(base, server, authority, OPTION[version], "-sess_in", ticket)
    told = [client.object.session_reused for client in (first, again, after)]
    assert told == [False, True, False]
    assert after.heard[:2] == ["CONNECTED", "read 6"]
