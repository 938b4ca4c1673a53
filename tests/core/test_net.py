"""Addresses in and out of text, the family of each, and bound sockets with their files."""

import errno
import os
import re
import socket
import stat
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evkit.core.net import (
    Address,
    begin_connecting,
    bound_datagram_socket,
    bound_socket,
    close_bound_socket,
    connected_datagram_socket,
    family_of,
    format_address,
    parse_sockaddr_port,
    passive_addresses,
    set_deferred_accept,
    set_keepalive,
    with_scope,
)

PORTS = st.integers(0, 65535)
needs_ipv6 = pytest.mark.skipif(not socket.has_ipv6, reason="this Python has no IPv6")


class TestParse:
    @pytest.mark.parametrize(
        ("text", "address"),
        [
            ("127.0.0.1:80", ("127.0.0.1", 80)),
            ("example.org:8080", ("example.org", 8080)),
            ("[::1]:443", ("::1", 443)),
            ("[fe80::1%eth0]:1", ("fe80::1%eth0", 1)),
            (":80", ("", 80)),
            ("[]:80", ("", 80)),
            ("host:0", ("host", 0)),
            ("host:65535", ("host", 65535)),
            ("host:00080", ("host", 80)),
        ],
    )
    def test_with_a_port(self, text: str, address: tuple[str, int]) -> None:
        assert parse_sockaddr_port(text) == address
        assert parse_sockaddr_port(text, 1234) == address

    @pytest.mark.parametrize(
        ("text", "host"),
        [("127.0.0.1", "127.0.0.1"), ("::1", "::1"), ("[::1]", "::1"), ("host", "host"), ("", "")],
    )
    def test_without_a_port(self, text: str, host: str) -> None:
        assert parse_sockaddr_port(text, 53) == (host, 53)
        with pytest.raises(ValueError, match="expected host:port"):
            parse_sockaddr_port(text)

    @pytest.mark.parametrize(
        "text",
        [
            "host:65536",
            "host:-1",
            "host:+1",
            "host: 1",
            "host:1 ",
            "host:1_0",
            "host:0x50",
            "host:http",
            "host:",
            "host:000080",
            "host:\u0661",  # a digit, but no ASCII digit
            "host:99999999999999999999",
            "[::1",
            "[::1]80",
            "[::1]x:80",
            "[::1]:",
            "[::1]:65536",
            "[" + "a" * 100_000,  # libevent's CVE-2016-10196: a long address in an open bracket
        ],
    )
    def test_junk_is_refused_with_a_default_port_too(self, text: str) -> None:
        with pytest.raises(ValueError, match=r"^expected "):
            parse_sockaddr_port(text, 80)

    @given(st.ip_addresses(), PORTS)
    def test_reads_what_format_address_wrote(self, host: object, port: int) -> None:
        assert parse_sockaddr_port(format_address((str(host), port))) == (str(host), port)

    @given(st.text())
    def test_any_text_ends_in_an_address_or_in_a_value_error(self, text: str) -> None:
        try:
            host, port = parse_sockaddr_port(text, 80)
        except ValueError:
            return
        assert host in text
        assert 0 <= port <= 65535


class TestFamily:
    @pytest.mark.parametrize(
        ("address", "family"),
        [
            (("127.0.0.1", 80), socket.AF_INET),
            (("0.0.0.0", 0), socket.AF_INET),
            (("::1", 80), socket.AF_INET6),
            (("::1", 80, 0, 0), socket.AF_INET6),
            (("fe80::1%lo", 80), socket.AF_INET6),
            ("/run/x", socket.AF_UNIX),
            (b"/run/x", socket.AF_UNIX),
            ("\0abstract", socket.AF_UNIX),
        ],
    )
    def test_of_an_address(self, address: Address, family: int) -> None:
        assert family_of(address) == family

    @pytest.mark.parametrize(
        "address",
        [
            None,
            5,
            {},
            (),
            ("127.0.0.1",),
            ("::1", 80, 0),
            ["127.0.0.1", 80],
            (None, 80),
            (b"abcd", 80),
            (2130706433, 80),
            ("127.0.0.1", "80"),
            ("127.0.0.1", True),
            ("127.0.0.1", 65536),
            ("::1", 80, 0, None),
            ("::1", 80, "0", 0),
            "run\0x",
            b"run\0x",
        ],
        ids=repr,
    )
    def test_what_is_none_is_refused(self, address: Any) -> None:
        with pytest.raises(ValueError, match="expected"):
            family_of(address)

    @pytest.mark.parametrize("host", ["localhost", "example.org", "127.1", "256.0.0.1", "1.2.3.4.5", "::g"])
    def test_name_is_refused_and_named(self, host: str) -> None:
        with pytest.raises(ValueError, match=f"got '{host}'"):
            family_of((host, 80))


