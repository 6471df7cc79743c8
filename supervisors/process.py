"""A process: a Pykka actor that a supervisor can own, link, monitor, kill and restart."""

from __future__ import annotations

import logging
from types import CoroutineType
from typing import TYPE_CHECKING, Any, ClassVar, Final, Self

from supervisors import closing, context, fencing, limits, mailbox, reserved, signals
from supervisors._pykka import LeanActor
from supervisors.errors import (
    CallExit,
    CallTimeout,
    NoNode,
    NotStarted,
    ProcessExit,
    SupervisorsError,
)  # fmt: skip
from supervisors.extras import Extras
from supervisors.future import EndFuture, Future, Sleep
from supervisors.messages import Exit
from supervisors.pid import Pid
from supervisors.reasons import Crash, shown
from supervisors.ref import Ref
from supervisors.timers import Timer

if TYPE_CHECKING:
    from collections import deque
    from collections.abc import Callable, Iterable
    from types import TracebackType

    from supervisors.node import Node
    from supervisors.ports.port import Port

logger = logging.getLogger("supervisors")

# States of a process, as the scheduler sees them. `IDLE` is zero and rare ones come last, because
# the send path asks `state == IDLE` and the turn asks `state != READY`, and nothing else.
IDLE: Final = 0
"""No message waits; the process is in no queue and costs nothing."""
READY: Final = 1
"""In the run queue, or running its turn."""
PARKED: Final = 2
"""Its handler awaits something; later messages wait in the mailbox."""
TIMED: Final = 3
"""Idle, and a `Timeout` result runs."""
HIBERNATED: Final = 4
"""Idle, with its caches dropped."""
SUSPENDED: Final = 5
"""Handles nothing until resumed (sys:suspend)."""
STARTING: Final = 6
"""Its init has not answered yet."""
DOOMED: Final = 7
"""Killed while its own code was on the stack; buried when that code returns."""
DEAD: Final = 8
"""Over. Its `_ext` slot holds the exit reason."""

STATE_NAMES: Final = (
    "idle", "ready", "parked", "timed", "hibernated", "suspended", "starting", "doomed", "dead",
)  # fmt: skip

# Flags of a process.
TRAPS_EXIT: Final = 1
LINKED_TO_PARENT: Final = 2
ARMS_TIMERS: Final = 4
"""Set a timer at least once: the wheel may hold entries of it when it has ended."""


