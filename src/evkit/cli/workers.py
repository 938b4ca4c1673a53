"""The supervisor of ``evkit serve --workers``: starts processes, hears of their ends, and passes orders on.

What is to be done is decided in `evkit.cli.supervision`; here it is done. The supervisor holds the listening sockets as
long as it lives, so that no connection that waits in one is lost with a worker. It serves nobody, and never imports
what is served: a fork of it reads that anew, and is otherwise the very program that was started, with its options and
its environment.
"""

import os
import signal
import socket
from collections.abc import Callable
from typing import Final

from evkit import EV_PERSIST, EV_READ, EVLOOP_ONCE, Event, EventBase
from evkit.cli import worker
from evkit.cli.listening import SharedSockets
from evkit.cli.supervision import Action, Do, Supervision
from evkit.cli.terminal import say
from evkit.cli.worker import Post

_WORDS_AT_ONCE: Final = 16
_SIGNALS: Final = {Do.STOP: worker.STOP_SIGNAL, Do.CUT: worker.CUT_SIGNAL, Do.KILL: signal.SIGKILL}


class Supervisor:
    """Keeps workers at work.

    Args:
        base: To wait on; its loop is not to be run by anybody else.
        rules: What decides.
        sockets: What workers accept connections on.
        announce: Called when the first worker is ready.
    """

    __slots__ = ("_announce", "_base", "_channels", "_events", "_rules", "_sockets", "_timer")

    def __init__(
        self, base: EventBase, rules: Supervision, sockets: SharedSockets, announce: Callable[[], object]
    ) -> None:
        self._base = base
        self._rules = rules
        self._sockets = sockets
        self._announce = announce
        self._channels: dict[int, Channel] = {}  # by the number of the worker
        self._timer = base.timer(_wake_up)
        self._events = [
            base.signal(signal.SIGCHLD, self._on_child),
            base.signal(signal.SIGHUP, self._on_reload),
            base.signal(signal.SIGINT, self._on_stop),
            base.signal(signal.SIGTERM, self._on_stop),
        ]

    def __repr__(self) -> str:
        return f"<Supervisor {self._rules!r}>"

    def run(self) -> Post | None:
        """Supervise until all is over; ``None`` then.

        Returns:
            What a worker works with, in each process that is to be one.
        """
        try:
            for event in self._events:
                event.add()
            post = self._supervise()
        finally:
            self._let_go()
        if post is not None:
            worker.begin()
        return post

    def _supervise(self) -> Post | None:
        clock = self._base.clock
        while True:
            while actions := self._rules.decide(clock.monotonic()):
                for action in actions:
                    post = self._do(action)
                    if post is not None:
                        return post
            if self._rules.status is not None:
                return None
            self._wait(self._rules.wait(clock.monotonic()))

    def _wait(self, seconds: float | None) -> None:
        if seconds is None:
            self._timer.delete()
        else:
            self._timer.add(seconds)
        self._base.loop(EVLOOP_ONCE)

    def _let_go(self) -> None:
        """Free what a supervisor needs; in a worker that is what it must not have."""
        for event in (*self._events, self._timer):
            event.free()
        for channel in self._channels.values():
            channel.close()
        self._channels.clear()

    # What is to be done

    def _do(self, action: Action) -> Post | None:
        if action.do is Do.SAY:
            say(action.text)
        elif action.do is Do.START:
            return self._start(action.number)
        elif action.do is Do.DRAIN:
            self._channels[action.number].send(worker.DRAIN)
        else:
            # It is there, dead or alive, as nobody has waited for it.
            os.kill(action.number, _SIGNALS[action.do])
        return None

    def _start(self, slot: int) -> Post | None:
        try:
            pid, line = _fork()
        except OSError as error:
            self._rules.not_started(slot, error.strerror or str(error), self._base.clock.monotonic())
            return None
        if not pid:
            self._base.reinit()  # or what the worker gives up is deleted from what the supervisor waits for
            return Post(self._sockets.take(slot), line)
        self._channels[pid] = Channel(self._base, line, pid, self._on_word)
        self._rules.started(slot, pid)
        return None

    # What has happened

    def _on_word(self, pid: int, word: bytes) -> None:
        if word == worker.WEARY:
            self._rules.weary(pid)
            return
        if word == worker.LEAVING:
            self._rules.leaving(pid, self._base.clock.monotonic())
            return
        announced = self._rules.up
        self._rules.ready(pid, self._base.clock.monotonic())
        if self._rules.up and not announced:
            self._announce()

    def _on_child(self, event: Event, what: int) -> None:  # noqa: ARG002 - a callback
        for pid in tuple(self._rules.workers):
            gone, status = os.waitpid(pid, os.WNOHANG)
            if gone:
                self._channels.pop(pid).close()
                code = os.waitstatus_to_exitcode(status)
                self._rules.exited(pid, code, self._base.clock.monotonic())

    def _on_reload(self, event: Event, what: int) -> None:  # noqa: ARG002 - a callback
        self._rules.reload(self._base.clock.monotonic())

    def _on_stop(self, event: Event, what: int) -> None:  # noqa: ARG002 - a callback
        self._rules.stop(event.fd, self._base.clock.monotonic())
        self._sockets.stop_listening()  # or clients would wait there for workers that don't come


class Channel:
    """The supervisor's end of the line to a worker.

    Args:
        base: To wait on.
        sock: One end of a pair of sockets.
        pid: The worker.
        on_word: ``on_word(pid, word)`` hears each byte.
    """

    __slots__ = ("_event", "_on_word", "_pid", "_sock")

    def __init__(
        self, base: EventBase, sock: socket.socket, pid: int, on_word: Callable[[int, bytes], object]
    ) -> None:
        self._sock = sock
        self._pid = pid
        self._on_word = on_word
        self._event = base.event(sock, EV_READ | EV_PERSIST, self._on_readable)
        self._event.add()

    def __repr__(self) -> str:
        return f"<Channel to {self._pid}>"

    def send(self, word: bytes) -> None:
        """Tell the worker something; if it is dead, nothing happens."""
        try:
            self._sock.send(word)
        except OSError:
            pass  # the system will tell how it ended

    def close(self) -> None:
        """Hear and tell nothing more."""
        self._event.free()
        self._sock.close()

    def _on_readable(self, event: Event, what: int) -> None:  # noqa: ARG002 - a callback
        try:
            words = self._sock.recv(_WORDS_AT_ONCE)
        except ConnectionResetError:  # it has died without hearing the last order
            words = b""
        if not words:
            event.delete()  # the system will tell how it ended
        for number in words:
            self._on_word(self._pid, bytes((number,)))


def _wake_up(event: Event, what: int) -> None:
    """Let the rules look at the time."""


def _fork() -> tuple[int, socket.socket]:
    """Fork with a line between parent and child.

    Returns:
        The number of the child in the parent, and 0 in the child, where signals are held back until `worker.begin`; and
        the end of the line that is this process's.

    Raises:
        OSError: The system has no more of something. All is as before.
    """
    ours, theirs = socket.socketpair()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, worker.BLOCKED)
    try:
        pid = os.fork()
    except OSError:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        ours.close()
        theirs.close()
        raise
    if not pid:
        ours.close()
        return pid, theirs
    signal.pthread_sigmask(signal.SIG_SETMASK, before)
    theirs.close()
    return pid, ours
