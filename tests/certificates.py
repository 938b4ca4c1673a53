"""Certificates for tests of TLS, made by the ``openssl`` program: a good one, and one for each way to be bad."""

import shutil
import ssl
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

# What Python 3.13 asks for (ssl.VERIFY_X509_STRICT) is in all of them: RFC 5280 §4.2.1.
_DATES = ["-startdate", "20200101000000Z", "-enddate", "20200102000000Z"]
_CA_CONFIG = """
[ca]
default_ca = one
[one]
dir = {folder}
new_certs_dir = {folder}
database = {folder}/index.txt
serial = {folder}/serial
certificate = {folder}/ca.pem
private_key = {folder}/ca.key
default_md = sha256
policy = any
copy_extensions = copy
x509_extensions = issued
default_days = 3650
unique_subject = no
[any]
commonName = supplied
[issued]
basicConstraints = CA:FALSE
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
[req]
distinguished_name = name
x509_extensions = authority
[authority]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign, cRLSign, digitalSignature
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
[name]
"""


class Certificates:
    """Files in a folder: ``NAME.pem`` has a certificate and its key."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._pairs: dict[ssl.TLSVersion, tuple[ssl.SSLContext, ssl.SSLContext]] = {}
        (folder / "openssl.cnf").write_text(_CA_CONFIG.format(folder=folder))
        (folder / "index.txt").touch()
        (folder / "serial").write_text("01")
        self._self_signed("ca", "evkit test CA")
        self._self_signed("self-signed", "localhost", "DNS:localhost")
        self.signed("server", "localhost", "DNS:localhost,IP:127.0.0.1")
        self.signed("client", "a client", "DNS:client")
        self.signed("expired", "localhost", "DNS:localhost", _DATES)

    def path(self, name: str) -> str:
        return str(self.folder / f"{name}.pem")

    def both(self, version: ssl.TLSVersion) -> tuple[ssl.SSLContext, ssl.SSLContext]:
        """Return contexts for a client and a server that speak ``version`` at most; the same ones each time."""
        if version not in self._pairs:
            self._pairs[version] = self.client(), self.server()
            for context in self._pairs[version]:
                context.maximum_version = version
        return self._pairs[version]

    def server(self, name: str = "server") -> ssl.SSLContext:
        """Return a context for a server that shows a certificate."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.path(name))
        return context

    def client(self, certificate: str | None = None) -> ssl.SSLContext:
        """Return a context for a client that trusts the authority, and shows a certificate if it is asked."""
        context = ssl.create_default_context(cafile=self.path("ca"))
        if certificate is not None:
            context.load_cert_chain(self.path(certificate))
        return context

    def _self_signed(self, name: str, common: str, names: str = "") -> None:
        extensions = ["-addext", f"subjectAltName={names}"] if names else []
        extensions += ["-subj", f"/CN={common}", "-days", "3650"]
        self._run("req", "-x509", *self._new_key(name), "-out", self.path(name), *extensions)
        self._add_key(name)

    def signed(self, name: str, common: str, names: str, dates: Sequence[str] = ()) -> None:
        """Make a certificate for ``names``: ``DNS:…`` and ``IP:…``, with commas."""
        request = str(self.folder / f"{name}.csr")
        wishes = ["-subj", f"/CN={common}", "-addext", f"subjectAltName={names}"]
        self._run("req", "-new", *self._new_key(name), "-out", request, *wishes)
        self._run("ca", "-batch", "-notext", "-in", request, "-out", self.path(name), *dates)
        self._add_key(name)

    def _new_key(self, name: str) -> list[str]:
        key = str(self.folder / f"{name}.key")
        return ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", key]

    def _add_key(self, name: str) -> None:
        with open(self.path(name), "a", encoding="ascii") as file:
            file.write((self.folder / f"{name}.key").read_text(encoding="ascii"))

    def _run(self, command: str, *arguments: str) -> None:
        config = str(self.folder / "openssl.cnf")
        subprocess.run(["openssl", command, "-config", config, *arguments], check=True, capture_output=True)


@pytest.fixture(scope="session", name="certificates")
def make_certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """Certificates of an authority of our own. Made once."""
    if shutil.which("openssl") is None:
        pytest.skip("needs the openssl program (Debian package openssl)")
    return Certificates(tmp_path_factory.mktemp("certificates"))
