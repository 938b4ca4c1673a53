"""Multipart forms: what a handler is told of a form as it comes, what is collected, and what is refused."""

import subprocess
import sys
import tracemalloc
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evkit.core import EventBase
from evkit.errors import LocalProtocolError
from evkit.http.errors import BadRequest
from evkit.http.forms.multipart import MultipartReader, Part, parse_multipart
from evkit.http.parser import CHUNKED
from evkit.http.server.request import Request
from evkit.testing import chunks, same_however_cut
from http_handlers import MIB, Door
from http_server_aids import Site, both_engines, chunked, request

TYPE = "multipart/form-data; boundary=b"


def part(name: str, data: bytes = b"", filename: str | None = None, *fields: str) -> bytes:
    """Spell a part."""
    file = "" if filename is None else f'; filename="{filename}"'
    lines = [f'Content-Disposition: form-data; name="{name}"{file}', *fields]
    return "".join(f"{line}\r\n" for line in ["--b", *lines, ""]).encode() + data + b"\r\n"


def form(*parts: bytes) -> bytes:
    return b"".join(parts) + b"--b--\r\n"


def post(body: bytes, kind: str = TYPE) -> Request:
    """Make a request whose body was read."""
    made = Request("POST", "/", 1, "a", len(body), True, False, f"Content-Type: {kind}\r\n".encode())
    made.body = body
    return made


BROWSERS = form(
    part("field", b"a value"),
    part("file", b"\x89PNG\r\n\0", "dot.png", "Content-Type: Image/PNG; q=1"),
    part("file", b"", "", "Content-Type: application/octet-stream"),
    part("field", "ü".encode()),
)


class Recorder:
    """A handler that receives files, and leaves fields to be collected."""

    def __init__(self, act: Callable[[Request, str], object] = lambda _request, _event: None, **limits: Any):
        self.heard: list[object] = []
        self.act = act
        self.limits = limits

    def __call__(self, request: Request) -> None:
        self.request = request
        request.on_close = lambda _request: self.heard.append("closed")
        self.reader = MultipartReader(request, self.on_part, self.on_end, **self.limits)

    def hear(self, event: str, *more: object) -> None:
        self.heard.append((event, *more))
        self.act(self.request, event)

    def on_part(self, request: Request, part: Part) -> None:
        assert request is self.request
        if part.filename is not None:
            part.receive(self.on_data, lambda part: self.hear("part end", part.name, part.size))
        self.hear("part", part.name, part.filename)

    def on_data(self, part: Part, data: bytes) -> None:
        if self.heard[-1][0] == "data":  # type: ignore[index]  # pieces as one, as they may be cut anywhere
            data = self.heard.pop()[1] + data  # type: ignore[index]
        self.hear("data", data)

    def on_end(self, request: Request, parts: list[Part]) -> None:
        assert request is self.request
        self.hear("end", [(part.name, part.data) for part in parts])
        if not request.status:
            request.send_reply(200, b"done")


def received(pieces: list[bytes], recorder: Recorder | None = None) -> list[object]:
    """Give a handler a form in pieces as a connection does; return what it was told, and what was refused."""
    recorder = recorder or Recorder()
    fields = f"Content-Type: {TYPE}\r\n".encode()
    request = Request("POST", "/", 1, "a", CHUNKED, True, False, fields)
    door = request.connection = Door()
    door.request = request
    recorder(request)
    assert request.receiver is not None
    try:
        for piece in pieces:
            if not request.gone:
                request.receiver.data(request, piece)
        if not request.gone:
            request.receiver.end(request)
    except BadRequest as error:
        return [*recorder.heard, error.status]
    return recorder.heard


def refused(status: int, why: str | None = None) -> "pytest.RaisesExc[BadRequest]":
    return pytest.raises(BadRequest, match=why, check=lambda error: error.status == status)


# A form that is there


def test_a_whole_form() -> None:
    field, file, empty, last = parse_multipart(post(BROWSERS))
    assert (field.name, field.filename, field.data, field.size) == ("field", None, b"a value", 7)
    assert (field.content_type, field.text) == ("text/plain", "a value")
    assert (file.name, file.filename, file.data) == ("file", "dot.png", b"\x89PNG\r\n\0")
    assert file.content_type == "image/png"
    assert file.headers["content-type"] == "Image/PNG; q=1"
    assert (empty.filename, empty.safe_filename, empty.data) == ("", "unnamed", b"")
    assert (last.name, last.text) == ("field", "ü")


