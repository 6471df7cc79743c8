"""The gateway to agents that live on this node: by messages to their actors."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from fifo.agent import limits, names
from fifo.agent.image_cache import PROGRESS
from fifo.agent.messages import Inside, Lookup
from fifo.agent.orders import Order
from fifo.agent.sampling import Fresh
from fifo.agent.sight import PROBE
from fifo.api.gateway import Measured
from fifo.model.errors import NotFound, Unavailable, WrongState
from supervisors import Future

if TYPE_CHECKING:
    from fifo.agent.sampling import Sample
    from fifo.hypervisors.driver import Channel
    from fifo.model.hypervisor import Probe
    from supervisors import Node, Ref


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

    async def stats(self, host: str, uid: str) -> Measured:
        """Measure the instances of a host if that is a while ago, and give this one's numbers."""
        sampling = self._find(names.sampling(host), host)
        sample: Sample = await sampling.call(Fresh(uid), timeout_s=None)
        stats = sample.by_uid.get(uid)
        if stats is None:
            raise WrongState("it does not run, and so uses nothing", uid, "start it first")
        return Measured(sample.at, stats)

    async def transfers(self, host: str) -> dict[str, tuple[int, int]]:
        """Tell how far the images are that a host fetches: bytes so far and in all, by uid."""
        cache = self._find(names.image_cache(host), host)
        under_way: dict[str, tuple[int, int]] = await cache.call(PROGRESS)
        return under_way

    async def probe(self, host: str) -> Probe:
        """Find out by trial what a host can do."""
        answer: Future[Probe] = Future(self._node.shard)
        order = Order(PROBE, (), limits.TRIAL_DEADLINE_S, caller=answer)
        self._find(names.driver(host), host).cast(order)
        # The driver's process settles it, unless it ends meanwhile.
        async with asyncio.timeout(limits.TRIAL_DEADLINE_S + limits.CLEAN_UP_S):
            return await answer

    async def _inside(self, host: str, uid: str, message: Inside) -> Any:
        front = self._find(names.gateway(host), host)
        try:
            actor: Ref[Any] = await front.call(Lookup(uid))
        except NotFound:
            told = "its actor is between two lives, or it is being made"
            raise Unavailable(told, uid, "try again in a moment") from None
        return await actor.call(message, timeout_s=None)

    def _find(self, name: names.Name, host: str) -> Ref[Any]:
        ref = self._node.whereis(name)
        if ref is None:
            told = "the host cannot be asked: its agent is not there"
            raise Unavailable(told, f"hypervisors/{host}")
        return ref
