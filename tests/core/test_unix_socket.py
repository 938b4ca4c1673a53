"""The files of unix sockets: modes, stale ones, and two servers that start at once."""

import errno
import fcntl
import os
import socket
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from evkit.core.unix_socket import bind_unix, is_abandoned, remove_if_abandoned


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "s")


@pytest.fixture
def sock() -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX) as sock:
        yield sock


def leave_behind(path: str) -> None:
    """Bind and go, as a server does that is killed."""
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(path)


class TestMode:
    @pytest.mark.parametrize("mode", [0, 0o600, 0o660, 0o777])
    def test_holds_whatever_the_umask_is(self, sock: socket.socket, path: str, mode: int) -> None:
        before = os.umask(0o137)
        try:
            bind_unix(sock, path, mode)
        finally:
            os.umask(before)
        assert stat.S_IMODE(os.stat(path).st_mode) == mode

    def test_none_is_what_the_umask_leaves(self, sock: socket.socket, path: str) -> None:
        before = os.umask(0o027)
        try:
            bind_unix(sock, path)
        finally:
            os.umask(before)
        assert stat.S_IMODE(os.stat(path).st_mode) == 0o750

    def test_holds_before_anybody_can_connect(
        self, sock: socket.socket, path: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        refused: list[int] = []

        def chmod(where: str, _mode: int) -> None:
            with socket.socket(socket.AF_UNIX) as early:
                refused.append(early.connect_ex(where))

        monkeypatch.setattr(os, "chmod", chmod)
        bind_unix(sock, path, 0o600)
        assert refused == [errno.ECONNREFUSED]

    @pytest.mark.parametrize("mode", [-1, 0o1000, 0o4755])
    def test_nonsense_is_refused(self, sock: socket.socket, path: str, mode: int) -> None:
        with pytest.raises(ValueError, match="0 <= mode <= 0o777"):
            bind_unix(sock, path, mode)
        assert not os.path.exists(path)

    def test_abstract_name_has_none(self, sock: socket.socket) -> None:
        with pytest.raises(ValueError, match="mode needs a path"):
            bind_unix(sock, "\0name", 0o600)


class TestStale:
    def test_is_replaced_with_the_mode_asked_for(self, sock: socket.socket, path: str) -> None:
        leave_behind(path)
        assert is_abandoned(path)
        bind_unix(sock, path, 0o600)
        assert not is_abandoned(path)
        assert stat.S_IMODE(os.stat(path).st_mode) == 0o600

    def test_one_that_was_just_bound_is_in_use(self, sock: socket.socket, path: str) -> None:
        bind_unix(sock, path)
        with socket.socket(socket.AF_UNIX) as second, pytest.raises(OSError, match="in use"):
            bind_unix(second, path)

    def test_file_is_checked_again_under_the_lock(
        self, sock: socket.socket, path: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        leave_behind(path)
        with socket.socket(socket.AF_UNIX) as quicker:

            def flock(_fd: int, _how: int) -> None:  # while we came here, another server has replaced it
                os.unlink(path)
                quicker.bind(path)
                quicker.listen()

            monkeypatch.setattr(fcntl, "flock", flock)
            with pytest.raises(OSError, match="in use"):
                bind_unix(sock, path)
            with socket.socket(socket.AF_UNIX) as client:
                client.connect(path)

    def test_only_one_replaces_at_a_time(
        self, sock: socket.socket, path: str, tmp_path: Path, open_descriptors: None
    ) -> None:
        leave_behind(path)
        other = os.open(tmp_path, os.O_RDONLY)
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(OSError, match="another process is replacing it") as caught:
            bind_unix(sock, path)
        assert caught.value.errno == errno.EADDRINUSE
        os.close(other)
        bind_unix(sock, path)

    def test_one_that_does_not_listen_yet_is_not_taken_for_abandoned(
        self, path: str, open_descriptors: None
    ) -> None:
        """Two servers start at once, and the second comes between the first one's ``bind`` and its ``listen``."""

        class Slow(socket.socket):
            def listen(self, *backlog: int) -> None:
                with socket.socket(socket.AF_UNIX) as second, pytest.raises(OSError, match="in use"):
                    bind_unix(second, path)
                super().listen(*backlog)

        with Slow(socket.AF_UNIX) as first, socket.socket(socket.AF_UNIX) as client:
            bind_unix(first, path)
            client.connect(path)

    def test_folder_that_can_not_be_locked_takes_a_new_one(
        self, sock: socket.socket, path: str, tmp_path: Path, open_descriptors: None
    ) -> None:
        """Somebody else binds another name there; or it may be written, but not read."""
        other = os.open(tmp_path, os.O_RDONLY)
        fcntl.flock(other, fcntl.LOCK_EX)
        bind_unix(sock, path)
        os.close(other)
        assert not is_abandoned(path)

    def test_folder_that_is_not_there(self, sock: socket.socket, path: str) -> None:
        with pytest.raises(FileNotFoundError):
            bind_unix(sock, path + "/s")

    def test_successor_s_file_is_kept_by_one_that_leaves(
        self, sock: socket.socket, path: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A server leaves while the next one replaces its file: it looks abandoned, and is alive a moment later."""
        leave_behind(path)
        unlink = os.unlink
        refused: list[int | None] = []

        def unlink_late(where: str) -> None:
            monkeypatch.setattr(os, "unlink", unlink)
            try:
                bind_unix(sock, path)
            except OSError as error:
                refused.append(error.errno)
            unlink(where)

        monkeypatch.setattr(os, "unlink", unlink_late)
        remove_if_abandoned(path)
        assert refused == [errno.EADDRINUSE]  # or it would listen on what has no file any more
        assert not os.path.exists(path)

    def test_nobody_leaves_while_one_is_replaced(self, path: str, tmp_path: Path) -> None:
        leave_behind(path)
        other = os.open(tmp_path, os.O_RDONLY)
        fcntl.flock(other, fcntl.LOCK_EX)
        remove_if_abandoned(path)
        assert os.path.exists(path)
        os.close(other)
        remove_if_abandoned(path)
        assert not os.path.exists(path)

    def test_in_the_working_folder(
        self, sock: socket.socket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        leave_behind("s")
        bind_unix(sock, "s")
        assert not is_abandoned("s")

    def test_link_to_a_plain_file_is_kept(self, sock: socket.socket, path: str, tmp_path: Path) -> None:
        (tmp_path / "precious").write_text("precious")
        os.symlink(tmp_path / "precious", path)
        with pytest.raises(OSError, match="in use"):
            bind_unix(sock, path)
        assert (tmp_path / "precious").read_text() == "precious"

    def test_what_is_not_there_is_not_abandoned(self, path: str) -> None:
        assert not is_abandoned(path)
        remove_if_abandoned(path)
        remove_if_abandoned("")
        assert not os.path.exists(path)

    def test_one_whose_queue_is_full_is_kept(self, sock: socket.socket, path: str) -> None:
        sock.bind(path)
        sock.listen(0)
        with socket.socket(socket.AF_UNIX) as first, socket.socket(socket.AF_UNIX) as second:
            for client in (first, second):
                client.setblocking(False)
                client.connect_ex(path)
            remove_if_abandoned(path)
            assert os.path.exists(path)
