"""Parsers behind two contracts: `make_engine` gives each connection its own reader of requests, `make_response_engine`
its own reader of responses.

Decides which engines there are. An engine's module is imported when it is first asked for, so that importing
`evkit.http` imports no third-party package.
"""

from collections.abc import Callable
from typing import Final

from evkit.http.parser.contract import CHUNKED, Engine, Limits, RequestHead
from evkit.http.parser.native import NativeEngine
from evkit.http.parser.response import RESPONSE_LIMITS, UNTIL_CLOSE, ResponseEngine, ResponseHead
from evkit.http.parser.response_native import NativeResponseEngine

__all__ = [
    "CHUNKED",
    "RESPONSE_LIMITS",
    "UNTIL_CLOSE",
    "Engine",
    "Limits",
    "NativeEngine",
    "NativeResponseEngine",
    "RequestHead",
    "ResponseEngine",
    "ResponseHead",
    "engines",
    "make_engine",
    "make_response_engine",
    "response_engines",
]


def _h11(limits: Limits, head_type: type[RequestHead]) -> Engine:
    from evkit.http.parser.h11_engine import H11Engine

    return H11Engine(limits, head_type)


engines: Final[dict[str, Callable[[Limits, type[RequestHead]], Engine]]] = {
    "native": NativeEngine,
    "h11": _h11,
}
"""Engines by name; what is called makes the engine of one connection."""


def make_engine(name: str, limits: Limits, head_type: type[RequestHead] = RequestHead) -> Engine:
    """Make an engine for one connection.

    Args:
        name: A key of `engines`: ``"native"`` is evkit's own, ``"h11"`` wraps the h11 package.
        limits: When to refuse a request for its size.
        head_type: What its `read_head` makes: `RequestHead`, or a class that is made in the same way and adds to it.

    Raises:
        ValueError: there is no such engine.
    """
    factory = engines.get(name)
    if factory is None:
        raise ValueError(f"expected one of the engines {', '.join(engines)}, got {name!r}")
    return factory(limits, head_type)


def _h11_response(limits: Limits) -> ResponseEngine:
    from evkit.http.parser.response_h11 import H11ResponseEngine

    return H11ResponseEngine(limits)


response_engines: Final[dict[str, Callable[[Limits], ResponseEngine]]] = {
    "native": NativeResponseEngine,
    "h11": _h11_response,
}
"""Readers of responses by name; what is called makes the engine of one connection."""


def make_response_engine(name: str, limits: Limits = RESPONSE_LIMITS) -> ResponseEngine:
    """Make a reader of responses for one connection.

    Args:
        name: A key of `response_engines`: ``"native"`` is evkit's own, ``"h11"`` wraps the h11 package.
        limits: When to refuse a response for its size.

    Raises:
        ValueError: there is no such engine.
    """
    factory = response_engines.get(name)
    if factory is None:
        raise ValueError(f"expected one of the engines {', '.join(response_engines)}, got {name!r}")
    return factory(limits)
