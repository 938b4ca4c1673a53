"""`evkit.dns.services`: ports by number and by name, and what is none."""

import socket
from typing import Any

import pytest

from evkit.dns.services import service_port


@pytest.mark.parametrize(
    ("service", "port"),
    [(None, 0), (0, 0), (80, 80), (65_535, 65_535), ("0", 0), ("80", 80), ("00080", 80), ("65535", 65_535)],
)
def test_a_port_by_number(service: str | int | None, port: int) -> None:
    assert service_port(service) == port


def test_a_port_by_name() -> None:
    try:
        expected = socket.getservbyname("https")
    except OSError:
        pytest.skip("the system knows no services")
    with pytest.raises(socket.gaierror, match="no-such-protocol knows no service 'https'"):
        service_port("https", "no-such-protocol")
    assert service_port("https") == service_port("https", "tcp") == expected == 443


@pytest.mark.parametrize("service", [-1, 65_536, "65536", "9" * 5000, "a\0b"])
def test_what_is_no_port(service: str | int) -> None:
    with pytest.raises(ValueError, match=r"^expected (a port from 0 to 65535|the name of a service), got "):
        service_port(service)


@pytest.mark.parametrize("service", [True, 80.0, b"http", ("http",)])
def test_what_is_no_service_at_all(service: Any) -> None:
    with pytest.raises(TypeError, match="expected a service as a str, an int or None, got "):
        service_port(service)


@pytest.mark.parametrize("service", ["", "no-such-service", "-1", "8 0", "٨٠", "http\ud800", "dns.quad9.net"])
@pytest.mark.parametrize("protocol", [None, "tcp", "no-such-protocol"])
def test_what_the_system_does_not_know(service: str, protocol: str | None) -> None:
    with pytest.raises(socket.gaierror) as caught:
        service_port(service, protocol)
    assert caught.value.errno == socket.EAI_SERVICE
    assert caught.value.strerror == f"{protocol or 'the system'} knows no service {service!r}"
