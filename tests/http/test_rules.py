"""`evkit.http.parser.rules`: what each rule makes of values, one by one; the corpus covers them together."""

from ipaddress import IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evkit.http.errors import BadRequest
from evkit.http.parser import CHUNKED, rules


def status_of(function: object, *args: object) -> int | None:
    """The status that the call is refused with, None if it is not."""
    assert callable(function)
    try:
        function(*args)
    except BadRequest as refusal:
        return refusal.status
    return None


# -- decide ------------------------------------------------------------------------------------------------------------
def test_decide_joins_the_rules() -> None:
    ruling = [
        (b"Host", b"a:80 "),
        (b"CONTENT-LENGTH", b"7"),
        (b"Expect", b"100-continue"),
        (b"Connection", b"close"),
    ]
    head = rules.decide("PUT", "/x", 1, rules.heed(1, ruling), b"\r\nHost: a:80\r\nX: y\r\n")
    assert (head.method, head.target, head.minor, head.host) == ("PUT", "/x", 1, "a:80")
    assert (head.body_length, head.keep_alive, head.expect_continue) == (7, False, True)
    assert list(head.headers) == [("Host", "a:80"), ("X", "y")]
    assert repr(head) == "<RequestHead PUT /x HTTP/1.1 body=7 close expect-continue>"


def test_decide_of_chunks() -> None:
    ruled = rules.heed(1, [(b"host", b""), (b"transfer-encoding", b"chunked")])
    head = rules.decide("POST", "/", 1, ruled, b"")
    assert (head.host, head.body_length, head.keep_alive) == ("", CHUNKED, True)
    assert repr(head) == "<RequestHead POST / HTTP/1.1 body=chunked keep-alive>"


@pytest.mark.parametrize("name", [b"Host", b"Content-Length"])
def test_single_fields_stand_once(name: bytes) -> None:
    ruling = [(b"Host", b"1"), (name, b"1"), (name.swapcase(), b"1")]
    assert status_of(rules.heed, 1, ruling) == 400


def test_lines_of_a_list_field_are_one_list() -> None:
    host = (b"Host", b"a")
    lines = [host, (b"connection", b"x"), (b"Connection", b"keep-alive"), (b"CONNECTION", b"close")]
    assert rules.heed(1, lines) == ("a", 0, False, False)
    assert status_of(rules.heed, 1, [host, (b"expect", b"100-continue"), (b"Expect", b"y")]) == 417
    codings = [host, (b"transfer-encoding", b"gzip"), (b"Transfer-Encoding", b"chunked")]
    assert status_of(rules.heed, 1, codings) == 501


# -- Request line ------------------------------------------------------------------------------------------------------
def test_versions() -> None:
    assert rules.minor_version(b"HTTP/1.0") == 0
    assert [rules.minor_version(b"HTTP/1.%d" % minor) for minor in range(1, 10)] == [1] * 9
    assert status_of(rules.minor_version, b"HTTP/2.0") == 505
    assert status_of(rules.minor_version, b"HTTP/1.1\n") == 400


def test_the_version_is_judged_before_the_target() -> None:
    assert status_of(rules.request_line, "PRI", "*", b"HTTP/2.0") == 505
    assert status_of(rules.request_line, "PRI", "*", b"HTTP/1.1") == 400
    assert rules.request_line("OPTIONS", "*", b"HTTP/1.0") == 0


def test_targets_name_an_authority_or_none() -> None:
    assert rules.target_authority("GET", "/http://b/") is None
    assert rules.target_authority("GET", "hTTpS://b:1?x") == "b:1"
    assert rules.target_authority("CONNECT", "b:1") == "b:1"
    assert rules.target_authority("OPTIONS", "*") is None


# -- Host --------------------------------------------------------------------------------------------------------------
@given(address=st.integers(0, 2**128 - 1).map(IPv6Address), port=st.none() | st.integers(0, 99999))
def test_hosts_take_every_ipv6_address_and_every_port(address: IPv6Address, port: int | None) -> None:
    for text in (address.compressed, address.exploded):
        value = f"[{text}]" if port is None else f"[{text}]:{port}"
        if port is not None and port > 65535:
            assert status_of(rules.check_host, value.encode()) == 400
        else:
            assert rules.check_host(value.encode()) == value


