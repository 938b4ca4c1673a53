"""One cookie, and whom it is for: the rules for domains and paths, and what can be a cookie at all.

A decider over values; it knows nothing of jars, of the time, or of fields.
"""

from dataclasses import dataclass, field

from evkit.http.client.origin import normal_host
from evkit.http.client.set_cookie import CONTROL, MAX_SIZE
from evkit.http.errors import quote


@dataclass(frozen=True, slots=True)
class Cookie:
    """A cookie.

    Attributes:
        name: Not empty, without ``=`` and ``;``.
        value: Without ``;``; not shown by ``repr``.
        domain: The host it is for, or above it all hosts in that domain: see ``host_only``.
        path: Of the folder, with ``/`` before it, below which it is sent.
        expires: Seconds since 1970; ``None``: when the program ends.
        secure: For https only.
        http_only: Not for scripts; kept for those who read the file.
        host_only: For ``domain`` itself and for no host below it.

    Raises:
        ValueError: One of them can't be sent as that, or can't be written to a file.

    Source: RFC 6265 §5.3.
    """

    name: str
    value: str = field(repr=False)
    domain: str
    path: str = "/"
    expires: float | None = None
    secure: bool = False
    http_only: bool = False
    host_only: bool = True

    def __post_init__(self) -> None:
        if not self.name or "=" in self.name or _is_unfit(self.name):
            raise ValueError(f"expected the name of a cookie, got {quote(self.name)}")
        if _is_unfit(self.value) or len(self.name) + len(self.value) > MAX_SIZE:
            raise ValueError(f"expected a value without ; and control characters for {quote(self.name)}")
        if not self.path.startswith("/") or _is_unfit(self.path):
            raise ValueError(f"expected the path of a cookie, got {quote(self.path)}")
        object.__setattr__(self, "domain", normal_host(self.domain))


def _is_unfit(text: str) -> bool:
    """Return whether a text would be taken for another in a field or a file, or can't stand there."""
    if ";" in text or text != text.strip(" ") or CONTROL.search(text):
        return True
    try:
        text.encode("latin-1")
    except UnicodeEncodeError:
        return True
    return False


def domains_of(host: str) -> list[str]:
    """Return a host and the domains that it is in, itself first."""
    if is_address(host):
        return [host]
    labels = host.split(".")
    return [".".join(labels[number:]) for number in range(len(labels))]


def is_address(host: str) -> bool:
    """Return whether a host, spelled as `Origin` does, is no name."""
    return host.startswith("[") or host.rpartition(".")[2].isdigit()


def within(host: str, domain: str) -> bool:
    """Return whether a host is a domain, or in it; no address is in another. Source: RFC 6265 §5.1.3."""
    return host == domain or (host.endswith(f".{domain}") and not is_address(host))


def below(path: str, folder: str) -> bool:
    """Return whether a path is that of a folder, or in it. Source: RFC 6265 §5.1.4."""
    return path == folder or path.startswith(folder if folder.endswith("/") else f"{folder}/")


def folder_of(path: str) -> str:
    """Return the folder of a request's path. Source: RFC 6265 §5.1.4, "default-path"."""
    return path[: path.rfind("/")] or "/" if path.startswith("/") else "/"