def test_a_part_shows_its_state() -> None:
    parts = parse_multipart(post(form(part("a", b"1"), part("b" * 100, b"22", "c.d"))))
    assert repr(parts[0]) == "<Part 'a' text/plain 1 bytes collected>"
    assert repr(parts[1]) == f"<Part '{'b' * 59}… filename='c.d' text/plain 2 bytes collected>"


def test_fields_of_a_part_are_utf_8_and_nothing_is_lost() -> None:
    body = form(part("ü", b"", "ö.txt")).replace(b"\r\n\r\n", b"\r\nX: \xff\r\n\r\n")
    (only,) = parse_multipart(post(body))
    assert (only.name, only.filename) == ("ü", "ö.txt")
    assert only.headers["X"].encode("utf-8", "surrogateescape") == b"\xff"


def test_text_that_is_none_is_the_clients_fault() -> None:
    (only,) = parse_multipart(post(form(part("name", b"\xff"))))
    with refused(400, "'name'"):
        _ = only.text


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"--b\r\n\r\n\r\n--b--", 400),
        (b"--b\r\nContent-Type: a/b\r\n\r\n\r\n--b--", 400),
        (b"--b\r\nContent-Disposition:\r\n\r\n\r\n--b--", 400),
        (b"--b\r\nContent-Disposition: form-data\r\n\r\n\r\n--b--", 400),
        (b"--b\r\nContent-Disposition: attachment; name=a\r\n\r\n\r\n--b--", 400),
        (form(part("a", b"", None, "content-disposition: form-data; name=a")), 400),
        (form(part("a", b"", None, "Content-Type: a/b", "Content-Type: a/b")), 400),
        (form(part("a", b"", None, "X: y\nZ: z")), 400),
        (form(part("a", b"", None, "Content-Transfer-Encoding: base64")), 415),
        (form(part("a"))[:-6], 400),
        (b"", 400),
    ],
)
def test_a_whole_form_that_is_refused(body: bytes, status: int) -> None:
    with refused(status):
        parse_multipart(post(body))


def test_what_was_collected_is_kept_once() -> None:
    body = form(part("a", bytes(MIB)))
    tracemalloc.start()
    try:
        parts = parse_multipart(post(body))
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(parts[0].data) == MIB
    assert kept < 1.5 * MIB


@pytest.mark.parametrize("coding", ["7bit", "8BIT", "binary"])
def test_codings_that_code_nothing(coding: str) -> None:
    body = form(part("a", b"1", None, f"Content-Transfer-Encoding: {coding}"))
    assert parse_multipart(post(body))[0].data == b"1"


def test_the_limits_of_a_whole_form() -> None:
    body = form(part("a"), part("a"), part("a"))
    assert [part.name for part in parse_multipart(post(body), max_parts=3)] == ["a"] * 3
    with refused(413, "at most 2 parts"):
        parse_multipart(post(body), max_parts=2)
    header = 'Content-Disposition: form-data; name="a"'
    assert len(parse_multipart(post(body), max_header=len(header))) == 3
    with refused(413, f"{len(header) - 1} bytes"):
        parse_multipart(post(body), max_header=len(header) - 1)
    with refused(415):
        parse_multipart(post(body, "text/plain"))


def test_a_whole_part_is_not_received() -> None:
    (only,) = parse_multipart(post(form(part("a"))))
    with pytest.raises(LocalProtocolError, match="before it returns"):
        only.receive(lambda _part, _data: None, lambda _part: None)


@given(
    st.lists(
        st.tuples(st.text("aü %0;=", max_size=5), st.none() | st.text("b. ü", max_size=4), st.text("\r\n-c"))
    ),
    st.integers(1, 30),
)
def test_what_was_put_together_comes_apart(fields: list[tuple[str, str | None, str]], size: int) -> None:
    fields = [(name, None if file in (".", "..") else file, data) for name, file, data in fields]
    body = form(*(part(name, data.encode(), file) for name, file, data in fields))
    found = [(part.name, part.filename, part.text) for part in parse_multipart(post(body), max_parts=10_000)]
    assert found == fields
    heard = received(list(chunks(body, size)), Recorder(max_parts=10_000))
    assert [event[1:] for event in heard if event[0] == "part"] == [field[:2] for field in fields]  # type: ignore[index]


ODD = form(part("a", b"x", None, "Content-Type: text/plain", "Content-Transfer-Encoding: 8bit")).replace(
    b'"a"', b'"a"; filename*="UTF-8\'\'%41"'
)


