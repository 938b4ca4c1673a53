"""Request parsers behind one contract: `make_engine` gives each connection its own.

Decides which engines there are. An engine's module is imported when it is first asked for, so that importing
`evkit.http` imports no third-party package.
"""

from collections.abc import Callable
from typing import Final

from evkit.http.parser.contract import CHUNKED, Engine, Limits, RequestHead
from evkit.http.parser.native import NativeEngine

__all__ = ["CHUNKED", "Engine", "Limits", "NativeEngine", "RequestHead", "engines", "make_engine"]


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
