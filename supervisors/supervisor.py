"""The static supervisor: a list of children, restarted by one of three strategies."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

from supervisors import reports
from supervisors.child import (
    ONE_FOR_ALL,
    ONE_FOR_ONE,
    PERMANENT,
    SIMPLE_ONE_FOR_ONE,
    SUPERVISOR,
    TEMPORARY,
    TRANSIENT,
    ChildSpec,
    Flags,
    check_child,
    check_children,
    check_flags,
)  # fmt: skip
from supervisors.errors import ChildError, SpecError, StartError
from supervisors.reasons import SHUTDOWN, Shutdown, is_orderly
from supervisors.results import IGNORE, Stop
from supervisors.supervising import MAX_INTENSITY, Supervising, offender

if TYPE_CHECKING:
    from collections.abc import Iterable

    from supervisors.process import Process
    from supervisors.timers import Timer

UNDEFINED = "undefined"
ALIVE = "alive"
RESTARTING = "restarting"
BACKING_OFF = "backing_off"


class Child:
    """One row of a static supervisor's table."""

    __slots__ = (
        "attempts", "last_crash", "old_pid", "process", "restarts", "spec", "started_s", "state",
        "timer",
    )  # fmt: skip

    def __init__(self, spec: ChildSpec) -> None:
        self.spec = spec
        self.process: Process | None = None
        self.state = UNDEFINED
        self.old_pid: Any = None
        self.attempts = 0
        self.started_s = 0.0
        self.restarts = 0
        self.last_crash: tuple[Any, float] | None = None
        self.timer: Timer | None = None

    def clear(self) -> None:
        """Note that the child is not there and not expected back."""
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None
        self.process = None
        self.state = UNDEFINED
        self.old_pid = None


