"""`evkit.http.client.redirects`: where a response sends a client, and what stays behind."""

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evkit.errors import RemoteProtocolError
from evkit.http.client.origin import Origin, parse_url
from evkit.http.client.redirects import Redirects, Step, Trail
from evkit.http.errors import RedirectError
from evkit.http.headers import Headers
from evkit.http.uri import Uri

BASE = "http://a.example/x/y?q"


def step(
    method: str = "GET", url: str = BASE, fields: tuple[tuple[str, str], ...] = (), *, body: bool = False
) -> Step:
    return Step(method, Uri.parse(url), fields, body)


def follow(
    first: Step, location: str, status: int = 302, *, rules: Redirects | None = None, repeatable: bool = True
) -> Step | None:
    trail = Trail(rules or Redirects(), first)
    return trail.follow(status, Headers([("Location", location)]), repeatable=repeatable)


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "x"])
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_the_method_that_comes_next(status: int, method: str) -> None:
    """RFC 9110 §15.4.2 to §15.4.9; the Fetch standard, "HTTP-redirect fetch", steps 12 and 13."""
    expected = method
    if status == 303 and method != "HEAD":
        expected = "GET"
    if status in (301, 302) and method == "POST":
        expected = "GET"
    after = follow(step(method, body=method in ("POST", "PUT")), "/z", status)
    assert after is not None
    assert after.method == expected
    assert after.body == (method in ("POST", "PUT") and expected == method)


@pytest.mark.parametrize("status", [200, 201, 300, 304, 305, 306, 309, 404])
def test_other_statuses_are_the_answer(status: int) -> None:
    assert follow(step(), "/z", status) is None


def test_without_a_location_it_is_the_answer() -> None:
    trail = Trail(Redirects(), step())
    assert trail.follow(302, Headers()) is None
    assert trail.followed == 0


@pytest.mark.parametrize(
    ("location", "url"),
    [
        ("http://b.example/", "http://b.example/"),
        ("//b.example/c", "http://b.example/c"),
        ("/c", "http://a.example/c"),
        ("c", "http://a.example/x/c"),
        ("../../../c", "http://a.example/c"),
        ("?r", "http://a.example/x/y?r"),
        ("", "http://a.example/x/y?q"),
        (" /c\t", "http://a.example/c"),
        ("HTTP://B.example:80/c", "HTTP://B.example:80/c"),
        ("https://b.example", "https://b.example"),
        # Users are never sent.
        ("http://user:pass@b.example/", "http://b.example/"),
        ("//user@a.example/", "http://a.example/"),
        # What servers write as it is.
        ("/a b", "http://a.example/a%20b"),
        ("/\xc3\xa4", "http://a.example/%C3%A4"),
        ("/\xff", "http://a.example/%FF"),
        ("/100%", "http://a.example/100%25"),
        ("\\\\b.example\\c", "http://a.example/x/%5C%5Cb.example%5Cc"),
        ("/a%0d%0aX:%20y", "http://a.example/a%0d%0aX:%20y"),
    ],
)
def test_where_it_leads(location: str, url: str) -> None:
    after = follow(step(), location)
    assert after is not None
    assert str(after.url) == url


@pytest.mark.parametrize(
    ("base", "location", "url"),
    [
        ("http://a/x#f", "/y", "http://a/y#f"),
        ("http://a/x#f", "/y#g", "http://a/y#g"),
        ("http://a/x#f", "/y#", "http://a/y#"),
        ("http://a/x", "/y#g", "http://a/y#g"),
        ("http://u:p@a/x", "/y", "http://a/y"),
    ],
)
def test_fragments_are_inherited_and_users_are_not(base: str, location: str, url: str) -> None:
    """RFC 9110 §10.2.2."""
    after = follow(step(url=base), location)
    assert after is not None
    assert str(after.url) == url


@pytest.mark.parametrize(
    "location",
    [
        "ftp://b.example/",
        "file:///etc/passwd",
        "javascript:alert(1)",
        "data:,x",
        "http:c",
        "http://",
        "http:///c",
        "http://a:b/",
        "http://b.example:99999/",
        "http://b.example:0/",
        "http://b exa.mple/",
        "http://127.1/",
        "http://b.example%2f@a.example%2f/",
        "\\\\b.example\\c:80",
        "http://[::1/",
        "http://b.example\\@a.example/",
    ],
)
def test_where_it_must_not_lead(location: str) -> None:
    trail = Trail(Redirects(), step())
    with pytest.raises(RedirectError):
        trail.follow(302, Headers([("Location", location)]))
    assert trail.step == step()
    assert trail.followed == 0