@given(st.binary(max_size=12))
def test_hosts_never_hold_what_ends_an_authority(value: bytes) -> None:
    if status_of(rules.check_host, value) is None:
        host = rules.check_host(value)
        assert host == value.strip(b" \t").decode("ascii")
        assert not set(host) & set('/?#@\\, \t"<>^`{|}\x7f')
        assert host.isprintable()


def test_the_cache_of_hosts_is_bounded_and_takes_no_long_ones() -> None:
    rules.check_host.cache_clear()
    for number in range(1000):
        rules.check_host(b"h%d" % number)
    assert rules.check_host.cache_info().currsize < 1000
    rules.check_host.cache_clear()
    assert status_of(rules.check_host, b"h" * 262) == 400
    assert status_of(rules.check_host, b"a b") == 400
    assert rules.check_host.cache_info().currsize == 0


# -- Length ------------------------------------------------------------------------------------------------------------
@given(st.integers(0, 10**19 - 1), st.integers(0, 5))
def test_lengths_are_decimal(length: int, zeroes: int) -> None:
    digits = b"0" * zeroes + b"%d" % length
    if len(digits) <= 19:
        assert rules.body_length(1, b" " + digits + b"\t", None) == length
    else:
        assert status_of(rules.body_length, 1, digits, None) == 413


@given(st.binary(max_size=8))
def test_lengths_are_nothing_but_ascii_digits(value: bytes) -> None:
    stripped = value.strip(b" \t")
    good = bool(stripped) and all(byte in b"0123456789" for byte in stripped)
    assert status_of(rules.body_length, 1, value, None) == (None if good else 400)


@pytest.mark.parametrize("blank", [b"\n", b"\r", b"\x0b", b"\x0c", b"\x85", b"\xa0"])
def test_only_space_and_tab_are_blanks(blank: bytes) -> None:
    assert status_of(rules.body_length, 1, b"5" + blank, None) == 400
    assert status_of(rules.body_length, 1, None, b"chunked" + blank) == 400
    assert status_of(rules.check_host, b"a" + blank) == 400
    assert status_of(rules.expects_continue, 1, b"100-continue" + blank) == 417
    assert rules.keep_alive(1, b"close" + blank) is True


def test_no_length_and_no_coding_is_no_body() -> None:
    assert rules.body_length(1, None, None) == 0


def test_codings() -> None:
    assert rules.body_length(1, None, b"CHUNKED ") == CHUNKED
    assert status_of(rules.body_length, 1, b"0", b"chunked") == 400
    assert status_of(rules.body_length, 0, None, b"chunked") == 400
    assert status_of(rules.body_length, 1, b"0", b"gzip, chunked") == 501


@given(st.lists(st.sampled_from([b"chunked", b"gzip", b"", b" x ", b"Chunked\t"]), min_size=1, max_size=4))
def test_chunked_stands_once_and_last(codings: list[bytes]) -> None:
    names = [coding.strip().lower() for coding in codings]
    last_and_once = names[-1] == b"chunked" and names.count(b"chunked") == 1
    refusal = 501 if last_and_once and b"" not in names else 400
    wanted = None if names == [b"chunked"] else refusal
    assert status_of(rules.body_length, 1, None, b",".join(codings)) == wanted


# -- Connection and Expect ---------------------------------------------------------------------------------------------
OPTIONS = st.sampled_from(
    [b"close", b"Close", b"keep-alive", b"Keep-ALIVE", b"x", b"", b"upgrade", b"closed"]
)


@given(
    st.lists(st.tuples(st.sampled_from([b"", b" ", b"\t "]), OPTIONS), min_size=1, max_size=4),
    st.integers(0, 1),
)
def test_close_beats_keep_alive(options: list[tuple[bytes, bytes]], minor: int) -> None:
    names = [option.lower() for _, option in options]
    wanted = b"close" not in names and (minor == 1 or b"keep-alive" in names)
    assert rules.keep_alive(minor, b",".join(blank + option + blank for blank, option in options)) is wanted


def test_expectations() -> None:
    assert rules.expects_continue(1, b" 100-Continue ,100-continue") is True
    assert rules.expects_continue(1, b" , ") is False
    assert rules.expects_continue(0, b"anything") is False
    assert status_of(rules.expects_continue, 1, b"100-continue, x") == 417
