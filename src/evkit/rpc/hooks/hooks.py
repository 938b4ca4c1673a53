"""Hooks: functions that see each message, or each frame, on its way in or out, and may change, delay or stop it.

It decides which hooks a message meets and in which order, what their answers mean, and what a pause is. It knows
nothing of connections, threads or the wire: who runs a chain does what its verdict says.
"""

from collections.abc import Callable
from typing import Any, Final, Generic, TypeVar

from evkit.core.event import check_callback
from evkit.errors import LocalProtocolError

INPUT: Final = 0
"""On the way in: what the peer sent. Source: ``EVRPC_INPUT``."""
OUTPUT: Final = 1
"""On the way out: what the peer is going to get. Source: ``EVRPC_OUTPUT``."""

TERMINATE: Final = -1
"""It ends here, and no other hook sees it. Source: ``EVRPC_TERMINATE``."""
CONTINUE: Final = 0
"""The next hook, please; to return nothing is the same. Source: ``EVRPC_CONTINUE``."""
PAUSE: Final = 1
"""Not now: ``context.resume(CONTINUE)`` or ``context.resume(TERMINATE)`` will say. Source: ``EVRPC_PAUSE``."""

_READY: Final = 0
_CALLING: Final = 1
_PAUSED: Final = 2
_ENDED: Final = 3
_ABANDONED: Final = 4

C = TypeVar("C")


class Hook:
    """One hook that was added: what `Hooks.remove` takes.

    Attributes:
        kind: `INPUT` or `OUTPUT`.
        function: ``function(context)``.
        frames: Whether it sees frames, and not messages.
        removed: Whether it is called no more.
    """

    __slots__ = ("frames", "function", "kind", "removed")

    def __init__(self, kind: int, function: Callable[[Any], int | None], frames: bool) -> None:
        self.kind = kind
        self.function = function
        self.frames = frames
        self.removed = False

    def __repr__(self) -> str:
        what = f"{_KINDS[self.kind]} {'frames' if self.frames else 'messages'}"
        return f"<Hook {what} {self.function!r}{' removed' if self.removed else ''}>"


_KINDS: Final = {INPUT: "INPUT", OUTPUT: "OUTPUT"}


class Hooks:
    """Four lists of hooks, each in the order in which they were added.

    Messages and frames that are under way keep to the hooks that were there when they came; one that is removed is
    never called again, not even for those.

    Attributes:
        input: Those for messages that come.
        output: Those for messages that go.
        input_frames: Those for frames that come.
        output_frames: Those for frames that go.

    Source: ``struct _evrpc_hooks``.
    """

    __slots__ = ("input", "input_frames", "output", "output_frames")

    def __init__(self) -> None:
        self.input: tuple[Hook, ...] = ()
        self.output: tuple[Hook, ...] = ()
        self.input_frames: tuple[Hook, ...] = ()
        self.output_frames: tuple[Hook, ...] = ()

    def __repr__(self) -> str:
        return (
            f"<Hooks input={len(self.input)} output={len(self.output)} "
            f"input_frames={len(self.input_frames)} output_frames={len(self.output_frames)}>"
        )

    def __bool__(self) -> bool:
        return bool(self.input or self.output or self.input_frames or self.output_frames)

    def add(self, kind: int, hook: Callable[[Any], int | None], *, frames: bool = False) -> Hook:
        """Have ``hook`` called, after those that were added before.

        Args:
            kind: `INPUT` or `OUTPUT`.
            hook: ``hook(context)`` returns `CONTINUE`, `TERMINATE` or `PAUSE`. What it raises counts as `TERMINATE`.
            frames: Whether it sees the bytes of each frame, as a `FrameContext`, and not requests, responses and
                notifications, each as a `HookContext`.

        Returns:
            What `remove` takes.

        Raises:
            ValueError: No such kind.
            TypeError: ``hook`` can't be called.

        Source: ``evrpc_add_hook``.
        """
        if kind not in _KINDS or isinstance(kind, bool):
            raise ValueError(f"expected INPUT or OUTPUT, got {kind!r}")
        check_callback(hook)
        handle = Hook(kind, hook, frames)
        self._set(handle, (*self._list_of(handle), handle))
        return handle

    def remove(self, handle: Hook) -> bool:
        """Call a hook no more.

        Returns:
            Whether it was there.

        Source: ``evrpc_remove_hook``.
        """
        kept = tuple(hook for hook in self._list_of(handle) if hook is not handle)
        found = len(kept) != len(self._list_of(handle))
        if found:
            handle.removed = True
            self._set(handle, kept)
        return found

    def _list_of(self, hook: Hook) -> tuple[Hook, ...]:
        if hook.frames:
            return self.input_frames if hook.kind == INPUT else self.output_frames
        return self.input if hook.kind == INPUT else self.output

    def _set(self, hook: Hook, hooks: tuple[Hook, ...]) -> None:
        name = "input" if hook.kind == INPUT else "output"
        setattr(self, f"{name}_frames" if hook.frames else name, hooks)


