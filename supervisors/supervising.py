"""What static and dynamic supervisors share: starting, stopping and reporting children."""

from __future__ import annotations

import logging
from types import CoroutineType
from typing import TYPE_CHECKING, Any

from supervisors import fencing, reports, signals, starting
from supervisors.child import (
    ALL_SIGNIFICANT,
    ANY_SIGNIFICANT,
    BRUTAL_KILL,
    PERMANENT,
    ChildSpec,
    Flags,
    check_flags,
    named,
)  # fmt: skip
from supervisors.errors import ChildError, SpecError, StartError
from supervisors.future import EndFuture, Future
from supervisors.gen_server import GenServer
from supervisors.intensity import RestartIntensity
from supervisors.pid import Pid
from supervisors.process import DEAD, DOOMED, TRAPS_EXIT, Process
from supervisors.reasons import KILL, KILLED, SHUTDOWN, Crash, is_orderly, means
from supervisors.ref import Ref
from supervisors.reports import Offender, Report
from supervisors.results import IGNORE, Ignore, NoReply, Stop

if TYPE_CHECKING:
    from collections.abc import Iterable

MAX_INTENSITY = "reached_max_restart_intensity"


REQUESTS = {
    request: f"on_{request}"
    for request in (
        "start_child", "terminate_child", "restart_child", "delete_child", "which_children",
        "count_children", "get_childspec", "get_callback_module", "replace_specs",
    )
}  # fmt: skip
"""The requests a supervisor serves, with the method that does."""


