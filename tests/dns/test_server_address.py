"""`evkit.dns.server_address`: every way to write a name server, what is none, and that writing and reading agree."""

from ipaddress import IPv4Address, IPv6Address
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evkit.dns.server_address import LOCAL_SERVER, ServerAddress, parse_server, server_of

WRITTEN = {
    "9.9.9.9": ServerAddress(("9.9.9.9", 53), "udp", None),
    "9.9.9.9:5353": ServerAddress(("9.9.9.9", 5353)),
    "::1": ServerAddress(("::1", 53)),
    "[::1]:5353": ServerAddress(("::1", 5353)),
    "fe80::1%eth0": ServerAddress(("fe80::1%eth0", 53)),
    "[fe80::1%eth0]:54": ServerAddress(("fe80::1%eth0", 54)),
    "fe80::1%2": ServerAddress(("fe80::1%2", 53)),
    "tcp://9.9.9.9": ServerAddress(("9.9.9.9", 53), "tcp"),
    "tcp://[2620:fe::fe]:54": ServerAddress(("2620:fe::fe", 54), "tcp"),
    "tls://9.9.9.9": ServerAddress(("9.9.9.9", 853), "tls"),
    "tls://2620:fe::fe": ServerAddress(("2620:fe::fe", 853), "tls"),
    "tls://9.9.9.9#dns.quad9.net": ServerAddress(("9.9.9.9", 853), "tls", "dns.quad9.net"),
    "tls://[2620:fe::fe]:443#dns.quad9.net": ServerAddress(("2620:fe::fe", 443), "tls", "dns.quad9.net"),
}
OTHERWISE = {
    "udp://9.9.9.9": "9.9.9.9",
    "9.9.9.9:53": "9.9.9.9",
    "9.9.9.9:00053": "9.9.9.9",
    "[::1]": "::1",
    "[::1]:53": "::1",
    "0:0:0:0:0:0:0:1": "::1",
    "2001:DB8::A": "2001:db8::a",
    "::ffff:1.2.3.4": "::ffff:1.2.3.4",
    "tls://9.9.9.9:853": "tls://9.9.9.9",
    "tcp://[::1]": "tcp://::1",
}


@pytest.mark.parametrize("text", WRITTEN)
def test_how_it_is_written(text: str) -> None:
    assert parse_server(text) == WRITTEN[text]
    assert str(WRITTEN[text]) == text


@pytest.mark.parametrize("text", OTHERWISE)
def test_other_ways_to_write_the_same(text: str) -> None:
    assert str(parse_server(text)) == OTHERWISE[text]


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        " 9.9.9.9",
        "dns.quad9.net",
        "localhost",
        "9.9.9",
        "9.9.9.9.",
        "9.9.9.256",
        "09.9.9.9",
        "9.9.9.9:",
        "9.9.9.9:0",
        "9.9.9.9:65536",
        "9.9.9.9:-1",
        "9.9.9.9:x",
        "9.9.9.9:٣",
        "9.9.9.9:" + "5" * 5000,
        "9.9.9.9%eth0",
        "9.9.9.9#dns.quad9.net",
        "tcp://9.9.9.9#dns.quad9.net",
        "tls://9.9.9.9#",
        "tls://9.9.9.9#a b",
        "tls://9.9.9.9#b..x",
        "tls://9.9.9.9#" + "a" * 64,
        "tls://9.9.9.9#a\x7f",
        "tls://9.9.9.9#bücher.example",
        "tls://",
        "tls://dns.quad9.net",
        "https://9.9.9.9",
        "TCP://9.9.9.9",
        "//9.9.9.9",
        "[9.9.9.9]:53",
        "[::1",
        "[::1]53",
        "[::1]:",
        "::1]",
        "[]",
        "[" + ":" * 5000 + "]",
        "::1%",
        "::1%a b",
        "::1%a%b",
        "fe80::1%eth0:54",
        "1.2.3.4\0",
        "1.2.3.4\n",
        "\ud800",
    ],
)
def test_what_is_no_server(text: str) -> None:
    with pytest.raises(ValueError, match=r"^expected a (name server as|port from 1 to 65535)") as caught:
        parse_server(text)
    assert str(caught.value).endswith(f"got {text!r}" if len(text) <= 100 else f"got {text[:100] + '…'!r}")


def test_a_server_by_the_address_of_a_socket() -> None:
    assert server_of(("9.9.9.9", 5353)) == ServerAddress(("9.9.9.9", 5353))
    assert server_of(("fe80::1", 53, 0, 3)) == ServerAddress(("fe80::1", 53, 0, 3))
    assert str(server_of(("fe80::1", 53, 0, 3))) == "fe80::1%3"
    assert str(server_of(("fe80::1%eth0", 53, 0, 3))) == "fe80::1%eth0"
    assert str(server_of(("::1", 54, 0, 0))) == "[::1]:54"
    named = ServerAddress(("9.9.9.9", 853), "tls", "dns.quad9.net")
    assert server_of(named) is named
    assert server_of("tls://9.9.9.9") == ServerAddress(("9.9.9.9", 853), "tls")
    assert server_of(LOCAL_SERVER) is LOCAL_SERVER


@pytest.mark.parametrize(
    "server",
    [
        ("localhost", 53),
        ("", 53),
        ("9.9.9.9", 0),
        ("9.9.9.9", 65_536),
        ("9.9.9.9", "53"),
        ("9.9.9.9",),
        b"/run/dns",
        None,
        53,
        ServerAddress(("9.9.9.9", 0)),
        ServerAddress(("9.9.9.9", 53), "quic"),
        ServerAddress(("9.9.9.9", 53), "tcp", "dns.quad9.net"),
    ],
)
def test_what_is_no_address_of_a_server(server: Any) -> None:
    with pytest.raises(ValueError, match=r"^expected "):
        server_of(server)


HOSTS = st.ip_addresses().map(str)
SCOPED = st.sampled_from(["fe80::1%eth0", "fe80::2%12"])


@given(
    host=HOSTS | SCOPED,
    port=st.integers(1, 65_535),
    transport=st.sampled_from(["udp", "tcp", "tls"]),
    name=st.none() | st.sampled_from(["dns.quad9.net", "a"]),
)
def test_what_is_written_is_read_again(host: str, port: int, transport: str, name: str | None) -> None:
    server = ServerAddress((parse_server(f"[{host}]" if ":" in host else host).address[0], port), transport)
    if transport == "tls":
        server = server._replace(server_name=name)
    assert parse_server(str(server)) == server


@given(
    st.text() | st.from_regex(r"(udp|tcp|tls)?(://)?\[?[0-9a-f:.%]*\]?(:[0-9]*)?(#[a-z.]*)?", fullmatch=True)
)
def test_any_text_is_a_server_or_a_value_error(text: str) -> None:
    try:
        server = parse_server(text)
    except ValueError:
        return
    plain = server.address[0].partition("%")[0]
    assert plain == str((IPv6Address if ":" in plain else IPv4Address)(plain)) or "." in plain
    assert parse_server(str(server)) == server
