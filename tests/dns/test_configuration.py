"""`evkit.dns.configuration`: what files, environment and program come to together, and who stands above whom."""

import socket
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evkit.dns.address_order import DEFAULT_POLICY, prefix
from evkit.dns.configuration import (
    DNS_OPTION_HOSTSFILE,
    DNS_OPTION_MISC,
    DNS_OPTION_NAMESERVERS,
    DNS_OPTION_NAMESERVERS_NO_DEFAULT,
    DNS_OPTION_SEARCH,
    DNS_OPTIONS_ALL,
    Configuration,
    Settings,
)
from evkit.dns.names import to_text, to_wire
from evkit.dns.options import DEFAULT_OPTIONS, ResolverOptions
from evkit.dns.server_address import ServerAddress

CONF = b"nameserver 192.0.2.1\nnameserver 192.0.2.2\nsearch a.example\noptions ndots:2 timeout:4 rotate"


def settings(conf: bytes | None = CONF, *arguments: Any, **keywords: Any) -> Settings:
    made = Settings(*arguments, **keywords)
    if conf is not None:
        made.take_resolv_conf(conf)
    return made


def servers(of: Settings) -> list[str]:
    return [str(server) for server in of.current().servers]


def search(of: Settings) -> list[str]:
    return [to_text(domain) for domain in of.current().search]


def test_nothing_at_all() -> None:
    assert Settings().current() == Configuration()
    assert Settings().current() == Configuration(
        servers=(ServerAddress(("127.0.0.1", 53)),),
        search=(),
        options=DEFAULT_OPTIONS,
        sources=("files", "dns"),
        policy=DEFAULT_POLICY,
    )


def test_what_resolv_conf_says() -> None:
    made = settings()
    assert servers(made) == ["192.0.2.1", "192.0.2.2"]
    assert search(made) == ["a.example"]
    assert made.current().options == replace(DEFAULT_OPTIONS, ndots=2, timeout=4.0, rotate=True)
    made.take_resolv_conf(b"nameserver 192.0.2.3")
    assert servers(made) == ["192.0.2.3"]
    assert search(made) == []
    assert made.current().options == DEFAULT_OPTIONS


def test_the_same_object_until_something_changes() -> None:
    made = settings()
    assert made.current() is made.current()
    before = made.current()
    made.nameserver_add("192.0.2.9")
    assert made.current() is not before
    assert before.servers != made.current().servers


@pytest.mark.parametrize(
    ("change", "argument"),
    [
        ("take_resolv_conf", b"options ndots:3"),
        ("take_hosts", b"192.0.2.1 a"),
        ("take_nsswitch", b"hosts: dns"),
        ("take_host_aliases", b"www www.example.org"),
        ("take_gai_conf", b"precedence ::/0 1"),
        ("nameserver_add", "192.0.2.9"),
        ("search_add", "a.example"),
        ("ndots_set", 3),
        ("load_hosts", b"192.0.2.1 a"),
        ("resolv_conf_parse", b"options ndots:3"),
    ],
)
def test_every_change_shows(change: str, argument: Any) -> None:
    made = Settings()
    before = made.current()
    getattr(made, change)(argument)
    assert made.current() != before


def test_what_is_cleared_shows_too() -> None:
    made = settings()
    made.load_hosts(b"192.0.2.1 a")
    before = made.current()
    made.clear_nameservers()
    assert (before.servers != (), made.current().servers) == (True, ())
    made.search_clear()
    assert (before.search != (), made.current().search) == (True, ())
    made.clear_host_addresses()
    assert (len(before.hosts), len(made.current().hosts)) == (1, 0)
    made.set_option("ndots", "7")
    assert made.current().options.ndots == 7


# Servers


def test_servers_of_the_program_in_place_of_the_systems() -> None:
    made = settings(CONF, ["192.0.2.7:54", ("::1", 53), ServerAddress(("192.0.2.8", 853), "tls")])
    assert servers(made) == ["192.0.2.7:54", "::1", "tls://192.0.2.8"]
    assert search(made) == ["a.example"]
    assert made.current().options.ndots == 2


def test_no_servers_at_all() -> None:
    assert servers(settings(CONF, [])) == []
    assert servers(settings(b"")) == ["127.0.0.1"]
    assert servers(settings(b"", no_default_nameserver=True)) == []
    assert servers(settings(CONF, no_default_nameserver=True)) == ["192.0.2.1", "192.0.2.2"]


