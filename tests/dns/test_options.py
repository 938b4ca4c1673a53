"""`evkit.dns.options`: what is allowed, and every option by the names that evdns and resolv.conf have for it."""

from dataclasses import fields, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evkit.dns.options import DEFAULT_OPTIONS, ResolverOptions, with_option


def test_the_defaults_are_allowed_and_as_documented() -> None:
    options = ResolverOptions()
    assert options == DEFAULT_OPTIONS
    assert (options.ndots, options.timeout, options.attempts, options.total_timeout) == (1, 2.0, 3, 5.0)
    assert (options.edns_udp_size, options.randomize_case, options.cookies) == (1232, True, True)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ndots", -1),
        ("ndots", 16),
        ("ndots", 1.0),
        ("ndots", True),
        ("ndots", "1"),
        ("ndots", None),
        ("timeout", 0),
        ("timeout", float("nan")),
        ("timeout", float("inf")),
        ("timeout", None),
        ("min_timeout", 0.0),
        ("attempts", 0),
        ("attempts", 256),
        ("total_timeout", 0),
        ("max_inflight", 0),
        ("max_inflight", 65_001),
        ("rotate", 1),
        ("rotate", None),
        ("edns_udp_size", 511),
        ("edns_udp_size", 65_536),
        ("tcp_idle_timeout", -1),
        ("max_timeouts", 0),
        ("initial_probe_timeout", 3601),
        ("max_probe_timeout", 0),
        ("probe_backoff_factor", 0.9),
        ("probe_backoff_factor", 10.1),
        ("getaddrinfo_allow_skew", -0.1),
        ("bind_to", "localhost"),
        ("bind_to", "192.0.2.1:53"),
        ("bind_to", ""),
        ("bind_to", "1.2.3.4\0"),
        ("bind_to", 1),
        ("so_rcvbuf", 0),
        ("so_sndbuf", 2**31),
        ("max_cache", -1),
        ("max_ttl", -1),
        ("max_negative_ttl", -1),
        ("failure_ttl", 301),
        ("serve_stale", -1),
        ("queries_per_port", 0),
    ],
)
def test_what_is_out_of_range_is_refused(name: str, value: Any) -> None:
    with pytest.raises(ValueError, match=rf"^{name} must be .*, got "):
        ResolverOptions(**{name: value})


def test_the_message_says_what_was_expected() -> None:
    with pytest.raises(ValueError, match=r"^ndots must be a whole number from 0 to 15, got 16$"):
        ResolverOptions(ndots=16)
    with pytest.raises(ValueError, match=r"^timeout must be a number from 0.001 to 3600, got 0$"):
        ResolverOptions(timeout=0)
    with pytest.raises(ValueError, match=r"^rotate must be True or False, got 'yes'$"):
        with_option(DEFAULT_OPTIONS, "rotate", "yes")
    with pytest.raises(ValueError, match=r"^bind_to must be a numeric IP address without a port, got 'x'$"):
        with_option(DEFAULT_OPTIONS, "bind-to", "x")


