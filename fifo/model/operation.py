"""An operation: the stored record of one workflow, from the request to its end.

The record is all that a runner needs to go on after a crash: what was asked, which step comes next,
what the steps before gave. Its states and legal transitions stand in `NEXT`.
"""

from __future__ import annotations

from typing import Any, Final, Literal

from fifo.model.records import Record, Value

OperationState = Literal["running", "undoing", "done", "failed", "cancelled", "needs_attention"]

NEXT: Final[dict[tuple[str, str], OperationState]] = {
    ("running", "step_done"): "running",
    ("running", "finished"): "done",
    ("running", "item_failed"): "undoing",
    ("undoing", "others_go_on"): "running",
    ("undoing", "undone"): "failed",
    ("undoing", "undone_cancelled"): "cancelled",
    ("undoing", "undo_refused"): "needs_attention",
}
"""(state, what happens) -> the state that follows; states without an entry are final."""

FINAL: Final = frozenset({"done", "failed", "cancelled", "needs_attention"})

BATCHES: Final = frozenset({"create_instances", "delete_instances"})
"""Kinds of which each item is an instance that a request of its own was about."""


class FieldViolation(Value, frozen=True):
    """One thing that was wrong with a request, as `fifo.model.errors.Violation` has it."""

    field: str
    wanted: str


class Failure(Value, frozen=True):
    """Why an operation failed: the class and reason of the error, its parts and violations."""

    kind: str
    reason: str
    what: str
    subject: str = ""
    remedy: str = ""
    details: dict[str, str] = {}
    violations: tuple[FieldViolation, ...] = ()


class StepRecord(Value, frozen=True):
    """One step of this chunk that has run: its outputs by item, and when (UTC seconds)."""

    name: str
    began: float
    ended: float
    outputs: dict[str, Any] = {}


class Explanation(Value, frozen=True):
    """Why an instance was placed where it is: refusals by rule, the host, the three next best."""

    host: str = ""
    considered: int = 0
    refused: dict[str, int] = {}
    next_best: tuple[str, ...] = ()


class Operation(Record, frozen=True, tag="operation/1"):
    """One running or finished workflow.

    `kind` names the workflow, `target` the resource's name, `uids` whom it acts on, `input` what
    it was asked for, as JSON values: of many creates what the request left them under. `step` is
    the index of the step that runs next. Its id is made from the caller and the request id where
    there is one, so that a repeat finds it; `request_hash` tells a repeat from another request
    with the same id.
    """

    id: str
    kind: str
    target: str
    principal: str
    create_time: float
    deadline: float
    state: OperationState = "running"
    uids: tuple[str, ...] = ()
    org: str = ""
    input: Any = None
    step: int = 0
    chunk: int = 0
    """The first item of the chunk that runs."""
    chunk_size: int = 1
    steps: tuple[StepRecord, ...] = ()
    progress: int = 0
    cancel_requested: bool = False
    failure: Failure | None = None
    failures: dict[str, Failure] = {}
    """Items that failed, by their number in `uids`; of a batch these are its requests."""
    failed_at: dict[str, int] = {}
    """The step that each of them failed at: it and those before are undone."""
    undone: tuple[int, ...] = ()
    """Failed items of this chunk that are undone already."""
    owed: tuple[int, ...] = ()
    """Items whose host could not be asked to undo: it owes that, see Cleanup."""
    refused: tuple[int, ...] = ()
    """Items that a host which could be asked refused to undo: somebody has to look."""
    result: Any = None
    explanation: Explanation | None = None
    end_time: float = 0.0
    request_hash: str = ""
    fence: int = 0

    @property
    def final(self) -> bool:
        """Tell whether it has ended."""
        return self.state in FINAL