class TestFormat:
    @pytest.mark.parametrize(
        ("address", "text"),
        [
            (("127.0.0.1", 80), "127.0.0.1:80"),
            (("::1", 80, 0, 0), "[::1]:80"),
            ("/run/x.sock", "unix:/run/x.sock"),
            (b"/run/\xff", "unix:/run/\udcff"),
            ("", "unix:"),
            (b"\0name", "unix:@name"),
            ("\0", "unix:@"),
            ((2, 1024), "2:1024"),  # of a virtual machine (AF_VSOCK)
        ],
    )
    def test_table(self, address: object, text: str) -> None:
        assert format_address(address) == text


class TestPassive:
    def test_numeric_address_is_itself(self) -> None:
        assert passive_addresses("127.0.0.1", 80) == [("127.0.0.1", 80)]

    def test_none_is_every_address(self) -> None:
        assert ("0.0.0.0", 80) in passive_addresses("", 80)

    @pytest.mark.parametrize("host", ["127.0.0.1\0x", "x" * 70, "\ud800"])
    def test_what_can_be_no_name_is_refused_and_named(self, host: str) -> None:
        with pytest.raises(ValueError, match=re.escape(repr(host))):
            passive_addresses(host, 80)

    @pytest.mark.parametrize("port", [-1, 65536])
    def test_no_such_port(self, port: int) -> None:
        with pytest.raises(ValueError, match="expected a port"):
            passive_addresses("", port)


@needs_ipv6
class TestScope:
    def test_is_a_number_beside_the_host(self) -> None:
        number, name = socket.if_nameindex()[0]
        for scope in (name, str(number)):
            assert with_scope((f"fe80::1%{scope}", 9)) == ("fe80::1", 9, 0, number)
            assert with_scope((f"fe80::1%{scope}", 9, 7, 0)) == ("fe80::1", 9, 7, number)
            assert with_scope((f"fe80::1%{scope}", 9, 7, 5)) == ("fe80::1", 9, 7, 5)

    @pytest.mark.parametrize(
        "address", [("fe80::1", 9), ("127.0.0.1", 9), ("", 9), "/a%b", b"/a%b", ("::1", 9, 0, 3)]
    )
    def test_other_addresses_stay(self, address: Address) -> None:
        assert with_scope(address) is address

    def test_that_there_is_not(self) -> None:
        with pytest.raises(OSError, match="interface"):
            with_scope(("fe80::1%nothere", 9))

    def test_holds_where_a_socket_uses_it(self, open_descriptors: None) -> None:
        """Nobody has the address; without its scope the system would not even look: ``EINVAL``."""
        _, name = socket.if_nameindex()[0]
        address = (f"fe80::dead%{name}", 9)
        for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
            with socket.socket(socket.AF_INET6, kind) as sock:
                sock.setblocking(False)
                assert begin_connecting(sock, address) != errno.EINVAL
        for make in (bound_socket, bound_datagram_socket):
            with pytest.raises(OSError, match=re.escape(os.strerror(errno.EADDRNOTAVAIL))):
                make(address)

    def test_is_written_as_its_name(self) -> None:
        number, name = socket.if_nameindex()[0]
        assert format_address(("fe80::1", 9, 0, number)) == f"[fe80::1%{name}]:9"
        assert format_address(("fe80::1", 9, 0, 0)) == "[fe80::1]:9"
        assert format_address(("fe80::1%x", 9, 0, number)) == "[fe80::1%x]:9"
        assert format_address(("fe80::1", 9, 0, 999_999)) == "[fe80::1%999999]:9"


