"""Where a body is written: all of a file or nothing, and standard output with care."""

import io
import os
import stat
import sys
import threading
from pathlib import Path

import pytest

from evkit.cli.errors import Failure
from evkit.cli.saving import Outlet, opened


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def save(name: str | None, data: bytes = b"", error: BaseException | None = None) -> None:
    with opened(name) as outlet:
        outlet.write(data)
        if error is not None:
            raise error


def test_a_file_gets_its_name_in_the_end(tmp_path: Path) -> None:
    path = tmp_path / "file"
    with opened(str(path)) as outlet:
        outlet.write(b"one ")
        assert names(tmp_path) == {"file.part"}
        outlet.write(b"two")
    assert names(tmp_path) == {"file"}
    assert path.read_bytes() == b"one two"
    umask = os.umask(0)
    os.umask(umask)
    assert stat.S_IMODE(path.stat().st_mode) == 0o666 & ~umask


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_what_was_there_stays_if_it_goes_wrong(tmp_path: Path, error: type[BaseException]) -> None:
    path = tmp_path / "file"
    path.write_text("before")
    with pytest.raises(error):
        save(str(path), b"half", error())
    assert names(tmp_path) == {"file"}
    assert path.read_text() == "before"


def test_nothing_is_left_if_it_goes_wrong(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="on purpose"):
        save(str(tmp_path / "file"), b"half", ValueError("on purpose"))
    assert names(tmp_path) == set()


def test_a_file_keeps_its_permissions_and_a_link_its_target(tmp_path: Path) -> None:
    path, link = tmp_path / "file", tmp_path / "link"
    path.write_text("before")
    path.chmod(0o600)
    link.symlink_to(path)
    with opened(str(link)) as outlet:
        outlet.write(b"after")
    assert link.is_symlink()
    assert path.read_text() == "after"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_what_a_killed_one_has_left_is_no_obstacle(tmp_path: Path) -> None:
    (tmp_path / "file.part").write_text("much longer than what comes now")
    with opened(str(tmp_path / "file")) as outlet:
        outlet.write(b"new")
    assert names(tmp_path) == {"file"}
    assert (tmp_path / "file").read_text() == "new"


def test_a_link_in_place_of_the_half_file_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "victim").write_text("mine")
    (tmp_path / "file.part").symlink_to(tmp_path / "victim")
    with pytest.raises(Failure, match="file can't be written to: "):
        save(str(tmp_path / "file"), b"theirs")
    assert (tmp_path / "victim").read_text() == "mine"


def test_a_pipe_is_written_to_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    read: list[bytes] = []
    reader = threading.Thread(target=lambda: read.append(path.read_bytes()))
    reader.start()
    with opened(str(path)) as outlet:
        outlet.write(b"hello")
    reader.join(20)
    assert read == [b"hello"]
    assert stat.S_ISFIFO(path.stat().st_mode)


@pytest.mark.parametrize("name", ["folder/missing/file", "folder"])
def test_what_cannot_be_opened_is_told_by_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    with pytest.raises(Failure, match=f"^{name} can't be written to: "):
        save(name)
    assert names(tmp_path) == {"folder"}


def test_a_file_without_a_name() -> None:
    with pytest.raises(Failure, match="the name of the file is empty"):
        save("")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="this system has no /dev/full")
def test_a_full_disk_is_told() -> None:
    with pytest.raises(Failure, match=r"^/dev/full can't be written to: No space left on device$"):
        save("/dev/full", b"x")


class Full(io.BytesIO):
    def write(self, data: object) -> int:
        raise OSError(28, "No space left on device")


def test_a_disk_that_fills_up_at_the_very_end_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(old: str, new: str) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(Failure, match="file can't be written to: No space left on device"):
        save(str(tmp_path / "file"), b"x")
    assert names(tmp_path) == set()


def test_other_errors_of_the_block_are_not_the_files(tmp_path: Path) -> None:
    for name in (str(tmp_path / "file"), os.devnull):
        with pytest.raises(ConnectionResetError):
            save(name, b"x", ConnectionResetError())


def test_standard_output(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    with opened(None) as outlet:
        outlet.write(b"\0\xff")
        assert capfdbinary.readouterr().out == b"\0\xff"  # at once: somebody may watch
        assert not outlet.is_terminal


def test_standard_output_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", None)
    with pytest.raises(Failure, match="standard output is closed; -o FILE saves the body"):
        save(None)


class Terminal(io.BytesIO):
    @property
    def buffer(self) -> "Terminal":
        return self

    def isatty(self) -> bool:
        return True


def test_no_binary_for_a_terminal_unless_it_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)
    with opened(None) as outlet:
        assert outlet.is_terminal
        outlet.write("text, ü\n".encode())
        with pytest.raises(Failure, match="binary, and not for a terminal: -o FILE saves it, -o - shows it"):
            outlet.write(b"a\0b")
    with opened("-") as outlet:
        outlet.write(b"a\0b")
    assert terminal.getvalue() == "text, ü\na\0b".encode()


def test_a_reader_that_has_gone_is_no_failure() -> None:
    class Gone(io.BytesIO):
        def write(self, data: object) -> int:
            raise BrokenPipeError

    with pytest.raises(BrokenPipeError):
        Outlet(Gone(), "x").write(b"x")
    with pytest.raises(Failure, match=r"^x can't be written to: No space left on device$"):
        Outlet(Full(), "x").write(b"x")


def test_it_shows_where_it_leads() -> None:
    assert repr(Outlet(io.BytesIO(), "a file")) == "<Outlet a file>"
