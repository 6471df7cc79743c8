"""The gateway to agents that live on this node: by messages to their actors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from fifo.agent import limits, names
from fifo.agent.messages import Inside, Lookup
from fifo.agent.orders import Order
from fifo.model.errors import NotFound, Unavailable, WrongState
from supervisors import Future

if TYPE_CHECKING:
    from fifo.hypervisors.driver import Channel, Stats
    from fifo.model.hypervisor import Probe
    from supervisors import Node, Ref

PROBE_S: Final = 60.0
"""Time for a host to find out by trial what it can do: it may boot a guest."""


class LocalGateway:
    """Fulfils `fifo.api.gateway.Gateway`; on the node's loop."""

    def __init__(self, node: Node) -> None:
        self._node = node

    async def console(self, host: str, uid: str) -> Channel:
        """Attach to an instance's console."""
        channel: Channel = await self._inside(host, uid, Inside("console"))
        return channel

    async def execute(
        self,
        host: str,
        uid: str,
        command: tuple[str, ...],
        *,
        terminal: bool,
        environment: dict[str, str],
    ) -> Channel:
        """Run a command inside an instance."""
        keywords = {"terminal": terminal, "environment": environment}
        channel: Channel = await self._inside(host, uid, Inside("execute", (command,), keywords))
        return channel

    async def logs(self, host: str, uid: str, most_bytes: int) -> bytes:
        """Give the end of what an instance wrote to its console."""
        data: bytes = await self._inside(host, uid, Inside("logs", (most_bytes,)))
        return data

    async def stats(self, host: str, uid: str) -> Stats:
        """Measure the running instances of a host now, and give this one's numbers."""
        found: tuple[Stats, ...] = await self._order(host, "stats", limits.STATS_DEADLINE_S)
        for stats in found:
            if stats.uid == uid:
                return stats
        raise WrongState("it does not run, and so uses nothing", uid, "start it first")

    async def probe(self, host: str) -> Probe:
        """Find out by trial what a host can do."""
        probe: Probe = await self._order(host, "probe", PROBE_S)
        return probe

    async def _inside(self, host: str, uid: str, message: Inside) -> Any:
        front = self._find(names.gateway(host), host)
        try:
            actor: Ref[Any] = await front.call(Lookup(uid))
        except NotFound:
            told = "its actor is between two lives, or it is being made"
            raise Unavailable(told, uid, "try again in a moment") from None
        return await actor.call(message, timeout_s=None)

    async def _order(self, host: str, verb: str, deadline_s: float) -> Any:
        answer: Future[Any] = Future(self._node.shard)
        self._find(names.driver(host), host).cast(Order(verb, (), deadline_s, caller=answer))
        return await answer

    def _find(self, name: names.Name, host: str) -> Ref[Any]:
        ref = self._node.whereis(name)
        if ref is None:
            told = "the host cannot be asked: its agent is not there"
            raise Unavailable(told, f"hypervisors/{host}")
        return ref
