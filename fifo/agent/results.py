"""Results of commands: how an answer is made, and when its record is dropped."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fifo.agent import limits
from fifo.agent.writes import Write
from fifo.model.link import CommandResult
from fifo.store.contract import Delete
from fifo.workflows.failures import failure_of

if TYPE_CHECKING:
    from fifo.model.errors import FifoError
    from fifo.model.link import Command


def result_of(command: Command, value: Any, error: FifoError | None) -> CommandResult:
    """Make the answer to a command."""
    return CommandResult(
        operation=command.operation,
        step=command.step,
        uid=command.uid,
        failure=failure_of(error) if error is not None else None,
        value=value,
    )


def sweep(ages: dict[bytes, float], utc: float) -> list[Write]:
    """Take out of `ages` what is too old or too many, and give the writes that drop the records.

    `ages` are UTC seconds by key with the oldest first; the gateway calls it in its sweep.
    """
    oldest = utc - limits.RESULT_S
    surplus = len(ages) - limits.RESULTS
    gone: list[bytes] = []
    for key, at in ages.items():
        if at >= oldest and len(gone) >= surplus:
            break
        gone.append(key)
    for key in gone:
        del ages[key]
    step = limits.RESULTS_DROPPED
    return [
        Write(puts=tuple(Delete(key) for key in gone[first : first + step]))
        for first in range(0, len(gone), step)
    ]
