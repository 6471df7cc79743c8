"""What workflows need of the rest of the control plane, as interfaces that `fleet` fulfils."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Protocol, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from fifo.model.errors import FifoError
    from fifo.model.instance import Claim, InstanceSpec
    from fifo.model.link import Command, CommandResult
    from fifo.model.operation import Explanation
    from fifo.store.catalog import Catalog
    from fifo.store.contract import Compare, Delete, DeleteRange, Put, Store

    Write: TypeAlias = Put | Delete | DeleteRange


class Hosts(Protocol):
    """The sessions with the hosts."""

    def command(self, host: str, command: Command) -> Awaitable[CommandResult]:
        """Order a host; a future. Fails with Unavailable if it cannot be asked, or did not answer.

        The failure that a host answers with is in the result.
        """

    def owners_fence(self, host: str) -> int:
        """The fence of who owns the host now."""


class Placed(NamedTuple):
    """Where one instance goes: its claim and the writes and compares that make it true."""

    claim: Claim
    explanation: Explanation


class Proposal(NamedTuple):
    """What placement proposes for some instances: claims, refusals, and one transaction for all.

    `settle` must be told whether the transaction took; until then the claims are pending and count.
    """

    placed: dict[str, Placed]
    refused: dict[str, tuple[FifoError, Explanation]]
    compares: list[Compare]
    writes: list[Write]
    settle: Callable[[bool], None]


class Placement(Protocol):
    """Who chooses hosts and addresses, one decision after the other."""

    def place(self, specs: tuple[InstanceSpec, ...], operation: str) -> Awaitable[Proposal]:
        """Choose for each instance; a future. One that holds a claim already keeps it."""

    def release(self, uids: tuple[str, ...]) -> Awaitable[Proposal]:
        """Give claims back; a future. Who holds none is in `placed` no more than in `refused`."""

    def resize(self, spec: InstanceSpec) -> Awaitable[Proposal]:
        """Change a claim to what a spec now wants, on the host where it is; a future."""


@dataclass(frozen=True, slots=True)
class World:
    """All that a runner is given."""

    store: Store
    catalog: Catalog
    hosts: Hosts
    placement: Placement
    utc: Callable[[], float]
    workflows: Mapping[str, object]
