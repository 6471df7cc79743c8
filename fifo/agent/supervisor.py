"""The agent's tree, and how a session on the same node speaks to it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fifo.agent import limits, names
from fifo.agent.driver import HostDriver
from fifo.agent.gateway import Gateway
from fifo.agent.image_cache import ImageCache
from fifo.agent.instance import VirtualMachine, Zone
from fifo.agent.journal import Journal
from fifo.agent.messages import Beat, Take
from fifo.agent.reporting import Reporter
from fifo.agent.sampling import Sampling
from fifo.model.errors import Unavailable
from fifo.store.owner import StoreOwner
from supervisors import (
    REST_FOR_ONE,
    SIMPLE_ONE_FOR_ONE,
    TRANSIENT,
    Backoff,
    ChildSpec,
    DynamicSupervisor,
    Flags,
    Future,
    Supervisor,
    TaskSupervisor,
)

if TYPE_CHECKING:
    from fifo.agent.settings import AgentSettings
    from fifo.model.link import Acknowledge, Command, CommandResult, Hello
    from supervisors import Node, Process, Ref

PART_BACKOFF = Backoff(min_s=0.05, max_s=30.0)
"""One part that keeps failing is started ever later and never takes the node down."""
ACTOR_BACKOFF = Backoff(min_s=limits.ACTOR_BACKOFF_S, max_s=limits.ACTOR_BACKOFF_MOST_S)


def agent_spec(settings: AgentSettings) -> ChildSpec:
    """Give the child spec of a whole agent; several may live on one node."""
    host = settings.host
    parts: list[tuple[str, Any, names.Name]] = [
        ("store", (StoreOwner, (settings.open_store,)), names.store(host)),
        ("journal", (Journal, (settings,)), names.journal(host)),
        ("driver calls", (TaskSupervisor, ()), names.tasks(host)),
        ("driver", (HostDriver, (settings,)), names.driver(host)),
        ("image cache", (ImageCache, (settings,)), names.image_cache(host)),
        ("sampling", (Sampling, (settings,)), names.sampling(host)),
        ("zones", _instances("zone", Zone, settings), names.zones(host)),
        (
            "virtual machines",
            _instances("virtual machine", VirtualMachine, settings),
            names.virtual_machines(host),
        ),
        ("reporter", (Reporter, (settings,)), names.reporter(host)),
        ("gateway", (Gateway, (settings,)), names.gateway(host)),
    ]
    supervisors = {"driver calls", "zones", "virtual machines"}
    children = [
        ChildSpec(
            part,
            start,
            name=name,
            backoff=PART_BACKOFF,
            type="supervisor" if part in supervisors else "worker",
        )
        for part, start, name in parts
    ]
    return ChildSpec(
        ("agent", host),
        (Supervisor, (Flags(REST_FOR_ONE, intensity=10, period=60), children)),
        type="supervisor",
        name=names.agent(host),
        # The parts of a supervisor that was killed end after it, and hold their names until then.
        backoff=PART_BACKOFF,
    )


def _instances(
    kind: str, actor: type[Process], settings: AgentSettings
) -> tuple[type[Process], tuple[Any, ...]]:
    """Say how the supervisor of instances is started: each restarts alone, with back-off."""
    spec = ChildSpec(
        kind,
        (actor, (settings,)),
        restart=TRANSIENT,
        name=lambda given, uid: names.instance(given.host, uid),
        backoff=ACTOR_BACKOFF,
    )
    return DynamicSupervisor, (Flags(SIMPLE_ONE_FOR_ONE), [spec])


class LocalLink:
    """`fifo.fleet.session.AgentLink` to an agent on the same node."""

    def __init__(self, node: Node, host: str) -> None:
        self._node = node
        self._host = host

    def whereis(self) -> Ref[Any] | None:
        """Find the front."""
        return self._node.whereis(names.gateway(self._host))

    def take(self, fence: int, session: Ref[Any]) -> Future[Hello]:
        """Say who owns the host now."""
        return self._call(Take(fence, session))

    def command(self, command: Command) -> Future[CommandResult]:
        """Give an order; the answer may take as long as the work."""
        return self._call(command)

    def acknowledge(self, acknowledge: Acknowledge) -> None:
        """Say up to where reports are in the store."""
        gateway = self.whereis()
        if gateway is not None:
            gateway.cast(acknowledge)

    def beat(self) -> Future[None]:
        """Ask whether the agent answers at all."""
        return self._call(Beat())

    def _call(self, message: Any) -> Future[Any]:
        gateway = self.whereis()
        if gateway is None:
            future: Future[Any] = Future()
            future.fail(Unavailable("its agent is not there", f"hypervisors/{self._host}"))
            return future
        return gateway.call(message, timeout_s=None)
