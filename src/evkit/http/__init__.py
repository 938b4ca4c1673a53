"""HTTP/1.1: evhttp's server on evkit's event base.

Imports no third-party package; the ``h11`` engine does when it is asked for.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from evkit.http.errors import (
    BadRequest,
    BadResponse,
    ContentError,
    ContentTooLarge,
    RedirectError,
    RequestTimeout,
    StatusError,
)
from evkit.http.forms.filename import safe_filename
from evkit.http.forms.multipart import MultipartReader, Part, parse_multipart
from evkit.http.forms.urlencoded import parse_form
from evkit.http.headers import Headers
from evkit.http.log.access_log import AccessLog
from evkit.http.log.file import LogFile
from evkit.http.log.format import LogFormat
from evkit.http.parser import Limits, engines, make_engine
from evkit.http.proxies.forwarded import ProxiedClient, Proxies
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
    from evkit.http.client.body_stream import BodyStream
    from evkit.http.client.client import Client
    from evkit.http.client.cookie import Cookie
    from evkit.http.client.cookies import CookieJar
    from evkit.http.client.credentials import Basic, Bearer
    from evkit.http.client.proxy_choice import Proxy, ProxyRules
    from evkit.http.client.redirects import Redirects
    from evkit.http.client.response import Response
    from evkit.http.client.retries import Retries, RetryBudget
    from evkit.http.client.timeouts import ClientTimeouts
    from evkit.http.relay.fields import end_to_end
    from evkit.http.relay.handler import ReverseProxy
    from evkit.http.tls.certificates import Certificates
else:
    # A server has no use for a client, nor every one for the module ssl, which takes its time to load.
    _LATER = {
        "Basic": "client.credentials",
        "Bearer": "client.credentials",
        "BodyStream": "client.body_stream",
        "Certificates": "tls.certificates",
        "Client": "client.client",
        "ClientTimeouts": "client.timeouts",
        "Cookie": "client.cookie",
        "CookieJar": "client.cookies",
        "Proxy": "client.proxy_choice",
        "ProxyRules": "client.proxy_choice",
        "Redirects": "client.redirects",
        "Response": "client.response",
        "Retries": "client.retries",
        "RetryBudget": "client.retries",
        "ReverseProxy": "relay.handler",
        "end_to_end": "relay.fields",
    }

    def __getattr__(name: str) -> object:
        """Import what is not needed by everybody when it is asked for."""
        if name not in _LATER:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(import_module(f"{__name__}.{_LATER[name]}"), name)


__all__ = [
    "AccessLog",
    "BadRequest",
    "BadResponse",
    "Basic",
    "Bearer",
    "BodyStream",
    "Certificates",
    "Client",
    "ClientTimeouts",
    "ContentError",
    "ContentTooLarge",
    "Cookie",
    "CookieJar",
    "Handler",
    "Headers",
    "Limits",
    "LogFile",
    "LogFormat",
    "MultipartReader",
    "Part",
    "ProxiedClient",
    "Proxies",
    "Proxy",
    "ProxyRules",
    "RedirectError",
    "Redirects",
    "Request",
    "RequestTimeout",
    "Response",
    "Retries",
    "RetryBudget",
    "ReverseProxy",
    "Server",
    "Site",
    "StaticFiles",
    "StatusError",
    "Timeouts",
    "Uri",
    "allow_threads",
    "compressed",
    "end_to_end",
    "engines",
    "in_threads",
    "make_engine",
    "parse_form",
    "parse_multipart",
    "parse_query",
    "safe_filename",
    "uri_decode",
    "uri_encode",
]