def test_more_servers() -> None:
    made = settings()
    made.nameserver_add("192.0.2.2")
    made.nameserver_add("192.0.2.9")
    made.nameserver_add(("192.0.2.9", 53))
    assert servers(made) == ["192.0.2.1", "192.0.2.2", "192.0.2.9"]
    made.take_resolv_conf(b"nameserver 192.0.2.3")
    assert servers(made) == ["192.0.2.3", "192.0.2.2", "192.0.2.9"]
    alone = Settings()
    alone.nameserver_add("192.0.2.9")
    assert servers(alone) == ["192.0.2.9"]


def test_cleared_servers_stay_cleared() -> None:
    made = settings()
    made.nameserver_add("192.0.2.9")
    made.clear_nameservers()
    assert servers(made) == []
    made.take_resolv_conf(CONF)
    assert servers(made) == []
    made.nameserver_add("192.0.2.8")
    assert servers(made) == ["192.0.2.8"]


@pytest.mark.parametrize("wrong", ["example.org", "", ("192.0.2.1", 0), 1])
def test_what_is_no_server_is_refused(wrong: Any) -> None:
    with pytest.raises(ValueError, match="expected"):
        Settings([wrong])
    made = Settings()
    with pytest.raises(ValueError, match="expected"):
        made.nameserver_add(wrong)
    assert servers(made) == ["127.0.0.1"]


# The search list


def test_the_search_list_who_stands_above_whom() -> None:
    of_host = {"host_name": "host.h.example"}
    assert search(settings(b"", **of_host)) == ["h.example"]
    assert search(settings(CONF, **of_host)) == ["a.example"]
    by_environment = {**of_host, "environment": {"LOCALDOMAIN": "l.example m.example"}}
    assert search(settings(CONF, **by_environment)) == ["l.example", "m.example"]
    made = settings(CONF, **by_environment)
    made.search_clear()
    assert search(made) == []
    made.take_resolv_conf(CONF)
    assert search(made) == []
    assert search(settings(CONF, environment={"LOCALDOMAIN": ""})) == []


def test_more_domains() -> None:
    made = settings()
    made.search_add("B.example.")
    assert search(made) == ["a.example", "B.example"]
    made.take_resolv_conf(b"search c.example")
    assert search(made) == ["a.example", "B.example"]
    made.search_clear()
    made.search_add("d.example")
    assert search(made) == ["d.example"]
    with pytest.raises(ValueError, match="label"):
        made.search_add("a..b")
    assert search(made) == ["d.example"]


# Options


def test_options_who_stands_above_whom() -> None:
    made = settings(
        b"options ndots:2 timeout:4 attempts:5 rotate",
        None,
        ResolverOptions(attempts=1, max_cache=7),
        environment={"RES_OPTIONS": "timeout:6 attempts:4 no-aaaa"},
    )
    expected = ResolverOptions(ndots=2, timeout=6.0, rotate=True, no_aaaa=True, attempts=1, max_cache=7)
    assert made.current().options == expected
    made.set_option("attempts:", "3")
    made.ndots_set(0)
    assert made.current().options == replace(expected, attempts=3, ndots=0)
    made.take_resolv_conf(b"options ndots:9 use-vc")
    assert made.current().options == replace(expected, attempts=3, ndots=0, rotate=False, use_vc=True)


def test_what_resolv_conf_has_wrong_is_passed_over() -> None:
    made = settings(
        b"options ndots:x ndots:3 nonsense timeout: debug bind-to:nowhere max-inflight:0 attempts:2"
    )
    assert made.current().options == replace(DEFAULT_OPTIONS, ndots=3, attempts=2)


def test_what_the_program_has_wrong_is_refused() -> None:
    made = Settings()
    with pytest.raises(ValueError, match="expected an option"):
        made.set_option("nonsense", "1")
    with pytest.raises(ValueError, match="ndots must be"):
        made.ndots_set(16)
    assert made.current() == Configuration()


def test_the_last_of_two_names_of_an_option_holds() -> None:
    made = Settings()
    for name, value in (("use-vc", "1"), ("tcp", "0"), ("use-vc", "1")):
        made.set_option(name, value)
        assert made.current().options.use_vc is (value == "1")


# A resolv.conf of the program's own

