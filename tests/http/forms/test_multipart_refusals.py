"""Forms that are refused on a connection: the client hears why, and the handler that it is over."""

import pytest

from evkit.core import EventBase
from evkit.http.forms.multipart import MultipartReader, Part, parse_multipart
from evkit.http.forms.urlencoded import parse_form
from evkit.http.server.request import Request
from http_server_aids import Site, request

TYPE = "Content-Type: multipart/form-data; boundary=b"
FIELD = b'--b\r\nContent-Disposition: form-data; name="a"\r\n\r\n'


class Upload:
    """A handler that writes down how its form ends."""

    def __init__(self) -> None:
        self.ends: list[str] = []
        self.aborted: list[bool] = []

    def __call__(self, request: Request) -> None:
        request.on_close = self.on_close
        MultipartReader(request, self.on_part, lambda _request, _parts: self.ends.append("end"), max_field=10)

    def on_part(self, request: Request, part: Part) -> None:
        if part.name == "mine":
            request.send_reply_start(200)

    def on_close(self, request: Request) -> None:
        self.ends.append("closed")
        self.aborted.append(request.aborted)


@pytest.mark.parametrize(
    ("body", "missing", "status", "why"),
    [
        (FIELD + b"x" * 11 + b"\r\n--b--", 0, 413, b"at most 10 bytes in the field 'a'"),
        (FIELD + b"x" * 11, 5_000_000, 413, b"at most 10 bytes in the field 'a'"),
        (b"--b\r\nX\0: y", 1000, 400, b"expected a form by RFC 7578"),
        (FIELD, 0, 400, b"expected a last boundary"),
        (b"", 0, 400, b"expected a last boundary"),
    ],
)
def test_a_faulty_form_is_answered_and_its_handler_told(
    body: bytes, missing: int, status: int, why: bytes, base: EventBase
) -> None:
    with Site(base=base) as site:
        upload = Upload()
        site.server.set_gencb(upload, stream=True)
        client = site.client()
        client.send(request("POST", "/", TYPE, f"Content-Length: {len(body) + missing}"))
        reply = client.ask(body)
        assert reply.status == status
        assert why in reply.body
        assert reply.get("connection") == "close"
        assert (upload.ends, upload.aborted) == (["closed"], [True])
        assert site.completed == [("/", status)]


def test_a_request_that_is_no_form_is_answered_by_what_it_is(base: EventBase) -> None:
    with Site(base=base) as site:
        upload = Upload()
        site.server.set_gencb(upload, stream=True)
        reply = site.client().ask(request("POST", "/", "Content-Type: text/plain", body=b"abc"))
        assert reply.status == 415
        assert b"expected the Content-Type multipart/form-data, got 'text/plain'" in reply.body


def test_a_reply_that_has_begun_is_cut_off(base: EventBase) -> None:
    with Site(base=base) as site:
        upload = Upload()
        site.server.set_gencb(upload, stream=True)
        client = site.client()
        client.send(request("POST", "/", TYPE, body=FIELD.replace(b'"a"', b"mine") + b"x" * 11))
        site.connected(0)
        assert upload.ends == ["closed"]
        assert b"0\r\n\r\n" not in client.rest()


def whole(request: Request) -> None:
    if request.path == "/form":
        request.send_reply(200, str(parse_form(request)))
    else:
        parse_multipart(request)
        request.send_reply(200)


def test_after_a_whole_form_that_is_refused_the_connection_goes_on(base: EventBase) -> None:
    with Site(base=base) as site:
        site.server.set_gencb(whole)
        client = site.client()
        for target, kind, body, status in (
            ("/form", "application/x-www-form-urlencoded", b"a", 400),
            ("/form", "text/plain", b"a=b", 415),
            ("/", "multipart/form-data; boundary=b", FIELD, 400),
            ("/", "multipart/form-data; boundary=b", FIELD + b"\r\n--b--", 200),
        ):
            assert client.ask(request("POST", target, f"Content-Type: {kind}", body=body)).status == status
        assert len(site.server.connections) == 1
