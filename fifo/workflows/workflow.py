"""A workflow: named steps, each an action and its undo, both idempotent.

A step acts on the live items of one chunk (one item for most workflows, up to 24 of a batch), since
what is written together is committed together. It gives an Outcome: what to remember of each item,
what to write in the same transaction as the operation's record, and who failed. An item that failed
is undone at once, the steps before it in reverse, and leaves the chunk; the others go on.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

if TYPE_CHECKING:
    from fifo.model.errors import FifoError
    from fifo.model.operation import Explanation, Operation
    from fifo.store.catalog import Catalog
    from fifo.store.contract import Compare, Put, Store
    from fifo.workflows.world import Hosts, Placement, World, Write


@dataclass(slots=True)
class Outcome:
    """What a step did: to be remembered, to be written, and who failed.

    The keys of `outputs` and `failed` are items. Where the transaction is lost to somebody else's
    the action runs anew.
    """

    outputs: dict[int, Any] = field(default_factory=dict)
    failed: dict[int, FifoError] = field(default_factory=dict)
    compares: list[Compare] = field(default_factory=list)
    writes: list[Write] = field(default_factory=list)
    explanation: Explanation | None = None
    result: Any = None


class Run(Protocol):
    """What a step sees: the operation as it stands, and the world it may touch."""

    operation: Operation
    world: World

    @property
    def store(self) -> Store:
        """Reads and transactions."""

    @property
    def catalog(self) -> Catalog:
        """Every resource as it is."""

    @property
    def hosts(self) -> Hosts:
        """The sessions with the hosts."""

    @property
    def placement(self) -> Placement:
        """Who chooses hosts and addresses."""

    def uid(self, item: int) -> str:
        """Whom an item is about."""

    def output(self, step: str, item: int) -> Any:
        """What a step of this chunk gave for an item; None if it gave nothing or never ran."""

    def until(self) -> float:
        """UTC second by which what is asked for now must be done."""

    def wait(self, awaited: Any) -> Awaitable[Any]:
        """Await a future, but no longer than the deadline or until the operation is cancelled.

        Raises DeadlineExceeded or Cancelled.
        """


Items = tuple[int, ...]
Action = Callable[[Run, Items], Awaitable[Outcome]]


class Step(NamedTuple):
    """One step; `undo` is None where there is nothing to undo.

    `undo` must also be right for an action that was begun and not finished. `held` says that what
    the step gave must stay while a host still owes a cleanup: the claims. `repeated` says that
    running the action anew finds what it did: its outcome is not written by itself, but with that
    of the next step, and a crash before that repeats it. `owes` gives, by an item's uid, what is
    written down as owed where a host cannot be asked for the undo; None where nothing stays there.
    """

    name: str
    action: Action
    undo: Action | None = None
    held: bool = False
    repeated: bool = False
    owes: Callable[[Run, str], list[Put]] | None = None


class Workflow(NamedTuple):
    """A kind of operation; `deadline_s` counts from its acceptance.

    With `accepts_first` the writes of the first step are in the transaction that accepts the
    operation, and what that step refuses is refused to the caller.
    """

    kind: str
    steps: tuple[Step, ...]
    deadline_s: float
    accepts_first: bool = True


Registry = Mapping[str, Workflow]