OWN = "nameserver 192.0.2.7\nsearch o.example\noptions ndots:5 attempts:1 nonsense"


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        (DNS_OPTIONS_ALL, (["192.0.2.7"], ["o.example"], 5, 1)),
        (DNS_OPTION_SEARCH, (["127.0.0.1"], ["o.example"], 5, 3)),
        (DNS_OPTION_NAMESERVERS, (["192.0.2.7"], [], 1, 3)),
        (DNS_OPTION_MISC, (["127.0.0.1"], [], 1, 1)),
        (DNS_OPTION_HOSTSFILE, (["127.0.0.1"], [], 1, 3)),
        (0, (["127.0.0.1"], [], 1, 3)),
    ],
)
def test_what_is_taken_of_it(flags: int, expected: tuple[list[str], list[str], int, int]) -> None:
    made = Settings()
    made.resolv_conf_parse(OWN, flags)
    options = made.current().options
    assert (servers(made), search(made), options.ndots, options.attempts) == expected


def test_it_stands_above_the_systems() -> None:
    made = settings()
    made.resolv_conf_parse(OWN)
    made.take_resolv_conf(CONF)
    assert servers(made) == ["192.0.2.1", "192.0.2.2", "192.0.2.7"]
    assert search(made) == ["o.example"]
    assert made.current().options == replace(DEFAULT_OPTIONS, ndots=5, attempts=1, timeout=4.0, rotate=True)
    made.resolv_conf_parse("options ndots:1")
    assert search(made) == ["o.example"]
    assert made.current().options.ndots == 1


def test_one_without_servers_has_the_default_asked() -> None:
    made = Settings([])
    made.resolv_conf_parse("", DNS_OPTIONS_ALL | DNS_OPTION_NAMESERVERS_NO_DEFAULT)
    assert servers(made) == []
    made.resolv_conf_parse("")
    assert servers(made) == ["127.0.0.1"]
    made.nameserver_add("192.0.2.1")
    assert servers(made) == ["192.0.2.1"]


# Hosts, sources, aliases, policy


def test_hosts() -> None:
    made = Settings()
    made.take_hosts(b"192.0.2.1 a")
    made.load_hosts(b"192.0.2.2 a")
    made.load_hosts(b"192.0.2.3 a")
    assert made.current().hosts.addresses("a") == ["192.0.2.1", "192.0.2.2", "192.0.2.3"]
    made.take_hosts(b"192.0.2.4 a")
    assert made.current().hosts.addresses("a") == ["192.0.2.4", "192.0.2.2", "192.0.2.3"]
    made.clear_host_addresses()
    assert made.current().hosts.addresses("a") == []
    made.load_hosts(b"192.0.2.5 a")
    assert made.current().hosts.addresses("a", socket.AF_INET) == ["192.0.2.5"]


def test_sources() -> None:
    made = settings(b"lookup bind")
    assert made.current().sources == ("dns",)
    made.take_nsswitch(b"hosts: files")
    assert made.current().sources == ("files",)
    made.take_nsswitch(b"")
    made.take_resolv_conf(b"")
    assert made.current().sources == ("files", "dns")


def test_the_policy() -> None:
    made = Settings()
    made.take_gai_conf(b"precedence ::ffff:0:0/96 100")
    assert made.current().policy.precedences[0] == prefix("::ffff:0:0/96", 100)
    made.take_gai_conf(b"")
    assert made.current().policy == DEFAULT_POLICY


def test_candidates() -> None:
    made = settings(b"search a.example\noptions no-tld-query")
    made.take_host_aliases(b"gw gate.b.example")

    def names(name: str, **keywords: bool) -> list[str]:
        return [to_text(wire) for wire in made.current().candidates(to_wire(name), **keywords)]

    assert names("www") == ["www.a.example"]
    assert names("www.c") == ["www.c", "www.c.a.example"]
    assert names("www", absolute=True) == ["www"]
    assert names("GW") == ["gate.b.example"]
    assert names("gw", absolute=True) == ["gw"]
    assert names("gw.c")[0] == "gw.c"
    made.ndots_set(2)
    assert names("www.c") == ["www.c.a.example", "www.c"]


def test_what_it_shows_of_itself() -> None:
    made = Settings(["tls://192.0.2.1"])
    made.take_hosts(b"192.0.2.1 a b")
    assert repr(made) == "<Settings servers=['tls://192.0.2.1'] hosts=2>"


@given(st.binary(), st.binary(), st.dictionaries(st.sampled_from(["LOCALDOMAIN", "RES_OPTIONS"]), st.text()))
def test_whatever_files_say_there_is_a_configuration(
    conf: bytes, other: bytes, environment: dict[str, str]
) -> None:
    made = settings(conf, environment=environment)
    for take in (made.take_hosts, made.take_nsswitch, made.take_host_aliases, made.take_gai_conf):
        take(other)
    made.resolv_conf_parse(other)
    current = made.current()
    assert current.servers
    assert current.sources
    assert current.candidates(to_wire("www"))
