"""Words of a command line to values, and back."""

from argparse import ArgumentTypeError

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evkit.cli.values import (
    Activated,
    Descriptor,
    bind,
    cache_control,
    seconds,
    seconds_from_zero,
    show_seconds,
    show_size,
    size,
    size_or_none,
    whole_number,
)


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("1", 1),
        ("8192", 8192),
        ("64K", 65536),
        ("64k", 65536),
        ("64KB", 65536),
        ("1M", 1048576),
        ("2G", 2147483648),
    ],
)
def test_sizes(text: str, number: int) -> None:
    assert size(text) == size_or_none(text) == number


@pytest.mark.parametrize(
    "text", ["", "0", "0K", "-1", "1.5M", "K", "1T", "1 K", "none ", "٣", "1_000", "9" * 5000, "0x10"]
)
def test_what_is_no_size(text: str) -> None:
    for read in (size, size_or_none):
        with pytest.raises(ArgumentTypeError, match="expected a number from 1 such as 8192, 64K or 1M"):
            read(text)


def test_no_limit_where_there_may_be_none() -> None:
    assert size_or_none("none") is None
    with pytest.raises(ArgumentTypeError):
        size("none")


@given(st.integers(1, 999_999_999_999_999))
def test_a_size_is_shown_as_it_is_read(number: int) -> None:
    assert size(show_size(number)) == number


@pytest.mark.parametrize(("text", "number"), [("1", 1), ("09", 9), ("999999999", 999_999_999)])
def test_whole_numbers(text: str, number: int) -> None:
    assert whole_number(text, 1, 999_999_999) == number


@pytest.mark.parametrize("text", ["", "0", "8", "-1", "1.5", "+1", "1_0", "٣", "9" * 5000])
def test_what_is_no_whole_number(text: str) -> None:
    with pytest.raises(ArgumentTypeError, match="expected a number from 1 to 7, got "):
        whole_number(text, 1, 7)


def test_sizes_are_shown_short() -> None:
    assert [show_size(number) for number in (100, 1000, 1024, 1536, 1 << 20, 3 << 30, None)] == [
        "100",
        "1000",
        "1K",
        "1536",
        "1M",
        "3G",
        "none",
    ]


@pytest.mark.parametrize(("text", "number"), [("30", 30.0), ("0.5", 0.5), (".25", 0.25), ("none", None)])
def test_seconds(text: str, number: float | None) -> None:
    assert seconds(text) == seconds_from_zero(text) == number


@pytest.mark.parametrize("text", ["", "-1", "nan", "inf", "1e3", "1s", "1_0", " 1", "9" * 400, "."])
def test_what_is_no_time(text: str) -> None:
    for read in (seconds, seconds_from_zero):
        with pytest.raises(ArgumentTypeError, match="expected a number of seconds"):
            read(text)


def test_zero_is_no_time_out_but_may_be_a_time() -> None:
    assert seconds_from_zero("0") == 0.0
    with pytest.raises(ArgumentTypeError, match="none for no limit"):
        seconds("0")


@given(st.floats(0.001, 99_999, allow_nan=False).map(lambda number: round(number, 1)).filter(bool))
def test_a_time_is_shown_as_it_is_read(number: float) -> None:
    assert seconds(show_seconds(number)) == number


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1:8080", ("127.0.0.1", 8080)),
        ("localhost:0", ("localhost", 0)),
        ("[::1]:80", ("::1", 80)),
        (":8080", ("", 8080)),
        ("unix:/run/x.sock", "/run/x.sock"),
        ("unix:x:1", "x:1"),
        ("systemd:80", ("systemd", 80)),
        ("systemd", Activated(None)),
        ("systemd:web.socket", Activated("web.socket")),
        ("systemd:80a", Activated("80a")),
        ("fd://0", Descriptor(0)),
        ("fd://17", Descriptor(17)),
    ],
)
def test_addresses(text: str, address: object) -> None:
    assert bind(text) == address


@pytest.mark.parametrize(
    "text", ["", "8080", "host", "host:", "host:http", "host:65536", "::1:80", "[::1]", "[::1:80", "a:-1"]
)
def test_what_is_no_address(text: str) -> None:
    with pytest.raises(
        ArgumentTypeError, match=r"expected .* or :PORT for all addresses, unix:PATH, or systemd"
    ):
        bind(text)


def test_a_unix_socket_needs_a_path() -> None:
    with pytest.raises(ArgumentTypeError, match="expected the path of a socket"):
        bind("unix:")


@pytest.mark.parametrize("text", ["fd://", "fd://-1", "fd://x", "fd://3/", "fd://٣", "fd://1234567890"])
def test_what_is_no_descriptor(text: str) -> None:
    with pytest.raises(ArgumentTypeError, match="expected the number of a descriptor, as in fd://3, got "):
        bind(text)


def test_an_inherited_socket_needs_a_name() -> None:
    with pytest.raises(ArgumentTypeError, match="expected the name of a socket after systemd:"):
        bind("systemd:")


@pytest.mark.parametrize("text", ["systemd", "systemd:web", "fd://3"])
def test_what_was_inherited_is_shown_as_it_is_read(text: str) -> None:
    assert str(bind(text)) == text


@pytest.mark.parametrize("text", ["no-cache", "max-age=3600", "public, max-age=60", 'private="set-cookie"'])
def test_directives(text: str) -> None:
    assert cache_control(text) == text


@pytest.mark.parametrize("text", ["", " ", " no-cache", "a\n", "a\r\nb", "a\0", "ü", "\udcff"])
def test_what_is_no_directive(text: str) -> None:
    with pytest.raises(ArgumentTypeError, match="expected directives such as no-cache or max-age=3600, got "):
        cache_control(text)