class TestBoundSocket:
    @pytest.mark.parametrize("address", [("127.0.0.1", 0, 0, 0), ("::1", 0, -1, 0)])
    def test_numbers_that_are_none_for_the_socket(self, open_descriptors: None, address: Address) -> None:
        with pytest.raises(ValueError, match="expected an address for"):
            bound_socket(address)

    def test_path_with_a_nul_makes_no_file(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, open_descriptors: None
    ) -> None:
        monkeypatch.chdir(tmp_path)
        with pytest.raises(ValueError, match="without a NUL"):
            bound_socket("half\0rest")
        assert list(tmp_path.iterdir()) == []

    def test_has_a_port_and_sends_at_once(self) -> None:
        with bound_socket(("127.0.0.1", 0)) as sock:
            assert sock.getsockname()[1] > 0
            assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)

    @pytest.mark.parametrize("wish", [True, False])
    def test_reuse_options(self, wish: bool) -> None:
        with bound_socket(("127.0.0.1", 0), reuseable=wish, reuseable_port=wish) as sock:
            for option in (socket.SO_REUSEADDR, socket.SO_REUSEPORT):
                assert bool(sock.getsockopt(socket.SOL_SOCKET, option)) is wish

    def test_reuseable_port_is_shared(self) -> None:
        first = bound_socket(("127.0.0.1", 0), reuseable_port=True)
        with first, bound_socket(first.getsockname(), reuseable_port=True) as second:
            assert second.getsockname() == first.getsockname()

    @needs_ipv6
    @pytest.mark.parametrize("wish", [True, False])
    def test_ipv6_only(self, wish: bool) -> None:
        with bound_socket(("::", 0), ipv6_only=wish) as sock:
            assert bool(sock.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY)) is wish

    def test_port_in_use_is_an_error_and_leaves_no_descriptor(self, open_descriptors: None) -> None:
        with (
            socket.create_server(("127.0.0.1", 0)) as other,
            pytest.raises(OSError, match="in use") as caught,
        ):
            bound_socket(other.getsockname())
        assert caught.value.errno == errno.EADDRINUSE

    def test_name_makes_no_socket(self, open_descriptors: None) -> None:
        with pytest.raises(ValueError, match="look the name up first"):
            bound_socket(("localhost", 0))

    def test_path_too_long(self, open_descriptors: None) -> None:
        with pytest.raises(OSError, match="too long"):
            bound_socket("/" + "x" * 200)

    def test_deferred_accept(self) -> None:
        option = getattr(socket, "TCP_DEFER_ACCEPT", None)
        if option is None:
            pytest.skip("this system can't")
        with bound_socket(("127.0.0.1", 0), deferred_accept=True) as sock:
            assert sock.getsockopt(socket.IPPROTO_TCP, option) > 0
        with bound_socket(("127.0.0.1", 0)) as sock:
            assert sock.getsockopt(socket.IPPROTO_TCP, option) == 0

    def test_deferred_accept_where_the_system_can_not(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delattr(socket, "TCP_DEFER_ACCEPT", raising=False)
        with bound_socket(("127.0.0.1", 0)) as sock:
            before = sock.getsockname()
            set_deferred_accept(sock)
            assert sock.getsockname() == before

    def test_options_that_do_not_go_with_the_address(self, tmp_path: Path, open_descriptors: None) -> None:
        with pytest.raises(ValueError, match="reuseable_port"):
            bound_socket(str(tmp_path / "s"), reuseable_port=True)
        with pytest.raises(ValueError, match="mode is for"):
            bound_socket(("127.0.0.1", 0), mode=0o600)
        assert list(tmp_path.iterdir()) == []


class TestDatagram:
    @pytest.mark.parametrize("wish", [True, False])
    def test_bound_one_is_shared_on_request(self, wish: bool) -> None:
        with bound_datagram_socket(("127.0.0.1", 0), reuseable_port=wish) as sock:
            assert sock.type == socket.SOCK_DGRAM
            assert bool(sock.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT)) is wish

    @needs_ipv6
    @pytest.mark.parametrize("wish", [True, False])
    def test_bound_one_takes_ipv4_too_unless_told(self, wish: bool) -> None:
        with bound_datagram_socket(("::", 0), ipv6_only=wish) as sock:
            assert bool(sock.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY)) is wish

    def test_port_in_use_leaves_no_descriptor(self, open_descriptors: None) -> None:
        with (
            bound_datagram_socket(("127.0.0.1", 0)) as other,
            pytest.raises(OSError, match="in use"),
        ):
            bound_datagram_socket(other.getsockname())

    def test_random_port_is_not_the_system_s_choice(self, monkeypatch: pytest.MonkeyPatch) -> None:
        with (
            bound_datagram_socket(("127.0.0.1", 0)) as taken,
            bound_datagram_socket(("127.0.0.1", 0)) as free,
        ):
            used, port = taken.getsockname()[1], free.getsockname()[1]
            free.close()
            drawn = [1023, used, port]  # of the privileged, of somebody else, and at last
            monkeypatch.setattr(os, "urandom", lambda _size: drawn.pop(0).to_bytes(2, "big"))
            with connected_datagram_socket(taken.getsockname(), random_port=True) as sock:
                assert sock.getsockname()[1] == port
                assert sock.getpeername() == taken.getsockname()

    def test_system_chooses_the_port_when_too_many_are_taken(self, monkeypatch: pytest.MonkeyPatch) -> None:
        with bound_datagram_socket(("127.0.0.1", 0)) as taken:
            used = taken.getsockname()[1]
            monkeypatch.setattr(os, "urandom", lambda _size: used.to_bytes(2, "big"))
            with connected_datagram_socket(taken.getsockname(), random_port=True) as sock:
                assert sock.getsockname()[1] not in (0, used)

    @pytest.mark.parametrize("random_port", [True, False])
    def test_path(self, tmp_path: Path, random_port: bool, open_descriptors: None) -> None:
        path = str(tmp_path / "s")
        with pytest.raises(FileNotFoundError):
            connected_datagram_socket(path, random_port=random_port)
        with bound_datagram_socket(path) as other:
            with connected_datagram_socket(path, random_port=random_port) as sock:
                sock.send(b"hi")
            assert other.recv(9) == b"hi"


