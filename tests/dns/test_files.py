"""`evkit.dns.files`: what is read, when it is read again, and that no file can do harm."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from evkit.dns.configuration import Configuration, Settings
from evkit.dns.files import SystemFiles, read_file, trusted_environment


class World:
    """A folder with the system's files, and what is read of them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.settings = Settings()

    def write(self, name: str, text: str) -> None:
        """Replace a file, so that its stamp is another, whatever the clock of the file system is like."""
        path = self.folder / name
        path.with_suffix(".new").write_text(text)
        path.with_suffix(".new").replace(path)

    def files(self, **more: float) -> SystemFiles:
        names = {"conf": "resolv.conf", "hosts": "hosts", "nsswitch": "nsswitch.conf", "gai_conf": "gai.conf"}
        paths = {option: str(self.folder / name) for option, name in names.items()}
        return SystemFiles(self.settings, **paths, host_aliases=str(self.folder / "aliases"), **more)

    @property
    def current(self) -> Configuration:
        return self.settings.current()

    @property
    def servers(self) -> list[str]:
        return [str(server) for server in self.current.servers]


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_all_files_are_read_at_once(world: World, open_descriptors: None) -> None:
    world.write("resolv.conf", "nameserver 192.0.2.1\n")
    world.write("hosts", "192.0.2.2 a\n")
    world.write("nsswitch.conf", "hosts: dns\n")
    world.write("gai.conf", "precedence ::/0 7\n")
    world.write("aliases", "www www.example.org\n")
    files = world.files()
    assert world.servers == ["192.0.2.1"]
    assert world.current.hosts.addresses("a") == ["192.0.2.2"]
    assert world.current.sources == ("dns",)
    assert world.current.policy.precedences[0].value == 7
    assert world.current.aliases == {b"\3www\0": b"\3www\7example\3org\0"}
    assert files.refresh(0.0) is False
    assert repr(files).startswith("<SystemFiles ")
    assert str(world.folder / "hosts") in repr(files)


def test_files_that_are_not_there_say_nothing(world: World) -> None:
    files = world.files()
    assert world.current == Configuration()
    assert files.refresh(0.0) is False
    world.write("resolv.conf", "nameserver 192.0.2.1\n")
    assert files.refresh(5.0) is True
    assert world.servers == ["192.0.2.1"]


def test_none_is_read_if_none_is_wanted() -> None:
    settings = Settings()
    SystemFiles(settings, conf=None, hosts=None, nsswitch=None, gai_conf=None)
    assert settings.current() == Configuration()


def test_a_change_is_seen_at_the_next_look(world: World) -> None:
    world.write("resolv.conf", "nameserver 192.0.2.1\n")
    files = world.files()
    assert files.refresh(100.0) is False
    world.write("resolv.conf", "nameserver 192.0.2.2\n")
    world.write("hosts", "192.0.2.3 a\n")
    assert files.refresh(104.9) is False
    assert world.servers == ["192.0.2.1"]
    assert files.refresh(105.0) is True
    assert world.servers == ["192.0.2.2"]
    assert world.current.hosts.addresses("a") == ["192.0.2.3"]
    assert files.refresh(200.0) is False


def test_a_file_that_was_written_to_in_place_is_another(world: World) -> None:
    world.write("resolv.conf", "nameserver 192.0.2.1\n")
    files = world.files(interval=0.0)
    path = world.folder / "resolv.conf"
    path.write_text("nameserver 192.0.2.1\nnameserver 192.0.2.2\n")
    assert files.refresh(0.0) is True
    path.write_text("nameserver 192.0.2.1\nnameserver 192.0.2.3\n")
    os.utime(path, ns=(0, 0))
    assert files.refresh(0.0) is True
    assert world.servers == ["192.0.2.1", "192.0.2.3"]