class Supervising(GenServer):
    """The base of `Supervisor` and `DynamicSupervisor`. Always traps exits."""

    tracks_children = True

    newcomer: Process | None = None
    """The child whose init takes turns of its own right now."""

    flags: Flags
    restarts: RestartIntensity
    restarted = 0
    """Automatic restarts of all children since this supervisor began."""
    last_crash: tuple[Any, float] | None = None
    """The last end of a child that was not orderly, and the node's time of it."""

    _report_label: Any = None

    def begin(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Read flags and specs from init, then start the children."""
        self._flags |= TRAPS_EXIT
        return self._begin(args, kwargs)

    async def _begin(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        wanted = self.init(*args, **kwargs)
        if hasattr(wanted, "__await__"):
            wanted = await wanted
        fencing.leave(self._shard)
        if isinstance(wanted, Ignore):
            return wanted
        if not isinstance(wanted, tuple) or len(wanted) != 2:  # noqa: PLR2004 - flags, specs
            return Stop(("bad_return", (type(self).__name__, "init", wanted)))
        flags, specs = wanted
        try:
            self.set_flags(check_flags(flags))
        except SpecError as error:
            return Stop(("supervisor_data", error.reason))
        return await self.start_all(specs)

    def set_flags(self, flags: Flags) -> None:
        """Take new flags over; the restarts counted so far stay counted."""
        self.flags = flags
        stamps = self.restarts.stamps if hasattr(self, "restarts") else None
        self.restarts = RestartIntensity(flags.intensity, flags.period)
        if stamps is not None:
            self.restarts.stamps = stamps

    async def start_all(self, specs: Any) -> Any:
        """Start the children init asked for; gives init's result."""
        raise NotImplementedError

    # -- one child ---------------------------------------------------------------------------

    async def start_process(self, spec: ChildSpec, args: tuple[Any, ...]) -> tuple[Any, Any]:
        """Run a child's start; gives (Process or IGNORE, info). Raises StartError."""
        if spec.process_class is None:
            return await self._start_by_function(spec, args)
        started = self.spawn_child(spec, args)
        if isinstance(started, Future):
            started = await self.awaited_start(started)
        return started, None

    def spawn_child(self, spec: ChildSpec, args: tuple[Any, ...]) -> Any:
        """Start a child that is a process class; gives what `starting.spawn` gives."""
        name = spec.name
        if name is not None:
            try:
                name = named(spec, args)
            finally:
                if self._state >= DOOMED:
                    fencing.leave(self._shard)
        return starting.spawn(
            self._shard, spec.process_class, args, spec.start_kwargs,  # type: ignore[arg-type]
            name=name, parent=self, link=True, tracked=True,
        )  # fmt: skip

    async def awaited_start(self, started: Future[Any]) -> Any:
        """Wait for a child whose init takes turns of its own; it ends with this supervisor too."""
        self.newcomer = started._target._process
        try:
            return await started
        finally:
            self.newcomer = None

    def linked(self, parent: Process | None) -> Iterable[Process]:
        """Add the child that is starting, which no table has yet."""
        if self.newcomer is None:
            return super().linked(parent)
        above = () if parent is None else (parent,)
        return (*above, self.newcomer, *self.linked_children())

    async def _start_by_function(self, spec: ChildSpec, args: tuple[Any, ...]) -> tuple[Any, Any]:
        try:
            told = spec.target(self, *args, **spec.start_kwargs)
            if hasattr(told, "__await__") and not isinstance(told, Ref):
                told = await told
        except StartError as error:
            if error.ignored:
                return IGNORE, None
            raise
        except Exception as error:
            raise StartError(spec.id, Crash.of(error)) from error
        finally:
            fencing.leave(self._shard)
        answer, info = told, None
        if isinstance(told, tuple) and len(told) == 2:  # noqa: PLR2004 - ref, info
            answer, info = told
        if answer is IGNORE:
            return IGNORE, info
        if not isinstance(answer, Ref) or answer._process is None:
            raise StartError(spec.id, told)
        process = answer._process
        if process._parent is self:
            signals.imply(self, process)
        else:
            self.adopt(process)
        return process, info

    def adopt(self, process: Process) -> None:
        """Link a process that a start function did not start from here."""
        signals.link(self, process.ref)
        self._shard.census.adopt(process)

    async def stop_process(self, process: Process, spec: ChildSpec) -> Any:
        """Stop a child as its spec says and wait for its end; gives the error to report, or None.

        OTP's order (OTP: supervisor): watch, signal, wait, and after the patience kill and wait.
        """
        if process._state == DEAD:
            reason = process.exit_reason
        elif spec.shutdown == BRUTAL_KILL:
            reason = await self._end(process, KILL, None)
        else:
            patience_s = spec.patience_s
            reason = await self._end(process, SHUTDOWN, patience_s)
            if reason is None:
                reason = await self._end(process, KILL, None)
        return None if self.expected(reason, spec) else reason

    async def _end(self, process: Process, signal: str, patience_s: float | None) -> Any:
        signals.exit_signal(process, self.ref, signal, by_link=False)
        if process._state == DEAD:
            return process.exit_reason
        if patience_s == 0:
            # `receive ... after 0` does not wait even for a child that would obey at once (OTP).
            return None
        shard = self._shard
        ended = EndFuture(shard, process.ref, patience_s)
        signals.watch(process, ended)
        if patience_s is not None:
            shard.timers.insert(shard.now_s() + patience_s, ended)
        return await ended

    @staticmethod
    def expected(reason: Any, spec: ChildSpec) -> bool:
        """Tell whether a child told to stop ended as it should have."""
        asked_for = KILLED if spec.shutdown == BRUTAL_KILL else SHUTDOWN
        return means(reason, asked_for) or (spec.restart != PERMANENT and is_orderly(reason))

    # -- the group ---------------------------------------------------------------------------

    def count_restart(self) -> bool:
        """Count one restart against the intensity; False if it is one too many."""
        return self.restarts.allow(self._shard.now_s())

    def auto_shutdown_due(self, spec: ChildSpec) -> bool:
        """Tell whether the end of a child, by itself and for good, ends the supervisor."""
        if not spec.significant:
            return False
        mode = self.flags.auto_shutdown
        if mode == ANY_SIGNIFICANT:
            return True
        return mode == ALL_SIGNIFICANT and not self.has_live_significant()

    def has_live_significant(self) -> bool:
        """Tell whether a significant child is still there."""
        raise NotImplementedError

    # -- for the observer --------------------------------------------------------------------

    def note_crash(self, reason: Any) -> tuple[Any, float]:
        """Keep why a child ended out of order, or why its restart failed, and when."""
        self.last_crash = crash = (reason, self._shard.now_s())
        return crash

    def note_restart(self, child_id: Any, process: Process, restarts: int) -> None:
        """Count an automatic restart; `restarts` is what is told of this child."""
        self.restarted += 1
        node = self._shard.node
        node.restarts[process.__class__] = node.restarts.get(process.__class__, 0) + 1
        if node.observer.listening:
            node.observer.restarted(self, child_id, process, restarts)

    def note_state(self, child_id: Any, state: str) -> None:
        """Tell who listens that a child is down, and what will become of it."""
        observer = self._shard.node.observer
        if observer.listening:
            observer.child_state(self, child_id, state)

    # -- requests ----------------------------------------------------------------------------

    def handle_call(self, message: Any, caller: Any) -> Any:
        """Serve one request of `supervisors.requests`; refusals go to the caller as errors."""
        try:
            served = getattr(self, REQUESTS[message[0]])(*message[1:])
        except (ChildError, SpecError) as error:
            caller.fail(error)
            return NoReply()
        return self._served(served, caller) if served.__class__ is CoroutineType else served

    @staticmethod
    async def _served(serving: Any, caller: Any) -> Any:
        try:
            return await serving
        except (ChildError, SpecError) as error:
            caller.fail(error)
            return NoReply()

    async def on_which_children(self) -> Any:
        """List the children."""
        raise NotImplementedError

    # -- reports -----------------------------------------------------------------------------

    def report(self, context: str, reason: Any, offender: Offender) -> None:
        """Emit a supervisor report."""
        if self._report_label is None:
            self._report_label = reports.label(self)
        self._shard.node.reports.emit(
            Report(reports.SUPERVISOR, logging.ERROR, context, self._report_label, reason, offender)
        )

    def report_progress(self, spec: ChildSpec, process: Process, level: int) -> None:
        """Emit a progress report, if anybody listens to the level."""
        self._shard.node.reports.progress(self, lambda: offender(spec, process), level)


def offender(spec: ChildSpec, process: Any, count: int | None = None) -> Offender:
    """Describe a child in a report."""
    pid = process if process is None or process.__class__ is Pid else process.pid
    return Offender(
        pid, spec.id, spec.start, spec.restart, spec.significant, spec.shutdown, spec.type, count
    )
