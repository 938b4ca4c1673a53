"""The certificate that all servers show over TLS, made by the ``openssl`` program. Nobody checks it."""

from pathlib import Path

from common.programs import run

_ADVICE = "apt-get install openssl"


def make_certificate(cert: Path, key: Path) -> None:
    """Make a certificate for ``localhost`` and its key, of the kind that most sites have today (P-256).

    Raises:
        PeerMissing: there is no ``openssl``.
    """
    kind = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    what = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-days", "30"]
    run(["openssl", "req", "-x509", *kind, *what, "-keyout", str(key), "-out", str(cert)], _ADVICE)
