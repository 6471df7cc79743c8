"""What workflows need of the rest of the control plane, as interfaces that `fleet` fulfils."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from collections.abc import Set as AbstractSet

    from fifo.model.errors import FifoError
    from fifo.model.instance import Claim, InstanceSpec
    from fifo.model.link import Command, CommandResult
    from fifo.model.operation import Explanation
    from fifo.store.catalog import Catalog
    from fifo.store.contract import Delete, DeleteRange, Put, Store
    from fifo.workflows.workflow import Registry

    Write: TypeAlias = Put | Delete | DeleteRange
    Unclaimable: TypeAlias = list[tuple[str, FifoError]]
    """Instances by uid, and why what they have is not claimed."""


class Hosts(Protocol):
    """The sessions with the hosts."""

    def command(self, host: str, command: Command) -> Awaitable[CommandResult]:
        """Order a host; a future. Fails with Unavailable if it cannot be asked, or did not answer.

        The failure that a host answers with is in the result.
        """

    def owners_fence(self, host: str) -> int:
        """The fence of who owns the host now."""

    def awaited(self) -> AbstractSet[str]:
        """Give the hosts that this control node has neither met since its start nor missed."""


NO_HOST: Final = "NO_HOST"
"""The reason of a refusal by every host, for programs too: one that no step tries again itself."""


class Placed(NamedTuple):
    """What became of the wish to place one instance: a claim, or why there is none."""

    claim: Claim | None
    explanation: Explanation
    error: FifoError | None = None


class Holding(NamedTuple):
    """What one interface of a stranger has: a spec with that interface alone.

    `mac` tells whether its hardware address is kept, besides the others.
    """

    spec: InstanceSpec
    mac: bool


class Placement(Protocol):
    """Who chooses hosts and addresses and writes the claims, one decision after the other.

    Each answers with a future, when it is durable; each is idempotent. They fail with Conflict
    when others kept changing the same hosts, and with what the store says.
    """

    def place(
        self, specs: tuple[InstanceSpec, ...], operation: str
    ) -> Awaitable[dict[str, Placed]]:
        """Claim a host and addresses for each instance; one that holds a claim keeps it."""

    def adopt(self, claim: Claim) -> Awaitable[Placed]:
        """Write a claim as its host has it; what is kept for a stranger becomes its own.

        It is not asked whether the host has room: the instance is there.
        """

    def disown(self, uid: str, operation: str) -> Awaitable[None]:
        """Take a claim back that an operation adopted; its addresses are kept as before."""

    def keep(self, holdings: tuple[Holding, ...]) -> Awaitable[None]:
        """Keep from others what strangers have, as far as no other has it already."""

    def release(self, uids: tuple[str, ...]) -> Awaitable[None]:
        """Give claims back; who holds none is passed over."""

    def backfill(self, uids: tuple[str, ...]) -> Awaitable[Unclaimable]:
        """Claim of bare wires what instances have and never claimed.

        Gives what is another's; who an operation is about is passed over.
        """

    def resize(self, spec: InstanceSpec) -> Awaitable[Placed]:
        """Change a claim to what a spec now wants, on the host where it is."""


@dataclass(frozen=True, slots=True, repr=False)
class World:
    """All that a runner is given."""

    store: Store
    catalog: Catalog
    hosts: Hosts
    placement: Placement
    utc: Callable[[], float]
    workflows: Registry