def test_several_locations() -> None:
    trail = Trail(Redirects(), step())
    with pytest.raises(RedirectError, match="one Location"):
        trail.follow(302, Headers([("Location", "/a"), ("location", "/b")]))
    after = trail.follow(302, Headers([("Location", "/a"), ("location", "/a")]))
    assert after is not None


SECRETS = (
    ("Authorization", "Basic x"),
    ("COOKIE", "a=b"),
    ("Proxy-Authorization", "Basic y"),
    ("X-Api-Key", "z"),
    ("Host", "elsewhere"),
    ("Referer", "http://a.example/secret"),
    ("Origin", "http://a.example"),
)
PLAIN = (("Accept", "*/*"), ("X-Api-Keys", "no secret"), ("User-Agent", "x"))
RULES = Redirects(secrets=["x-api-KEY"])


@pytest.mark.parametrize(
    "location",
    [
        "http://b.example/",
        "http://a.example:8080/",
        "https://a.example/",
        "http://a.example./",
        "http://sub.a.example/",
        "//example/",
    ],
)
def test_secrets_stay_with_their_origin(location: str) -> None:
    after = follow(step(fields=SECRETS + PLAIN), location, rules=RULES)
    assert after is not None
    assert tuple(after.fields) == PLAIN


@pytest.mark.parametrize("location", ["/c", "http://a.example/", "HTTP://A.EXAMPLE:80/c", "//u:p@a.example/"])
def test_secrets_go_on_to_the_same_origin(location: str) -> None:
    after = follow(step(fields=SECRETS + PLAIN), location, rules=RULES)
    assert after is not None
    assert tuple(after.fields) == SECRETS + PLAIN


def test_secrets_do_not_come_back() -> None:
    trail = Trail(RULES, step(fields=SECRETS + PLAIN))
    for location in ("http://b.example/", BASE):
        after = trail.follow(307, Headers([("Location", location)]))
    assert after is not None
    assert tuple(after.fields) == PLAIN


def test_what_describes_the_body_goes_with_it() -> None:
    """RFC 9110 §15.4."""
    content = (
        ("Content-Type", "text/plain"),
        ("content-length", "3"),
        ("Content-Encoding", "gzip"),
        ("Transfer-Encoding", "chunked"),
        ("Expect", "100-continue"),
        ("Digest", "x"),
        ("Trailer", "y"),
    )
    sent = step("POST", fields=content + PLAIN, body=True)
    for status, fields in ((303, PLAIN), (302, PLAIN), (307, content + PLAIN), (308, content + PLAIN)):
        after = follow(sent, "/c", status)
        assert after is not None
        assert tuple(after.fields) == fields


@pytest.mark.parametrize(("status", "method"), [(307, "POST"), (308, "POST"), (302, "PUT"), (301, "PATCH")])
def test_a_body_that_is_gone(status: int, method: str) -> None:
    with pytest.raises(RedirectError, match="twice"):
        follow(step(method, body=True), "/c", status, repeatable=False)
    assert follow(step(method), "/c", status, repeatable=False) is not None


def test_a_body_that_is_not_asked_for_again_may_be_gone() -> None:
    after = follow(step("POST", body=True), "/c", 303, repeatable=False)
    assert after == Step("GET", Uri.parse("http://a.example/c"), [], body=False)


def test_from_https_to_http() -> None:
    first = step(url="https://a.example/")
    with pytest.raises(RedirectError, match="https to http"):
        follow(first, "http://a.example/")
    assert follow(first, "https://b.example/") is not None
    assert follow(first, "http://a.example/", rules=Redirects(downgrade=True)) is not None


@pytest.mark.parametrize("limit", [0, 1, 10])
def test_the_limit(limit: int) -> None:
    trail = Trail(Redirects(limit=limit), step())
    for number in range(limit):
        assert trail.follow(302, Headers([("Location", f"/{number}")])) is not None
    with pytest.raises(RedirectError, match=f"more than {limit} redirects"):
        trail.follow(302, Headers([("Location", "/last")]))
    assert trail.followed == limit
    assert trail.follow(200, Headers()) is None