# evdns's documented names, and those of resolv.conf(5), with a value and what it means.
NAMED = {
    "ndots": ("2", "ndots", 2),
    "timeout": ("1.5", "timeout", 1.5),
    "attempts": ("1", "attempts", 1),
    "max-timeouts": ("255", "max_timeouts", 255),
    "max-inflight": ("64", "max_inflight", 64),
    "randomize-case": ("0", "randomize_case", False),
    "bind-to": ("192.0.2.1", "bind_to", "192.0.2.1"),
    "initial-probe-timeout": ("10", "initial_probe_timeout", 10.0),
    "max-probe-timeout": ("60", "max_probe_timeout", 60.0),
    "probe-backoff-factor": ("2", "probe_backoff_factor", 2.0),
    "getaddrinfo-allow-skew": ("3", "getaddrinfo_allow_skew", 3.0),
    "so-rcvbuf": ("4096", "so_rcvbuf", 4096),
    "so-sndbuf": ("4096", "so_sndbuf", 4096),
    "tcp-idle-timeout": ("7.5", "tcp_idle_timeout", 7.5),
    "use-vc": ("", "use_vc", True),
    "usevc": ("", "use_vc", True),
    "tcp": ("", "use_vc", True),
    "ignore-tc": ("", "ignore_tc", True),
    "edns-udp-size": ("512", "edns_udp_size", 512),
    "rotate": ("", "rotate", True),
    "no-aaaa": ("", "no_aaaa", True),
    "single-request": ("", "single_request", True),
    "single-request-reopen": ("", "single_request_reopen", True),
    "no-tld-query": ("", "no_tld_query", True),
    "no-reload": ("1", "no_reload", True),
    "trust-ad": ("", "trust_ad", True),
    "strict-error": ("", "strict_error", True),
    "total-timeout": ("none", "total_timeout", None),
    "serve-stale": ("86400", "serve_stale", 86_400.0),
}


@pytest.mark.parametrize("name", NAMED)
def test_an_option_by_name(name: str) -> None:
    value, field, expected = NAMED[name]
    wanted = replace(DEFAULT_OPTIONS, **{field: expected})
    assert wanted != DEFAULT_OPTIONS
    for spelling in (name, name + ":", name.replace("-", "_")):
        made = with_option(DEFAULT_OPTIONS, spelling, value)
        assert made == wanted
        assert type(getattr(made, field)) is type(expected)


def test_the_others_stay_as_they_are() -> None:
    options = ResolverOptions(ndots=3, bind_to="::1", so_rcvbuf=1)
    assert with_option(options, "rotate", "") == replace(options, rotate=True)
    assert with_option(options, "bind-to", "none").bind_to is None
    assert with_option(options, "so-rcvbuf", "0").so_rcvbuf is None


@pytest.mark.parametrize(
    "word", ["debug", "edns0", "inet6", "ip6-bytestring", "ip6-dotint", "no-ip6-dotint", "no-check-names"]
)
def test_words_that_no_longer_do_anything_change_nothing(word: str) -> None:
    assert with_option(DEFAULT_OPTIONS, word, "") is DEFAULT_OPTIONS


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ndots", ""),
        ("ndots", "1.0"),
        ("ndots", "-1"),
        ("ndots", "16"),
        ("ndots", "1_0"),
        ("ndots", " 1"),
        ("ndots", "٣"),
        ("ndots", "none"),
        ("ndots", "9" * 5000),
        ("timeout", "nan"),
        ("timeout", "inf"),
        ("timeout", "1e3"),
        ("timeout", "1."),
        ("timeout", "0"),
        ("rotate", "2"),
        ("rotate", "true"),
        ("bind-to", ""),
        ("max-cache", "0x10"),
    ],
)
def test_what_is_no_value_is_refused(name: str, value: str) -> None:
    with pytest.raises(ValueError, match=rf"^{name.replace('-', '_')} must be "):
        with_option(DEFAULT_OPTIONS, name, value)


@pytest.mark.parametrize("name", ["", ":", "ndot", "Ndots", "timeout::", "__slots__", "ndots:2"])
def test_a_name_that_is_none_is_refused_with_those_that_there_are(name: str) -> None:
    with pytest.raises(ValueError, match=r"expected an option out of attempts, .*timeout.*; got ") as caught:
        with_option(DEFAULT_OPTIONS, name, "1")
    assert str(caught.value).endswith(repr(name))


@given(name=st.sampled_from([field.name for field in fields(ResolverOptions)]) | st.text(), value=st.text())
def test_any_text_gives_options_or_a_value_error(name: str, value: str) -> None:
    try:
        made = with_option(DEFAULT_OPTIONS, name, value)
    except ValueError:
        return
    assert isinstance(made, ResolverOptions)