class Chain(Generic[C]):
    """One walk along hooks. It keeps nothing of what they are called with, which may keep the chain.

    Args:
        hooks: In this order.
        done: ``done(context, verdict)``, with `CONTINUE` or `TERMINATE`, where a pause kept `start` from telling it.
        escaped: ``escaped(exception, hook)`` hears what a hook has raised.
    """

    __slots__ = ("_answer", "_done", "_escaped", "_hooks", "_next", "_state")

    def __init__(
        self,
        hooks: tuple[Hook, ...],
        done: Callable[[C, int], object],
        escaped: Callable[[BaseException, object], object],
    ) -> None:
        self._hooks = hooks
        self._done: Callable[[C, int], object] = done
        self._escaped = escaped
        self._next = 0
        self._state = _READY
        self._answer = PAUSE  # what the hook that runs was resumed with, before it returned

    def __repr__(self) -> str:
        state = ("ready", "calling", "paused", "ended", "abandoned")[self._state]
        return f"<Chain {state} {self._next} of {len(self._hooks)}>"

    @property
    def paused(self) -> bool:
        """Whether a hook has returned `PAUSE`, and nobody has resumed it."""
        return self._state == _PAUSED

    def start(self, context: C) -> int:
        """Call the hooks.

        Args:
            context: What each is called with.

        Returns:
            `CONTINUE` or `TERMINATE`, and ``done`` is not called; or `PAUSE`, and it will be, unless the chain is
            abandoned, which it may be already.
        """
        return self._walk(context)

    def resume(self, context: C, verdict: int) -> bool:
        """Go on with the next hook, or end; a hook may do so for itself before it returns `PAUSE`.

        Args:
            context: As for `start`.
            verdict: `CONTINUE` or `TERMINATE`.

        Returns:
            ``False``, with nothing done, when the chain was abandoned: who paused can't know of that in time.

        Raises:
            ValueError: ``verdict`` is neither.
            LocalProtocolError: No hook has paused, or it was resumed already.

        Source: ``evrpc_resume_request``, which skips the hooks that come next.
        """
        check_verdict(verdict)
        if self._state == _ABANDONED:
            return False
        if self._state == _CALLING and self._answer == PAUSE:
            self._answer = verdict
            return True
        if self._state != _PAUSED:
            raise LocalProtocolError(f"nothing is paused that could be resumed: {self!r}")
        self._go_on(context, verdict)
        return True

    def _go_on(self, context: C, verdict: int) -> None:
        done = self._done
        if verdict == CONTINUE:
            verdict = self._walk(context)
        else:
            self._end(_ENDED)
        if verdict != PAUSE:
            done(context, verdict)

    def abandon(self) -> None:
        """What it is about has ended: call no other hook, and not ``done``. Harmless when it has ended itself."""
        if self._state != _ENDED:
            self._end(_ABANDONED)

    def _end(self, state: int) -> None:
        self._state = state
        self._done = _nobody  # who hears the end may have the context in hand

    def _walk(self, context: C) -> int:
        """Call the hooks that are left; return the verdict of all."""
        verdict = CONTINUE
        while verdict == CONTINUE and self._next < len(self._hooks):
            hook = self._hooks[self._next]
            self._next += 1
            if not hook.removed:
                verdict = self._call(hook, context)
        if verdict != PAUSE:
            self._end(_ENDED)
        return verdict

    def _call(self, hook: Hook, context: C) -> int:
        """Call one hook."""
        self._state = _CALLING
        self._answer = PAUSE
        try:
            verdict = self._verdict(hook.function(context))
        except KeyboardInterrupt:
            self.abandon()
            raise
        except BaseException as exception:  # SystemExit, too: a message must not end the program
            self._escaped(exception, hook)
            verdict = TERMINATE
        if self._state == _ABANDONED:
            return PAUSE
        if verdict == PAUSE:
            self._state = _PAUSED
        return verdict

    def _verdict(self, returned: object) -> int:
        """Read what a hook has returned, in the light of whether it was resumed meanwhile."""
        if returned is None:
            returned = CONTINUE
        if type(returned) is not int or returned not in (CONTINUE, TERMINATE, PAUSE):
            raise TypeError(f"expected CONTINUE, TERMINATE or PAUSE of a hook, got {returned!r}")
        if returned != PAUSE and self._answer != PAUSE:
            raise LocalProtocolError(f"a hook that was resumed has to return PAUSE, it returned {returned}")
        return self._answer if returned == PAUSE else returned


def _nobody(context: object, verdict: int) -> None:
    """Stand in for who heard the end."""


def check_verdict(verdict: int) -> None:
    """Refuse what nothing can be resumed with.

    Raises:
        ValueError: It is neither `CONTINUE` nor `TERMINATE`.
    """
    if type(verdict) is not int or verdict not in (CONTINUE, TERMINATE):
        raise ValueError(f"expected CONTINUE or TERMINATE, got {verdict!r}")
