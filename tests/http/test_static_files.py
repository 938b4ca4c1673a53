"""`evkit.http.static.files`: what is kept is what a fresh look at the disk would give, and there is a bound."""

import contextlib
import errno
import os
import shutil
import stat
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evkit.core import Buffer
from evkit.http.static import files as module
from evkit.http.static.files import SMALL, Content, Files, Kept, Opened
from evkit.http.static.folder import Folder

LATER = 10.0  # seconds: what the tests write now is quiet then


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A folder with a file at each level, and a secret beside it."""
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "f").write_bytes(b"secret")
    root = tmp_path / "root"
    (root / "a" / "b").mkdir(parents=True)
    for level in (".", "a", "a/b"):
        (root / level / "f").write_bytes(level.encode())
    return root


@pytest.fixture
def later() -> float:
    """A time at which the files of the test are quiet."""
    return time.time() + LATER


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Any]]:
    """What was opened meanwhile."""
    real, seen = os.open, list[Any]()

    def noting(path: Any, *args: Any, **options: Any) -> int:
        seen.append(path)
        return real(path, *args, **options)

    with monkeypatch.context() as patch:
        patch.setattr(os, "open", noting)
        yield seen


def names_of(path: str) -> list[bytes]:
    return [os.fsencode(name) for name in path.split("/")]


def bytes_of(content: Content) -> bytes:
    try:
        taken = content.take((0, content.info.st_size))
        return bytes(taken) if isinstance(taken, Buffer) else taken
    finally:
        content.close()


def read(files: Files, path: str, now: float) -> bytes:
    return bytes_of(files.open(names_of(path), now))


@pytest.mark.usefixtures("open_descriptors")
@pytest.mark.parametrize(("path", "data"), [("f", b"."), ("a/f", b"a"), ("a/b/f", b"a/b")])
def test_a_small_file_is_opened_once(
    root: Path, later: float, opened: list[Any], path: str, data: bytes
) -> None:
    files = Files(Folder(root))
    assert read(files, path, later) == data
    opened.clear()
    assert [read(files, path, later + 0.1 * n) for n in range(9)] == [data] * 9
    assert opened == []


def test_some_of_what_is_kept(root: Path, later: float) -> None:
    (root / "f").write_bytes(b"0123456789")
    content = Files(Folder(root)).open([b"f"], later)
    assert isinstance(content, Kept)
    assert (content.take((2, 5)), content.take((0, 10))) == (b"234", b"0123456789")


@pytest.mark.usefixtures("open_descriptors")
def test_what_is_not_kept(root: Path, later: float) -> None:
    (root / "exact").write_bytes(b"x" * SMALL)
    (root / "large").write_bytes(b"x" * (SMALL + 1))
    os.mkfifo(root / "fifo")
    files = Files(Folder(root))
    for path, kind in (("exact", Kept), ("large", Opened), ("a", Opened), ("fifo", Opened)):
        content = files.open(names_of(path), later)
        assert type(content) is kind, path
        content.close()
    assert read(files, "large", later) == b"x" * (SMALL + 1)
    assert "1 kept" in repr(files)


def test_nothing_is_kept_of_a_file_that_has_just_changed(root: Path, opened: list[Any]) -> None:
    """Two changes within one tick of the clock leave the same times."""
    info = os.stat(root / "f")
    os.utime(root / "f", (1, 1))
    changed_at = os.stat(root / "f").st_ctime
    assert changed_at >= info.st_ctime
    files = Files(Folder(root))
    for age, times in ((0.0, 2), (2.9, 2), (3.1, 1)):
        opened.clear()
        read(files, "f", changed_at + age)
        read(files, "f", changed_at + age)
        assert len(opened) == times, age


def test_nor_of_one_that_says_it_will_change(root: Path, later: float) -> None:
    os.utime(root / "f", (later + 5, later + 5))
    files = Files(Folder(root))
    assert read(files, "f", later) == b"."
    assert "0 kept" in repr(files)


@pytest.mark.parametrize(("passed", "again"), [(0.9, False), (1.0, True), (-0.1, True), (1e9, True)])
def test_it_is_kept_for_a_moment(
    root: Path, later: float, opened: list[Any], passed: float, again: bool
) -> None:
    files = Files(Folder(root))
    later = float(int(later))  # so that the sum is exact
    read(files, "f", later)
    opened.clear()
    read(files, "f", later + passed)
    assert bool(opened) is again


def test_what_is_kept_has_a_bound(
    root: Path, later: float, monkeypatch: pytest.MonkeyPatch, opened: list[Any]
) -> None:
    size = 100 + module._OVERHEAD
    monkeypatch.setattr(module, "_ROOM", 3 * size)
    for n in range(4):
        (root / str(n)).write_bytes(b"x" * 100)
    files = Files(Folder(root))
    for n in range(4):
        read(files, str(n), later)
        assert f"{n % 3 + 1} kept, room for {(2 - n % 3) * size} bytes" in repr(files)
    opened.clear()
    read(files, "3", later)
    assert not opened


@pytest.mark.usefixtures("open_descriptors")
def test_what_may_not_be_there(root: Path, later: float, opened: list[Any]) -> None:
    files = Files(Folder(root))
    opened.clear()
    for path in ("x", "a/x", "x/f", "f/x"):
        assert files.find(names_of(path), later) is None
    assert opened == []
    for _ in range(2):
        found = files.find([b"a", b"f"], later)
        assert found is not None
        assert bytes_of(found) == b"a"
    assert len(opened) == 2  # both names, once


@pytest.mark.usefixtures("open_descriptors")
def test_what_is_there_but_outside_is_not_found(root: Path, later: float) -> None:
    (root / "l").symlink_to(root.parent / "outside" / "f")
    assert Files(Folder(root)).find([b"l"], later) is None


# What is kept is what is there


def change_the_bytes_in_place(file: Path) -> None:
    info = file.stat()
    file.write_bytes(b"X" * info.st_size)
    os.utime(file, ns=(info.st_atime_ns, info.st_mtime_ns))  # as rsync --times --inplace


def move_the_folder_outside_and_link_to_it(file: Path) -> None:
    outside = file.parents[2] / "outside" / "moved"
    file.parent.rename(outside)
    file.parent.symlink_to(outside)


def replace_it_by_a_link(file: Path) -> None:
    file.unlink()
    file.symlink_to(file.parents[2] / "outside" / "f")


def replace_it(file: Path) -> None:
    info = file.stat()
    new = file.with_name("new")
    new.write_bytes(b"X" * info.st_size)
    os.utime(new, ns=(info.st_atime_ns, info.st_mtime_ns))
    new.replace(file)


@pytest.mark.usefixtures("open_descriptors")
@pytest.mark.parametrize(
    ("change", "seen"),
    [
        (change_the_bytes_in_place, b"X"),
        (replace_it, b"X"),
        (lambda file: file.write_bytes(b"longer"), b"longer"),
        (lambda file: os.truncate(file, 0), b""),
        (Path.unlink, None),
        (replace_it_by_a_link, None),
        (move_the_folder_outside_and_link_to_it, None),
        (lambda file: file.parent.rename(file.parents[1] / "elsewhere"), None),
        (lambda file: file.parents[1].rename(file.parents[2] / "elsewhere"), None),
    ],
)
def test_a_change_is_seen_at_once(
    root: Path, later: float, change: Callable[[Path], object], seen: bytes | None
) -> None:
    files = Files(Folder(root))
    assert read(files, "a/f", later) == b"a"
    assert "1 kept" in repr(files)
    wait_a_tick(root)
    change(root / "a" / "f")
    if seen is None:
        with pytest.raises(FileNotFoundError):
            read(files, "a/f", later)
    else:
        assert read(files, "a/f", later) == seen


def test_other_rights_are_seen_at_once(root: Path, later: float, opened: list[Any]) -> None:
    files = Files(Folder(root))
    read(files, "f", later)
    opened.clear()
    wait_a_tick(root)
    (root / "f").chmod(0)
    with contextlib.suppress(PermissionError):  # which root never gets
        read(files, "f", later)
    assert opened


def test_what_links_lead_to_is_looked_up_each_time(root: Path, later: float) -> None:
    (root / "l").symlink_to("a")
    (root / "m").symlink_to("f")
    files = Files(Folder(root))
    for path, data in (("l/f", b"a"), ("m", b"."), ("l/b/f", b"a/b")):
        assert read(files, path, later) == data
    assert "0 kept" in repr(files)


def wait_a_tick(folder: Path) -> None:
    """Let the clock of the file system go on: a tick of it is some milliseconds."""
    probe = folder.parent / "probe"
    probe.touch()
    before = probe.stat().st_ctime_ns
    while probe.stat().st_ctime_ns == before:
        probe.touch()


PLACES = st.sampled_from(["f", "a/f", "a/b/f", "a", "a/b"])
CHANGES = st.one_of(
    st.tuples(st.just("write"), PLACES, st.sampled_from([b"", b"1", b"2", b"33"])),
    st.tuples(st.just("replace"), PLACES, st.sampled_from([b"1", b"2"])),
    st.tuples(st.just("remove"), PLACES),
    st.tuples(st.just("folder"), PLACES),
    st.tuples(st.just("link"), PLACES, st.sampled_from(["../outside", "{root}/a", "b", "f", "{outside}/f"])),
    st.tuples(st.just("move"), PLACES, PLACES),
    st.tuples(st.just("swap_out"), PLACES),
)


def apply(root: Path, change: tuple[Any, ...]) -> None:
    kind, place, *rest = change
    path = root / place
    with contextlib.suppress(OSError):
        if kind == "write":
            path.write_bytes(rest[0])
        elif kind == "replace":
            (root.parent / "new").write_bytes(rest[0])
            (root.parent / "new").replace(path)
        elif kind == "remove":
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
        elif kind == "folder":
            path.mkdir(parents=True)
        elif kind == "link":
            path.symlink_to(rest[0].format(root=root, outside=root.parent / "outside"))
        elif kind == "move":
            path.rename(root / rest[0])
        else:
            path.rename(root.parent / "outside" / "moved")
            path.symlink_to(root.parent / "outside" / "moved")


def look(read_it: Callable[[], bytes]) -> bytes:
    try:
        return read_it()
    except OSError as error:
        return b"error %d" % (error.errno or 0)


def read_fresh(root: Path, path: str) -> bytes:
    return bytes_of(Opened(Folder(root).open(names_of(path))))


@settings(max_examples=60, deadline=None)
@given(st.lists(CHANGES, max_size=12))
def test_whatever_changes_a_reply_is_what_is_on_the_disk(changes: list[tuple[Any, ...]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "root"
        (root / "a" / "b").mkdir(parents=True)
        (root.parent / "outside").mkdir()
        (root.parent / "outside" / "f").write_bytes(b"secret")
        for place in ("f", "a/f", "a/b/f"):
            (root / place).write_bytes(b"0")
        files, now = Files(Folder(root)), time.time() + LATER
        for change in [("nothing", "f"), *changes]:
            if change[0] != "nothing":
                wait_a_tick(root)
                apply(root, change)
            for place in ("f", "a/f", "a/b/f"):
                got = look(partial(read, files, place, now))
                assert got == look(partial(read_fresh, root, place))
                assert got != b"secret"
                found = files.find(names_of(place), now)
                assert (got if found is None else look(partial(bytes_of, found))) == got
                assert found is not None or got.startswith(b"error")


@pytest.mark.usefixtures("open_descriptors")
@pytest.mark.parametrize("nth", [1, 2, 3, 4, 5, 6])
@pytest.mark.parametrize("swapped", ["a", "a/b", "a/b/f"])
def test_a_link_that_comes_while_it_is_looked_at_is_no_way_out(
    root: Path, later: float, monkeypatch: pytest.MonkeyPatch, nth: int, swapped: str
) -> None:
    """Whatever is replaced by a link to the outside, before whichever look: the outside is never read."""
    outside = root.parent / "outside"
    (outside / "b").mkdir()
    (outside / "b" / "f").write_bytes(b"secret")
    files = Files(Folder(root))
    read(files, "a/b/f", later)
    real, calls = os.lstat, 0

    def racing(path: Any) -> os.stat_result:
        nonlocal calls
        calls += 1
        if calls == nth:
            (root / swapped).rename(root / "moved")
            (root / swapped).symlink_to({"a": outside, "a/b": outside / "b", "a/b/f": outside / "f"}[swapped])
        return real(path)

    monkeypatch.setattr(os, "lstat", racing)
    for _ in range(2):
        try:
            content = read(files, "a/b/f", later)
        except FileNotFoundError:
            content = b"not found"
        assert content in (b"a/b", b"not found")


# Faults


@pytest.mark.usefixtures("open_descriptors")
def test_a_file_that_shrinks_while_it_is_read(
    root: Path, later: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.pread

    def shrinking(fd: int, size: int, offset: int) -> bytes:
        os.truncate(root / "f", 0)
        return real(fd, size, offset)

    files = Files(Folder(root))
    monkeypatch.setattr(os, "pread", shrinking)
    with pytest.raises(OSError, match="being changed") as caught:
        files.open([b"f"], later)
    assert caught.value.errno == errno.EBUSY
    assert "0 kept" in repr(files)


@pytest.mark.usefixtures("open_descriptors")
def test_a_status_that_can_not_be_had_costs_no_descriptor(
    root: Path, later: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: int) -> os.stat_result:
        raise OSError(errno.ESTALE, "stale")

    files = Files(Folder(root))
    with monkeypatch.context() as patch:
        patch.setattr(os, "fstat", refuse)
        with pytest.raises(OSError, match="stale"):
            files.open([b"f"], later)


@pytest.mark.usefixtures("open_descriptors")
def test_what_was_taken_stays_good(root: Path, later: float) -> None:
    data = bytes(range(256)) * 1000
    (root / "large").write_bytes(data)
    content = Files(Folder(root)).open([b"large"], later)
    assert stat.S_ISREG(content.info.st_mode)
    taken = content.take((1000, 200_000))
    content.close()
    assert isinstance(taken, Buffer)
    assert bytes(taken) == data[1000:200_000]
