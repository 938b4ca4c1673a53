"""`evkit.dns.resolv_conf`: whole files, each directive, what is damaged, and that nothing makes it fail."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evkit.dns.names import to_text, to_wire
from evkit.dns.resolv_conf import (
    MAX_NAMESERVERS,
    MAX_SEARCH,
    ResolvConf,
    host_domain,
    local_domain,
    parse,
    parse_host_aliases,
    parse_nsswitch,
    res_options,
)


def servers(text: bytes | str) -> list[str]:
    return [str(server) for server in parse(text).nameservers]


def search(text: bytes | str) -> list[str] | None:
    found = parse(text).search
    return None if found is None else [to_text(domain) for domain in found]


# Whole files


def test_an_empty_file_says_nothing() -> None:
    for text in (b"", b"\n\n", b"# nothing\n; at all", b"\r\n \t\r\n"):
        assert parse(text) == ResolvConf((), None, (), None)


def test_a_full_one() -> None:
    conf = parse(
        b"# from DHCP\n"
        b"domain one.example\n"
        b"search  Two.example\tthree.example. \n"
        b"nameserver 192.0.2.1\n"
        b"nameserver\t2001:db8::1\n"
        b"nameserver fe80::1%eth0\r\n"
        b"options ndots:2 rotate\n"
        b"options timeout:1 attempts:4 edns0\n"
        b"sortlist 192.0.2.0/255.255.255.0 198.51.100.0\n"
    )
    assert [str(server) for server in conf.nameservers] == ["192.0.2.1", "2001:db8::1", "fe80::1%eth0"]
    assert conf.search == (to_wire("Two.example"), to_wire("three.example"))
    assert conf.options == (
        ("ndots", "2"),
        ("rotate", ""),
        ("timeout", "1"),
        ("attempts", "4"),
        ("edns0", ""),
    )
    assert conf.sources is None


def test_text_and_bytes_are_the_same_file() -> None:
    text = "nameserver 192.0.2.1\nsearch bücher.example\noptions ndots:3"
    assert parse(text) == parse(text.encode())
    assert parse(text).search == (to_wire("xn--bcher-kva.example"),)


def test_openbsd() -> None:
    conf = parse(b"lookup file bind\nfamily inet4\nnameserver 192.0.2.1 # static")
    assert conf.sources == ("files", "dns")
    assert conf.options == (("no-aaaa", ""),)
    assert parse(b"lookup bind").sources == ("dns",)
    assert parse(b"lookup bind yp file").sources == ("dns", "files")
    assert parse(b"lookup yp\nlookup").sources is None
    assert parse(b"family inet6\nfamily inet6 inet4\nfamily\nsortlist inet4").options == ()


# Directives


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("nameserver 192.0.2.1", ["192.0.2.1"]),
        ("  nameserver   192.0.2.1  ", ["192.0.2.1"]),
        ("nameserver 192.0.2.1 192.0.2.2", ["192.0.2.1"]),
        ("nameserver 192.0.2.1 # gate", ["192.0.2.1"]),
        ("nameserver 192.0.2.1#gate", []),
        ("nameserver [2001:db8::1]:5353", ["[2001:db8::1]:5353"]),
        ("nameserver tls://192.0.2.1#gate", ["tls://192.0.2.1#gate"]),
        ("nameserver 192.0.2.1\nnameserver 192.0.2.2\nnameserver 192.0.2.1", ["192.0.2.1", "192.0.2.2"]),
        ("nameserver", []),
        ("nameserver gate.example\nnameserver 192.0.2.1", ["192.0.2.1"]),
        ("nameserver 192.0.2.300", []),
        ("nameserver 192.0.2.1\0", []),
        ("nameserver 192.0.2.1\0\nnameserver 192.0.2.2", ["192.0.2.2"]),
        ("nameservers 192.0.2.1", []),
        ("nameserver:192.0.2.1", []),
        ("Nameserver 192.0.2.1", []),
        ("#nameserver 192.0.2.1", []),
        (";nameserver 192.0.2.1", []),
        (" # nameserver 192.0.2.1", []),
        ("nameserver 192.0.2.1\x0bnameserver 192.0.2.2", ["192.0.2.1"]),
        ("nameserver 192.0.2.1\x85nameserver 192.0.2.2", []),
        ("x" * 100_000 + "\nnameserver 192.0.2.1", ["192.0.2.1"]),
        ("nameserver " + "[" * 100_000, []),
    ],
)
def test_nameservers(text: str, expected: list[str]) -> None:
    assert servers(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("search a.example b.example", ["a.example", "b.example"]),
        ("search a.example\nsearch b.example", ["b.example"]),
        ("search a.example\ndomain b.example", ["b.example"]),
        ("domain a.example\nsearch b.example", ["b.example"]),
        ("domain a.example b.example", ["a.example"]),
        ("search a a.example a", ["a", "a.example"]),
        ("search .", ["."]),
        ("search a.example.", ["a.example"]),
        ("search a.example # b.example", ["a.example"]),
        ("search a.example ;b.example", ["a.example"]),
        ("search a.example\nsearch", ["a.example"]),
        ("search a.example\ndomain # none", ["a.example"]),
        ("search a..b " + "x" * 64 + " c", ["c"]),
        ("search a..b", []),
        ("search a.example b\0", None),
        ("options ndots:1", None),
        ("search", None),
    ],
)
def test_search_and_domain(text: str, expected: list[str] | None) -> None:
    assert search(text) == expected


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("ndots:0 timeout:1 attempts:1", [("ndots", "0"), ("timeout", "1"), ("attempts", "1")]),
        ("ndots:15 timeout:30 attempts:5", [("ndots", "15"), ("timeout", "30"), ("attempts", "5")]),
        ("ndots:16 timeout:31 attempts:6", [("ndots", "15"), ("timeout", "30"), ("attempts", "5")]),
        ("ndots:-1 timeout:-1 attempts:-1", [("ndots", "0"), ("timeout", "1"), ("attempts", "1")]),
        ("timeout:0 attempts:0", [("timeout", "1"), ("attempts", "1")]),
        ("timeout:0.5", [("timeout", "0.5")]),  # as in evdns
        ("ndots: timeout:x attempts", [("ndots", ""), ("timeout", "x"), ("attempts", "")]),
        ("timeout:nan ndots:1e3", [("timeout", "nan"), ("ndots", "1e3")]),
        ("max-inflight:64 use-vc", [("max-inflight", "64"), ("use-vc", "")]),
        ("rotate # no-aaaa", [("rotate", "")]),
        ("a:b:c", [("a", "b:c")]),
    ],
)
def test_options(words: str, expected: list[tuple[str, str]]) -> None:
    assert parse(f"options {words}").options == tuple(expected)
    assert res_options({"RES_OPTIONS": words.partition(" #")[0]}) == tuple(expected)


def test_what_is_too_much_is_cut() -> None:
    lines = "".join(f"nameserver 192.0.2.{number}\n" for number in range(100))
    assert servers(lines) == [f"192.0.2.{number}" for number in range(MAX_NAMESERVERS)]
    domains = [f"d{number}.example" for number in range(100)]
    assert search("search " + " ".join(domains)) == domains[:MAX_SEARCH]


# The environment and the name of the machine


def test_local_domain() -> None:
    assert local_domain({}) is None
    assert local_domain({"LOCALDOMAIN": ""}) == ()
    assert local_domain({"LOCALDOMAIN": "a.example\tb"}) == (to_wire("a.example"), to_wire("b"))
    assert local_domain({"LOCALDOMAIN": "a.example\nb"}) == (to_wire("a.example"),)
    assert local_domain({"LOCALDOMAIN": "a..b"}) == ()


def test_res_options() -> None:
    assert res_options({}) == ()
    assert res_options({"RES_OPTIONS": "  "}) == ()


@pytest.mark.parametrize(
    ("host_name", "expected"),
    [
        ("host.a.example", ["a.example"]),
        ("host.", []),
        ("host", []),
        ("", []),
        ("host..a", []),
        ("host.a b", []),
    ],
)
def test_the_domain_of_the_machine(host_name: str, expected: list[str]) -> None:
    assert host_domain(host_name) == tuple(to_wire(domain) for domain in expected)


# nsswitch.conf


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("hosts: files dns", ("files", "dns")),
        ("hosts:files dns", ("files", "dns")),
        ("hosts : files dns", ("files", "dns")),
        ("hosts:\tdns   files", ("dns", "files")),
        ("hosts: files", ("files",)),
        ("hosts: dns", ("dns",)),
        ("hosts: files mdns4_minimal [NOTFOUND=return] dns", ("files", "dns")),
        ("hosts: files mdns4_minimal [ NOTFOUND=return ] dns myhostname", ("files", "dns")),
        ("hosts: mymachines resolve [!UNAVAIL=return] files myhostname dns", ("files", "dns")),
        ("hosts: files [NOTFOUND=return] dns", ("files",)),
        ("hosts: files[notfound=return]dns", ("files",)),
        ("hosts: files [SUCCESS=continue NOTFOUND=return] dns", ("files",)),
        ("hosts: dns [!UNAVAIL=return] files", ("dns",)),
        ("hosts: files [!NOTFOUND=return] dns", ("files", "dns")),
        ("hosts: files [SUCCESS=return] dns", ("files", "dns")),
        ("hosts: files [!SUCCESS=continue] dns", ("files", "dns")),
        ("hosts: files [NOTFOUND=return", ("files",)),
        ("hosts: files # dns", ("files",)),
        ("hosts: [NOTFOUND=return] files dns", ("files", "dns")),
        ("hosts: files [] dns", ("files", "dns")),
        ("hosts: myhostname", None),
        ("hosts:", None),
        ("hosts", None),
        ("# hosts: dns", None),
        ("ahosts: files\nnetworks: dns", None),
        ("hosts: dns\npasswd: files", ("dns",)),
        ("hosts: dns\nhosts: files", ("files",)),
        ("hosts: fi\0les\nhosts: dns", ("dns",)),
    ],
)
def test_nsswitch(line: str, expected: tuple[str, ...] | None) -> None:
    assert parse_nsswitch(f"passwd: files\n{line}\n".encode()) == expected


# HOSTALIASES


def test_host_aliases() -> None:
    aliases = parse_host_aliases(
        b"www www.example.org three.example\n"
        b"GW\tgate.Example. # the way out\n"
        b"# no one.example\n"
        b"www other.example\n"
        b"alone\n"
        b"a.b with.dots\n"
        b"bad a..b\n"
        b". root\n"
    )
    assert aliases == {
        to_wire("www"): to_wire("www.example.org"),
        to_wire("gw"): to_wire("gate.Example"),
    }


# Whatever bytes come

WORDS = st.sampled_from(
    [
        *("nameserver", "search", "domain", "options", "lookup", "family", "hosts:", "192.0.2.1", "[::1]:5"),
        *("ndots:9", "timeout:", "files", "[NOTFOUND=return]", "a.example", "."),
        *("#", ";", "\0", "\n", "\r", "é"),
    ]
)
ANY_TEXT = st.text(st.characters())  # lone surrogates, too


@given(st.binary() | st.lists(WORDS | st.text(max_size=5)).map(" ".join) | ANY_TEXT)
def test_nothing_makes_it_fail(text: bytes | str) -> None:
    conf = parse(text)
    assert len(conf.nameservers) <= MAX_NAMESERVERS
    assert conf.search is None or all(domain.endswith(b"\0") for domain in conf.search)
    assert parse_nsswitch(text) in (None, ("files",), ("dns",), ("files", "dns"), ("dns", "files"))
    assert all(b"." not in name or len(name) > 1 for name in parse_host_aliases(text))


@given(ANY_TEXT)
def test_nor_does_the_environment(text: str) -> None:
    domains = local_domain({"LOCALDOMAIN": text})
    assert domains is not None
    assert all(domain.endswith(b"\0") for domain in (*domains, *host_domain(text)))
    assert all(":" not in name for name, _ in res_options({"RES_OPTIONS": text}))
