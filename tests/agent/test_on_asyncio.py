"""The same agent on the asyncio host, in real time."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from fifo.agent.clockwork import NodeClockwork
from fifo.agent.messages import STATUS
from fifo.agent.settings import AgentSettings
from fifo.agent.supervisor import LocalLink, agent_spec
from fifo.hypervisors.simulated.driver import SimulatedDriver
from fifo.hypervisors.simulated.host import SimulatedHost
from fifo.hypervisors.simulated.settings import HostSettings
from fifo.model.link import Command
from fifo.store.memory import MemoryStore
from supervisors import AsyncioHost, Flags, Future, Supervisor
from tests.agent.world import EPOCH_S, HOST, claim_of, spec_of

if TYPE_CHECKING:
    from supervisors import Node


def open_store(node: Node) -> Future[Any]:
    """Open a store."""
    future: Future[Any] = Future()
    future.reply(MemoryStore(node))
    return future


async def life() -> list[Any]:
    """Create, kill and remove an instance; gives what was seen."""
    host = AsyncioHost()
    node = host.node(log_reports=False)
    loop = asyncio.get_running_loop()
    clockwork = NodeClockwork(node, lambda: EPOCH_S + loop.time())
    latency = dict.fromkeys(("create", "start", "delete"), (0.001, 0.002))
    truth = SimulatedHost(clockwork, HostSettings(latency_s=latency))
    settings = AgentSettings(HOST, lambda: SimulatedDriver(truth), open_store, clockwork.utc)
    root = await node.start(Supervisor, Flags(), [agent_spec(settings)])
    link = LocalLink(node, HOST)
    spec = spec_of(1)
    seen: list[Any] = []

    def command(verb: Any, **more: Any) -> Future[Any]:
        return link.command(
            Command(
                fence=1,
                operation=verb,
                step="s",
                verb=verb,
                uid=spec.uid,
                until=clockwork.utc() + 60.0,
                **more,
            )
        )

    seen.append((await command("realise", spec=spec, claim=claim_of(spec))).failure)
    ended = loop.create_future()
    for start_id in (1, 2):
        while spec.uid not in truth.guests or truth.guests[spec.uid].start_id < start_id:
            await asyncio.wait((ended,), timeout=0.005)
        truth.end(spec.uid)
    actor = node.address((HOST, spec.uid))
    seen.append((await actor.call(STATUS)).restarts)
    seen.append((await command("remove")).failure)
    seen.append(truth.guests)
    await root.stop(block=False)
    host.close()
    return seen


def test_an_instance_lives_and_goes() -> None:
    failure, restarts, refusal, left = asyncio.run(life())
    assert (failure, refusal, left) == (None, None, {})
    assert restarts >= 1
