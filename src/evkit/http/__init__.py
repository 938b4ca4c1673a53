"""HTTP/1.1: evhttp's server on evkit's event base.

Imports no third-party package; the ``h11`` engine does when it is asked for.
"""

from typing import TYPE_CHECKING

from evkit.http.errors import BadRequest
from evkit.http.forms.forms import parse_form
from evkit.http.forms.multipart import MultipartReader, Part, parse_multipart
from evkit.http.headers import Headers
from evkit.http.log.access_log import AccessLog
from evkit.http.log.file import LogFile
from evkit.http.log.format import LogFormat
from evkit.http.parser import Limits, engines, make_engine
from evkit.http.proxies.forwarded import Client, Proxies
from evkit.http.server.compression import compressed
from evkit.http.server.patience import Timeouts
from evkit.http.server.request import Request
from evkit.http.server.routes import Handler
from evkit.http.server.server import Server
from evkit.http.server.site import Site
from evkit.http.server.threaded import allow_threads, in_threads
from evkit.http.static import StaticFiles
from evkit.http.uri import Uri, parse_query, uri_decode, uri_encode

if TYPE_CHECKING:
    from evkit.http.tls.certificates import Certificates
else:

    def __getattr__(name: str) -> object:
        """Import `Certificates` when it is asked for, since the module ssl takes its time to load."""
        if name != "Certificates":
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from evkit.http.tls.certificates import Certificates

        return Certificates


__all__ = [
    "AccessLog",
    "BadRequest",
    "Certificates",
    "Client",
    "Handler",
    "Headers",
    "Limits",
    "LogFile",
    "LogFormat",
    "MultipartReader",
    "Part",
    "Proxies",
    "Request",
    "Server",
    "Site",
    "StaticFiles",
    "Timeouts",
    "Uri",
    "allow_threads",
    "compressed",
    "engines",
    "in_threads",
    "make_engine",
    "parse_form",
    "parse_multipart",
    "parse_query",
    "uri_decode",
    "uri_encode",
]
