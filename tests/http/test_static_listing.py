"""`evkit.http.static.listing`: the page, whatever the names are."""

import os
import re
from html import unescape
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote_to_bytes, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evkit.http.static.listing import Entry, format_size, read_entries, render


def entry(name: bytes, *, is_folder: bool = False, size: int = 1, modified: float = 0.0) -> Entry:
    return Entry(name, is_folder=is_folder, size=size, modified=modified)


class Links(HTMLParser):
    """What a browser sees: tags in order, and each link with its text."""

    def __init__(self, page: bytes) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.links: list[tuple[str, str]] = []
        self._href: str | None = None
        self._text = ""
        self.feed(page.decode())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag == "a":
            self._href, self._text = dict(attrs)["href"], ""

    def handle_data(self, data: str) -> None:
        self._text += data

    def handle_endtag(self, tag: str) -> None:
        if tag == "a" and self._href is not None:
            self.links.append((self._href, self._text))


def test_folders_first_then_names_without_regard_to_case() -> None:
    entries = [
        entry(b"b"),
        entry(b"A"),
        entry(b"z", is_folder=True),
        entry(b"C"),
        entry(b"a"),
        entry(b"Y", is_folder=True),
    ]
    links = Links(render("/x/", entries, parent=True, more=False)).links
    assert [text for _, text in links] == ["../", "Y/", "z/", "A", "a", "b", "C"]
    assert links[0] == ("../", "../")


def test_no_way_up_from_the_top() -> None:
    assert Links(render("/", [entry(b"a")], parent=False, more=False)).links == [("a", "a")]


@pytest.mark.parametrize(
    ("name", "href", "text"),
    [
        (b"a b", "a%20b", "a b"),
        (b"<script>", "%3Cscript%3E", "<script>"),
        (b"a\"'&.txt", "a%22%27%26.txt", "a\"'&.txt"),
        (b"http:evil", "http%3Aevil", "http:evil"),
        (b"?q#f", "%3Fq%23f", "?q#f"),
        (b"100%", "100%25", "100%"),
        (b"\\evil", "%5Cevil", "\\evil"),
        ("é".encode(), "%C3%A9", "é"),
        (b"\xff\xfe", "%FF%FE", "\ufffd\ufffd"),
        (b"a\nb", "a%0Ab", "a\ufffdb"),
        ("a\u202eb".encode(), "a%E2%80%AEb", "a\ufffdb"),  # would turn the writing round
    ],
)
def test_names_are_escaped(name: bytes, href: str, text: str) -> None:
    assert Links(render("/", [entry(name)], parent=False, more=False)).links == [(href, text)]


NAMES = st.binary(min_size=1, max_size=12).filter(lambda name: b"/" not in name and b"\0" not in name)


@given(NAMES.filter(lambda name: name not in (b".", b"..")), st.booleans())
def test_no_name_breaks_out_of_its_place(name: bytes, is_folder: bool) -> None:
    plain = Links(render("/", [entry(b"plain", is_folder=is_folder)], parent=False, more=False))
    page = Links(render("/", [entry(name, is_folder=is_folder)], parent=False, more=False))
    assert page.tags == plain.tags
    href, _ = page.links[0]
    split = urlsplit(href)
    assert (split.scheme, split.netloc, split.query, split.fragment) == ("", "", "", "")
    assert unquote_to_bytes(split.path) == name + (b"/" if is_folder else b"")


@given(st.text(max_size=20))
def test_no_title_breaks_out_of_its_place(title: str) -> None:
    assert (
        Links(render(title, [], parent=False, more=False)).tags
        == Links(render("/", [], parent=False, more=False)).tags
    )


def test_sizes_and_times() -> None:
    entries = [entry(b"f", size=2048, modified=784_111_777.9), entry(b"d", is_folder=True, size=4096)]
    page = render("/", entries, parent=False, more=False).decode()
    cells = [unescape(cell) for cell in re.findall(r'<td class="n[^"]*">([^<]*)</td>', page)]
    assert cells == ["", "1970-01-01 00:00", "2.0 KiB", "1994-11-06 08:49"]


@pytest.mark.parametrize("modified", [1e30, -1e30, float("inf")])
def test_times_that_no_calendar_knows(modified: float) -> None:
    assert b'<td class="n t"></td>' in render("/", [entry(b"f", modified=modified)], parent=False, more=False)


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (1536, "1.5 KiB"), (1024**2 - 1, "1.0 MiB"),
        (10**9, "953.7 MiB"), (2**63 - 1, "8.0 EiB"),
    ],
)  # fmt: skip
def test_format_size(size: int, text: str) -> None:
    assert format_size(size) == text


def test_it_is_for_every_screen() -> None:
    page = render("/", [], parent=False, more=False)
    assert b"prefers-color-scheme:dark" in page
    assert b'name="viewport"' in page
    assert b'<meta charset="utf-8">' in page


@pytest.mark.parametrize("more", [True, False])
def test_a_cut_listing_says_so(more: bool) -> None:
    page = render("/", [entry(b"a"), entry(b"b")], parent=True, more=more)
    assert (b"more entries than the 2 shown" in page) is more


def read_folder(path: Path, *, hidden: bool = False, limit: int = 100) -> tuple[dict[bytes, Entry], bool]:
    def stat_link(name: bytes) -> os.stat_result | None:
        return None if name == b"out" else os.stat(path / os.fsdecode(name))

    fd = os.open(path, os.O_RDONLY)
    try:
        entries, more = read_entries(fd, stat_link, hidden=hidden, limit=limit)
    finally:
        os.close(fd)
    return {entry.name: entry for entry in entries}, more


def test_read_entries(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"12345")
    (tmp_path / "d").mkdir()
    (tmp_path / ".h").touch()
    os.mkfifo(tmp_path / "fifo")
    for link, text in {"lf": "f", "ld": "d", "out": "/etc", "gone": "nothing"}.items():
        (tmp_path / link).symlink_to(text)
    found, more = read_folder(tmp_path)
    assert {name: (e.is_folder, e.size if not e.is_folder else 0) for name, e in found.items()} == {
        b"f": (False, 5), b"d": (True, 0), b"lf": (False, 5), b"ld": (True, 0),
    }  # fmt: skip
    assert not more
    assert b".h" in read_folder(tmp_path, hidden=True)[0]


@pytest.mark.parametrize(("limit", "shown", "more"), [(4, 4, True), (5, 5, False), (6, 5, False)])
def test_it_reads_no_more_than_it_may(tmp_path: Path, limit: int, shown: int, more: bool) -> None:
    for n in range(5):
        (tmp_path / str(n)).touch()
    found, cut = read_folder(tmp_path, limit=limit)
    assert (len(found), cut) == (shown, more)


def test_repr() -> None:
    assert repr(entry(b"a", size=3)) == "<Entry b'a' 3 bytes>"
    assert repr(entry(b"a", is_folder=True)) == "<Entry b'a' folder>"
