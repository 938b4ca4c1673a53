"""`evkit.http.client.credentials`: what is sent, and what is never shown."""

import pytest

from evkit.http.client.credentials import Basic, Bearer, from_userinfo
from evkit.http.uri import Uri


@pytest.mark.parametrize(
    ("user", "password", "value"),
    [
        # RFC 7617 §2 and §2.1
        ("Aladdin", "open sesame", "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="),
        ("test", "123£", "Basic dGVzdDoxMjPCow=="),
        ("a", "b:c", "Basic YTpiOmM="),
        ("", "", "Basic Og=="),
        ("\udcff", "", "Basic /zo="),  # a byte that was no UTF-8, from a URL
    ],
)
def test_basic(user: str, password: str, value: str) -> None:
    assert Basic(user, password).authorization == value


@pytest.mark.parametrize(
    ("user", "password"), [("a:b", ""), ("a\n", ""), ("a", "\r\nX: y"), ("\0", ""), ("", "\x7f"), ("\t", "")]
)
def test_basic_refuses(user: str, password: str) -> None:
    with pytest.raises(ValueError, match="Basic"):
        Basic(user, password)


@pytest.mark.parametrize("token", ["mF_9.B5f-4.1JqM", "a", "A~+/==", "0"])
def test_bearer(token: str) -> None:
    assert Bearer(token).authorization == f"Bearer {token}"


@pytest.mark.parametrize("token", ["", "=", "a=b", "a b", "a\r\n", "a\n", "é", "٣", "a,b", '"a"'])
def test_bearer_refuses(token: str) -> None:
    with pytest.raises(ValueError, match="bearer"):
        Bearer(token)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://a/", None),
        ("http://@a/", None),
        ("http://u@a/", Basic("u")),
        ("http://u:@a/", Basic("u", "")),
        ("http://:p@a/", Basic("", "p")),
        ("http://u:p:q@a/", Basic("u", "p:q")),
        ("http://%75%40:p%2F+@a/", Basic("u@", "p/+")),
        ("http://%C3%A4:%FF@a/", Basic("ä", "\udcff")),
    ],
)
def test_from_a_url(url: str, expected: Basic | None) -> None:
    assert from_userinfo(Uri.parse(url)) == expected


@pytest.mark.parametrize("url", ["http://a%0d%0aX@b/", "http://a%3ab@c/", "http://a:%00@b/"])
def test_from_a_url_that_hides_something(url: str) -> None:
    with pytest.raises(ValueError, match="Basic"):
        from_userinfo(Uri.parse(url))


def test_nothing_secret_is_shown() -> None:
    assert repr(Basic("joe", "secret")) == "Basic(user='joe')"
    assert repr(Bearer("secret")) == "Bearer()"


def test_what_is_refused_is_not_shown() -> None:
    for make in (lambda: Basic("joe", "secret\n"), lambda: Bearer("secret\n")):
        with pytest.raises(ValueError, match=r"character|letters") as caught:
            make()
        assert "secret" not in str(caught.value)
