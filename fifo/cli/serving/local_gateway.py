"""The way inside the hosts of this process: `fifo.api.gateway.Gateway` over their agents."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fifo.agent import limits, names
from fifo.agent.messages import Inside, Lookup
from fifo.agent.orders import Order
from fifo.agent.sampling import LATEST
from fifo.model.errors import Unavailable, WrongState
from supervisors import Future, SupervisorsError

if TYPE_CHECKING:
    from fifo.agent.sampling import Sample
    from fifo.hypervisors.driver import Channel, Stats
    from fifo.model.hypervisor import Probe
    from supervisors import Node, Process, Ref


class LocalGateway:
    """Asks the agents' processes by name; on the node's loop, by coroutines of it."""

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
        text: bytes = await self._inside(host, uid, Inside("logs", (most_bytes,)))
        return text

    async def stats(self, host: str, uid: str) -> Stats:
        """Give the latest numbers of an instance; they are as old as the sampling interval."""
        sample: Sample = await self._ask(self._find(host, names.sampling(host)), LATEST)
        found = sample.by_uid.get(uid)
        if found is None:
            raise WrongState("it was not measured yet, or does not run", uid, "try again soon")
        return found

    async def probe(self, host: str) -> Probe:
        """Find out by trial what a host can do."""
        future: Future[Probe] = Future(self._node.shard)
        order = Order("probe", (), limits.LOOK_DEADLINE_S, caller=future)
        self._find(host, names.driver(host)).cast(order)
        return await future

    async def _inside(self, host: str, uid: str, question: Inside) -> Any:
        gateway = self._find(host, names.gateway(host))
        actor: Ref[Process] = await self._ask(gateway, Lookup(uid))
        return await self._ask(actor, question, timeout_s=limits.INSIDE_DEADLINE_S + 5.0)

    def _find(self, host: str, name: Any) -> Ref[Process]:
        found = self._node.whereis(name)
        if found is None:
            raise Unavailable("its agent is not there", f"hypervisors/{host}")
        return found

    @staticmethod
    async def _ask(ref: Ref[Process], message: Any, timeout_s: float = 5.0) -> Any:
        try:
            return await ref.call(message, timeout_s=timeout_s)
        except SupervisorsError as error:
            raise Unavailable(f"it did not answer: {error}", str(ref)) from error
