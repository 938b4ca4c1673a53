"""`evkit.dns.source_address`: what the system says of its own loopback, and of addresses that can't be reached."""

import socket
from pathlib import Path

import pytest

from evkit.dns import source_address
from evkit.dns.address_order import Source, order
from evkit.dns.source_address import source_of


def test_the_loopback_is_reached_from_itself(open_descriptors: None) -> None:
    assert source_of("127.0.0.1") == Source("127.0.0.1")
    assert source_of("127.0.0.2") is not None


def test_the_loopback_of_ipv6(open_descriptors: None) -> None:
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sock:
            sock.bind(("::1", 0))
    except OSError:
        pytest.skip("there is no IPv6 here")
    assert source_of("::1") == Source("::1")
    assert order(["127.0.0.1", "::1"], source_of) == ["::1", "127.0.0.1"]


@pytest.mark.parametrize("address", ["255.255.255.255", "fe80::1%no-such-link"])
def test_where_there_is_no_way_to(address: str, open_descriptors: None) -> None:
    assert source_of(address) is None


def test_a_name_is_refused() -> None:
    with pytest.raises(ValueError, match="expected a numeric IP address"):
        source_of("localhost")


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ("80", Source("::1")),
        ("cf", Source("::1")),
        ("a0", Source("::1", deprecated=True)),
        ("90", Source("::1", home=True)),
        ("30", Source("::1", deprecated=True, home=True)),
    ],
)
def test_what_linux_tells_of_an_address(
    flags: str, expected: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if source_of("::1") is None:
        pytest.skip("there is no IPv6 here")
    told = tmp_path / "if_inet6"
    told.write_text(
        "fe800000000000000000000000000001 02 40 20 30     eth0\n"
        f"00000000000000000000000000000001 01 80 10 {flags}       lo\n"
    )
    monkeypatch.setattr(source_address, "_ADDRESSES", str(told))
    assert source_of("::1") == expected
    told.write_text("")
    assert source_of("::1") == Source("::1")
    told.unlink()
    assert source_of("::1") == Source("::1")
