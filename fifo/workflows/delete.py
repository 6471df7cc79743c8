"""Delete: from here on an instance is going, and at the end nothing of it is left."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from fifo.model import limits
from fifo.model.errors import Busy, Unavailable, WrongState
from fifo.workflows import debts, instances
from fifo.workflows.workflow import Outcome, Step, Workflow

if TYPE_CHECKING:
    from fifo.workflows.workflow import Items, Run


async def _mark(run: Run, items: Items) -> Outcome:
    """Mark the specs; whatever else runs on them is told to give up."""
    outcome = Outcome()
    for item in items:
        uid = run.uid(item)
        entry = run.catalog.specs.get(uid)
        if entry is None:
            continue  # Deleted meanwhile: what was wanted.
        spec = entry.record
        if spec.deletion_protection and not (run.operation.input or {}).get("force"):
            outcome.failed[item] = WrongState(
                "it is protected from deletion",
                run.operation.target,
                "clear deletion_protection first",
                reason="DELETION_PROTECTION",
            )
            continue
        if (coming := _being_adopted(run, uid)) is not None:
            outcome.failed[item] = coming
            continue
        if not spec.deleting:
            marked = msgspec.structs.replace(
                spec, deleting=True, wanted="stopped", generation=spec.generation + 1
            )
            written = instances.write_spec(entry, marked)
            outcome.compares += written.compares
            outcome.writes += written.writes
        if rivals := instances.rivals(run, uid):
            outcome.outputs[item] = list(rivals)
    # One batch may be the rival of several: its record is written once.
    for rival in {own for rivals in outcome.outputs.values() for own in rivals}:
        written = instances.cancel(run.catalog.operations.entries[rival])
        outcome.compares += written.compares
        outcome.writes += written.writes
    return outcome


def _being_adopted(run: Run, uid: str) -> Busy | None:
    """Refuse while an adoption is under way: given up, it would leave the instance on its host.

    There it would be foreign, and who deleted it be told that it is gone.
    """
    for rival in instances.rivals(run, uid):
        found = run.catalog.operations.record(rival)
        if found is not None and found.kind == "adopt_foreign_instance":
            return instances.busy(run, rival)
    return None


async def _await_rivals(run: Run, items: Items) -> Outcome:
    """Wait until operations that were given up for this are undone."""
    for item in items:
        told = run.output("mark", item) or ()
        # Records of before a stop by force could be beside a stop have one id.
        for rival in (told,) if isinstance(told, str) else told:
            ended = run.catalog.when(
                run.catalog.operations, rival, lambda entry: entry is None or entry.record.final
            )
            await run.wait(ended)
    return Outcome()


async def _remove(run: Run, items: Items) -> Outcome:
    """Have the hosts remove them; what a host cannot be asked now it owes."""
    outcome = await instances.remove(run, items)
    for item, error in outcome.failed.items():
        if isinstance(error, Unavailable):
            outcome.writes += debts.of_instance(run, run.uid(item))
    return outcome


async def _release(run: Run, items: Items) -> Outcome:
    """Give the claims back and forget the records."""
    uids = tuple(run.uid(item) for item in items)
    await run.wait(run.placement.release(uids))
    return Outcome(writes=[write for uid in uids for write in instances.forget(run.catalog, uid)])


_STEPS = (
    Step("mark", _mark),
    Step("yield", _await_rivals),
    Step("remove", _remove),
    Step("release", _release),
)
DELETE = Workflow("delete_instance", _STEPS, limits.CREATE_DEADLINE_S)
DELETE_BATCH = Workflow(
    "delete_instances", _STEPS, 4 * limits.CREATE_DEADLINE_S, accepts_first=False
)
