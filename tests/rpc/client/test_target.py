"""`evkit.rpc.client.target`: where a peer is, read from text."""

from typing import Any

import pytest

from evkit.rpc.client.target import Target, parse_target


@pytest.mark.parametrize(
    ("where", "target", "text"),
    [
        ("example.org:7000", Target("example.org", 7000), "example.org:7000"),
        ("tcp://example.org:7000", Target("example.org", 7000), "example.org:7000"),
        ("tls://example.org:7000", Target("example.org", 7000, None, True), "tls://example.org:7000"),
        ("127.0.0.1:1", Target("127.0.0.1", 1), "127.0.0.1:1"),
        ("[::1]:65535", Target("::1", 65535), "[::1]:65535"),
        ("tls://[::1]:7", Target("::1", 7, None, True), "tls://[::1]:7"),
        ("[fe80::1%lo]:7", Target("fe80::1%lo", 7), "[fe80::1%lo]:7"),
        ("unix:/run/x", Target("", 0, "/run/x"), "unix:/run/x"),
        ("unix:relative", Target("", 0, "relative"), "unix:relative"),
        ("unix:@name", Target("", 0, "@name"), "unix:@name"),
        (("::1", 7), Target("::1", 7), "[::1]:7"),
        (("example.org", 7), Target("example.org", 7), "example.org:7"),
    ],
)
def test_what_is_one(where: Any, target: Target, text: str) -> None:
    assert parse_target(where) == target
    assert str(target) == text
    assert parse_target(text) == target
    assert parse_target(target) is target


@pytest.mark.parametrize(
    "where",
    [
        "",
        "h",
        ":1",
        "h:",
        "h:0",
        "h:65536",
        "h:-1",
        "h:+1",
        "h: 1",
        "h:1 ",
        "h:1/",
        "h:\uff11",
        "h:1:2",
        "::1:7",
        "http://h:1",
        "tls://",
        "tls://h",
        "tls://tcp://h:1",
        "tcp://tls://h:1",
        "tls://tls://h:1",
        "tcp://tcp://h:1",
        "tls://unix:/x",
        "unix:",
        "unix:@",
        "unix:a\0b",
        ("h", 0),
        ("h", "1"),
        ("h", 65536),
        ("", 1),
        ("a\0", 1),
    ],
)
def test_what_is_none(where: Any) -> None:
    with pytest.raises(ValueError, match="expected"):
        parse_target(where)


@pytest.mark.parametrize("where", [None, 7, b"h:1", ("h",), ("h", 1, 2), (b"h", 1), ["h", 1]])
def test_what_is_of_a_wrong_type(where: Any) -> None:
    with pytest.raises(TypeError, match="expected"):
        parse_target(where)


@pytest.mark.parametrize(
    ("where", "address"),
    [
        ("127.0.0.1:1", ("127.0.0.1", 1)),
        ("[::1]:1", ("::1", 1)),
        ("localhost:1", None),
        ("unix:/run/x", "/run/x"),
        ("unix:@name", "\0name"),
    ],
)
def test_what_needs_no_look_up_has_an_address(where: str, address: object) -> None:
    assert parse_target(where).address == address
