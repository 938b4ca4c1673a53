"""`evkit.http.static.folder`: nothing outside is opened, whatever the links say and whenever they change."""

import errno
import os
import socket
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from evkit.http.static.folder import Folder


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A folder with a file at each level, and a secret beside it."""
    (tmp_path / "secret").write_bytes(b"secret")
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "f").write_bytes(b"secret")
    root = tmp_path / "root"
    (root / "a" / "b").mkdir(parents=True)
    for level in (".", "a", "a/b"):
        (root / level / "f").write_bytes(level.encode())
    return root


def read(folder: Folder, path: str) -> bytes:
    fd = folder.open([os.fsencode(name) for name in path.split("/") if name])
    try:
        return os.read(fd, 100)
    finally:
        os.close(fd)


@pytest.mark.usefixtures("open_descriptors")
@pytest.mark.parametrize(("path", "content"), [("f", b"."), ("a/f", b"a"), ("a/b/f", b"a/b")])
def test_files(root: Path, path: str, content: bytes) -> None:
    assert read(Folder(root), path) == content


@pytest.mark.usefixtures("open_descriptors")
@pytest.mark.parametrize("path", ["x", "x/f", "a/x", "a/x/f", "f/x", "a/f/x/y"])
def test_what_is_not_there(root: Path, path: str) -> None:
    with pytest.raises(FileNotFoundError):
        read(Folder(root), path)


@pytest.mark.usefixtures("open_descriptors")
@pytest.mark.parametrize("names", [[], [b"a"], [b"a", b"b"]])
def test_folders_can_be_opened(root: Path, names: list[bytes]) -> None:
    fd = Folder(root).open(names)
    assert "f" in os.listdir(fd)
    os.close(fd)


@pytest.mark.usefixtures("open_descriptors")
@pytest.mark.parametrize(
    ("at", "text", "path", "content"),
    [
        ("l", "f", "l", b"."),
        ("l", "./a//f", "l", b"a"),
        ("l", "a", "l/f", b"a"),
        ("l", "a/b", "l/f", b"a/b"),
        ("a/l", "../f", "a/l", b"."),
        ("a/b/l", "../../f", "a/b/l", b"."),
        ("a/b/l", "../../a", "a/b/l/b/f", b"a/b"),
        ("a/b/l", "..", "a/b/l/f", b"a"),
        ("l", ".", "l/l/l/f", b"."),
        ("l", "{root}/a/f", "l", b"a"),
        ("l", "{root}", "l/a/f", b"a"),
        ("a/l", "{root}/a/b", "a/l/f", b"a/b"),
    ],
)
def test_links_that_stay_inside(root: Path, at: str, text: str, path: str, content: bytes) -> None:
    (root / at).symlink_to(text.format(root=root))
    assert read(Folder(root), path) == content


def test_dot_dot_after_a_link_is_above_what_it_leads_to(root: Path) -> None:
    (root / "deep").symlink_to("a/b")
    (root / "l").symlink_to("deep/../f")
    assert read(Folder(root), "l") == b"a"


@pytest.mark.usefixtures("open_descriptors")
@pytest.mark.parametrize(
    ("at", "text", "path"),
    [
        ("l", "../secret", "l"),
        ("l", "{outside}/f", "l"),
        ("l", "{outside}", "l/f"),
        ("l", "..", "l/secret"),
        ("l", "/", "l/etc/passwd"),
        ("a/l", "../../secret", "a/l"),
        ("a/l", "../..", "a/l/secret"),
        ("l", "../root/f", "l"),  # it would come back, but it goes out
        ("l", "a/../../secret", "l"),
        ("l", "{root}/../secret", "l"),
        ("l", "{root}x/f", "l"),
        ("l", "/proc/self/root/etc/passwd", "l"),
        ("l", "nothing", "l"),
        ("l", "f/../f", "l"),
    ],
)
def test_links_that_lead_out_or_nowhere(root: Path, at: str, text: str, path: str) -> None:
    (root.parent / "rootx").symlink_to("outside")
    (root / at).symlink_to(text.format(root=root, outside=root.parent / "outside"))
    with pytest.raises(FileNotFoundError):
        read(Folder(root), path)


@pytest.mark.parametrize("chain", [["l"], ["m", "l"], ["l/x"], ["a/../l"]])
def test_circles_end(root: Path, chain: list[str]) -> None:
    for name, text in zip(["l", "m"], chain, strict=False):
        (root / name).symlink_to(text)
    with pytest.raises(OSError, match=r".") as caught:
        read(Folder(root), "l")
    assert caught.value.errno == errno.ELOOP


def test_the_folder_may_be_behind_a_link(root: Path) -> None:
    (root / "absolute").symlink_to(root / "a" / "f")
    (root / "by_alias").symlink_to(root.parent / "current" / "a" / "f")
    current = root.parent / "current"
    current.symlink_to("root")
    folder = Folder(current)
    assert read(folder, "a/f") == b"a"
    assert read(folder, "absolute") == b"a"
    assert read(folder, "by_alias") == b"a"


def test_a_folder_that_takes_its_place_is_seen(root: Path) -> None:
    folder = Folder(root)
    root.rename(root.parent / "old")
    root.mkdir()
    (root / "f").write_bytes(b"new")
    assert read(folder, "f") == b"new"


def test_it_does_not_depend_on_the_working_folder(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(root)
    folder = Folder("a")
    monkeypatch.chdir("/")
    assert read(folder, "b/f") == b"a/b"


@pytest.mark.usefixtures("open_descriptors")
def test_special_files_do_not_block(root: Path) -> None:
    os.mkfifo(root / "fifo")
    os.close(Folder(root).open([b"fifo"]))
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(root / "s"))
        with pytest.raises(OSError, match=r".") as caught:
            Folder(root).open([b"s"])
    assert caught.value.errno == errno.ENXIO


def swap_before(monkeypatch: pytest.MonkeyPatch, nth: int, swap: Callable[[], None]) -> None:
    """Let another process act just before the ``nth`` open: every moment in which a race could be won."""
    real, calls = os.open, 0

    def racing(*args: object, **options: object) -> int:
        nonlocal calls
        calls += 1
        if calls == nth:
            swap()
        return real(*args, **options)  # type: ignore[arg-type]  # what os.open was called with

    monkeypatch.setattr(os, "open", racing)


@pytest.mark.usefixtures("open_descriptors")
@pytest.mark.parametrize("nth", [1, 2, 3])
@pytest.mark.parametrize("swapped", ["a", "a/b", "a/b/f"])
@pytest.mark.parametrize("relative", [True, False])
def test_a_link_that_comes_during_the_request_is_no_way_out(
    root: Path, monkeypatch: pytest.MonkeyPatch, nth: int, swapped: str, relative: bool
) -> None:
    """Whatever is replaced by a link to the outside, before whichever open: the outside is never read."""
    outside = root.parent / "outside"
    for path in ("a/b/f", "b/f"):
        (outside / path).parent.mkdir(parents=True, exist_ok=True)
        (outside / path).write_bytes(b"secret")
    folder = Folder(root)
    target = {"a": outside / "a", "a/b": outside / "b", "a/b/f": outside / "f"}[swapped]

    def swap() -> None:
        (root / swapped).rename(root / "moved")
        text = os.path.relpath(target, (root / swapped).parent) if relative else target
        (root / swapped).symlink_to(text)

    swap_before(monkeypatch, nth, swap)
    try:
        content = read(folder, "a/b/f")
    except FileNotFoundError:
        content = b"not found"
    assert content in (b"a/b", b"not found")
    assert (root / swapped).is_symlink()


@pytest.mark.usefixtures("open_descriptors")
@pytest.mark.parametrize(
    ("path", "there"),
    [
        ("f", True),
        ("a/f", True),
        ("a/b/f", True),
        ("x", False),
        ("a/x", False),
        ("x/f", False),
        ("f/f", False),
        ("to_f", False),
        ("to_a/f", False),
        ("a/to_b/f", False),
    ],
)
def test_whether_a_file_is_still_there_without_a_link_on_the_way(root: Path, path: str, there: bool) -> None:
    (root / "to_f").symlink_to("f")
    (root / "to_a").symlink_to("a")
    (root / "a" / "to_b").symlink_to("b")
    info = os.stat(root / path if there or "to" in path else root / "f")
    assert Folder(root).has([os.fsencode(name) for name in path.split("/")], info) is there


@pytest.mark.parametrize("field", ["st_ctime_ns", "st_mtime_ns", "st_size", "st_ino", "st_dev"])
def test_whether_it_is_the_same_file_and_unchanged(root: Path, field: str) -> None:
    info = os.stat(root / "f")
    known = {name: getattr(info, name) for name in dir(info) if name.startswith("st_")}
    other = {**known, field: known[field] + 1}
    assert Folder(root).has([b"f"], SimpleNamespace(**known))  # type: ignore[arg-type]  # as a status is
    assert not Folder(root).has([b"f"], SimpleNamespace(**other))  # type: ignore[arg-type]  # likewise


@pytest.mark.parametrize("missing", ["nothing", "root/f"])
def test_there_must_be_a_folder(root: Path, missing: str) -> None:
    for path in (root.parent / missing, os.fsencode(root.parent / missing)):
        with pytest.raises(OSError, match=f": '{root.parent / missing}'$"):
            Folder(path)


def test_repr(root: Path) -> None:
    assert repr(Folder(root)) == f"<Folder {root}>"
