"""`evkit.http.proxies.forwarded`: RFC 7239's examples, chains of proxies, and that no client can pass for another."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evkit.http.headers import Headers
from evkit.http.proxies.forwarded import MAX_ENTRIES, ProxiedClient, Proxies

PEER = "127.0.0.1:50000"
TRUSTED = ["127.0.0.1", "10.0.0.0/8", "2001:db8:ffff::/48", "unix:"]
RFC = Proxies(TRUSTED, fields="forwarded")
X = Proxies(TRUSTED)
X_HOST = Proxies(TRUSTED, host=True)


def forwarded(*values: str) -> ProxiedClient:
    return RFC.client_of(PEER, Headers([("Host", "here"), *(("Forwarded", value) for value in values)]))


def x_forwarded(*values: str, **others: str) -> ProxiedClient:
    fields = [("X-Forwarded-For", value) for value in values]
    return X_HOST.client_of(
        PEER, Headers([*fields, *((f"X-Forwarded-{name}", value) for name, value in others.items())])
    )


# Whom to trust


@pytest.mark.parametrize(
    ("trusted", "peer", "trusts"),
    [
        (["127.0.0.1"], "127.0.0.1:1", True),
        (["127.0.0.1"], "127.0.0.2:1", False),
        (["127.0.0.1"], "[::ffff:127.0.0.1]:1", True),  # as a dual-stack socket shows it
        (["127.0.0.1"], "[::1]:1", False),
        (["::1"], "[::1]:1", True),
        (["::1"], "[::2]:1", False),
        (["::1"], "127.0.0.1:1", False),
        (["10.0.0.0/8"], "10.255.255.255:1", True),
        (["10.0.0.0/8"], "11.0.0.0:1", False),
        (["10.0.0.0/8"], "[::ffff:10.1.2.3]:1", True),
        (["10.0.0.0/8"], "[a00::]:1", False),
        (["10.0.0.0/8"], "[::10.1.2.3]:1", False),
        (["::ffff:10.0.0.0/104"], "10.1.2.3:1", True),
        (["fe80::/10"], "[fe80::1%eth0]:1", True),
        (["fe80::/10"], "[fec0::1%eth0]:1", False),
        (["0.0.0.0/0"], "192.0.2.1:1", True),
        (["0.0.0.0/0"], "[::1]:1", False),
        (["::/0"], "[2001:db8::1]:1", True),
        (["::/0"], "192.0.2.1:1", True),
        (["::/0"], "unix:", False),
        (["unix:"], "unix:", True),
        (["unix:"], "unix:/run/client", True),
        (["unix:"], "127.0.0.1:1", False),
        (["127.0.0.1"], "unix:", False),
        (["127.0.0.1"], "unix:127.0.0.1", False),
        ([], "127.0.0.1:1", False),
        (["0.0.0.0/0", "::/0", "unix:"], "", False),
        (["0.0.0.0/0", "::/0", "unix:"], "nonsense", False),
        (["0.0.0.0/0", "::/0", "unix:"], "[", False),
        (["0.0.0.0/0", "::/0", "unix:"], "[\0]:1", False),
        (["192.0.2.1", "198.51.100.0/24"], "198.51.100.7:1", True),
    ],
)
def test_a_peer_is_trusted_by_its_address(trusted: list[str], peer: str, trusts: bool) -> None:
    assert Proxies(trusted).trusts(peer) is trusts
    told = Proxies(trusted).client_of(peer, Headers([("X-Forwarded-For", "203.0.113.9")]))
    assert told == ProxiedClient("203.0.113.9" if trusts else peer)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "localhost",
        "127.0.0.1:80",
        "10.0.0.1/8",
        "10.0.0.0/33",
        "[::1]",
        "01.2.3.4",
        "*",
        "unix",
        "fe80::1%lo",
    ],
)
def test_what_is_no_network_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"expected an address, a network such as 10\.0\.0\.0/8, or unix:"):
        Proxies(["127.0.0.1", text])


@pytest.mark.parametrize("wrong", [1, None])
def test_what_is_no_text_is_refused(wrong: Any) -> None:
    with pytest.raises(ValueError, match="expected an address"):
        Proxies([wrong])


def test_one_text_is_no_list() -> None:
    with pytest.raises(ValueError, match="expected a list"):
        Proxies("127.0.0.1")


def test_there_are_two_kinds_of_fields() -> None:
    kind: Any = "x-real-ip"
    with pytest.raises(ValueError, match='"forwarded" or "x-forwarded"'):
        Proxies([], fields=kind)


def test_it_shows_what_it_believes() -> None:
    assert repr(X) == "<Proxies 3 networks unix: by x-forwarded-for, x-forwarded-proto>"
    assert repr(Proxies([], fields="forwarded", host=True)) == "<Proxies 0 networks by forwarded>"


# Which fields

EVERYTHING = Headers(
    [
        ("Forwarded", "for=198.51.100.1;proto=https;host=rfc.example"),
        ("X-Forwarded-For", "198.51.100.2"),
        ("X-Forwarded-Proto", "https"),
        ("X-Forwarded-Host", "x.example"),
        ("X-Forwarded-Port", "8443"),
        ("X-Real-IP", "198.51.100.3"),
    ]
)


@pytest.mark.parametrize(
    ("proxies", "client"),
    [
        (RFC, ProxiedClient("198.51.100.1", "https", "rfc.example")),
        (X, ProxiedClient("198.51.100.2", "https", None)),
        (X_HOST, ProxiedClient("198.51.100.2", "https", "x.example:8443")),
        (Proxies(["192.0.2.0/24"], host=True), ProxiedClient(PEER, None, None)),
    ],
)
def test_one_kind_of_fields_is_read(proxies: Proxies, client: ProxiedClient) -> None:
    assert proxies.client_of(PEER, EVERYTHING) == client


@pytest.mark.parametrize("proxies", [RFC, X, X_HOST])
@pytest.mark.parametrize("peer", [PEER, "192.0.2.1:1", "unix:"])
def test_without_such_fields_the_peer_is_the_client(proxies: Proxies, peer: str) -> None:
    assert proxies.client_of(peer, Headers([("Host", "a"), ("X-Real-IP", "1.2.3.4")])) == ProxiedClient(peer)


# RFC 7239

EXAMPLES = {
    # §4
    'for="_gazonk"': ProxiedClient("_gazonk"),
    'For="[2001:db8:cafe::17]:4711"': ProxiedClient("[2001:db8:cafe::17]:4711"),
    "for=192.0.2.60;proto=http;by=203.0.113.43": ProxiedClient("192.0.2.60", "http"),
    "for=192.0.2.43, for=198.51.100.17": ProxiedClient("198.51.100.17"),
    # §6
    'for="192.0.2.43:47011"': ProxiedClient("192.0.2.43:47011"),
    'for="[2001:db8:cafe::17]:47011"': ProxiedClient("[2001:db8:cafe::17]:47011"),
    # §6.3
    "for=_hidden, for=_SEVKISEK": ProxiedClient("_SEVKISEK"),
    # §7
    'for=192.0.2.43, for="[2001:db8:cafe::17]"': ProxiedClient("[2001:db8:cafe::17]"),
    'for=192.0.2.43,for="[2001:db8:cafe::17]",for=unknown': ProxiedClient("unknown"),
    "for=_hidden": ProxiedClient("_hidden"),
    "for=192.0.2.43, for=198.51.100.17;by=203.0.113.60;proto=http;host=example.com": ProxiedClient(
        "198.51.100.17", "http", "example.com"
    ),
}


@pytest.mark.parametrize("value", EXAMPLES)
def test_examples_of_the_rfc(value: str) -> None:
    assert forwarded(value) == EXAMPLES[value]


@pytest.mark.parametrize(
    ("values", "client"),
    [
        # RFC 7239 §7.1: several fields are one list.
        (["for=192.0.2.43", 'for="[2001:db8:cafe::17]", for=unknown'], ProxiedClient("unknown")),
        (["for=192.0.2.43", "for=10.0.0.1"], ProxiedClient("192.0.2.43")),
        (
            ["for=192.0.2.43;proto=https, for=10.0.0.2;proto=http", "for=10.0.0.1"],
            ProxiedClient("192.0.2.43", "https"),
        ),
        # The client's word stands before its own address.
        (["for=127.0.0.1, for=6.6.6.6", "for=192.0.2.43"], ProxiedClient("192.0.2.43")),
        # All are trusted: the outermost one asks for itself.
        (["for=10.0.0.3;proto=https;host=a, for=10.0.0.2"], ProxiedClient("10.0.0.3", "https", "a")),
        # What the outermost proxy does not tell is not told, though an inner one tells it of its own hop.
        (["for=192.0.2.43, for=10.0.0.1;proto=http;host=inner"], ProxiedClient("192.0.2.43")),
        # An element may say nothing of an address, and ends the walk.
        (["for=192.0.2.43, proto=https;host=a"], ProxiedClient(PEER, "https", "a")),
        (["for=192.0.2.43, proto=https, for=10.0.0.1"], ProxiedClient("10.0.0.1", "https")),
        (['for="[2001:db8:ffff::1]:80", for="10.0.0.1:80"'], ProxiedClient("[2001:db8:ffff::1]:80")),
        (['for=192.0.2.1, for="[2001:db8:ffff::1]:80"'], ProxiedClient("192.0.2.1")),
        # One address has one text.
        (['for="[2001:DB8:0:0::1]:00080"'], ProxiedClient("[2001:db8::1]:80")),
        (['for="[::ffff:192.0.2.1]"'], ProxiedClient("192.0.2.1")),
        (['for=192.0.2.1, for="[::ffff:10.0.0.1]"'], ProxiedClient("192.0.2.1")),
        (["FOR=UNKNOWN;PROTO=HTTPS"], ProxiedClient("unknown", "https")),
        (['for="192.0.2.1:_port"'], ProxiedClient("192.0.2.1")),
        (['for="unknown:80"'], ProxiedClient("unknown:80")),
        # Lists: empty elements count for nothing (RFC 9110 §5.6.1).
        ([" ,, for=192.0.2.43 ,\t, ", "", ","], ProxiedClient("192.0.2.43")),
        ([";;for=192.0.2.43;;proto=http;"], ProxiedClient("192.0.2.43", "http")),
        (["for=192.0.2.43 ; proto=http"], ProxiedClient("192.0.2.43", "http")),
        (["for=10.0.0.1, ;, for=10.0.0.2"], ProxiedClient("10.0.0.1")),
        ([""], ProxiedClient(PEER)),
        # Quotes
        ([r'for="\1\9\2.0.2.43"'], ProxiedClient("192.0.2.43")),
        ([r'x="a,for=6.6.6.6\",\\";for=192.0.2.43'], ProxiedClient("192.0.2.43")),
        ([r'for=192.0.2.43;x="\\"'], ProxiedClient("192.0.2.43")),
        ([r'for=192.0.2.43;x="\\\""'], ProxiedClient("192.0.2.43")),
        (['for=192.0.2.43;x=""'], ProxiedClient("192.0.2.43")),
        (['for=192.0.2.43;x="a=b;c=d, for=6.6.6.6, e=\xff\t"'], ProxiedClient("192.0.2.43")),
        (['for=6.6.6.6, for=10.0.0.1;x=";for=_a,"'], ProxiedClient("6.6.6.6")),
    ],
)
def test_the_walk_through_elements(values: list[str], client: ProxiedClient) -> None:
    assert forwarded(*values) == client


@pytest.mark.parametrize(
    "element",
    [
        "for",
        "for=",
        "=192.0.2.1",
        "for =192.0.2.1",
        "for= 192.0.2.1",
        "for=192.0.2.1 proto=http",
        "192.0.2.1",
        "for=192.0.2.1:80",  # a colon wants quotes
        "for=[2001:db8::1]",
        'for="2001:db8::1"',  # and an IPv6 address brackets
        'for="[192.0.2.1]"',
        'for="[2001:db8::1"',
        'for="[2001:db8::1%eth0]"',
        'for="[2001:db8::1]80"',
        'for="[2001:db8::1::]"',
        'for="192.0.2.1',
        'for=192.0.2.1"',
        'for="192.0.2.1\\"',
        'for="192.0.2.1"x',
        'for=x"192.0.2.1"',
        'for=""',
        "for=_",
        "for=_a/b",
        "for=hidden",
        "for=unknownx",
        "for=192.0.2",
        "for=192.0.2.256",
        "for=192.0.2.01",
        "for=3221225985",
        "for=0xc0.0.2.1",
        'for=" 192.0.2.1"',
        'for="192.0.2.1:"',
        'for="192.0.2.1:65536"',
        'for="192.0.2.1:123456"',
        'for="192.0.2.1:+80"',
        'for="192.0.2.1:-1"',
        'for="192.0.2.1:\xb2"',
        "for=\xb2.0.2.1",
        "for=192.0.2.1;for=192.0.2.1",
        "for=192.0.2.1;proto=http;Proto=https",
        "for=192.0.2.1;x=\xff",
        "\x00",
        '"',
        '\\"',
        "\\",
    ],
)
def test_the_walk_ends_at_a_malformed_element(element: str) -> None:
    assert forwarded(element) == ProxiedClient(PEER)
    assert forwarded("for=6.6.6.6", element, "for=10.0.0.1;proto=https;host=a") == ProxiedClient(
        "10.0.0.1", "https", "a"
    )


def test_a_word_that_only_looks_like_unknown_is_none() -> None:
    # U+212A is a k to a pattern that ignores case; a server's headers never have it, as they are ISO-8859-1.
    assert forwarded('for="un\u212anown"') == ProxiedClient(PEER)


@pytest.mark.parametrize(
    ("proto", "scheme"),
    [
        ("http", "http"),
        ("HTTPS", "https"),
        ("wss", "https"),
        ("ws", "http"),
        ("ftp", None),
        ("javascript", None),
        ("http:", None),
        ("", None),
    ],
)
def test_a_scheme_is_that_of_a_request(proto: str, scheme: str | None) -> None:
    assert forwarded(f'for=192.0.2.1;proto="{proto}"') == ProxiedClient("192.0.2.1", scheme)  # type: ignore[arg-type]
    assert x_forwarded("192.0.2.1", Proto=proto) == ProxiedClient("192.0.2.1", scheme)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "host"),
    [
        ("example.com", "example.com"),
        ("example.com:8080", "example.com:8080"),
        ("[2001:db8::1]:8080", "[2001:db8::1]:8080"),
        ("", None),
        ("a b", None),
        ("a/b", None),
        ("user@a", None),
        ("a:65536", None),
        ("[::1", None),
        ("a,b", None),
        ("\u20ac", None),
    ],
)
def test_a_host_that_is_none_is_not_told_and_hides_nothing(text: str, host: str | None) -> None:
    assert forwarded(f'for=192.0.2.1;host="{text}"') == ProxiedClient("192.0.2.1", None, host)


# X-Forwarded-*


@pytest.mark.parametrize(
    ("values", "address"),
    [
        (["192.0.2.1"], "192.0.2.1"),
        (["192.0.2.1:4711"], "192.0.2.1:4711"),
        (["2001:db8::1"], "[2001:db8::1]"),
        (["2001:DB8::0:1"], "[2001:db8::1]"),
        (["[2001:db8::1]"], "[2001:db8::1]"),
        (["[2001:db8::1]:4711"], "[2001:db8::1]:4711"),
        (["::ffff:192.0.2.1"], "192.0.2.1"),
        (["unknown"], "unknown"),
        (["6.6.6.6, 192.0.2.1"], "192.0.2.1"),
        (["6.6.6.6", "192.0.2.1"], "192.0.2.1"),
        (["192.0.2.1,10.0.0.1 ,\t10.0.0.2"], "192.0.2.1"),
        (["192.0.2.1", "10.0.0.1, 2001:db8:ffff::1", "127.0.0.1"], "192.0.2.1"),
        (["192.0.2.1, unknown, 10.0.0.1"], "unknown"),
        (["10.0.0.2, 10.0.0.1"], "10.0.0.2"),
        ([" , 192.0.2.1, ,"], "192.0.2.1"),
        (["6.6.6.6, garbage, 10.0.0.1"], "10.0.0.1"),
        (["6.6.6.6, 10.0.0.1;, 10.0.0.2"], "10.0.0.2"),
        (["garbage"], PEER),
        (["::"], "[::]"),
        ([":::"], PEER),
        (["fe80::1%eth0"], PEER),
        (["192.0.2.1:65536"], PEER),
        (["192.0.2.1:"], PEER),
        (["192.0.2.1 "], "192.0.2.1"),
        (['"192.0.2.1"'], PEER),
        (["192.0.2.1;proto=https"], PEER),
        (["[192.0.2.1]"], PEER),
        (["01.2.3.4"], PEER),
        (["\xb9.2.3.4"], PEER),
        ([""], PEER),
        (["localhost"], PEER),
    ],
)
def test_the_walk_through_entries(values: list[str], address: str) -> None:
    assert x_forwarded(*values) == ProxiedClient(address)


@pytest.mark.parametrize(
    ("others", "scheme", "host"),
    [
        ({"Proto": "https"}, "https", None),
        # A proxy that only appends: the first is the client's word.
        ({"Proto": "https, http"}, "http", None),
        ({"Proto": "https,"}, None, None),
        ({"Host": "a.example"}, None, "a.example"),
        ({"Host": "evil.example, a.example"}, None, "a.example"),
        ({"Host": "a/b"}, None, None),
        ({"Host": "a.example", "Port": "8080"}, None, "a.example:8080"),
        ({"Host": "a.example", "Port": "6, 8080"}, None, "a.example:8080"),
        ({"Host": "a.example", "Port": "08080"}, None, "a.example:8080"),
        ({"Host": "a.example", "Port": "80"}, None, "a.example:80"),
        ({"Host": "a.example", "Port": "443", "Proto": "https"}, "https", "a.example"),
        ({"Host": "a.example", "Port": "80", "Proto": "http"}, "http", "a.example"),
        ({"Host": "a.example", "Port": "80", "Proto": "https"}, "https", "a.example:80"),
        ({"Host": "a.example:1", "Port": "8080"}, None, "a.example:1"),
        ({"Host": "[::1]", "Port": "8080"}, None, "[::1]:8080"),
        ({"Host": "[::1]:1", "Port": "8080"}, None, "[::1]:1"),
        ({"Host": "a.example", "Port": "0"}, None, "a.example"),
        ({"Host": "a.example", "Port": "65536"}, None, "a.example"),
        ({"Host": "a.example", "Port": "8_0"}, None, "a.example"),
        ({"Host": "a.example", "Port": "+80"}, None, "a.example"),
        ({"Host": "a.example", "Port": "\xb2"}, None, "a.example"),
        ({"Host": "a.example", "Port": "9" * 5000}, None, "a.example"),
        ({"Host": "a.example", "Port": ""}, None, "a.example"),
        ({"Port": "8080"}, None, None),
    ],
)
def test_scheme_and_host_are_the_last_of_theirs(
    others: dict[str, str], scheme: Any, host: str | None
) -> None:
    assert x_forwarded("192.0.2.1", **others) == ProxiedClient("192.0.2.1", scheme, host)
    assert x_forwarded(**others) == ProxiedClient(PEER, scheme, host)


# Limits


def test_a_hundred_entries_are_looked_at() -> None:
    assert MAX_ENTRIES == 100
    assert x_forwarded("192.0.2.1, 10.0.0.1" + ",10.0.0.2" * 98) == ProxiedClient("192.0.2.1")
    assert x_forwarded("192.0.2.1, 10.0.0.1" + ",10.0.0.2" * 99) == ProxiedClient("10.0.0.1")
    assert forwarded("for=192.0.2.1, for=10.0.0.1" + ",for=10.0.0.2" * 98) == ProxiedClient("192.0.2.1")
    assert forwarded("for=192.0.2.1, for=10.0.0.1" + ",for=10.0.0.2" * 99) == ProxiedClient("10.0.0.1")


@pytest.mark.parametrize(
    "value",
    ["," * 30000, ";" * 30000, '"' * 30000, "\\" * 30000, " " * 30000, 'a="' + "\\" * 30000, "a=b;" * 8000],
)
def test_long_nonsense_ends(value: str) -> None:
    # Quadratic work would pass the time that a test has.
    assert forwarded(value) == x_forwarded(value) == ProxiedClient(PEER)


# No client passes for another

TEXT = st.text(st.characters(min_codepoint=0x20, max_codepoint=0xFF, exclude_characters="\x7f"), max_size=30)
PIECES = st.sampled_from(
    [
        "for=",
        "6.6.6.6",
        '"',
        "\\",
        ",",
        ";",
        "=",
        " ",
        "127.0.0.1",
        "host=",
        "for=10.0.0.1",
        "[::1]",
        "unknown",
        ":",
    ]
)
NONSENSE = st.one_of(TEXT, st.lists(PIECES, max_size=12).map("".join))


def quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


@given(NONSENSE, st.sampled_from([", ", ","]), NONSENSE)
def test_nothing_before_the_proxys_word_changes_it(nonsense: str, comma: str, quotable: str) -> None:
    # One proxy appends to the client's line, and quotes what the client says of a host.
    word = f"for=192.0.2.1;x={quoted(quotable)};proto=https"
    assert forwarded(nonsense + comma + word) == ProxiedClient("192.0.2.1", "https")
    assert forwarded(nonsense, word) == ProxiedClient("192.0.2.1", "https")
    # A second one appends its own.
    inner = f"proto=http;x={quoted(quotable)};for=10.0.0.1"
    assert forwarded(nonsense + comma + word + comma + inner) == ProxiedClient("192.0.2.1", "https")
    assert x_forwarded(nonsense + comma + "192.0.2.1") == ProxiedClient("192.0.2.1")
    assert x_forwarded(nonsense, "192.0.2.1, 10.0.0.1") == ProxiedClient("192.0.2.1")


ADDRESSES = st.sampled_from(
    [
        "192.0.2.1",
        "192.0.2.1:80",
        "10.0.0.1",
        "10.0.0.2:8080",
        "[2001:db8::1]",
        "[2001:db8:ffff::1]:443",
        "unknown",
        "_a",
    ]
)
ELEMENTS = st.fixed_dictionaries(
    {},
    optional={
        "for": ADDRESSES,
        "proto": st.sampled_from(["http", "https", "ftp"]),
        "host": st.sampled_from(["a.example", "[::1]:80", "no host"]),
        "by": st.text('a,;="\\ \xff', max_size=6),
    },
)


@st.composite
def written(draw: st.DrawFn, element: dict[str, str]) -> str:
    """One of the ways to write an element."""
    pairs = []
    for name, value in draw(st.permutations(list(element.items()))):
        token = value and not set(value) & set('[]:,;="\\ \xff')
        name = "".join(map(draw, (st.sampled_from([letter, letter.upper()]) for letter in name)))
        pairs.append(f"{name}={value if token and draw(st.booleans()) else quoted(value)}")
    return draw(st.sampled_from([";", " ; ", ";;"])).join(pairs)


@given(st.data(), st.lists(ELEMENTS, max_size=5))
def test_elements_are_read_as_what_they_were_made_of(
    data: st.DataObject, elements: list[dict[str, str]]
) -> None:
    texts = [data.draw(written(element)) for element in elements]
    fields = [""]
    for text in texts:
        fields += [""] if data.draw(st.booleans()) else []
        fields[-1] += data.draw(st.sampled_from([",", " ,\t", ",,"])) + text
    client = ProxiedClient(PEER)
    for element in reversed(elements):  # RFC 7239 as prose: who is believed says who was before
        if element:
            proto, host = element.get("proto"), element.get("host")
            client = ProxiedClient(
                element.get("for", client.address),
                proto if proto in ("http", "https") else None,  # type: ignore[arg-type]
                None if host == "no host" else host,
            )
            if not element.get("for", "").startswith(("10.", "[2001:db8:ffff:")):
                break
    assert forwarded(*fields) == client


@given(st.lists(NONSENSE, max_size=4))
def test_any_fields_give_a_client_or_a_proxy(values: list[str]) -> None:
    for client in (forwarded(*values), x_forwarded(*values, Proto="".join(values), Host="".join(values))):
        assert client.address
        assert client.scheme in (None, "http", "https")


HOSTS = st.one_of(st.ip_addresses(v=4).map(str), st.ip_addresses(v=6).map(lambda ip: f"[{ip.exploded}]"))


@given(HOSTS, st.one_of(st.none(), st.integers(0, 65535)))
def test_both_kinds_read_an_address_alike(host: str, port: int | None) -> None:
    node = host if port is None else f"{host}:{port}"
    client = forwarded(f'for="{node}"')
    assert client == x_forwarded(node)
    # What it gives it would read again, and trust alike.
    assert forwarded(f'for="{client.address}"') == client
    assert Proxies([host.strip("[]")]).trusts(client.address)
