"""The dynamic supervisor: any number of children of one kind (OTP: simple_one_for_one)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from supervisors import reports, signals
from supervisors.child import (
    BRUTAL_KILL,
    PERMANENT,
    SIMPLE_ONE_FOR_ONE,
    SUPERVISOR,
    TEMPORARY,
    TRANSIENT,
    ChildSpec,
    Flags,
    check_child,
    check_flags,
)  # fmt: skip
from supervisors.errors import ChildError, SpecError, StartError
from supervisors.future import EndFuture, Future
from supervisors.process import DEAD
from supervisors.reasons import KILL, SHUTDOWN, is_orderly, shown
from supervisors.ref import Ref
from supervisors.results import IGNORE, Stop
from supervisors.supervising import MAX_INTENSITY, Supervising, offender

if TYPE_CHECKING:
    from collections.abc import Iterable

    from supervisors.process import Process

_MISSING: Final = object()


def _is_one(specs: Any) -> bool:
    return isinstance(specs, (list, tuple)) and len(specs) == 1


class DynamicSupervisor(Supervising):
    """Starts children on request from one spec, restarts each alone, stops all at once.

    `init` returns `(flags, [spec])`; the strategy may be left out, since it can only be
    simple_one_for_one. `start_child(sup, *args)` appends `args` to the spec's own. A temporary
    child's arguments are not kept.
    """

    spec: ChildSpec

    def init(self, flags: Flags | None = None, specs: Any = ()) -> Any:
        """Give the flags and the one child spec."""
        return flags if flags is not None else Flags(strategy=SIMPLE_ONE_FOR_ONE), specs

    async def start_all(self, specs: Any) -> Any:
        """Check the one spec; there is nothing to start yet."""
        self._children: dict[Process, Any] = {}
        self._restarting: dict[Process, tuple[Any, ...]] = {}
        self._backing: dict[Process, tuple[tuple[Any, ...], int]] = {}
        self._lives: dict[Process, tuple[int, float]] = {}
        if not _is_one(specs):
            return Stop(("bad_start_spec", specs))
        try:
            self._take_spec(check_child(specs[0], self.flags.auto_shutdown))
        except SpecError as error:
            return Stop(("start_spec", error.reason))
        return None

    def _take_spec(self, spec: ChildSpec) -> None:
        self.spec = spec
        self._spec_args = spec.args

    def linked_children(self) -> Iterable[Process]:
        """List the running children."""
        return self._children if hasattr(self, "_children") else ()

    def has_live_significant(self) -> bool:
        """Tell whether any child is left; they share one spec."""
        return bool(self._children or self._restarting or self._backing)

    # -- starting and restarting -------------------------------------------------------------

    async def _start(self, args: tuple[Any, ...]) -> tuple[Any, Any]:
        process, info = await self.start_process(self.spec, self._spec_args + args)
        self._enter(process, args)
        return process, info

    async def _enter_later(self, started: Future[Any], args: tuple[Any, ...]) -> tuple[Any, Any]:
        process = await self.awaited_start(started)
        self._enter(process, args)
        return process, None

    def _enter(self, process: Any, args: tuple[Any, ...]) -> None:
        if process is not IGNORE:
            self._children[process] = None if self.spec.restart == TEMPORARY else args

    def handle_exit(self, sender: Any, reason: Any) -> Any:
        """Act on the end of a child; exits of others mean nothing here."""
        process = sender._process if sender is not None else None
        args = self._children.pop(process, _MISSING)  # type: ignore[arg-type]
        if process is None or args is _MISSING:
            return None
        return self._ended(process, args, reason)

    def _ended(self, process: Process, args: Any, reason: Any) -> Any:
        spec = self.spec
        orderly = is_orderly(reason)
        if not orderly:
            self.note_crash(reason)
        if spec.restart == PERMANENT or not orderly:
            self.report(reports.CHILD_TERMINATED, reason, offender(spec, process))
        wanted = spec.restart == PERMANENT or (spec.restart == TRANSIENT and not orderly)
        if wanted and args is not None:  # None: it was started under a spec that was temporary
            if spec.backoff is not None:
                return self._back_off(process, args)
            return self._restart(process, args)
        self._lives.pop(process, None)
        return Stop(SHUTDOWN) if self.auto_shutdown_due(spec) else None

    def _restart(self, old: Process, args: tuple[Any, ...]) -> Any:
        """Start a child's successor, in this turn if its init does not wait."""
        if self._restarting:
            self._restarting.pop(old, None)
        if not self.count_restart():
            self.report(reports.SHUTDOWN, MAX_INTENSITY, offender(self.spec, old))
            return Stop(SHUTDOWN)
        if self.spec.process_class is None:
            return self._restart_later(old, args, self._start(args))
        try:
            started = self.spawn_child(self.spec, self._spec_args + args)
        except StartError as error:
            self._failed_restart(old, args, error.reason)
            return None
        if isinstance(started, Future):
            return self._restart_later(old, args, self._enter_later(started, args))
        self._enter(started, args)
        self._restarted(started)
        return None

    async def _restart_later(self, old: Process, args: tuple[Any, ...], start: Any) -> None:
        try:
            process, _ = await start
        except StartError as error:
            self._failed_restart(old, args, error.reason)
        else:
            self._restarted(process)

    def _restarted(self, process: Any) -> None:
        if process is not IGNORE:
            self.note_restart(None, process, self.restarted + 1)

    def _failed_restart(self, old: Process, args: tuple[Any, ...], reason: Any) -> None:
        self.report(reports.START_ERROR, reason, offender(self.spec, old))
        self.note_crash(reason)
        self._restarting[old] = args
        self.note_state(None, "restarting")
        self.ref.cast(("try_again", old))

    def handle_cast(self, message: Any) -> Any:
        """Try a failed restart again, unless the child was terminated meanwhile."""
        request, old = message
        if request == "try_again" and old in self._restarting:
            return self._restart(old, self._restarting[old])
        return None

    def _back_off(self, old: Process, args: tuple[Any, ...]) -> Stop | None:
        backoff = self.spec.backoff
        assert backoff is not None
        attempts, started_s = self._lives.pop(old, (0, None))
        now_s = self._shard.now_s()
        lived_s = now_s - started_s if started_s is not None else backoff.reset_after_s
        attempt = backoff.next_attempt(attempts, lived_s)
        if backoff.exhausted(attempt):
            self.report(reports.SHUTDOWN, "reached_max_restarts", offender(self.spec, old))
            return Stop(SHUTDOWN) if self.auto_shutdown_due(self.spec) else None
        self._backing[old] = (args, attempt)
        self.note_state(None, "backing_off")
        self.send_after(backoff.delay_s(attempt, self.node.random.random), ("back", old))
        return None

    async def handle_info(self, message: Any) -> Any:
        """Start a child whose back-off is over; anything else is logged."""
        if not (isinstance(message, tuple) and message[:1] == ("back",)):
            return super().handle_info(message)
        old = message[1]
        args, attempt = self._backing.pop(old, (None, 0))
        if args is None:
            return None
        try:
            process, _ = await self._start(args)
        except StartError as error:
            self.report(reports.START_ERROR, error.reason, offender(self.spec, old))
            self.note_crash(error.reason)
            self._lives[old] = (attempt, self._shard.now_s())
            return self._back_off(old, args)
        else:
            if process is not IGNORE:
                self._lives[process] = (attempt, self._shard.now_s())
            self._restarted(process)
        return None

    # -- stopping ----------------------------------------------------------------------------

    async def terminate(self, reason: Any) -> None:
        """Stop all children at once: signal all, wait together, kill the rest (OTP: supervisor)."""
        del reason
        if not getattr(self, "_children", None):
            return
        spec = self.spec
        ends = []
        signal = KILL if spec.shutdown == BRUTAL_KILL else SHUTDOWN
        sender = self.ref
        children = tuple(self._children)
        for process in children:
            signals.exit_signal(process, sender, signal, by_link=False)
        waiting = [process for process in children if process._state != DEAD]
        for process in waiting:
            ended = EndFuture(self._shard)
            signals.watch(process, ended)
            ends.append(ended)
        if waiting and signal == SHUTDOWN and spec.patience_s is not None:
            self.send_after_kill(waiting, spec.patience_s)
        for ended in ends:
            await ended
        self._report_errors(children)

    def send_after_kill(self, waiting: list[Process], patience_s: float) -> None:
        """Kill those of a group that are still alive after the common patience."""
        deadline = EndFuture(self._shard, None, patience_s)

        def kill(_: Any) -> None:
            for process in waiting:
                signals.exit_signal(process, self.ref, KILL, by_link=False)

        deadline.add_done_callback(kill)
        self._shard.timers.insert(self._shard.now_s() + patience_s, deadline)

    def _report_errors(self, children: tuple[Process, ...]) -> None:
        errors: dict[Any, list[Any]] = {}
        for process in children:
            reason = process.exit_reason
            if not self.expected(reason, self.spec):
                errors.setdefault(shown(reason), [reason, 0])[1] += 1
        for reason, count in errors.values():
            self.report(reports.SHUTDOWN_ERROR, reason, offender(self.spec, None, count))

    # -- requests ----------------------------------------------------------------------------

    def on_start_child(self, *args: Any) -> Any:
        """Start a child with further arguments: its ref, (ref, info), or None if ignored."""
        spec = self.spec
        if spec.process_class is None:
            return self._start_for_caller(self._start(args))
        try:
            started = self.spawn_child(spec, self._spec_args + args)
        except StartError as error:
            raise ChildError("start_child", spec.id, error.reason) from None
        if isinstance(started, Future):
            return self._start_for_caller(self._enter_later(started, args))
        self._enter(started, args)
        return Ref(started) if started is not IGNORE else None

    async def _start_for_caller(self, start: Any) -> Any:
        try:
            process, info = await start
        except StartError as error:
            raise ChildError("start_child", self.spec.id, error.reason) from None
        ref = process.ref if process is not IGNORE else None
        return ref if info is None else (ref, info)

    async def on_terminate_child(self, child: Any) -> None:
        """Stop a child by its ref; ok for one that is dead already."""
        process = getattr(child, "_process", None)
        if process is None:
            raise ChildError("terminate_child", child, SIMPLE_ONE_FOR_ONE)
        if process in self._children:
            error = await self.stop_process(process, self.spec)
            if error is not None:
                self.report(reports.SHUTDOWN_ERROR, error, offender(self.spec, process))
            self._children.pop(process, None)
            self._lives.pop(process, None)
        elif self._restarting.pop(process, None) is None and (
            self._backing.pop(process, None) is None and process._state != DEAD
        ):
            raise ChildError("terminate_child", child, "not_found")

    async def on_delete_child(self, child: Any) -> None:
        """Refuse: dynamic children have no spec of their own."""
        raise ChildError("delete_child", child, SIMPLE_ONE_FOR_ONE)

    async def on_restart_child(self, child: Any) -> None:
        """Refuse: dynamic children have no spec of their own."""
        raise ChildError("restart_child", child, SIMPLE_ONE_FOR_ONE)

    async def on_which_children(self) -> list[tuple[Any, Any, str, Any]]:
        """List (None, ref or a state name, type, modules) in no particular order."""
        spec = self.spec
        rows: list[tuple[Any, Any, str, Any]] = [
            (None, process.ref, spec.type, spec.modules) for process in self._children
        ]
        rows.extend((None, "restarting", spec.type, spec.modules) for _ in self._restarting)
        rows.extend((None, "backing_off", spec.type, spec.modules) for _ in self._backing)
        return rows

    async def on_count_children(self) -> dict[str, int]:
        """Count: one spec, the running children, and all of them by type."""
        total = len(self._children) + len(self._restarting) + len(self._backing)
        supervisors = total if self.spec.type == SUPERVISOR else 0
        return {
            "specs": 1,
            "active": len(self._children),
            "supervisors": supervisors,
            "workers": total - supervisors,
        }

    async def on_get_childspec(self, child: Any) -> ChildSpec:
        """Give the spec of a child by its ref."""
        if getattr(child, "_process", None) not in self._children:
            raise ChildError("get_childspec", child, "not_found")
        return self.spec

    async def on_get_callback_module(self) -> str:
        """Name the class whose init gave the specs."""
        return type(self).__name__

    async def on_replace_specs(self, flags: Any, specs: Any) -> None:
        """Take new flags and another spec over; children that run keep running under it."""
        checked = check_flags(flags)
        if not _is_one(specs):
            raise SpecError(("bad_start_spec", specs))
        self._take_spec(check_child(specs[0], checked.auto_shutdown))
        self.set_flags(checked)
