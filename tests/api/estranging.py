"""Making an instance foreign: the store forgets it, the host does not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fifo.agent import names as agent_names
from fifo.fleet.hosts import session_name
from fifo.model import keys
from fifo.store.contract import Delete, Txn
from tests.api.calls import call
from tests.api.stage import HOST
from tests.api.test_instances import create

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.api.stage import Stage

    Play = Callable[..., None]

NAME = "hypervisors/host-1"


async def forget(stage: Stage, uid: str) -> None:
    """Take an instance out of the store, as a restore of an older backup does."""
    claim = stage.catalog.claims.record(uid)
    assert claim is not None
    gone = [
        keys.by_uid(keys.INSTANCE_SPEC, uid),
        keys.by_uid(keys.INSTANCE_STATUS, uid),
        keys.by_uid(keys.CLAIM, uid),
        keys.index("instances", "default", "web"),
        *(keys.MAC + mac.encode() for mac in claim.networks),
        *(
            keys.address(claim.networks[mac], text.partition("/")[0])
            for mac, texts in claim.addresses.items()
            for text in texts
        ),
    ]
    reply = await stage.store.txn(Txn(then=tuple(map(Delete, gone))))
    await stage.catalog.at(reply.revision)


async def foreign(channel: Any) -> list[str]:
    """List what is foreign on the host."""
    host = await call(channel, "HypervisorService.GetHypervisor", name=NAME)
    return list(host.foreign_instances)


async def estranged(stage: Stage, channel: Any, **more: Any) -> Any:
    """Make an instance and have the store forget it; gives it as it was."""
    made = await create(channel, **more)
    await forget(stage, made.uid)
    await greet_again(stage)
    return made


async def leftover(stage: Stage, channel: Any) -> Any:
    """Have the store and the agent forget an instance that the host runs on."""
    made = await create(channel)
    await forget(stage, made.uid)
    agent = stage.node.whereis(agent_names.agent(HOST))
    assert agent is not None
    # Its store is in memory: it begins with nothing.
    await readiness(stage, agent.kill)
    return made


async def addresses(channel: Any) -> set[str]:
    """List the addresses of the network that are taken."""
    kept = await call(channel, "NetworkService.ListAddresses", parent="networks/lan")
    return {one.address for one in kept.addresses}


async def greet_again(stage: Stage) -> None:
    """Have the host's session begin anew, and wait until it has."""
    session = stage.node.whereis(session_name(HOST))
    assert session is not None
    await readiness(stage, lambda: session.stop(block=False))


async def readiness(stage: Stage, interrupt: Callable[[], Any]) -> None:
    """Wait until the host has been met anew after something."""
    before = stage.catalog.host_statuses.get(HOST)
    assert before is not None
    interrupt()
    await stage.catalog.when(
        stage.catalog.host_statuses,
        HOST,
        lambda entry: (
            entry is not None
            and entry.revision > before.revision
            and entry.record.condition == "ready"
        ),
    )
