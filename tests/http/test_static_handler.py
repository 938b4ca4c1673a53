"""`StaticFiles` on a real server: what a client gets, and what it never gets."""

import email.parser
import email.policy
import errno
import os
import random
import socket
import struct
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from evkit.core import EVLOOP_ONCE, EventBase
from evkit.errors import LocalProtocolError
from evkit.http.static import StaticFiles, files, listing
from evkit.http.static.folder import Folder
from evkit.http.static.representation import Representation, Representations
from static_site import Answer, Conversation, Site

DATA = bytes(range(256)) * 4
BIG = random.Random(1).randbytes(300_000)  # more than is read into memory
SECRET = b"the secret outside"
EXAMPLE = 784_111_777
EXAMPLE_DATE = "Sun, 06 Nov 1994 08:49:37 GMT"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A site beside which a secret lies."""
    (tmp_path / "secret").write_bytes(SECRET)
    root = tmp_path / "root"
    for folder in ("docs", "empty", ".git", ".well-known", "a b&c"):
        (root / folder).mkdir(parents=True)
    (root / "data.bin").write_bytes(DATA)
    (root / "big.bin").write_bytes(BIG)
    (root / "nothing.txt").touch()
    (root / "page.html").write_bytes(b"<p>page")
    (root / "docs/index.html").write_bytes(b"<p>docs")
    (root / "docs/more.txt").write_bytes(b"more")
    (root / ".git/config").write_bytes(SECRET)
    (root / ".env").write_bytes(SECRET)
    (root / ".well-known/acme").write_bytes(b"challenge")
    (root / "out").symlink_to(tmp_path / "secret")
    (root / "out_folder").symlink_to(tmp_path)
    (root / "up").symlink_to("../secret")
    (root / "in").symlink_to("docs")
    (root / "circle").symlink_to("circle")
    os.utime(root / "data.bin", (EXAMPLE, EXAMPLE))
    return root


@pytest.fixture(params=["changing", "quiet"])
def site(root: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """That site, served: its files as they are, written this second, and as if they were old enough to be kept."""
    if request.param == "quiet":
        monkeypatch.setattr(files, "_QUIET", -60.0)
    with EventBase() as base:
        site = Site(base, root)
        yield site
        site.server.close()


@pytest.fixture
def make_site(root: Path) -> Iterator[Any]:
    """Serve that site with options."""
    sites: list[Site] = []

    def make(**options: Any) -> Site:
        sites.append(Site(EventBase(), root, **options))
        return sites[-1]

    yield make
    for site in sites:
        site.server.close()
        site.base.close()


# Whole files


@pytest.mark.usefixtures("open_descriptors")
@pytest.mark.parametrize(
    ("path", "body", "kind"),
    [
        ("/data.bin", DATA, "application/octet-stream"),
        ("/big.bin", BIG, "application/octet-stream"),
        ("/nothing.txt", b"", "text/plain; charset=utf-8"),
        ("/page.html?query=1", b"<p>page", "text/html; charset=utf-8"),
        ("/%70age.html", b"<p>page", "text/html; charset=utf-8"),
        ("/docs/", b"<p>docs", "text/html; charset=utf-8"),
        ("/docs/more.txt", b"more", "text/plain; charset=utf-8"),
        ("/in/more.txt", b"more", "text/plain; charset=utf-8"),
        ("/.well-known/acme", b"challenge", "application/octet-stream"),
        ("http://other/data.bin", DATA, "application/octet-stream"),
    ],
)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_file(site: Site, path: str, body: bytes, kind: str, method: str) -> None:
    answer = site.ask(path, method)
    assert answer.status == 200
    assert answer.body == (b"" if method == "HEAD" else body)
    assert answer["Content-Length"] == str(len(body))
    assert answer["Content-Type"] == kind
    assert answer["Accept-Ranges"] == "bytes"
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert answer["ETag"] is not None
    assert answer["Cache-Control"] is None


def test_last_modified(site: Site) -> None:
    assert site.ask("/data.bin")["Last-Modified"] == EXAMPLE_DATE


def test_the_tag_follows_the_file(site: Site, root: Path) -> None:
    before = site.ask("/data.bin")["ETag"]
    assert site.ask("/data.bin")["ETag"] == before
    (root / "new").write_bytes(DATA)
    os.utime(root / "new", (EXAMPLE, EXAMPLE))
    os.replace(root / "new", root / "data.bin")  # same size, same time
    assert site.ask("/data.bin")["ETag"] != before


def test_what_is_kept_is_described_once(
    site: Site, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, described = Representations.get, []

    def noting(*args: Any, **options: Any) -> Representation:
        described.append(args[1])
        return real(*args, **options)

    monkeypatch.setattr(Representations, "get", noting)
    monkeypatch.setattr(files, "_MOMENT", 60.0)
    answers = [site.ask("/data.bin") for _ in range(3)]
    assert len({answer["ETag"] for answer in answers}) == 1
    assert len(described) == (1 if request.node.callspec.params["site"] == "quiet" else 3)


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "BREW"])
def test_other_methods(site: Site, method: str) -> None:
    answer = site.ask("/data.bin", method)
    assert answer.status == 405
    assert answer["Allow"] == "GET, HEAD, OPTIONS"


@pytest.mark.parametrize("path", ["/data.bin", "*"])
def test_options(site: Site, path: str) -> None:
    answer = site.ask(path, "OPTIONS")
    assert (answer.status, answer["Allow"], answer.body) == (204, "GET, HEAD, OPTIONS", b"")


def test_settings(make_site: Any, root: Path) -> None:
    site = make_site(
        cache_control="max-age=60", types={".bin": "application/x-bin"}, hidden=True, index=["more.txt"]
    )
    answer = site.ask("/data.bin")
    assert (answer["Cache-Control"], answer["Content-Type"]) == ("max-age=60", "application/x-bin")
    assert site.ask("/.env").body == SECRET
    assert site.ask("/docs/").body == b"more"
    assert repr(site.files) == f"<StaticFiles <Folder {root}>>"


# No way out


@pytest.mark.usefixtures("open_descriptors")
@pytest.mark.parametrize(
    "path",
    [
        "/../secret", "/../../../../../../etc/passwd", "/%2e%2e/secret", "/%2E%2E%2Fsecret", "/..%2fsecret",
        "/..%5csecret", "/.%2e/secret", "/docs/../../secret", "/docs/%2e%2e/%2e%2e/secret", "/docs/..%2f..%2fsecret",
        "/..%252fsecret", "/%252e%252e/secret", "//etc/passwd", "///etc/passwd", "/%2fetc/passwd", "/etc/passwd",
        "//../secret", "/./data.bin", "/docs/..;/..;/secret", "/..;/secret", "/a/..;/", "/\\..\\secret", "/..\\secret",
        "/%00", "/data.bin%00", "/data.bin%00.html", "/%00/../secret", "/%c0%ae%c0%ae/secret", "/%uff0e%uff0e/secret",
        "/data.bin/", "/data.bin/x", "/docs//more.txt", "/docs/index.html/", "/nowhere", "/nowhere/", "/~root",
        "/.git/config", "/.git/", "/%2egit/config", "/.env", "/docs/.env",
        "/out", "/out_folder/secret", "/out_folder/", "/out_folder", "/up", "/circle", "/circle/x", "/in/../../secret",
        "/%ff%fe", "/" + "x" * 300, "/" + "x/" * 2000, "/" + "in/" * 1000, "/" + "%41" * 2000,
    ],
)  # fmt: skip
def test_no_way_out(site: Site, path: str) -> None:
    answer = site.ask(path)
    assert answer.status == 404
    assert SECRET not in answer.raw
    assert b"root:" not in answer.raw


def test_a_path_that_is_too_long_is_the_servers_to_refuse(site: Site) -> None:
    assert site.ask("/" + "x" * 9000).status == 414


def test_special_files_are_not_served(site: Site, root: Path) -> None:
    os.mkfifo(root / "fifo")
    (root / "device").symlink_to("/dev/zero")
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(root / "sock"))
        for path in ("/fifo", "/fifo/", "/device", "/sock"):
            assert site.ask(path).status == 404, path


@pytest.mark.parametrize(
    ("code", "status"),
    [
        (errno.EMFILE, 503),
        (errno.ENFILE, 503),
        (errno.EACCES, 403),
        (errno.ELOOP, 404),
        (errno.ENAMETOOLONG, 404),
    ],
)
def test_what_the_system_says(site: Site, monkeypatch: pytest.MonkeyPatch, code: int, status: int) -> None:
    def refuse(*_: object, **__: object) -> int:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(Folder, "open", refuse)
    assert site.ask("/data.bin").status == status


def test_a_fault_of_the_disk_is_logged(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> int:
        raise OSError(errno.EIO, "disk")

    monkeypatch.setattr(Folder, "open", refuse)
    assert b" 500 " in site.talk(b"GET /data.bin HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n")
    assert [type(error) for error in site.escaped] == [OSError]


# Folders


@pytest.mark.parametrize(
    ("path", "location"),
    [
        ("/docs", "docs/"),
        ("/docs?a=b/c&d", "docs/?a=b/c&d"),
        ("/docs?", "docs/"),
        ("/in", "in/"),
        ("/a%20b%26c", "a%20b%26c/"),
    ],
)
def test_a_folder_without_slash(site: Site, path: str, location: str) -> None:
    answer = site.ask(path)
    assert (answer.status, answer["Location"]) == (301, location)


@pytest.mark.parametrize(
    "path", ["//docs", "//evil.example/docs", "/%2fdocs", "/%2f%2fevil.example", "/\\evil.example"]
)
def test_no_redirect_to_elsewhere(site: Site, path: str) -> None:
    answer = site.ask(path)
    assert (answer.status, answer["Location"]) == (404, None)


def test_a_redirect_that_looks_like_a_host_or_scheme(site: Site, root: Path) -> None:
    (root / "\\evil.example").mkdir()
    (root / "javascript:x").mkdir()
    assert site.ask("/%5Cevil.example")["Location"] == "%5Cevil.example/"
    assert site.ask("/javascript:x")["Location"] == "javascript%3Ax/"


def test_a_listing(site: Site) -> None:
    answer = site.ask("/")
    assert (answer.status, answer["Content-Type"]) == (200, "text/html; charset=utf-8")
    for shown in (b'"a%20b%26c/"', b'"docs/"', b'"in/"', b'"data.bin"', b'"big.bin"', b"293.0 KiB"):
        assert shown in answer.body
    for left_out in (b"secret", b".git", b".env", b"circle", b'"out', b'"up"', b"../"):
        assert left_out not in answer.body
    assert b"script" not in (answer["Content-Security-Policy"] or "script").encode()


def test_a_listing_below(site: Site) -> None:
    answer = site.ask("/a%20b%26c/")
    assert b"<h1>/a b&amp;c/</h1>" in answer.body
    assert b'"../"' in answer.body


def test_head_of_a_listing(site: Site) -> None:
    answer = site.ask("/empty/", "HEAD")
    assert (answer.status, answer.body) == (200, b"")
    assert answer["Content-Length"] == str(len(site.ask("/empty/").body))


def test_no_listing(make_site: Any) -> None:
    site = make_site(listing=False)
    assert site.ask("/").status == 404
    assert site.ask("/docs/").status == 200


def test_a_huge_folder_is_cut(site: Site, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listing.read_entries, "__kwdefaults__", {"limit": 3})
    for n in range(5):
        (root / "empty" / str(n)).touch()
    assert b"more entries than the 3 shown" in site.ask("/empty/").body


def test_an_index_that_is_a_folder_or_leads_outside_is_none(make_site: Any) -> None:
    site = make_site(index=["docs", "out", "page.html"])
    assert site.ask("/").body == b"<p>page"
    assert site.ask("/empty/").body.startswith(b"<!DOCTYPE html>")


def test_a_prefix(make_site: Any) -> None:
    site = make_site(prefix="/static/v 1")
    assert site.ask("/static/v%201/docs/more.txt").body == b"more"
    assert site.ask("/static/v%201")["Location"] == "v%201/"
    assert b"<h1>/static/v 1/</h1>" in site.ask("/static/v%201/").body
    for path in ("/docs/more.txt", "/static", "/static/", "/static/v%201x/data.bin", "/"):
        assert site.ask(path).status == 404, path


@pytest.mark.parametrize(
    "options",
    [
        {"prefix": "static"},
        {"prefix": "/a/../b"},
        {"prefix": "//a"},
        {"index": ["a/b"]},
        {"index": [".."]},
        {"index": ["a\0"]},
    ],
)
def test_misuse(root: Path, options: Any) -> None:
    with pytest.raises(ValueError, match="expected"):
        StaticFiles(root, **options)


def test_one_name_is_no_list_of_names(root: Path) -> None:
    with pytest.raises(TypeError, match=r"\('index.html',\)"):
        StaticFiles(root, index="index.html")


def test_folder_that_can_not_be_had(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for name, error in (("missing", FileNotFoundError), ("file", NotADirectoryError)):
        with pytest.raises(error) as caught:
            StaticFiles(os.fsencode(tmp_path / name))
        assert str(caught.value).endswith(f": '{tmp_path / name}'")


# Conditions


def test_not_modified(make_site: Any) -> None:
    site = make_site(cache_control="max-age=60")
    etag = site.ask("/data.bin")["ETag"]
    for method in ("GET", "HEAD"):
        answer = site.ask("/data.bin", method, if_none_match=etag)
        assert (answer.status, answer.body) == (304, b"")
        assert (answer["ETag"], answer["Cache-Control"]) == (etag, "max-age=60")
        assert answer["Date"] is not None
        assert answer["Content-Type"] is None
        assert answer["Content-Length"] is None


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"if_none_match": '"x"'}, 200),
        ({"if_none_match": "*"}, 304),
        ({"if_modified_since": EXAMPLE_DATE}, 304),
        ({"if_modified_since": "Sun, 06 Nov 1994 08:49:36 GMT"}, 200),
        ({"if_unmodified_since": "Sun, 06 Nov 1994 08:49:36 GMT"}, 412),
        ({"if_match": '"x"'}, 412),
        ({"if_match": '"x"', "range": "bytes=0-1"}, 412),
        ({"if_none_match": "*", "range": "bytes=0-1"}, 304),
        ({"if_match": "*", "range": "bytes=0-1"}, 206),
        ({"if_range": EXAMPLE_DATE, "range": "bytes=0-1"}, 206),
        ({"if_range": '"x"', "range": "bytes=0-1"}, 200),
        ({"if_range": '"x"', "range": "bytes=9999-"}, 200),
    ],
)
def test_conditions(site: Site, fields: dict[str, str], status: int) -> None:
    answer = site.ask("/data.bin", **fields)
    assert answer.status == status
    assert answer.body == {200: DATA, 206: DATA[:2], 304: b"", 412: b"412 Precondition Failed\n"}[status]


def test_conditions_mean_nothing_for_what_is_not_there(site: Site) -> None:
    assert site.ask("/nowhere", if_match="*", range="bytes=0-1").status == 404


# Ranges


def parts_of(answer: Answer) -> list[tuple[str, str, bytes]]:
    """Take a multipart body apart by the standard library: Content-Type, Content-Range, bytes."""
    head = f"Content-Type: {answer['Content-Type']}\r\n\r\n".encode()
    message = email.parser.BytesParser(policy=email.policy.HTTP).parsebytes(head + answer.body)
    assert message.is_multipart()
    assert not message.defects
    return [
        (part["Content-Type"], part["Content-Range"], part.get_payload(decode=True))  # type: ignore[misc]  # untyped
        for part in message.iter_parts()
    ]


@pytest.mark.usefixtures("open_descriptors")
@pytest.mark.parametrize(
    ("asked", "first", "stop"),
    [
        ("0-0", 0, 1),
        ("10-20", 10, 21),
        ("299000-", 299_000, 300_000),
        ("-7", 299_993, 300_000),
        ("5-250000", 5, 250_001),
    ],
)
def test_one_range(site: Site, asked: str, first: int, stop: int) -> None:
    answer = site.ask("/big.bin", range=f"bytes={asked}")
    assert (answer.status, answer.body) == (206, BIG[first:stop])
    assert answer["Content-Range"] == f"bytes {first}-{stop - 1}/300000"
    assert answer["Content-Length"] == str(stop - first)
    assert answer["ETag"] == site.ask("/big.bin")["ETag"]


@pytest.mark.parametrize("asked", ["bytes=1024-", "bytes=5000-6000,7000-", "bytes=-0"])
def test_a_range_that_is_not_there(site: Site, asked: str) -> None:
    answer = site.ask("/data.bin", range=asked)
    assert (answer.status, answer["Content-Range"]) == (416, "bytes */1024")


@pytest.mark.parametrize(
    "asked", ["bytes=2-1", "lines=1-2", "bytes=x", "bytes=0-5,2-9", "bytes=" + ",".join(["0-"] * 1300)]
)
def test_a_range_that_is_ignored(site: Site, asked: str) -> None:
    answer = site.ask("/data.bin", range=asked)
    assert (answer.status, answer.body, answer["Content-Range"]) == (200, DATA, None)


def test_range_is_for_get_only(site: Site) -> None:
    answer = site.ask("/data.bin", "HEAD", range="bytes=0-1")
    assert (answer.status, answer["Content-Length"]) == (200, "1024")


def test_two_range_fields_are_none(site: Site) -> None:
    request = b"GET /data.bin HTTP/1.1\r\nHost: t\r\nConnection: close\r\nRange: bytes=0-1\r\nRange: bytes=3-4\r\n\r\n"
    assert Answer(site.talk(request), "GET").body == DATA


@pytest.mark.usefixtures("open_descriptors")
def test_several_ranges_from_memory_and_by_sendfile_in_the_order_asked(site: Site) -> None:
    answer = site.ask("/big.bin", range="bytes=200000-299999, 0-9, 50000-149999, -0")
    assert answer.status == 206
    assert answer["Content-Range"] is None
    assert parts_of(answer) == [
        ("application/octet-stream", "bytes 200000-299999/300000", BIG[200_000:]),
        ("application/octet-stream", "bytes 0-9/300000", BIG[:10]),
        ("application/octet-stream", "bytes 50000-149999/300000", BIG[50_000:150_000]),
    ]


CUTS = st.lists(st.integers(0, 1100), min_size=2, max_size=12, unique=True).map(sorted)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(CUTS, st.randoms(use_true_random=False))
def test_ranges_are_slices(site: Site, cuts: list[int], order: random.Random) -> None:
    wanted = list(zip(cuts[::2], cuts[1::2], strict=False))
    order.shuffle(wanted)
    answer = site.ask("/data.bin", range="bytes=" + ",".join(f"{a}-{b - 1}" for a, b in wanted))
    expected = [DATA[a:b] for a, b in wanted if DATA[a:b]]
    if not expected:
        assert answer.status == 416
    elif len(expected) == 1:
        assert (answer.status, answer.body) == (206, expected[0])
    else:
        assert [body for _, _, body in parts_of(answer)] == expected


# Files that change meanwhile


@pytest.mark.parametrize("fields", [{}, {"range": "bytes=0-9,1000-1009"}, {"range": "bytes=1000-"}])
@pytest.mark.parametrize("in_memory", [65536, 0])
@pytest.mark.usefixtures("open_descriptors")
def test_a_file_that_shrinks_before_it_is_read(
    site: Site, root: Path, monkeypatch: pytest.MonkeyPatch, fields: dict[str, str], in_memory: int
) -> None:
    def truncating(fd: int) -> os.stat_result:
        info = real(fd)
        if info.st_size == len(DATA):
            os.truncate(root / "data.bin", 5)
        return info

    real = os.fstat
    monkeypatch.setattr(files, "SMALL", in_memory)
    monkeypatch.setattr(os, "fstat", truncating)
    assert site.ask("/data.bin", **fields).status == 503


def test_a_file_that_shrinks_while_it_is_sent_ends_the_connection(site: Site, root: Path) -> None:
    size = 16 << 20  # more than two sockets take
    with (root / "huge").open("wb") as huge:
        huge.truncate(size)
    client = Conversation(site.base, site.port)
    one = b"GET /huge HTTP/1.1\r\nHost: t\r\n\r\nGET /data.bin HTTP/1.1\r\nHost: t\r\n\r\n"
    client.sock.sendall(one)

    client.on_data = partial(os.truncate, root / "huge", 0)
    site.base.dispatch()
    client.close()
    assert client.ended
    head, _, body = bytes(client.received).partition(b"\r\n\r\n")
    assert b"Content-Length: %d" % size in head
    assert len(body) < size
    assert not body.strip(b"\0")  # nothing of the next reply was mixed in
    assert not site.server.connections
    assert open_files(root) == []


def open_files(folder: Path) -> list[str]:
    """The files of a folder that this process has open."""
    found = []
    for fd in os.listdir("/proc/self/fd"):
        try:
            path = os.readlink(f"/proc/self/fd/{fd}")
        except FileNotFoundError:  # the descriptor by which the list was read
            continue
        if path.startswith(str(folder)):
            found.append(path)
    return found


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="needs /proc")
def test_a_client_that_goes_away_costs_no_descriptor(site: Site, root: Path) -> None:
    client = Conversation(site.base, site.port)
    client.sock.sendall(b"GET /big.bin HTTP/1.1\r\nHost: t\r\n\r\n" * 100)
    client.on_data = site.base.loopbreak
    site.base.dispatch()
    assert set(open_files(root)) == {str(root / "big.bin")}
    client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()
    while site.server.connections:
        site.base.loop(EVLOOP_ONCE)
    assert open_files(root) == []


def test_pipelined_files_come_in_order(site: Site) -> None:
    asks = [b"GET /data.bin HTTP/1.1\r\nHost: t\r\n\r\n", b"GET /big.bin HTTP/1.1\r\nHost: t\r\n\r\n"]
    raw = site.talk(b"".join(asks * 3) + b"GET /page.html HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n")
    for body in (DATA, BIG, DATA, BIG, DATA, BIG, b"<p>page"):
        _, _, raw = raw.partition(b"\r\n\r\n")
        assert raw.startswith(body)
        raw = raw[len(body) :]
    assert raw == b""


@pytest.mark.parametrize("option", [{"cache_control": "a\nb"}, {"types": {".x": "text/plain\r\nA: b"}}])
def test_a_value_that_would_break_each_reply_is_refused_at_the_start(
    root: Path, option: dict[str, Any]
) -> None:
    with pytest.raises(LocalProtocolError, match="without control characters"):
        StaticFiles(root, **option)