class Supervisor(Supervising):
    """Starts its children in order, restarts them by rule, stops them in reverse.

    Subclass it and let `init` return `(flags, specs)`, or start it with the two as arguments:
    `node.start(Supervisor, Flags(ONE_FOR_ALL), [ChildSpec("db", Database)])`. Callers use the
    functions of `supervisors.requests`.
    """

    strategies: ClassVar[tuple[str, ...]] = (ONE_FOR_ONE, ONE_FOR_ALL, "rest_for_one")

    children: dict[Any, Child]

    def init(self, flags: Flags | None = None, specs: Any = ()) -> Any:
        """Give the flags and the child specs."""
        return flags if flags is not None else Flags(), specs

    async def start_all(self, specs: Any) -> Any:
        """Start the children in order; if one fails, stop those before it in reverse."""
        self.children = {}
        self._by_process: dict[Process, Child] = {}
        if self.flags.strategy == SIMPLE_ONE_FOR_ONE:
            wrong = ("invalid_strategy", SIMPLE_ONE_FOR_ONE)
            return Stop(("supervisor_data", wrong))
        try:
            checked = check_children(specs, self.flags.auto_shutdown)
        except SpecError as error:
            return Stop(("start_spec", error.reason))
        for spec in checked.values():
            child = self.children[spec.id] = Child(spec)
            try:
                await self._start_child(child)
            except StartError as error:
                self._report(reports.START_ERROR, error.reason, child)
                await self._stop_all()
                return Stop(Shutdown(("failed_to_start_child", spec.id, error.reason)))
        return None

    def linked_children(self) -> Iterable[Process]:
        """List the running children, the newest first."""
        return reversed(self._by_process) if hasattr(self, "_by_process") else ()

    # -- starting and stopping ---------------------------------------------------------------

    async def _start_child(self, child: Child, level: int = logging.INFO) -> Any:
        """Start one child and enter it; gives the info its start gave. Raises StartError.

        `level` is that of the progress report: OTP 27 has DEBUG for a start somebody asked for.
        """
        spec = child.spec
        process, info = await self.start_process(spec, spec.args)
        if process is IGNORE:
            child.clear()
            if spec.restart == TEMPORARY:
                self.children.pop(spec.id, None)
            return info
        child.process = process
        child.state = ALIVE
        child.old_pid = None
        if spec.backoff is not None:
            child.started_s = self._shard.now_s()
        self._by_process[process] = child
        self.report_progress(spec, process, level)
        if spec.restart == TEMPORARY and len(spec.start) > 1:
            child.spec = replace(spec, start=spec.start[:1])
        return info

    async def _stop_child(self, child: Child) -> None:
        """Stop one child if it runs; a temporary one is forgotten."""
        process = child.process
        if process is not None:
            error = await self.stop_process(process, child.spec)
            if error is not None:
                self._report(reports.SHUTDOWN_ERROR, error, child)
            self._by_process.pop(process, None)
        child.clear()
        if child.spec.restart == TEMPORARY:
            self.children.pop(child.spec.id, None)
        self.note_state(child.spec.id, UNDEFINED)

    async def _stop_all(self) -> None:
        for child in reversed(tuple(self.children.values())):
            await self._stop_child(child)

    async def terminate(self, reason: Any) -> None:
        """Stop all children in reverse order of starting."""
        del reason
        if hasattr(self, "children"):
            await self._stop_all()

    # -- a child ended -----------------------------------------------------------------------

    def handle_exit(self, sender: Any, reason: Any) -> Any:
        """Act on the end of a child; exits of others mean nothing here."""
        process = sender._process if sender is not None else None
        child = self._by_process.pop(process, None) if process is not None else None
        if child is None:
            return None
        return self._ended(child, reason)

    async def _ended(self, child: Child, reason: Any) -> Any:
        spec = child.spec
        orderly = is_orderly(reason)
        if not orderly:
            child.last_crash = self.note_crash(reason)
        if spec.restart == PERMANENT or not orderly:
            self._report(reports.CHILD_TERMINATED, reason, child)
        if spec.restart == PERMANENT or (spec.restart == TRANSIENT and not orderly):
            child.old_pid = child.process.pid if child.process is not None else None
            child.process = None
            if spec.backoff is not None:
                return self._back_off(child)
            return await self._restart(child)
        child.clear()
        if spec.restart == TEMPORARY:
            self.children.pop(spec.id, None)
        self.note_state(spec.id, UNDEFINED)
        return Stop(SHUTDOWN) if self.auto_shutdown_due(spec) else None

    def has_live_significant(self) -> bool:
        """Tell whether a significant child runs or is being restarted."""
        return any(
            child.spec.significant and child.state != UNDEFINED for child in self.children.values()
        )

    # -- restarting --------------------------------------------------------------------------

    async def _restart(self, child: Child) -> Any:
        """Restart by the strategy, or give up when that was one restart too many."""
        if not self.count_restart():
            self._report(reports.SHUTDOWN, MAX_INTENSITY, child)
            child.clear()
            if child.spec.restart == TEMPORARY:
                self.children.pop(child.spec.id, None)
            return Stop(SHUTDOWN)
        return await self._restart_group(child)

    async def _restart_group(self, child: Child) -> Stop | None:
        rows = tuple(self.children.values())
        if self.flags.strategy == ONE_FOR_ONE:
            group: tuple[Child, ...] = (child,)
        elif self.flags.strategy == ONE_FOR_ALL:
            group = rows
        else:
            group = rows[rows.index(child) :]
        if len(group) > 1:
            for member in reversed(group):
                if member is not child:
                    await self._stop_child(member)
            # If an earlier one fails to start, this one is down, not gone missing (OTP).
            child.state = UNDEFINED
        for member in group:
            if member.spec.id not in self.children:
                continue
            try:
                await self._start_child(member)
            except StartError as error:
                return self._failed_restart(member, error.reason)
            if member.process is not None:
                member.restarts += 1
                self.note_restart(member.spec.id, member.process, member.restarts)
        return None

    def _failed_restart(self, child: Child, reason: Any) -> Stop | None:
        self._report(reports.START_ERROR, reason, child)
        child.last_crash = self.note_crash(reason)
        child.process = None
        if child.spec.backoff is not None:
            return self._back_off(child)
        child.state = RESTARTING
        self.note_state(child.spec.id, RESTARTING)
        self.ref.cast(("try_again", child.spec.id))
        return None

    async def handle_cast(self, message: Any) -> Any:
        """Try a failed restart again, unless the child was dealt with meanwhile."""
        request, child_id = message
        child = self.children.get(child_id)
        if request == "try_again" and child is not None and child.state == RESTARTING:
            return await self._restart(child)
        return None

    def _back_off(self, child: Child) -> Stop | None:
        """Put a child's next start off, at its own expense, or give it up."""
        spec = child.spec
        assert spec.backoff is not None
        now_s = self._shard.now_s()
        lived_s = now_s - child.started_s if child.state == ALIVE else 0.0
        child.attempts = spec.backoff.next_attempt(child.attempts, lived_s)
        if spec.backoff.exhausted(child.attempts):
            self._report(reports.SHUTDOWN, "reached_max_restarts", child)
            child.clear()
            self.note_state(spec.id, UNDEFINED)
            return Stop(SHUTDOWN) if self.auto_shutdown_due(spec) else None
        child.state = BACKING_OFF
        self.note_state(spec.id, BACKING_OFF)
        delay_s = spec.backoff.delay_s(child.attempts, self.node.random.random)
        child.timer = self.send_after(delay_s, ("back", spec.id, child.attempts))
        return None

    async def handle_info(self, message: Any) -> Any:
        """Start a child whose back-off is over; anything else is logged."""
        if not (isinstance(message, tuple) and message[:1] == ("back",)):
            return super().handle_info(message)
        _, child_id, attempt = message
        child = self.children.get(child_id)
        if child is not None and child.state == BACKING_OFF and child.attempts == attempt:
            return await self._restart_group(child)
        return None

    def _report(self, context: str, reason: Any, child: Child) -> None:
        pid = child.process if child.process is not None else child.old_pid
        self.report(context, reason, offender(child.spec, pid))

    # -- requests (OTP: supervisor) ---------------------------------------------------------------

    async def on_start_child(self, spec: Any) -> Any:
        """Add a child and start it: its ref, (ref, info), or None if it was ignored."""
        checked = check_child(spec, self.flags.auto_shutdown)
        known = self.children.get(checked.id)
        if known is not None:
            if known.process is not None:
                reason: Any = ("already_started", known.process.ref)
                raise ChildError("start_child", checked.id, reason)
            raise ChildError("start_child", checked.id, "already_present")
        child = self.children[checked.id] = Child(checked)
        try:
            info = await self._start_child(child, logging.DEBUG)
        except StartError as error:
            del self.children[checked.id]
            raise ChildError("start_child", checked.id, error.reason) from None
        return self._told(child, info)

    @staticmethod
    def _told(child: Child, info: Any) -> Any:
        ref = child.process.ref if child.process is not None else None
        return ref if info is None else (ref, info)

    async def on_restart_child(self, child_id: Any) -> Any:
        """Start a child that is down: its ref, (ref, info), or None if it was ignored."""
        child = self._idle_child("restart_child", child_id)
        child.attempts = 0
        try:
            info = await self._start_child(child, logging.DEBUG)
        except StartError as error:
            raise ChildError("restart_child", child_id, error.reason) from None
        return self._told(child, info)

    async def on_terminate_child(self, child_id: Any) -> None:
        """Stop a child; its spec stays unless it is temporary."""
        child = self._known("terminate_child", child_id)
        await self._stop_child(child)

    async def on_delete_child(self, child_id: Any) -> None:
        """Forget a child that is down."""
        self._idle_child("delete_child", child_id)
        del self.children[child_id]

    def _known(self, request: str, child_id: Any) -> Child:
        try:
            return self.children[child_id]
        except (KeyError, TypeError):  # TypeError: what cannot be hashed is no child's id
            raise ChildError(request, child_id, "not_found") from None

    def _idle_child(self, request: str, child_id: Any) -> Child:
        child = self._known(request, child_id)
        if child.process is not None:
            raise ChildError(request, child_id, "running")
        if child.state != UNDEFINED:
            raise ChildError(request, child_id, "restarting")
        return child

    async def on_which_children(self) -> list[tuple[Any, Any, str, Any]]:
        """List (id, ref or None or a state name, type, modules), the newest first."""
        return [
            (
                child.spec.id,
                child.process.ref if child.process is not None
                else None if child.state == UNDEFINED else child.state,
                child.spec.type,
                child.spec.modules,
            )
            for child in reversed(self.children.values())
        ]  # fmt: skip

    async def on_count_children(self) -> dict[str, int]:
        """Count specs, running children, and specs of supervisors and of workers."""
        rows = self.children.values()
        supervisors = sum(1 for child in rows if child.spec.type == SUPERVISOR)
        return {
            "specs": len(rows),
            "active": sum(1 for child in rows if child.process is not None),
            "supervisors": supervisors,
            "workers": len(rows) - supervisors,
        }

    async def on_get_childspec(self, child: Any) -> ChildSpec:
        """Give the full spec of a child by its id or its ref."""
        by_ref = self._by_process.get(getattr(child, "_process", None))  # type: ignore[arg-type]
        return (by_ref or self._known("get_childspec", child)).spec

    async def on_get_callback_module(self) -> str:
        """Name the class whose init gave the specs."""
        return type(self).__name__

    async def on_replace_specs(self, flags: Any, specs: Any) -> None:
        """Take new flags and specs over without stopping or starting anything (code_change).

        A child in both lists keeps running under its new spec, a new one is down until somebody
        starts it, one that is missing stays as it was. Raises SpecError and changes nothing if
        any of it is wrong.
        """
        new_flags = check_flags(flags)
        if new_flags.strategy == SIMPLE_ONE_FOR_ONE:
            raise SpecError(("invalid_strategy", SIMPLE_ONE_FOR_ONE))
        checked = check_children(specs, new_flags.auto_shutdown)
        self.set_flags(new_flags)
        kept = {key: child for key, child in self.children.items() if key not in checked}
        renewed = {key: self.children.get(key) or Child(spec) for key, spec in checked.items()}
        for key, child in renewed.items():
            child.spec = checked[key]
        self.children = renewed | kept
