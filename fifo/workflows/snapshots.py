"""Snapshots: take one, go back to one, drop one; the host keeps them, the status lists them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fifo.model import limits
from fifo.model.errors import AlreadyExists, NoRoom, NotFound
from fifo.workflows import debts, instances
from fifo.workflows.workflow import Outcome, Step, Workflow

if TYPE_CHECKING:
    from fifo.workflows.workflow import Items, Run


def _name(run: Run) -> str:
    return str(run.operation.input["snapshot"])


def _names(run: Run, uid: str) -> tuple[str, ...]:
    status = run.catalog.statuses.record(uid)
    return tuple(snapshot.name for snapshot in status.snapshots) if status is not None else ()


def _hold(run: Run, items: Items) -> Outcome:
    """Take the instance for this operation: of two at once one loses the write of its spec."""
    (item,) = items
    instances.refuse_rival(run, run.uid(item))
    entry = instances.spec_entry(run, run.uid(item))
    return instances.write_spec(entry, entry.record)


async def _accept_new(run: Run, items: Items) -> Outcome:
    uid, name, target = run.uid(items[0]), _name(run), run.operation.target
    names = _names(run, uid)
    if (owed := debts.owed(run.catalog, "snapshot", uid, target, name)) is not None:
        raise owed
    if name in names:
        raise AlreadyExists("the instance has a snapshot of this name", target)
    if len(names) >= limits.SNAPSHOTS:
        raise NoRoom(
            f"it has {len(names)} snapshots, at most {limits.SNAPSHOTS}",
            target,
            "delete one first",
        )
    return _hold(run, items)


async def _accept_known(run: Run, items: Items) -> Outcome:
    if _name(run) not in _names(run, run.uid(items[0])):
        raise NotFound("the instance has no such snapshot", run.operation.target)
    return _hold(run, items)


async def _take(run: Run, items: Items) -> Outcome:
    return await instances.order_all(
        run,
        items,
        lambda item: instances.command(
            run, "snapshot", "snapshot", run.uid(item), argument=_name(run)
        ),
    )


async def _drop(run: Run, items: Items) -> Outcome:
    return await instances.order_all(
        run,
        items,
        lambda item: instances.command(
            run, "drop", "delete_snapshot", run.uid(item), argument=_name(run)
        ),
    )


async def _undo_take(run: Run, items: Items) -> Outcome:
    outcome = await _drop(run, items)
    gone = [item for item, error in outcome.failed.items() if isinstance(error, NotFound)]
    for item in gone:
        del outcome.failed[item]
    return outcome


async def _go_back(run: Run, items: Items) -> Outcome:
    return await instances.order_all(
        run,
        items,
        lambda item: instances.command(
            run, "roll_back", "roll_back", run.uid(item), argument=_name(run)
        ),
    )


_DEADLINE_S = 600.0

TAKE = Workflow(
    "create_snapshot",
    (Step("accept", _accept_new), Step("take", _take, _undo_take, owes=debts.of_snapshot)),
    _DEADLINE_S,
)
DROP = Workflow(
    "delete_snapshot", (Step("accept", _accept_known), Step("drop", _drop)), _DEADLINE_S
)
ROLL_BACK = Workflow(
    "roll_back_snapshot",
    (Step("accept", _accept_known), Step("roll_back", _go_back)),
    _DEADLINE_S,
)
