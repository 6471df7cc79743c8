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
    ("running", "step_failed"): "undoing",
    ("running", "cancel"): "undoing",
    ("running", "deadline"): "undoing",
    ("undoing", "undo_done"): "undoing",
    ("undoing", "undone"): "failed",
    ("undoing", "undone_cancelled"): "cancelled",
    ("undoing", "undo_refused"): "needs_attention",
    ("undoing", "host_away"): "failed",
}
"""(state, what happens) -> the state that follows; states without an entry are final."""

FINAL: Final = frozenset({"done", "failed", "cancelled", "needs_attention"})


class Failure(Value, frozen=True):
    """Why an operation failed: the class and reason of the error, and its three parts."""

    kind: str
    reason: str
    what: str
    subject: str = ""
    remedy: str = ""
    details: dict[str, str] = {}


class StepRecord(Value, frozen=True):
    """One step that has run: its name, chunk (of a batch), output and times in UTC seconds."""

    name: str
    began: float
    ended: float
    chunk: int = 0
    output: Any = None
    undone: bool = False


class Explanation(Value, frozen=True):
    """Why an instance was placed where it is: refusals by rule, the host, the three next best."""

    host: str = ""
    considered: int = 0
    refused: dict[str, int] = {}
    next_best: tuple[str, ...] = ()


class Operation(Record, frozen=True, tag="operation/1"):
    """One running or finished workflow.

    `kind` names the workflow, `target` the resource's name, `uids` whom it acts on, `input` what
    it was asked for, as JSON values. `step` is the index of the step that runs next. Its id is
    made from the caller and the request id where there is one, so that a repeat finds it;
    `request_hash` tells a repeat from another request with the same id.
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
    steps: tuple[StepRecord, ...] = ()
    progress: int = 0
    cancel_requested: bool = False
    failure: Failure | None = None
    failures: dict[str, Failure] = {}
    """Of a batch: what became of single requests, by their index."""
    result: Any = None
    explanation: Explanation | None = None
    end_time: float = 0.0
    request_hash: str = ""
    fence: int = 0