def test_between_the_looks_nothing_is_asked_of_the_system(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.write("resolv.conf", "nameserver 192.0.2.1\n")
    files = world.files()
    files.refresh(0.0)
    looked_at: list[str] = []
    look = os.stat
    monkeypatch.setattr(os, "stat", lambda path, **how: (looked_at.append(path), look(path, **how))[1])
    assert files.refresh(4.9) is False
    assert looked_at == []
    assert files.refresh(5.0) is False
    assert len(looked_at) == 5


@pytest.mark.parametrize(
    "spoil",
    [
        Path.unlink,
        lambda path: (path.unlink(), path.mkdir()),
        lambda path: (path.unlink(), path.symlink_to(path)),
    ],
)
def test_a_file_that_is_gone_stays_as_it_was(world: World, spoil: Callable[[Path], object]) -> None:
    world.write("resolv.conf", "nameserver 192.0.2.1\n")
    files = world.files()
    spoil(world.folder / "resolv.conf")
    assert files.refresh(0.0) is False
    assert world.servers == ["192.0.2.1"]


def test_one_that_comes_back_is_read(world: World) -> None:
    world.write("hosts", "192.0.2.1 a\n")
    files = world.files()
    (world.folder / "hosts").unlink()
    assert files.refresh(0.0) is False
    world.write("hosts", "192.0.2.2 a\n")
    assert files.refresh(5.0) is True
    assert world.current.hosts.addresses("a") == ["192.0.2.2"]


def test_no_reload(world: World) -> None:
    world.write("resolv.conf", "nameserver 192.0.2.1\noptions no-reload\n")
    files = world.files()
    world.write("resolv.conf", "nameserver 192.0.2.2\n")
    assert files.refresh(0.0) is False
    assert world.servers == ["192.0.2.1"]
    world.settings.set_option("no-reload", "0")
    assert files.refresh(4.9) is False
    assert files.refresh(5.0) is True
    assert world.servers == ["192.0.2.2"]


def test_a_path_that_is_none_is_as_one_that_is_not_there() -> None:
    settings = Settings()
    files = SystemFiles(settings, conf="\0", hosts="", nsswitch="a" * 5000, gai_conf=None)
    assert files.refresh(0.0) is False
    assert settings.current() == Configuration()


def test_nobody_waits_for_a_pipe(world: World, open_descriptors: None) -> None:
    os.mkfifo(world.folder / "resolv.conf")
    world.files()
    assert world.servers == ["127.0.0.1"]
    assert read_file(os.devnull) == b""


def test_an_endless_file_is_read_up_to_the_limit() -> None:
    assert read_file("/dev/zero", 100_000) == b""


def test_hosts_may_be_long_and_the_others_may_not(world: World) -> None:
    lines = (("resolv.conf", "nameserver 192.0.2.1\n"), ("hosts", "192.0.2.2 a\n"))
    for name, line in lines:
        world.write(name, line + "#" * 65_000 + "\n" + line.replace("192", "198"))
    world.files()
    assert world.servers == ["192.0.2.1", "198.0.2.1"]
    for name, line in lines:
        world.write(name, line + "#" * 65_536 + "\n" + line.replace("192", "198"))
    world.files()
    assert world.servers == ["192.0.2.1"]
    assert world.current.hosts.addresses("a") == ["192.0.2.2", "198.0.2.2"]


def test_a_long_file_is_cut_at_a_line(world: World) -> None:
    world.write("hosts", "a\nbc\nd")
    path = str(world.folder / "hosts")
    assert [read_file(path, limit) for limit in (7, 6, 5, 4, 2, 1, 0)] == [
        *(b"a\nbc\nd"[:size] for size in (6, 6, 5, 2, 2, 0, 0)),
    ]


def test_what_can_not_be_read_is_told_to_who_asks_for_it(world: World) -> None:
    with pytest.raises(FileNotFoundError):
        read_file(str(world.folder / "not-there"))
    with pytest.raises(IsADirectoryError):
        read_file(str(world.folder))
    with pytest.raises(ValueError, match="null"):
        read_file("\0")


@pytest.mark.parametrize("lent", ["geteuid", "getegid"])
def test_a_program_with_lent_rights_heeds_no_environment(lent: str, monkeypatch: pytest.MonkeyPatch) -> None:
    environment = {"LOCALDOMAIN": "a.example"}
    assert trusted_environment(environment) == environment
    monkeypatch.setattr(os, lent, lambda: -1)
    assert trusted_environment(environment) == {}
