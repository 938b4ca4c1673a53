"""`evkit.http.forms.whole_body`: whether the body of a form is there, or was never read."""

from collections.abc import Callable

import pytest

from evkit.errors import LocalProtocolError
from evkit.http.forms.multipart import parse_multipart
from evkit.http.forms.urlencoded import parse_form
from evkit.http.forms.whole_body import whole_body
from evkit.http.server.compression import compressed
from evkit.http.server.request import Request
from evkit.http.server.routes import Handler
from http_server_aids import Site, both_engines, chunked, request

FORMS = pytest.mark.parametrize(
    ("parse", "kind"),
    [
        (parse_form, "application/x-www-form-urlencoded"),
        (parse_multipart, "multipart/form-data; boundary=b"),
    ],
)


@both_engines
@pytest.mark.parametrize("body", [b"", b"abc"])
def test_a_body_that_was_read(engine: str, body: bytes) -> None:
    bodies: list[bytes] = []

    def handler(asked: Request) -> None:
        bodies.append(whole_body(asked, "parse_it()"))
        asked.send_reply(200)

    with Site(engine) as site:
        site.server.set_gencb(handler)
        client = site.client()
        for sent in (request("POST", "/", body=body), chunked("POST", "/", *[body] * bool(body))):
            assert client.ask(sent).status == 200
        assert bodies == [body] * 2


@FORMS
@pytest.mark.parametrize("received", [False, True])
@pytest.mark.parametrize("sent", [b"3\r\na=1\r\n0\r\n\r\n", b"a=1"])
@pytest.mark.parametrize("wrap", [lambda handler: handler, compressed])
def test_a_body_that_is_received_piece_by_piece_is_not_taken_for_an_empty_form(
    parse: Callable[[Request], object],
    kind: str,
    received: bool,
    sent: bytes,
    wrap: Callable[[Handler], Handler],
) -> None:
    def refuse(asked: Request) -> None:
        with pytest.raises(LocalProtocolError, match=rf"{parse.__name__}\(\).*without stream=True"):
            parse(asked)
        asked.send_reply(200)

    def handler(asked: Request) -> None:
        if received:
            asked.receive(lambda *_: None, refuse)
        else:
            refuse(asked)

    framing = "Content-Length: 3" if sent == b"a=1" else "Transfer-Encoding: chunked"
    with Site() as site:
        site.server.set_gencb(wrap(handler), stream=True)
        head = request("POST", "/", f"Content-Type: {kind}", framing)
        assert site.client().ask(head + sent).status == 200


@FORMS
@pytest.mark.parametrize(
    ("field", "status"), [("Content-Encoding: gzip", 415), ("Content-Type: {kind}", 400), ("X: y", 200)]
)
def test_both_kinds_of_forms_refuse_the_same(
    parse: Callable[[Request], object], kind: str, field: str, status: int
) -> None:
    def handler(asked: Request) -> None:
        parse(asked)
        asked.send_reply(200)

    body = b"a=1" if parse is parse_form else b"--b--\r\n"
    with Site() as site:
        site.server.set_gencb(handler)
        sent = request("POST", "/", f"Content-Type: {kind}", field.format(kind=kind), body=body)
        assert site.client().ask(sent).status == status
