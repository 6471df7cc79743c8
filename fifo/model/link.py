"""What a session and its host's agent say to each other; also the payloads of links between nodes.

A session commands, an agent answers each command and reports in numbered journal entries, which it
keeps until they are acknowledged. Commands carry the owner's fence, the operation and the step: an
agent refuses a lower fence than it has seen and answers a repeat from its record (design: 7).
"""

from __future__ import annotations

from typing import Any, Final, Literal

from fifo.model.hypervisor import Probe
from fifo.model.image import Image
from fifo.model.instance import Claim, InstanceSpec, InstanceStatus
from fifo.model.network import Network
from fifo.model.operation import Failure
from fifo.model.records import Record
from fifo.model.story import StoryEvent

SEEN_FENCE: Final = "seen_fence"
"""The detail of a Conflict that names the highest fence which the host has seen."""

Verb = Literal[
    "realise", "remove", "snapshot", "delete_snapshot", "roll_back", "capture_image", "fetch_image",
    "delete_image", "describe", "tell",
]  # fmt: skip


class Command(Record, frozen=True, tag="command/1"):
    """One order to a host.

    `realise` brings an instance to `spec` (creating it if need be) and is answered when the agent
    has it on disk, not when it is done: that is told by reports. `remove` is answered when nothing
    of the instance is left. `describe` is answered with the spec and the claim that were accepted
    last; `tell` has the latest status reported once more. `argument` is a snapshot's name or an
    image's uid. `until` is the UTC second after which the answer is of no use.
    """

    fence: int
    operation: str
    step: str
    verb: Verb
    uid: str
    until: float
    spec: InstanceSpec | None = None
    claim: Claim | None = None
    networks: tuple[Network, ...] = ()
    image: Image | None = None
    argument: str = ""
    started: int = 0
    """With `realise`: the latest start that the store knows of on this host, 0 if of none."""


class CommandResult(Record, frozen=True, tag="command_result/1"):
    """What became of a command; `repeated` if it was answered from the agent's record."""

    operation: str
    step: str
    uid: str
    failure: Failure | None = None
    value: Any = None
    repeated: bool = False


class JournalEntry(Record, frozen=True, tag="journal_entry/1"):
    """One thing an agent saw: an instance's new status, and the event that led to it, if any.

    One with `dropped` is about no instance: it is the mark of so many entries that nobody took over
    in time, the last of which had its number.
    """

    sequence: int
    at: float
    uid: str
    status: InstanceStatus | None = None
    event: StoryEvent | None = None
    dropped: int = 0


class Report(Record, frozen=True, tag="report/1"):
    """Journal entries of a host in order, from the first that is not acknowledged."""

    host: str
    entries: tuple[JournalEntry, ...]


class Acknowledge(Record, frozen=True, tag="acknowledge/1"):
    """Entries up to this sequence number are in the store; the agent may drop them."""

    host: str
    sequence: int


class Blind(Record, frozen=True, tag="blind/1"):
    """An agent has lost sight of its host, and will greet nobody until it is back in sight."""

    host: str
    reason: str


class Probed(Record, frozen=True, tag="probed/1"):
    """What an agent's host can do is not what its hello said any more, nor what was told last."""

    host: str
    probe: Probe


class Hello(Record, frozen=True, tag="hello/1"):
    """What an agent says first when a session takes its host over."""

    host: str
    probe: Probe
    version: str
    highest_fence: int
    first_unacknowledged: int
    next_sequence: int
    statuses: tuple[InstanceStatus, ...] = ()
    foreign: tuple[str, ...] = ()