@given(st.lists(st.tuples(st.integers(0, len(ODD) - 1), st.integers(0, 255)), min_size=1, max_size=3))
def test_any_wrong_byte_is_the_clients_fault_or_harmless(changes: list[tuple[int, int]]) -> None:
    body = bytearray(ODD)
    for at, byte in changes:
        body[at] = byte
    try:
        told = "".join(part.content_type for part in parse_multipart(post(bytes(body))))
    except BadRequest as refusal:
        told = str(refusal)
        assert told.isprintable()
    assert "\n" not in told


# A form as it comes


def test_a_form_is_told_however_it_is_cut() -> None:
    assert same_however_cut(received, BROWSERS) == [
        ("part", "field", None),
        ("part", "file", "dot.png"),
        ("data", b"\x89PNG\r\n\0"),
        ("part end", "file", 7),
        ("part", "file", ""),
        ("part end", "file", 0),
        ("part", "field", None),
        ("end", [("field", b"a value"), ("file", b""), ("file", b""), ("field", "ü".encode())]),
    ]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (part("a", b"", "") + b"--b\r\n\r\n\r\n--b--", 400),
        (part("a", b"", "") + b"--b\r\nX: y\0\r\n", 400),
        (part("a", b"", "") + part("a", b"", None, "Content-Transfer-Encoding: base64"), 415),
    ],
)
def test_what_came_before_a_fault_is_told(body: bytes, status: int) -> None:
    assert same_however_cut(received, body) == [("part", "a", ""), ("part end", "a", 0), status]


@pytest.mark.parametrize("missing", [2, 3, 4, 5, 7, 9])
def test_a_part_that_was_cut_off_never_ends(missing: int) -> None:
    body = form(part("a", b"12", ""))[:-missing]
    heard = same_however_cut(received, body)
    ended = [("part end", "a", 2), ("end", [("a", b"")])] if missing == 2 else [400]
    assert heard == [("part", "a", ""), ("data", b"12"), *ended]


def test_an_empty_body_is_no_form() -> None:
    assert received([]) == [400]


@pytest.mark.parametrize(
    ("limits", "fits"),
    [
        ({"max_field": 10}, True),
        ({"max_field": 9}, False),
        ({"max_memory": 20}, True),
        ({"max_memory": 19}, False),
        ({"max_parts": 3}, True),
        ({"max_parts": 2}, False),
        ({"max_header": 59}, True),
        ({"max_header": 58}, False),
    ],
)
def test_limits_are_for_what_is_collected(limits: dict[str, int], fits: bool) -> None:
    body = form(part("a", b"x" * 10), part("file", b"y" * 1000, "b.c"), part("a", b"x" * 10))

    def ended(pieces: list[bytes]) -> object:
        return received(pieces, Recorder(**limits))[-1]

    end = ("end", [("a", b"x" * 10), ("file", b""), ("a", b"x" * 10)])
    assert same_however_cut(ended, body) == (end if fits else 413)


def test_a_part_is_received_once_and_at_once() -> None:
    parts: list[Part] = []

    def receive(part: Part) -> None:
        part.receive(lambda _part, _data: None, lambda _part: None)

    def on_part(request: Request, part: Part) -> None:
        parts.append(part)
        if part.name == "twice":
            receive(part)
            with pytest.raises(LocalProtocolError):
                receive(part)

    fields = f"Content-Type: {TYPE}\r\n".encode()
    request = Request("POST", "/", 1, "a", CHUNKED, True, False, fields)
    request.connection = Door()
    reader = MultipartReader(request, on_part, lambda _request, _parts: None)
    assert request.receiver is not None
    request.receiver.data(request, part("twice", b"1") + part("late", b"22"))
    with pytest.raises(LocalProtocolError):
        receive(parts[1])
    assert reader.parts == parts
    assert [part.size for part in parts] == [1, 2]
    request.receiver.data(request, b"--b--")
    assert (
        repr(parts)
        == "[<Part 'twice' text/plain 1 bytes received>, <Part 'late' text/plain 2 bytes collected>]"
    )
    assert repr(reader) == "<MultipartReader 2 parts, 2 bytes collected ended>"


def test_what_the_reader_cannot_read_is_refused_before_it_receives() -> None:
    for fields, status in ((b"", 415), (b"Content-Type: multipart/form-data\r\n", 400)):
        request = Request("POST", "/", 1, "a", CHUNKED, True, False, fields)
        with refused(status):
            MultipartReader(request, lambda _request, _part: None, lambda _request, _parts: None)
        assert request.receiver is None


