"""Undoing: the steps of failed items in reverse, and what a host that cannot be asked then owes."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import msgspec

from fifo.model import keys
from fifo.model.errors import (
    DeadlineExceeded,
    FifoError,
    InvalidInput,
    OutcomeUnknown,
    Unavailable,
)
from fifo.model.operation import NEXT
from fifo.store.contract import Get, RangeReply, Txn, unchanged
from fifo.workflows import limits
from fifo.workflows.workflow import Outcome

if TYPE_CHECKING:
    from fifo.workflows.execution import Execution
    from fifo.workflows.workflow import Items, Step

logger = logging.getLogger("fifo.workflows")


async def undo_failed(execution: Execution, failed: Items) -> None:
    """Undo what was done for the failed items of a chunk, and write down that it is undone."""
    operation = execution.operation
    execution.undo_until = execution.world.utc() + limits.UNDO_PATIENCE_S
    owed: set[int] = set(operation.owed)
    refused: set[int] = set(operation.refused)
    owing = Outcome()
    highest = max(operation.failed_at[str(item)] for item in failed)
    for index in range(min(highest, len(execution.workflow.steps) - 1), -1, -1):
        step = execution.workflow.steps[index]
        if step.undo is None:
            continue
        stuck = owed | refused if step.held else set()
        items = tuple(
            item for item in failed if operation.failed_at[str(item)] >= index and item not in stuck
        )
        if items:
            for item, error in (await _undo(execution, step, items)).items():
                if _is_owed(step, error):
                    owed.add(item)
                    if step.owes is not None:
                        owing.writes += step.owes(execution, execution.uid(item))
                else:
                    refused.add(item)
                    logger.error(
                        "Operation %s: undo of %s was refused: %s", operation.id, step.name, error
                    )
    operation = execution.operation
    others = any(str(item) not in operation.failures for item in execution.items())
    await execution.commit(
        msgspec.structs.replace(
            operation,
            undone=tuple(sorted({*operation.undone, *failed})),
            owed=tuple(sorted(owed)),
            refused=tuple(sorted(refused)),
            state=NEXT["undoing", "others_go_on"] if others else operation.state,
        ),
        owing,
    )
    execution.undo_until = 0.0


def _is_owed(step: Step, error: FifoError) -> bool:
    """Tell that an undo is left to its host, which has refused nothing.

    One that has not answered in time may do it yet: what it owes is settled either way.
    """
    late = step.owes is not None and isinstance(error, DeadlineExceeded)
    return late or isinstance(error, Unavailable)


async def _undo(execution: Execution, step: Step, items: Items) -> dict[int, FifoError]:
    """Undo one step; gives the items that could not be undone, with the reason."""
    assert step.undo is not None
    patience = execution.patience(execution.undo_until, limits.UNDO_PATIENCE_S)
    refused: dict[int, FifoError] = {}
    while True:
        try:
            outcome = await step.undo(execution, items)
        except FifoError as error:
            outcome = Outcome(failed=dict.fromkeys(items, error))
        except Exception as error:
            logger.exception("Undo of %s of %s failed", step.name, execution.operation.id)
            told = FifoError(f"a bug: {error!r}", step.name, "report it")
            outcome = Outcome(failed=dict.fromkeys(items, told))
        try:
            took = await _write(execution, outcome)
        except InvalidInput as error:
            # The store takes no such transaction, however often it is asked.
            return refused | dict.fromkeys(items, error)
        away = {i: e for i, e in outcome.failed.items() if isinstance(e, Unavailable)}
        refused |= {i: e for i, e in outcome.failed.items() if i not in away}
        items = tuple(away) if took else items
        if not items:
            return refused
        if not await patience.again():
            return refused | (away or _contended(execution, items))


def _contended(execution: Execution, items: Items) -> dict[int, FifoError]:
    target = execution.operation.target
    told = FifoError("others kept changing the same records", target, "undo it by hand")
    return dict.fromkeys(items, told)


async def _write(execution: Execution, outcome: Outcome) -> bool:
    """Commit the writes of an undo, fenced by the operation's record; True if there are none."""
    if not outcome.writes:
        return True
    key = keys.by_uid(keys.OPERATION, execution.operation.id)
    txn = Txn(
        (unchanged(key, execution.revision), *outcome.compares),
        tuple(outcome.writes),
        (Get(key),),
    )
    took = False
    try:
        reply = await execution.store.txn(txn)
    except (OutcomeUnknown, Unavailable):
        logger.warning("The answer to an undo of %s was lost", execution.operation.id)
    else:
        took = reply.succeeded
        if not took:
            (found,) = reply.responses
            assert isinstance(found, RangeReply)
            execution.take_over(found, b"")
    return took
