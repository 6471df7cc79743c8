"""Instances that a host runs and a restored store does not know."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fifo.fleet.hosts import session_name
from fifo.model import keys
from fifo.store.contract import Delete, Txn
from fifo.v1 import instance_pb2
from tests.api.calls import call, done
from tests.api.stage import HOST
from tests.api.test_instances import WEB, create, get

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.api.stage import Stage

    Play = Callable[..., None]


async def forget(stage: Stage, uid: str) -> None:
    """Take an instance out of the store, as a restore of an older backup does."""
    claim = stage.catalog.claims.record(uid)
    assert claim is not None
    gone = [
        keys.by_uid(keys.INSTANCE_SPEC, uid),
        keys.by_uid(keys.INSTANCE_STATUS, uid),
        keys.by_uid(keys.CLAIM, uid),
        keys.index("instances", "default", "web"),
        *(
            keys.address(claim.networks[mac], text.partition("/")[0])
            for mac, texts in claim.addresses.items()
            for text in texts
        ),
    ]
    reply = await stage.store.txn(Txn(then=tuple(map(Delete, gone))))
    await stage.catalog.at(reply.revision)


async def greet_again(stage: Stage) -> None:
    """Have the host's session begin anew, and wait until it has."""
    before = stage.catalog.host_statuses.get(HOST)
    assert before is not None
    session = stage.node.whereis(session_name(HOST))
    assert session is not None
    session.stop(block=False)
    await stage.catalog.when(
        stage.catalog.host_statuses,
        HOST,
        lambda entry: (
            entry is not None
            and entry.revision > before.revision
            and entry.record.condition == "ready"
        ),
    )


def test_what_a_restored_store_does_not_know_is_foreign_and_keeps_its_address(play: Play) -> None:
    async def scene(stage: Stage) -> None:
        async with stage.channel() as channel:
            made = await create(channel)
            await forget(stage, made.uid)
            await greet_again(stage)
            host = await call(channel, "HypervisorService.GetHypervisor", name="hypervisors/host-1")
            assert list(host.foreign_instances) == [made.uid]
            assert made.uid in stage.simulated.guests
            kept = await call(channel, "NetworkService.ListAddresses", parent="networks/lan")
            assert {one.address for one in kept.addresses} == set(made.addresses)
            assert all(made.uid in one.note for one in kept.addresses)
            other = await create(channel, "other")
            assert not set(other.addresses) & set(made.addresses)

    play(scene)


def test_what_its_host_saw_newer_than_a_restored_store_can_be_changed_all_the_same(
    play: Play,
) -> None:
    async def scene(stage: Stage) -> None:
        async with stage.channel() as channel:
            made = await create(channel)
            old = stage.catalog.specs.record(made.uid)
            assert old is not None
            for alias in ("a", "b", "c"):
                change = {"name": WEB, "alias": alias}
                operation = await call(channel, "InstanceService.UpdateInstance", instance=change)
                await done(channel, operation, instance_pb2.Instance())
            await stage.write(keys.INSTANCE_SPEC, made.uid, old)
            await greet_again(stage)
            await stage.catalog.when(
                stage.catalog.statuses,
                made.uid,
                lambda entry: entry is not None and entry.record.generation == 5,
            )
            now = await get(channel)
            assert (now.alias, now.generation, now.observed_generation) == ("", 5, 5)
            operation = await call(channel, "InstanceService.StopInstance", name=WEB)
            stopped = await done(channel, operation, instance_pb2.Instance())
            assert stopped.state == instance_pb2.Instance.STOPPED

    play(scene)