# On a connection


def upload(*parts: bytes) -> bytes:
    return request("POST", "/", f"Content-Type: {TYPE}", body=form(*parts))


@both_engines
def test_a_form_is_answered_and_the_connection_goes_on(engine: str, base: EventBase) -> None:
    with Site(engine, base=base) as site:
        recorder = Recorder()
        site.server.set_gencb(recorder, stream=True)
        client = site.client()
        for sent in (
            request("POST", "/", f"Content-Type: {TYPE}", body=BROWSERS),
            chunked("POST", "/", *chunks(BROWSERS, 7), fields=(f"Content-Type: {TYPE}",)),
        ):
            reply = client.ask(sent)
            assert (reply.status, reply.body) == (200, b"done")
            assert recorder.heard[-1] == (
                "end",
                [("field", b"a value"), ("file", b""), ("file", b""), ("field", "ü".encode())],
            )


def test_a_large_file_comes_in_pieces_and_is_kept_nowhere(base: EventBase) -> None:
    with Site(base=base) as site:
        sizes: list[int] = []

        def handle(request: Request) -> None:
            MultipartReader(request, on_part, on_end)

        def on_part(request: Request, part: Part) -> None:
            part.receive(lambda _part, data: sizes.append(len(data)), lambda _part: None)

        def on_end(request: Request, parts: list[Part]) -> None:
            request.send_reply(200, str(parts[0].size))

        site.server.set_gencb(handle, stream=True)
        reply = site.client().ask(upload(part("file", bytes(5 * MIB), "zeros")))
        assert (reply.status, reply.body) == (200, b"%d" % (5 * MIB))
        assert sum(sizes) == 5 * MIB
        assert max(sizes) <= MIB


def test_a_receiver_pauses_the_client(base: EventBase) -> None:
    with Site(base=base) as site:
        recorder = Recorder(lambda request, event: event == "data" and request.pause())
        site.server.set_gencb(recorder, stream=True)
        client = site.client()
        client.send(request("POST", "/", f"Content-Type: {TYPE}", f"Content-Length: {200 + 8 * MIB}"))
        client.send(part("file", b"first", "a"))
        site.until(lambda: recorder.heard[-1:] == [("data", b"first")], "the first piece")
        taken = client.fill(bytes(65536), 8 * MIB)
        assert taken < 8 * MIB
        assert recorder.heard[-1] == ("data", b"first")
        recorder.act = lambda _request, _event: None
        recorder.request.resume()
        site.settle()
        assert len(recorder.heard[-1][1]) > 5  # type: ignore[index, arg-type]


@pytest.mark.parametrize("event", ["part", "data", "part end"])
@pytest.mark.parametrize("leave", [Request.abort, lambda request: request.send_reply(403)])
def test_nothing_is_told_after_an_answer(
    event: str, leave: Callable[[Request], object], base: EventBase
) -> None:
    """All of it comes in one piece, so that the reader itself has to stop."""
    with Site(base=base) as site:
        recorder = Recorder(lambda request, heard: heard == event and leave(request))
        site.server.set_gencb(recorder, stream=True)
        client = site.client()
        client.send(upload(part("file", b"1", "a"), part("file", b"2", "b")))
        site.until(lambda: recorder.heard, "the form")
        site.settle()
        told = [heard[0] for heard in recorder.heard if heard != "closed"]  # type: ignore[index]
        assert told == ["part", "data", "part end"][: len(told)]
        assert told[-1] == event
        client.close()


def test_a_client_that_goes_in_between_is_told_once(base: EventBase) -> None:
    with Site(base=base) as site:
        recorder = Recorder()
        site.server.set_gencb(recorder, stream=True)
        client = site.client()
        client.send(upload(part("file", b"1", "a"))[:-10])
        client.close()
        site.connected(0)
        assert recorder.heard == [("part", "file", "a"), "closed"]


# Without python-multipart

_MISSING = """
import sys
sys.modules["python_multipart"] = None
from evkit.http.forms.multipart import parse_multipart
from evkit.http.server.request import Request
try:
    fields = b"Content-Type: multipart/form-data; boundary=b\\r\\n"
    parse_multipart(Request("POST", "/", 1, "a", 0, True, False, fields))
except ImportError as error:
    print(error)
"""


def test_without_the_package_it_tells_what_to_install() -> None:
    run = subprocess.run([sys.executable, "-c", _MISSING], capture_output=True, text=True, check=True)
    assert run.stdout == "multipart forms need the package python-multipart: install evkit[forms]\n"
