"""`StaticFiles` with files that were compressed before: who gets which, and what is said of it."""

import gzip
import os
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from evkit.core import EventBase
from evkit.http.static import files
from static_site import Answer, Site

STYLE = b"body { color: red }\n" * 50
SECRET = b"the secret outside"
# Nobody here reads br and zstd; to the server they are bytes.
CODED = {".gz": gzip.compress(STYLE), ".br": b"as if by brotli", ".zst": b"as if by zstandard"}
THEN = 784_111_777
THEN_DATE = "Sun, 06 Nov 1994 08:49:37 GMT"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A site with one file in four codings, one in one, and one in none."""
    (tmp_path / "secret").write_bytes(SECRET)
    root = tmp_path / "root"
    (root / "docs").mkdir(parents=True)
    (root / "style.css").write_bytes(STYLE)
    for end, data in CODED.items():
        (root / f"style.css{end}").write_bytes(data)
    (root / "page.html").write_bytes(STYLE)
    (root / "page.html.gz").write_bytes(CODED[".gz"])
    (root / "docs/index.html").write_bytes(STYLE)
    (root / "docs/index.html.gz").write_bytes(CODED[".gz"])
    (root / "plain.txt").write_bytes(b"plain")
    for path in root.rglob("*.*"):
        os.utime(path, (THEN, THEN))
    return root


@pytest.fixture(params=["changing", "quiet"])
def site(root: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """That site, served: its files as they are, written this second, and as if they were old enough to be kept."""
    if request.param == "quiet":
        monkeypatch.setattr(files, "_QUIET", -60.0)
    with EventBase() as base:
        site = Site(base, root, precompressed=True, cache_control="max-age=60")
        yield site
        site.server.close()


@pytest.mark.usefixtures("open_descriptors")
@pytest.mark.parametrize(
    ("path", "accepted", "coding"),
    [
        ("/style.css", "gzip, deflate, br, zstd", "br"),
        ("/style.css", "gzip, zstd", "zstd"),
        ("/style.css", "gzip", "gzip"),
        ("/style.css", "x-gzip", "gzip"),
        ("/style.css", "gzip, br;q=0.9", "gzip"),
        ("/style.css", "*", "br"),
        ("/style.css", "gzip;q=0.5, identity", None),
        ("/style.css", "gzip;q=0", None),
        ("/style.css", "gzip;q=oops", None),
        ("/style.css", "deflate", None),
        ("/style.css", "", None),
        ("/style.css", None, None),
        ("/page.html", "br, zstd, gzip;q=0.1", "gzip"),
        ("/docs/", "gzip, br", "gzip"),
        ("/style.css?x=1", "gzip", "gzip"),
    ],
)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_who_gets_which(site: Site, path: str, accepted: str | None, coding: str | None, method: str) -> None:
    fields = {} if accepted is None else {"accept_encoding": accepted}
    answer = site.ask(path, method, **fields)
    body = {None: STYLE, "br": CODED[".br"], "zstd": CODED[".zst"], "gzip": CODED[".gz"]}[coding]
    assert (answer.status, answer["Content-Encoding"]) == (200, coding)
    assert answer.body == (body if method == "GET" else b"")
    assert answer["Content-Length"] == str(len(body))
    assert answer["Content-Type"] == f"text/{'css' if 'css' in path else 'html'}; charset=utf-8"
    assert answer["Vary"] == "Accept-Encoding"
    assert (answer["Accept-Ranges"], answer["Cache-Control"]) == ("bytes", "max-age=60")
    assert answer["X-Content-Type-Options"] == "nosniff"


def test_a_file_without_others_varies_as_well(site: Site) -> None:
    answer = site.ask("/plain.txt", accept_encoding="gzip")
    assert (answer.body, answer["Content-Encoding"], answer["Vary"]) == (b"plain", None, "Accept-Encoding")


def test_nobody_gets_them_unless_asked_for(root: Path) -> None:
    with EventBase() as base:
        site = Site(base, root)
        answer = site.ask("/style.css", accept_encoding="gzip")
        site.server.close()
    assert (answer.body, answer["Content-Encoding"], answer["Vary"]) == (STYLE, None, None)


def test_the_coded_file_itself_is_a_file_like_others(site: Site) -> None:
    answer = site.ask("/style.css.gz", accept_encoding="gzip")
    assert (answer.body, answer["Content-Encoding"]) == (CODED[".gz"], None)
    assert answer["Content-Type"] == "application/gzip"


# Whose content it is


@pytest.mark.parametrize(("age", "coding"), [(-1, None), (0, "gzip"), (1, "gzip")])
def test_one_that_is_older_is_not_sent(site: Site, root: Path, age: int, coding: str | None) -> None:
    now = (THEN + 100) * 10**9
    os.utime(root / "page.html", ns=(now, now))
    os.utime(root / "page.html.gz", ns=(now + age, now + age))
    assert site.ask("/page.html", accept_encoding="gzip")["Content-Encoding"] == coding


def test_without_the_file_there_is_nothing(site: Site, root: Path) -> None:
    (root / "page.html").unlink()
    assert site.ask("/page.html", accept_encoding="gzip").status == 404


@pytest.mark.usefixtures("open_descriptors")
def test_special_files_beside_it_are_not_sent(site: Site, root: Path) -> None:
    beside = root / "page.html.gz"
    beside.unlink()

    def coding() -> str | None:
        answer = site.ask("/page.html", accept_encoding="gzip")
        assert (answer.status, answer.body) == (200, STYLE)
        return answer["Content-Encoding"]

    os.mkfifo(beside)
    assert coding() is None
    beside.unlink()
    beside.mkdir()
    assert coding() is None
    beside.rmdir()
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(beside))
        assert coding() is None
    beside.unlink()
    beside.symlink_to("/dev/zero")
    assert coding() is None


@pytest.mark.parametrize("target", ["../secret", "/etc/passwd", "page.html.gz", "nowhere"])
def test_links_that_lead_nowhere_good_are_not_followed(site: Site, root: Path, target: str) -> None:
    (root / "page.html.gz").unlink()
    (root / "page.html.gz").symlink_to(target)
    answer = site.ask("/page.html", accept_encoding="gzip")
    assert (answer.status, answer.body) == (200, STYLE)


def test_links_that_stay_inside_are_followed(site: Site, root: Path) -> None:
    (root / "plain.txt.gz").symlink_to("docs/index.html.gz")
    answer = site.ask("/plain.txt", accept_encoding="gzip")
    assert (answer["Content-Encoding"], gzip.decompress(answer.body)) == ("gzip", STYLE)
    assert answer["Content-Type"] == "text/plain; charset=utf-8"


def test_a_folder_is_a_folder_whatever_is_beside_it(site: Site, root: Path) -> None:
    shutil.copy(root / "page.html.gz", root / "docs.gz")
    assert site.ask("/docs", accept_encoding="gzip").status == 301
    (root / "docs/index.html").unlink()
    assert b"index.html.gz" in site.ask("/docs/", accept_encoding="gzip").body  # the listing


def test_a_file_that_may_not_be_read(site: Site, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.open

    def refuse(path: bytes, *arguments: int, **options: int) -> int:
        if path.endswith(b".gz"):
            raise PermissionError(13, "Permission denied")
        return real(path, *arguments, **options)

    monkeypatch.setattr(os, "open", refuse)
    assert site.ask("/page.html", accept_encoding="gzip").body == STYLE
    assert root.exists()


# Conditions and ranges


def tag_of(answer: Answer) -> str:
    tag = answer["ETag"]
    assert tag is not None
    assert tag.startswith('"')
    return tag


def test_each_has_a_tag_of_its_own(site: Site) -> None:
    tags = {tag_of(site.ask("/style.css", accept_encoding=coding)) for coding in ("gzip", "br", "zstd", "")}
    assert len(tags) == 4


def test_a_tag_is_known_for_the_same_coding_only(site: Site) -> None:
    tag = tag_of(site.ask("/style.css", accept_encoding="gzip"))
    known = site.ask("/style.css", accept_encoding="gzip", if_none_match=tag)
    assert (known.status, known["ETag"], known["Vary"]) == (304, tag, "Accept-Encoding")
    assert known["Content-Encoding"] is None
    for coding in ("br", ""):
        assert site.ask("/style.css", accept_encoding=coding, if_none_match=tag).status == 200
        assert site.ask("/style.css", accept_encoding=coding, if_match=tag).status == 412


def test_the_date_is_that_of_what_is_sent(site: Site, root: Path) -> None:
    os.utime(root / "page.html.gz", (THEN + 1, THEN + 1))
    answer = site.ask("/page.html", accept_encoding="gzip", if_modified_since=THEN_DATE)
    assert (answer.status, answer["Last-Modified"]) == (200, "Sun, 06 Nov 1994 08:49:38 GMT")
    assert site.ask("/page.html", if_modified_since=THEN_DATE).status == 304


def test_ranges_are_of_the_coded_bytes(site: Site) -> None:
    coded = CODED[".gz"]
    tag = tag_of(site.ask("/style.css", accept_encoding="gzip"))
    answer = site.ask("/style.css", accept_encoding="gzip", range="bytes=5-9", if_range=tag)
    assert (answer.status, answer.body) == (206, coded[5:10])
    assert answer["Content-Range"] == f"bytes 5-9/{len(coded)}"
    assert (answer["Content-Encoding"], answer["Vary"], answer["ETag"]) == ("gzip", "Accept-Encoding", tag)


def test_resuming_with_another_coding_begins_anew(site: Site) -> None:
    tag = tag_of(site.ask("/style.css", accept_encoding="gzip"))
    answer = site.ask("/style.css", range="bytes=5-9", if_range=tag)
    assert (answer.status, answer.body) == (200, STYLE)


def test_several_ranges_of_coded_bytes_are_not_sent(site: Site) -> None:
    """A ``Content-Encoding`` is said of the body, and the body would be multipart and not gzip."""
    answer = site.ask("/style.css", accept_encoding="gzip", range="bytes=0-1,5-9")
    assert (answer.status, answer.body, answer["Content-Encoding"]) == (200, CODED[".gz"], "gzip")
    plain = site.ask("/style.css", range="bytes=0-1,5-9")
    assert (plain.status, plain["Content-Encoding"], plain["Vary"]) == (206, None, "Accept-Encoding")


def test_a_range_that_is_not_there(site: Site) -> None:
    answer = site.ask("/style.css", accept_encoding="gzip", range="bytes=900-")
    assert (answer.status, answer["Content-Range"]) == (416, f"bytes */{len(CODED['.gz'])}")
    assert answer["Content-Encoding"] is None


def test_a_file_is_described_by_how_it_was_asked_for(site: Site) -> None:
    """As what another file has in a coding, and by its own name, in both orders."""
    for path, accepted in (("/style.css", "gzip"), ("/style.css.gz", ""), ("/style.css", "gzip")):
        answer = site.ask(path, accept_encoding=accepted)
        assert answer.body == CODED[".gz"]
        said = (answer["Content-Type"], answer["Content-Encoding"])
        assert said == (("text/css; charset=utf-8", "gzip") if accepted else ("application/gzip", None))
