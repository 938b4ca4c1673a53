"""`SystemFiles`: reads the files that tell how to resolve, and reads them again when they have changed.

A doer of few calls: what the files say, and what comes of it, `evkit.dns.configuration` decides. Whatever becomes of a
file, nothing is raised once a resolver runs: what was read last stays.
"""

import os
from collections.abc import Callable, Mapping
from typing import Final

from evkit.dns.configuration import Settings

RESOLV_CONF: Final = "/etc/resolv.conf"
HOSTS: Final = "/etc/hosts"
NSSWITCH: Final = "/etc/nsswitch.conf"
GAI_CONF: Final = "/etc/gai.conf"
INTERVAL: Final = 5.0
"""Seconds between two looks at the files, as in Go."""
MAX_CONF: Final = 64 * 1024
"""Bytes of resolv.conf and its kin that are read."""
MAX_HOSTS: Final = 32 * 1024 * 1024
"""The largest lists of advertisers have some 10 MiB."""

_Stamp = tuple[int, int, int, int]


class SystemFiles:
    """The files of the system that a resolver goes by.

    All are read at once; one that can't be read says nothing.

    Args:
        settings: Takes what they say.
        conf: The path of resolv.conf; ``None``: none is read. So with the others.
        hosts: The path of the hosts file.
        nsswitch: The path of nsswitch.conf.
        gai_conf: The path of gai.conf.
        host_aliases: The path of a file as ``HOSTALIASES`` names it.
        interval: Seconds between two looks at whether they have changed.
    """

    __slots__ = ("_files", "_interval", "_next_look_at", "_settings")

    def __init__(
        self,
        settings: Settings,
        *,
        conf: str | None = RESOLV_CONF,
        hosts: str | None = HOSTS,
        nsswitch: str | None = NSSWITCH,
        gai_conf: str | None = GAI_CONF,
        host_aliases: str | None = None,
        interval: float = INTERVAL,
    ) -> None:
        wanted = (
            (conf, MAX_CONF, settings.take_resolv_conf),
            (hosts, MAX_HOSTS, settings.take_hosts),
            (nsswitch, MAX_CONF, settings.take_nsswitch),
            (gai_conf, MAX_CONF, settings.take_gai_conf),
            (host_aliases, MAX_CONF, settings.take_host_aliases),
        )
        self._settings = settings
        self._files = [_File(path, limit, take) for path, limit, take in wanted if path is not None]
        self._interval = interval
        self._next_look_at = float("-inf")
        for file in self._files:
            file.look()

    def __repr__(self) -> str:
        return f"<SystemFiles {' '.join(file.path for file in self._files)}>"

    def refresh(self, now: float) -> bool:
        """Read again what has changed, if it is time to look.

        Args:
            now: The base's time.

        Returns:
            Whether a file was read again, so that `Settings.current` may be another. Never with the option
            ``no_reload``.
        """
        if now < self._next_look_at:
            return False
        self._next_look_at = now + self._interval
        if self._settings.current().options.no_reload:
            return False
        return sum(file.look() for file in self._files) > 0  # each of them, and not up to the first


class _File:
    """One file, and what it looked like when it was read."""

    __slots__ = ("_limit", "_stamp", "_take", "path")

    def __init__(self, path: str, limit: int, take: Callable[[bytes], None]) -> None:
        self.path = path
        self._limit = limit
        self._take = take
        self._stamp: _Stamp | None = None

    def look(self) -> bool:
        """Read it if it is another than it was; return whether it was read."""
        try:
            if _stamp(os.stat(self.path)) == self._stamp:
                return False
            # Of the file that is read, not of one that may take its place meanwhile.
            self._stamp, data = _read(self.path, self._limit)
        except (OSError, ValueError):
            return False  # it is gone for the moment, or for good
        self._take(data)
        return True


def read_file(path: str, limit: int = MAX_CONF) -> bytes:
    """Return what is in a file, and of one that is longer than ``limit`` bytes the whole lines of so many.

    Raises:
        OSError: It can't be read.
        ValueError: The path has a NUL in it.
    """
    return _read(path, limit)[1]


def _read(path: str, limit: int) -> tuple[_Stamp, bytes]:
    # It does not wait for somebody to write, in case it is a pipe.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(descriptor, "rb", buffering=0) as file:
        stamp = _stamp(os.fstat(descriptor))
        data = bytearray()
        while piece := file.read(limit + 1 - len(data)):
            data += piece
    return stamp, bytes(data) if len(data) <= limit else bytes(data[: data.rfind(b"\n", 0, limit) + 1])


def _stamp(status: os.stat_result) -> _Stamp:
    return status.st_mtime_ns, status.st_ctime_ns, status.st_size, status.st_ino


def trusted_environment(environment: Mapping[str, str] = os.environ) -> Mapping[str, str]:
    """Return the environment, or none of it in a set-uid or set-gid program.

    Such a program must not take orders from whoever started it. Source: glibc's ``secure_getenv``.
    """
    lends_rights = os.geteuid() != os.getuid() or os.getegid() != os.getgid()
    return {} if lends_rights else environment
