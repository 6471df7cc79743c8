"""What an agent stores besides statuses and restart memories: intents, and results of commands."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fifo.hypervisors.driver import Wanted
from fifo.model.image import Image  # noqa: TC001 - msgspec reads it
from fifo.model.instance import Claim, InstanceSpec  # noqa: TC001 - msgspec reads it
from fifo.model.link import CommandResult  # noqa: TC001 - msgspec reads it
from fifo.model.network import Network  # noqa: TC001 - msgspec reads it
from fifo.model.records import Record

if TYPE_CHECKING:
    from fifo.model.link import Command


class Intent(Record, frozen=True, tag="intent/1"):
    """The last accepted word on an instance: all that its actor needs to make it so.

    With `removing` nothing of it shall be left.
    """

    spec: InstanceSpec
    claim: Claim
    networks: tuple[Network, ...] = ()
    image: Image | None = None
    removing: bool = False
    operation: str = ""

    def wanted(self) -> Wanted:
        """Give it as drivers take it."""
        return Wanted(self.spec, self.claim, self.networks, self.image)


class KeptResult(Record, frozen=True, tag="kept_result/1"):
    """What a command was answered with, and when (UTC seconds)."""

    at: float
    result: CommandResult


class Fence(Record, frozen=True, tag="agent_fence/1"):
    """The highest fence of an owner that this host has seen."""

    fence: int


class Acknowledged(Record, frozen=True, tag="acknowledged/1"):
    """Up to where the journal was taken over by the store; entries go on after it."""

    sequence: int


def intent_of(command: Command) -> Intent | None:
    """Make the intent of a `realise`; None if it lacks its spec or claim."""
    if command.spec is None or command.claim is None:
        return None
    return Intent(
        spec=command.spec,
        claim=command.claim,
        networks=command.networks,
        image=command.image,
        operation=command.operation,
    )
