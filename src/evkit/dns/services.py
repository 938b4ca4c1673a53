"""The port that a service stands for, as ``getaddrinfo`` finds it."""

import socket
from typing import Final

_MAX_PORT: Final = 65_535


def service_port(service: str | int | None, protocol: str | None = None) -> int:
    """Return the port of a service.

    Args:
        service: A port, as a number or in digits; a name that the system knows, such as ``"https"``; ``None``: 0.
        protocol: ``"tcp"`` or ``"udp"``; ``None``: any in which there is the service.

    Raises:
        ValueError: The number is no port, or the name has a NUL in it.
        TypeError: It is none of the three.
        socket.gaierror: ``EAI_SERVICE``: the system does not know the name.

    Source: RFC 3493 §6.1, ``evutil_getaddrinfo``; getservbyname(3), which reads a file.
    """
    if service is None:
        return 0
    if isinstance(service, int) and not isinstance(service, bool):
        return _checked(service)
    if not isinstance(service, str):
        raise TypeError(f"expected a service as a str, an int or None, got {service!r}")
    if service.isascii() and service.isdecimal():
        return _checked(int(service[:6]))  # a number of thousands of digits is costly, and no port
    return _look_up(service, protocol)


def _checked(port: int) -> int:
    if not 0 <= port <= _MAX_PORT:
        raise ValueError(f"expected a port from 0 to {_MAX_PORT}, got {port}")
    return port


def _look_up(service: str, protocol: str | None) -> int:
    if "\0" in service:
        raise ValueError(f"expected the name of a service, got {service!r}")
    try:
        # Python does not take None for any protocol.
        return socket.getservbyname(service) if protocol is None else socket.getservbyname(service, protocol)
    except (OSError, UnicodeError) as error:
        text = f"{protocol or 'the system'} knows no service {service!r}"
        raise socket.gaierror(socket.EAI_SERVICE, text) from error
