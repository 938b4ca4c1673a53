"""Whatever comes over a socket ends in the right answers or a close: no second reply, no hang, no harm to others."""

import json
import re

import h11
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from evkit.http.server.request import Request
from http_corpus import CASES, Case, Seen
from http_server_aids import ENGINES, Client, Reply, Site, both_engines, get, request


def mirror(asked: Request) -> None:
    """Answer with what was understood of the request."""
    told = [asked.method, asked.target, asked.host, asked.body.decode("latin-1"), asked.trailers]
    asked.send_reply(200, json.dumps(told))


def told(seen: Seen) -> list[object]:
    """What `mirror` says of a request that was understood as the corpus says."""
    trailers = [list(pair) for pair in seen.trailers]
    return [seen.method, seen.target, seen.host, seen.body.decode("latin-1"), trailers]


def read_all(client: Client, methods: list[str]) -> tuple[list[Reply], bytes]:
    """Read a reply for each method, and what comes after them up to the server's end."""
    client.finish()
    replies = [client.reply(method) for method in methods]
    return replies, client.rest()


# RFC 9112 §7.1.1 calls whitespace there bad and h11 knows none: both readers of a body must agree.
H11_REFUSES = {"extension, BWS"}


def seen_by(site: Site, case: Case) -> Case:
    """What becomes of a case with the site's engine."""
    if site.engine == "h11" and case.name in H11_REFUSES:
        return case._replace(seen=(), status=400)
    return case


def methods_of(case: Case) -> list[str]:
    return [seen.method for seen in case.seen] + ["GET"] * (case.status is not None)


@pytest.fixture(scope="module", params=ENGINES)
def site(request: pytest.FixtureRequest) -> object:
    """One server for all cases: what a case leaves behind would show in the next."""
    with Site(request.param, max_body=None) as site:
        site.server.set_gencb(mirror)
        yield site


def check(site: Site, case: Case, client: Client) -> None:
    """Compare the replies of a client that has sent a case with what the case says."""
    replies, rest = read_all(client, methods_of(case))
    assert rest == b""  # nothing after the last reply, and a clean end
    understood = [json.loads(reply.body) for reply in replies[: len(case.seen)] if reply.body]
    expected = [told(seen) for seen in case.seen if seen.method not in ("HEAD", "CONNECT")]
    assert understood == expected
    if case.status is not None:
        assert replies[-1].status == case.status
        assert replies[-1].get("connection") == "close"
    client.close()
    site.connected(0)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_case_of_the_corpus(site: Site, case: Case) -> None:
    client = site.client()
    client.send(case.raw)
    check(site, seen_by(site, case), client)


@pytest.mark.parametrize("case", [case for case in CASES if len(case.raw) < 200], ids=lambda case: case.name)
def test_a_case_that_comes_byte_by_byte(site: Site, case: Case) -> None:
    client = site.client()
    for byte in case.raw:
        client.send(bytes([byte]))
    check(site, seen_by(site, case), client)


@pytest.mark.parametrize(
    "case", [case for case in CASES if case.status is not None], ids=lambda case: case.name
)
def test_what_follows_a_refused_request_is_never_answered(site: Site, case: Case) -> None:
    client = site.client()
    client.send(case.raw)
    client.send(get("/smuggled") * 3)
    replies, rest = read_all(client, methods_of(case))
    assert rest == b""
    assert replies[-1].status == case.status
    assert not any("/smuggled" in target for target, _ in site.completed)
    client.close()
    site.serves()


def test_the_corpus_is_there() -> None:
    assert len(CASES) > 250
    assert {case.status for case in CASES} >= {None, 400, 413, 417, 501, 505}


# Bytes of other kinds

CLIENT_HELLO = bytes.fromhex(
    "16030100f8010000f40303" + "ab" * 32 + "20" + "cd" * 32 + "0026c02bc02fc02cc030cca9cca8c009c013c00ac014"
) + bytes(100)


@pytest.mark.parametrize(
    "garbage",
    [
        CLIENT_HELLO,
        bytes(65536),
        b"\xff" * 65536,
        b"\r\n" * 5000,
        b"A" * 200_000,
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"GET /\r\n",
    ],
    ids=["TLS", "NUL", "0xFF", "CRLF", "one long word", "SSH", "HTTP/0.9"],
)
def test_garbage_gets_one_refusal(site: Site, garbage: bytes) -> None:
    client = site.client()
    client.send(garbage)
    reply = client.reply()
    assert reply.status in (400, 501)
    assert client.rest() == b""
    client.close()
    site.serves()


@given(data=st.binary(max_size=300), cut=st.integers(0, 300))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_bytes_get_at_most_one_refusal(site: Site, data: bytes, cut: int) -> None:
    client = site.client()
    client.send(data[:cut])
    client.send(data[cut:])
    client.finish()
    answer = client.rest()
    assert len(re.findall(rb"HTTP/1\.1 [0-9]{3} ", answer)) <= 1  # the body may speak of HTTP, too
    assert answer == b"" or answer.startswith((b"HTTP/1.1 4", b"HTTP/1.1 5"))
    client.close()
    site.connected(0)


FRAGMENTS = st.sampled_from(
    [
        b"GET / HTTP/1.1\r\n",
        b"POST / HTTP/1.1\r\n",
        b"Host: a\r\n",
        b"Content-Length: 3\r\n",
        b"Transfer-Encoding: chunked\r\n",
        b"Expect: 100-continue\r\n",
        b"Connection: close\r\n",
        b"\r\n",
        b"abc",
        b"3\r\nabc\r\n",
        b"0\r\n\r\n",
        b"\n",
        b" ",
        b"\0",
        b"X: y\r\n",
    ]
)


@given(pieces=st.lists(FRAGMENTS, max_size=15))
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_shuffle_of_a_requests_parts_gives_replies_and_at_most_one_refusal(
    site: Site, pieces: list[bytes]
) -> None:
    client = site.client()
    for piece in pieces:
        client.send(piece)
    client.finish()
    statuses: list[int] = []
    while True:
        try:
            statuses.append(client.reply().status)
        except h11.RemoteProtocolError:
            break  # the clean end of the stream, which the next line proves
    assert client.rest() == b""
    assert all(status == 200 for status in statuses[:-1])
    client.close()
    site.connected(0)


@both_engines
def test_both_engines_are_told_the_same_by_a_good_request(engine: str) -> None:
    with Site(engine) as site:
        site.server.set_gencb(mirror)
        reply = site.client().ask(request("POST", "/p", body=b"x"))
        assert json.loads(reply.body) == ["POST", "/p", "a", "x", []]
