"""What this platform has: right, in order, and without loading what nobody asked for."""

import dataclasses
import os
import select
import socket
import subprocess
import sys

import pytest

from evkit.core.base import EventBase
from evkit.core.capabilities import features
from evkit.core.config import EventConfig, supported_methods
from evkit.core.flags import BASE_IGNORE_ENV


def test_backends_are_those_that_a_base_can_get_the_preferred_first() -> None:
    found = features().backends
    assert list(found) == supported_methods()
    for name, bits in found.items():
        avoid = [other for other in found if other != name]
        with EventBase(EventConfig(avoid=avoid, flags=BASE_IGNORE_ENV)) as base:
            assert (base.method, base.features) == (name, bits)


def test_backends_are_what_the_system_has() -> None:
    assert all(hasattr(select, name) for name in features().backends)


def test_clock_is_one_that_never_jumps() -> None:
    found = features()
    assert found.clock
    assert 0 < found.clock_resolution < 0.1


@pytest.mark.parametrize(
    ("name", "module", "attribute"),
    [
        ("eventfd", os, "eventfd"),
        ("sendfile", os, "sendfile"),
        ("unix_sockets", socket, "AF_UNIX"),
        ("reuse_port", socket, "SO_REUSEPORT"),
    ],
)
def test_what_python_lacks_is_missing(
    monkeypatch: pytest.MonkeyPatch, name: str, module: object, attribute: str
) -> None:
    assert getattr(features(), name) is hasattr(module, attribute)
    monkeypatch.setattr(module, attribute, 1, raising=False)
    assert getattr(features(), name) is True
    monkeypatch.delattr(module, attribute)
    assert getattr(features(), name) is False


def test_ipv6_is_pythons(monkeypatch: pytest.MonkeyPatch) -> None:
    for value in (True, False):
        monkeypatch.setattr(socket, "has_ipv6", value)
        assert features().ipv6 is value


def test_it_can_be_read_only() -> None:
    found = features()
    with pytest.raises(dataclasses.FrozenInstanceError):
        found.sendfile = False  # type: ignore[misc]  # what is tested
    with pytest.raises(TypeError):
        found.backends["epoll"] = 0  # type: ignore[index]  # what is tested


def test_tls_is_named_with_its_version() -> None:
    ssl = pytest.importorskip("ssl")
    assert features().tls == ssl.OPENSSL_VERSION


def test_no_tls_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ssl", None)
    assert features().tls is None


def test_tls_is_loaded_when_it_is_asked_for() -> None:
    program = (
        "import sys; from evkit.core.capabilities import features; found = features(); print('ssl' in sys.modules); "
        "found.tls; print('ssl' in sys.modules)"
    )
    run = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True
    )
    pytest.importorskip("ssl")
    assert run.stdout.split() == ["False", "True"]
