"""The words and figures of what an instance's actor tells: statuses and events, as values."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from fifo.agent.course import why_it_ended
from fifo.model.instance import InstanceStatus
from fifo.model.limits import STORY_EVENT_BYTES
from fifo.model.story import StoryEvent

if TYPE_CHECKING:
    from fifo.agent.intent import Intent
    from fifo.hypervisors.driver import Observed
    from fifo.model.instance import Exit, Snapshot, State
    from fifo.model.operation import Failure
    from fifo.model.restart import Decision, Memory
    from fifo.model.story import EventKind

HALTED: Final = "halted: its host's disk is full; make room there, and it goes on by itself"
GOES_ON: Final = "goes on: its host's disk has room again"
PASSING: Final = frozenset({"provisioning", "starting", "stopping", "deleting"})
"""States that are told only when they last."""


def status_of(
    intent: Intent,
    memory: Memory,
    state: State,
    *,
    observed: Observed | None,
    snapshots: tuple[Snapshot, ...],
    failure: Failure | None,
    halted: bool,
    before: InstanceStatus | None,
    utc: float,
) -> InstanceStatus:
    """Make the status; `since` stays that of the one before while the state does."""
    reason = failure.what if failure is not None else memory.crash_loop
    same = before is not None and before.state == state
    return InstanceStatus(
        uid=intent.spec.uid,
        host=intent.claim.host,
        state=state,
        generation=memory.generation,
        since=before.since if same and before is not None else utc,
        boot_id=memory.boot_id,
        start_id=memory.start_id,
        pid=observed.pid if observed is not None and state == "running" else 0,
        boot_generation=memory.boot_generation,
        restarts=memory.restarts,
        exit=memory.last_exit,
        reason=HALTED if halted else reason,
        addresses=intent.claim.addresses,
        pending_reboot=memory.pending,
        snapshots=snapshots,
        console=state == "running",
        failure=failure if state == "failed" else None,
    )


def event_of(
    intent: Intent, kind: EventKind, text: str, utc: float, figures: dict[str, str] | None = None
) -> StoryEvent:
    """Make an event of an instance's story; a long text is cut."""
    return StoryEvent(
        uid=intent.spec.uid,
        at=utc,
        kind=kind,
        text=text[: STORY_EVENT_BYTES // 4],
        host=intent.claim.host,
        operation=intent.operation,
        figures=figures or {},
    )


def text_of_end(end: Exit, decision: Decision) -> tuple[EventKind, str]:
    """Say how an instance ended by itself, and what follows."""
    if decision.what == "restart":
        return "ended", f"{why_it_ended(end)}; starting again in {decision.after_s:.1f} s"
    if decision.what == "give_up":
        return "crash_loop", f"crash loop, given up: {decision.reason}"
    return "ended", f"{why_it_ended(end)}; it stays down until it is asked for again"
