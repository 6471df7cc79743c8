"""What others ask of the journal, and what it tells them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from fifo.agent.intent import Intent
    from fifo.model.instance import InstanceStatus
    from fifo.model.restart import Memory
    from fifo.model.story import StoryEvent
    from fifo.store.contract import Delete, DeleteRange, Put
    from supervisors import Ref


class Tell(NamedTuple):
    """One thing to be journalled of an instance: its status, and the event that led to it."""

    uid: str
    status: InstanceStatus | None
    event: StoryEvent | None = None


class Write(NamedTuple):
    """Changes of one moment, durable together; then `Written(token)` goes to `to`, if given.

    `fresh` says that the intent is of an instance that has no actor yet; `again` is of whom the
    latest status is told once more.
    """

    to: Ref[Any] | None = None
    token: int = 0
    puts: tuple[Put | Delete | DeleteRange, ...] = ()
    intent: Intent | None = None
    fresh: bool = False
    memory: Memory | None = None
    tells: tuple[Tell, ...] = ()
    again: str = ""


class Written(NamedTuple):
    """What was to be written is on disk."""

    token: int


class Recall(NamedTuple):
    """A question for all that is stored of an instance; answered with Recalled."""

    uid: str
    to: Ref[Any]
    token: int


class Recalled(NamedTuple):
    """What is stored of an instance, `told` being the latest status that was journalled.

    `again` tells that an actor of this agent's present life has asked before, `fresh` that the
    intent is new: nothing was ever ordered about it.
    """

    token: int
    intent: Intent | None
    memory: Memory | None
    told: InstanceStatus | None
    again: bool
    fresh: bool = False


class Entries(NamedTuple):
    """A question for journal entries after a sequence number; the answer is a tuple of them."""

    after: int
    most: int


class Read(NamedTuple):
    """A question for the value of a key; the answer is bytes, or None."""

    key: bytes


class Known(NamedTuple):
    """An instance that is in the journal."""

    uid: str
    generation: int
    is_vm: bool
    image: str
    removing: bool


class Loaded(NamedTuple):
    """What the gateway is given to begin with: instances, results, the fence.

    Results are UTC seconds by key, the oldest first.
    """

    known: tuple[Known, ...]
    results: dict[bytes, float]
    fence: int


class Numbers(NamedTuple):
    """Where the journal stands."""

    first_unacknowledged: int
    next_sequence: int


class Grown(NamedTuple):
    """Told to the reporter: there are entries up to this sequence number."""

    last: int