def test_ten_redirects_by_default() -> None:
    assert Redirects().limit == 10
    assert not Redirects().downgrade


@pytest.mark.parametrize("locations", [[BASE], ["/b", BASE], ["/b", "/c", BASE + "#f"]])
def test_a_loop_is_one_before_the_limit(locations: list[str]) -> None:
    trail = Trail(Redirects(limit=100), step())
    for location in locations:  # once round may be about a cookie
        assert trail.follow(302, Headers([("Location", location)])) is not None
    for location in locations[:-1]:
        assert trail.follow(302, Headers([("Location", location)])) is not None
    with pytest.raises(RedirectError, match="loop"):
        trail.follow(302, Headers([("Location", locations[-1])]))
    assert trail.followed == 2 * len(locations) - 1


def test_a_post_that_comes_back_as_get_is_no_loop() -> None:
    trail = Trail(Redirects(), step("POST", body=True))
    for _ in range(2):
        assert trail.follow(303, Headers([("Location", BASE)])) is not None


def test_the_error_says_where() -> None:
    with pytest.raises(RedirectError) as caught:
        follow(step(url="https://user:secret@a.example/x"), "http://b.example/", 301)
    error = caught.value
    assert (error.status, error.url, error.location) == (301, "https://a.example/x", "http://b.example/")
    assert "301" in str(error)
    assert "secret" not in str(error)
    assert isinstance(error, RemoteProtocolError)


def test_rules_that_are_none() -> None:
    with pytest.raises(ValueError, match="limit"):
        Redirects(limit=-1)
    with pytest.raises(TypeError, match="several"):
        Redirects(secrets="X-Key")


def test_they_show_themselves() -> None:
    assert repr(Redirects(limit=3)) == "<Redirects limit=3 downgrade=False>"
    assert repr(Trail(Redirects(), step())) == "<Trail 0 of 10 at 'http://a.example/x/y?q'>"


@given(st.text(st.characters(max_codepoint=255), max_size=60))
def test_whatever_a_server_says_it_leads_to_http_or_nowhere(location: str) -> None:
    trail = Trail(RULES, step(fields=SECRETS))
    try:
        after = trail.follow(302, Headers([("Location", location)]))
    except RedirectError:
        return
    assert after is not None
    assert (after.url.scheme or "").lower() in ("http", "https")
    assert after.url.userinfo is None
    assert str(after.url).isascii()
    assert str(after.url).isprintable()
    assert " " not in str(after.url)


# Beside httpx


def theirs(method: str, status: int, base: str, location: str) -> httpx.Request:
    """Return httpx's next request."""
    seen: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(200 if len(seen) > 1 else status, headers={"Location": location})

    with httpx.Client(transport=httpx.MockTransport(answer), follow_redirects=True) as client:
        client.request(
            method, base, headers={"Authorization": "Basic x"}, content=b"x" if method == "POST" else None
        )
    return seen[1]


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_methods_as_httpx_has_them(status: int, method: str) -> None:
    """But for 302 after PUT and its like, which RFC 9110 §15.4.3 and browsers leave as they are, and httpx does not."""
    after = follow(step(method, body=method == "POST"), "/z", status)
    assert after is not None
    other = theirs(method, status, BASE, "/z")
    if status == 302 and method not in ("GET", "HEAD", "POST"):
        assert (after.method, other.method) == (method, "GET")
    else:
        assert after.method == other.method
        assert after.body == bool(other.content)


@pytest.mark.parametrize(
    "location",
    [
        "/z",
        "y",
        "../../a/./b/../c",
        "?r",
        "//b.example",
        "http://b.example:80/",
        "http://a.example:80",
        "#f",
        "http://a.example:81/",
        "http://sub.a.example/",
        "https://b.example/",
        "/a%2fb?c=%20d",
        "http://[::1]:8080/x",
        "https://a.example/",
    ],
)
def test_places_and_secrets_as_httpx_has_them(location: str) -> None:
    """But for the way from http to https on the same host, on which httpx takes them along."""
    after = follow(step(fields=(("Authorization", "Basic x"),)), location)
    assert after is not None
    other = theirs("GET", 302, BASE, location)
    assert after.url.target == other.url.raw_path.decode()
    assert Origin.of(after.url) == Origin.of(parse_url(str(other.url)))
    kept = "authorization" in other.headers
    assert bool(after.fields) == (kept and location != "https://a.example/")
