"""How an error looks on the wire: what is sent for an exception, and what is made of whatever a peer sends.

A decider. The specification says only that an error is "an arbitrary object", and every implementation has a shape of
its own. It knows nothing of calls, and of how values are encoded.

Source: the msgpack-rpc specification, "Response Message"; the shapes are those of neovim, aiorpc, py-msgpack-rpc,
msgpack-rpc-python, rpclib and JSON-RPC 2.0 §5.1.
"""

import traceback
from reprlib import repr as short_repr
from typing import Any, Final

from evkit.rpc.errors import (
    ABORTED_BY_HOOK,
    INTERNAL_ERROR,
    OVERLOADED,
    HookAborted,
    MethodError,
    Overloaded,
    RemoteCallError,
    escaped,
)

# As many characters as are read of a traceback: its end tells most.
_TRACEBACK: Final = 16384
_CLASS_AND_TEXT: Final = 2
_NAMES: Final = ("code", "message", "data")
_BYTE_NAMES: Final = (b"code", b"message", b"data")
_CODES: Final[dict[type[BaseException], int]] = {Overloaded: OVERLOADED, HookAborted: ABORTED_BY_HOOK}


def read_error(method: str, raw: object) -> RemoteCallError:
    """Make an exception of what a peer sent as an error.

    Args:
        method: What was called.
        raw: What came; anything but ``None``.

    Returns:
        The exception. Its ``code`` and ``data`` are ``None`` where the shape has none or is not known, and its message
        is a short form of ``raw`` then.
    """
    if isinstance(raw, str | bytes):
        return RemoteCallError(method, raw, _text(raw))
    if isinstance(raw, dict):
        return _read_map(method, raw)
    if isinstance(raw, list):
        return _read_list(method, raw)
    return RemoteCallError(method, raw, short_repr(raw))


def _read_map(method: str, raw: dict[Any, Any]) -> RemoteCallError:
    """Read ``{code, message, data}``; the keys are bytes where the peer knows only those."""
    get, names = raw.get, _BYTE_NAMES if type(next(iter(raw), None)) is bytes else _NAMES
    code, message, data = (get(name) for name in names)
    text = short_repr(raw) if message is None else _text(message)
    return RemoteCallError(method, raw, text, code=_code(code), data=data)


def _read_list(method: str, raw: list[Any]) -> RemoteCallError:
    """Read ``[type, message]`` (neovim has numbers there, aiorpc names of classes), or an exception's arguments."""
    if len(raw) == _CLASS_AND_TEXT and _is_text(raw[1]) and _is_class(raw[0]):
        return RemoteCallError(method, raw, _text(raw[1]), code=_code(raw[0]))
    if raw and _is_text(raw[0]):
        return RemoteCallError(method, raw, _text(raw[0]), data=raw[1:] or None)
    return RemoteCallError(method, raw, short_repr(raw))


def _is_text(value: object) -> bool:
    return isinstance(value, str | bytes)


def _is_class(value: object) -> bool:
    """Return whether this is a number, or reads as the name of a class does."""
    code = _code(value)
    return code is not None and (
        isinstance(code, int) or all(part.isidentifier() for part in code.split("."))
    )


def _code(value: object) -> int | str | None:
    if isinstance(value, bytes):
        return _text(value)
    return value if isinstance(value, int | str) and not isinstance(value, bool) else None


def _text(value: object) -> str:
    if isinstance(value, bytes):
        return value.decode(errors="backslashreplace")
    return value if isinstance(value, str) else short_repr(value)


def describe(exception: BaseException, *, structured: bool, debug: bool) -> object:
    """Return what is sent for an exception.

    The text of a `MethodError` goes as it is. Of any other the peer gets the class and the text,
    ``"ValueError: text"``, in one line of at most 1024 characters without control characters. This raises nothing, not
    even where the exception can't tell what it is.

    Args:
        exception: What a handler raised.
        structured: Whether the peer understands ``{"code", "message", "data"}``, the last of them where there is
            anything; else it is a string.
        debug: Whether the peer is to see the traceback, but for a `MethodError`, which is no accident. It tells a
            stranger much about the program.
    """
    if isinstance(exception, MethodError):
        if exception.raw is not None:
            return exception.raw
        message = _packable(_told(exception))
        code, data = _code(exception.code), exception.data
    else:
        message = _line(exception)
        code, data = _CODES.get(type(exception), INTERNAL_ERROR), _trace(exception) if debug else None
    if structured:
        return _structured(INTERNAL_ERROR if code is None else code, message, data)
    return message if data is None or isinstance(exception, MethodError) else f"{message}\n{data}"


def _structured(code: int | str, message: str, data: object) -> dict[str, object]:
    error: dict[str, object] = {"code": code, "message": message}
    if data is not None:
        error["data"] = data
    return error


def _line(exception: BaseException) -> str:
    name, text = type(exception).__name__, _told(exception)
    return escaped(f"{name}: {text}" if text else name)


def _told(exception: BaseException) -> str:
    try:
        return str(exception)
    except Exception as failure:  # whatever a class of the program's own does in its __str__
        return f"(its text can't be told: {type(failure).__name__})"


def _trace(exception: BaseException) -> str:
    try:
        text = "".join(traceback.format_exception(exception))
    except Exception as failure:  # as above
        text = f"(its traceback can't be told: {type(failure).__name__})"
    return _packable(text[-_TRACEBACK:])


def _packable(text: str) -> str:
    """Return a text without lone surrogates, which no UTF-8 has."""
    return text.encode(errors="backslashreplace").decode()