class TestKeepalive:
    def options(self, sock: socket.socket) -> tuple[int, ...]:
        names = ("TCP_KEEPIDLE", "TCP_KEEPINTVL", "TCP_KEEPCNT")
        return tuple(sock.getsockopt(socket.IPPROTO_TCP, getattr(socket, name)) for name in names)

    def test_is_off_by_default(self) -> None:
        with bound_socket(("127.0.0.1", 0)) as sock:
            assert not sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)

    @pytest.mark.parametrize(("seconds", "options"), [(300, (300, 100, 3)), (1, (1, 1, 3)), (7.5, (7, 2, 3))])
    def test_is_inherited_by_what_is_accepted(self, seconds: float, options: tuple[int, ...]) -> None:
        with bound_socket(("127.0.0.1", 0), keepalive=seconds) as sock:
            sock.listen()
            sock.setblocking(True)
            with socket.create_connection(sock.getsockname()):
                accepted, _ = sock.accept()
                with accepted:
                    assert accepted.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
                    assert self.options(accepted) == options

    def test_is_switched_off(self) -> None:
        with bound_socket(("127.0.0.1", 0), keepalive=60) as sock:
            set_keepalive(sock, None)
            assert not sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)

    @pytest.mark.parametrize("seconds", [0, 0.9, -1, 32768, float("nan"), float("inf")])
    def test_nonsense_is_refused(self, seconds: float, open_descriptors: None) -> None:
        with pytest.raises(ValueError, match="1 to 32767 seconds"):
            bound_socket(("127.0.0.1", 0), keepalive=seconds)


class TestUnixFile:
    def test_is_made_and_removed(self, tmp_path: Path) -> None:
        path = tmp_path / "s"
        sock = bound_socket(str(path))
        assert stat.S_ISSOCK(path.stat().st_mode)
        close_bound_socket(sock)
        assert not path.exists()

    def test_bytes_path_is_removed_too(self, tmp_path: Path) -> None:
        path = os.fsencode(tmp_path / "s")
        close_bound_socket(bound_socket(path))
        assert not os.path.exists(path)

    def test_abandoned_one_is_replaced(self, tmp_path: Path) -> None:
        path = tmp_path / "s"
        bound_socket(str(path)).close()  # as a killed server leaves it
        with bound_socket(str(path)) as sock:
            sock.listen()
            with socket.socket(socket.AF_UNIX) as client:
                client.connect(str(path))

    def test_one_that_is_listened_on_is_kept(self, tmp_path: Path) -> None:
        path = tmp_path / "s"
        with bound_socket(str(path)) as sock:
            sock.listen()
            with pytest.raises(OSError, match="in use"):
                bound_socket(str(path))
            assert path.exists()

    def test_datagram_socket_is_kept(self, tmp_path: Path) -> None:
        path = tmp_path / "s"
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as other:
            other.bind(str(path))
            with pytest.raises(OSError, match="in use"):
                bound_socket(str(path))
            assert path.exists()

    def test_plain_file_is_kept(self, tmp_path: Path) -> None:
        path = tmp_path / "s"
        path.write_text("precious")
        with pytest.raises(OSError, match="in use"):
            bound_socket(str(path))
        assert path.read_text() == "precious"

    def test_successor_s_file_is_kept(self, tmp_path: Path) -> None:
        path = tmp_path / "s"
        sock = bound_socket(str(path))
        path.unlink()
        with bound_socket(str(path)) as successor:
            successor.listen()
            close_bound_socket(sock)
            assert path.exists()

    def test_plain_file_in_its_place_is_kept(self, tmp_path: Path) -> None:
        path = tmp_path / "s"
        sock = bound_socket(str(path))
        path.unlink()
        path.write_text("precious")
        close_bound_socket(sock)
        assert path.read_text() == "precious"

    def test_file_that_is_gone_already(self, tmp_path: Path) -> None:
        path = tmp_path / "s"
        sock = bound_socket(str(path))
        path.unlink()
        close_bound_socket(sock)
        assert sock.fileno() == -1

    @pytest.mark.skipif(not os.path.isdir("/proc"), reason="abstract names are Linux's")
    def test_abstract_name_in_use(self, tmp_path: Path) -> None:
        name = f"\0{tmp_path}"
        sock = bound_socket(name)
        with pytest.raises(OSError, match="in use"):
            bound_socket(name)
        close_bound_socket(sock)
        with bound_socket(name):
            pass