class Process(LeanActor):
    """A lean `pykka.Actor` run by its node's shard.

    Subclass it as you would `pykka.ThreadingActor`: `__init__`, `on_start`, `on_receive`, `on_stop`
    and `on_failure` keep their documented meaning, and each but `__init__` may be `async def`.
    All of them run on the shard's thread, one message at a time. `GenServer`, `StateMachine` and
    `Supervisor` build on it.
    """

    __slots__ = ("_ext", "_flags", "_name", "_parent", "_queue", "_reductions", "_serial",
                 "_shard", "_state")  # fmt: skip

    mailbox_limit: ClassVar[int] = limits.MAILBOX_MESSAGES
    """Messages that may wait behind the one at hand, at least 1. EXIT, DOWN and replies always may.
    """
    mailbox_policy: ClassVar[str] = mailbox.REJECT
    """What happens beyond the limit: REJECT, DROP_NEW or DROP_OLD. Refusals are counted."""
    hibernate_after_s: ClassVar[float | None] = None
    """Hibernate after so many to twice so many idle seconds; None: only when a result says so."""
    tracks_children: ClassVar[bool] = False
    """True for supervisors, whose child table stands for the links to their children."""

    _ext: Any
    _flags: int
    _name: Any
    _parent: Process | None
    _queue: deque[tuple[int, Any, Any]] | None
    _reductions: int
    _serial: int
    _shard: Any
    _state: int

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        reserved.refuse_taken(cls, Process, _RESERVED)
        mailbox.check(cls)
        if cls.hibernate_after_s is not None and not cls.hibernate_after_s > 0:
            raise ValueError(f"{cls.__name__}.hibernate_after_s must be above 0, or None")

    def __init__(self, *_args: Any, **_kwargs: Any) -> None:
        """Take the place of Pykka's constructor; overriding classes call it first, as there."""
        if not hasattr(self, "_shard"):
            raise NotStarted(f"{type(self).__name__} was constructed by hand; use its start()")

    @classmethod
    def start(cls, *args: Any, **kwargs: Any) -> Ref[Self]:
        """Start on the active node and give the ref, as Pykka does.

        `__init__` runs in the calling thread; an error in on_start is reported and ends the
        process, the ref is returned all the same. To name, link or supervise a process use
        `node.start` or `start_link`. Raises NoNode where no `with node:` is in force.
        """
        return cls.node_here().launch(cls, args, kwargs)

    @classmethod
    def node_here(cls) -> Node:
        """Give the node whose turn runs here, else the active one; raises NoNode."""
        shard = context.running_shard()
        node = shard.node if shard is not None else context.active_node.get()
        if node is None:
            raise NoNode(f"no node is active: start {cls.__name__} inside `with node:`")
        return node

    # -- Pykka's hooks -----------------------------------------------------------------------

    def on_start(self) -> Any:
        """Run once before the first message."""

    def on_stop(self) -> Any:
        """Run once when the process was asked to stop, after its last message."""

    def on_failure(
        self,
        exception_type: type[BaseException] | None,
        exception_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> Any:
        """Run once when a handler raised, before the process ends."""

    def on_receive(self, message: Any) -> Any:
        """Handle a plain message; what it returns answers an ask."""
        logger.warning("Unexpected message received by %s: %r", self, message)

    # -- the scheduler's view, overridden by behaviours --------------------------------------

    def begin(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Construct and start up, in the process's own turn; behaviours run `init` here."""
        self.__init__(*args, **kwargs)  # type: ignore[misc]
        return self.launched()

    def launched(self) -> Any:
        """Run on_start; its plain result means nothing (Pykka)."""
        result = self.on_start()
        return result if result.__class__ is CoroutineType else None

    def handle_cast(self, message: Any) -> Any:
        """Handle a cast."""
        return self.on_receive(message)

    def handle_call(self, message: Any, caller: Any) -> Any:
        """Handle a call; what it returns is the reply."""
        del caller
        return self.on_receive(message)

    def handle_ask(self, message: Any, caller: Any) -> Any:
        """Handle Pykka's ask; what it returns is the reply."""
        del caller
        return self.on_receive(message)

    def handle_info(self, message: Any) -> Any:
        """Handle anything that is neither a cast nor a call."""
        return self.on_receive(message)

    def handle_exit(self, sender: Any, reason: Any) -> Any:
        """Handle a trapped exit signal that is not the parent's, by default as an info."""
        return self.handle_info(Exit(sender, reason))

    def handle_continue(self, argument: Any) -> Any:
        """Handle a continuation that a result asked for."""
        logger.warning("Unexpected continuation in %s: %r", self, argument)

    def terminate(self, reason: Any) -> Any:
        """Clean up; runs on a stop, on a crash, and on the parent's exit when trapping."""
        if isinstance(reason, Crash):
            error = reason.error
            return self.on_failure(type(error), error, error.__traceback__)
        return self.on_stop()

    def on_hibernate(self) -> Any:
        """Drop what can be made again; runs when a result says `Hibernate`."""

    def on_wake(self) -> Any:
        """Make it again; runs before the first message after hibernation."""

    def crash_status(self, reason: Any) -> dict[str, Any] | None:
        """Show what is inside for a crash report; "event" there stands for the message."""
        del reason
        return None

    def linked_children(self) -> Iterable[Process]:
        """Children whose links stand in a supervisor's own table."""
        return ()

    def linked(self, parent: Process | None) -> Iterable[Process]:
        """Who is linked by being parent or child, in the order in which their exits go out.

        OTP leaves that order open: here the parent, if it is linked, then the children.
        """
        return self.linked_children() if parent is None else (parent, *self.linked_children())

    # -- identity ----------------------------------------------------------------------------

    @property
    def node(self) -> Node:
        """The node this process lives on."""
        return self._shard.node  # type: ignore[no-any-return]

    @property
    def pid(self) -> Pid:
        """The address of this life of the process."""
        node = self._shard.node
        return Pid(node.name, node.creation, self._serial)

    @property
    def ref(self) -> Ref[Self]:
        """A ref to this process, equal to every other ref to it."""
        return Ref(self)

    @property
    def registered_name(self) -> Any:
        """The registered name, or None (`name` is left to whoever writes the process)."""
        return self._name

    def pid_text(self) -> str:
        """Give the pid as text."""
        return str(self.pid)

    def make_ref(self) -> Ref[Self]:
        """Make a ref to this process."""
        if not hasattr(self, "_shard"):
            raise NotStarted(f"{type(self).__name__} was constructed by hand; use its start()")
        return Ref(self)

    def is_running(self) -> bool:
        """Tell whether the process has not ended."""
        return self._state != DEAD

    @property
    def mailbox_length(self) -> int:
        """Messages that wait, without the one being handled."""
        queue = self._queue
        return 0 if queue is None else len(queue)

    @property
    def exit_reason(self) -> Any:
        """Why a dead process ended; None while it lives."""
        return self._ext if self._state == DEAD else None

    def accept_envelope(self, message: Any, reply_to: Any) -> None:
        """Take a message that came through Pykka's inbox."""
        if reply_to is None:
            Ref(self).tell(message)
            return

        def hand_over(answer: Future[Any]) -> None:
            try:
                value = answer.result()
            except Exception:  # noqa: BLE001 - whatever it is, it is the asker's
                reply_to.set_exception()
            else:
                reply_to.set(value)

        Ref(self).ask(message, block=False).add_done_callback(hand_over)

    def wait_ended(self, timeout_s: float | None) -> bool:
        """Wait from outside until the process has ended; False if it never will, or not in time."""
        ended = EndFuture(self._shard)
        self._shard.run_on_shard(
            lambda: signals.watch_end(self, ended), lambda: closing.fail(self._shard, ended)
        )
        try:
            ended.get(timeout=timeout_s)
        except CallExit:  # the node was closed
            return False
        except CallTimeout:
            self._shard.run_on_shard(lambda: signals.unwatch(self, ended))
            return False
        return True

    def __str__(self) -> str:
        if not hasattr(self, "_shard"):
            return f"{type(self).__name__} (never started)"
        named = f" {shown(self._name)}" if self._name is not None else ""
        return f"{type(self).__name__}{named} ({self.actor_urn})"

    @property
    def extras(self) -> Extras:
        """The rarely needed part, made when first asked for; SupervisorsError after the end."""
        if self._state == DEAD:
            raise SupervisorsError(f"{self} has ended: nothing can be kept for it any more")
        ext = self._ext
        if ext is None:
            ext = self._ext = Extras()
        return ext  # type: ignore[no-any-return]

    # -- what a handler may do ---------------------------------------------------------------

    @property
    def trap_exit(self) -> bool:
        """Whether exit signals become `Exit` messages (process_flag(trap_exit, _))."""
        return bool(self._flags & TRAPS_EXIT)

    @trap_exit.setter
    def trap_exit(self, wanted: bool) -> None:
        self._flags = self._flags | TRAPS_EXIT if wanted else self._flags & ~TRAPS_EXIT

    def exit(self, reason: Any) -> None:
        """End this process with a reason, from inside a handler (`exit/1`); does not return."""
        raise ProcessExit(reason)

    def link(self, other: Ref[Any]) -> None:
        """Tie both lives together; to a dead process it sends back an exit `noproc`."""
        signals.link(self, other)

    def unlink(self, other: Ref[Any]) -> None:
        """Undo a link; no exit from it arrives afterwards."""
        signals.unlink(self, other)

    def monitor(self, other: Any) -> signals.Monitor:
        """Ask for one `Down` when `other`, a ref or a registered name, ends or is not there."""
        return signals.monitor(self, other)

    def demonitor(self, monitor: signals.Monitor, *, flush: bool = False) -> None:
        """Take a monitor back; `flush` removes a `Down` that waits in the mailbox already."""
        signals.demonitor(self, monitor, flush=flush)

    def send_after(self, delay_s: float, message: Any) -> Timer:
        """Send `message` to this process's handle_info after a delay; see `Timer.cancel`.

        A timer ends with its process.
        """
        shard = self._shard
        if shard.abandoned:
            fencing.refuse(shard, self, message)
        self._flags |= ARMS_TIMERS
        timer = Timer(shard, self._serial, message)
        shard.timers.insert(shard.now_s() + delay_s, timer)
        return timer

    def sleep(self, delay_s: float) -> Future[None]:
        """Give something to await for `delay_s` seconds; later messages wait meanwhile."""
        shard = self._shard
        if shard.abandoned:
            fencing.leave(shard)
        future = Sleep(shard)
        shard.timers.insert(shard.now_s() + delay_s, future)
        return future

    def port(self, name: Any) -> Port:
        """Give the node's open port of this name: `await self.port("disk").call("read", 7)`.

        Raises PortClosed if there is none.
        """
        return self._shard.node.ports.lookup(name)  # type: ignore[no-any-return]

    async def start_link(
        self,
        process_class: type[Process],
        *args: Any,
        name: Any = None,
        timeout_s: float | None = None,
        **kwargs: Any,
    ) -> Ref[Any]:
        """Start a process linked to this one and wait for its init (gen_server:start_link).

        Raises StartError with the reason, AlreadyStarted if the name is taken. As in OTP a failed
        start also sends the exit signal of the dead process, which ends a starter that does not
        trap exits; not so one that ran past `timeout_s`, which is unlinked before it is killed.
        """
        started = self._shard.start(
            process_class, args, kwargs, name=name, parent=self, link=True, timeout_s=timeout_s
        )
        return await started  # type: ignore[no-any-return]

    def in_turn(self, function: Callable[[], Any]) -> Future[Any]:
        """Run a function in this process's turn, ahead of its mailbox (sys functions)."""
        return self._shard.system(self, function)  # type: ignore[no-any-return]


_RESERVED: Final = frozenset(Process.__slots__)
