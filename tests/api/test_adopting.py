"""What a host runs and the store does not know is taken over, whole or not at all."""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING, Any

import msgspec
from google.rpc import code_pb2

from fifo.model import keys
from fifo.model.hypervisor import Allocation
from fifo.store.contract import Delete, Txn
from fifo.v1 import hypervisor_pb2, instance_pb2
from tests.api.calls import call, done, ended, metadata_of, refused, stream
from tests.api.estranging import NAME, addresses, estranged, foreign, forget, greet_again, leftover
from tests.api.stage import HOST, IMAGE, NETWORK, settled
from tests.api.test_instances import WEB, ZONE, create

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.api.stage import Stage

    Play = Callable[..., None]

ADOPT = "HypervisorService.AdoptForeignInstance"
ELSE = "00000000-0000-4000-8000-00000000ffff"


def test_a_foreign_instance_is_adopted_as_its_agent_knows_it(play: Play) -> None:
    async def scene(stage: Stage) -> None:
        async with stage.channel() as channel:
            made = await create(channel)
            spec, claim = (
                stage.catalog.specs.record(made.uid),
                stage.catalog.claims.record(made.uid),
            )
            assert spec is not None
            assert claim is not None
            used = stage.catalog.allocations.record(HOST)
            await forget(stage, made.uid)
            await stage.write(keys.ALLOCATION, HOST, Allocation(host=HOST))
            await greet_again(stage)
            start = stage.simulated.guests[made.uid].start_id
            tried = await call(channel, ADOPT, name=NAME, uid=made.uid, validate_only=True)
            assert tried.done
            assert await foreign(channel) == [made.uid]
            operation = await call(channel, ADOPT, name=NAME, uid=made.uid)
            now = await done(channel, operation, instance_pb2.Instance())
            assert metadata_of(await ended(channel, operation)).verb == "adopt"
            assert (now.name, now.state) == (WEB, instance_pb2.Instance.RUNNING)
            assert list(now.addresses) == list(made.addresses)
            assert await foreign(channel) == []
            assert stage.catalog.specs.record(made.uid) == spec
            adopted = stage.catalog.claims.record(made.uid)
            assert adopted is not None
            assert msgspec.structs.replace(adopted, operation=claim.operation) == claim
            assert stage.catalog.allocations.record(HOST) == used
            taken = await call(channel, "NetworkService.ListAddresses", parent="networks/lan")
            assert {(one.address, one.instance, one.note) for one in taken.addresses} == {
                (address, WEB, "") for address in made.addresses
            }
            await greet_again(stage)
            assert stage.simulated.guests[made.uid].start_id == start
            operation = await call(channel, "InstanceService.StopInstance", name=WEB)
            stopped = await done(channel, operation, instance_pb2.Instance())
            assert stopped.state == instance_pb2.Instance.STOPPED
            operation = await call(channel, "InstanceService.DeleteInstance", name=WEB)
            await done(channel, operation)
            assert await foreign(channel) == []
            assert await addresses(channel) == set()

    play(scene)


async def fails(stage: Stage, channel: Any, uid: str, code: str, *words: str) -> None:
    """Have an adoption fail, and see that nothing of it is left."""
    before = await store_of(stage)
    operation = await ended(channel, await call(channel, ADOPT, name=NAME, uid=uid))
    assert code_pb2.Code.Name(operation.error.code) == code
    assert all(word in operation.error.message for word in words), operation.error.message
    assert await store_of(stage) == before
    assert await foreign(channel) == [uid]


async def store_of(stage: Stage) -> dict[bytes, bytes]:
    """Give what the store holds but operations, stories, and when an address was kept."""
    page = await stage.store.range(b"\x00", b"\xff")
    return {
        kv.key: re.sub(rb'"since":[^,}]*', b"", kv.value)
        for kv in page.kvs
        if not kv.key.startswith((keys.OPERATION, keys.STORY))
    }


def test_what_the_agent_does_not_know_either_cannot_be_adopted_and_it_says_what_to_do(
    play: Play,
) -> None:
    async def scene(stage: Stage) -> None:
        async with stage.channel() as channel:
            made = await leftover(stage, channel)
            words = ("leftover without a spec", "fifo hypervisor remove-foreign")
            await fails(stage, channel, made.uid, "FAILED_PRECONDITION", *words)

    play(scene)


def test_an_address_that_was_given_to_another_meanwhile_stands_in_the_way(play: Play) -> None:
    async def scene(stage: Stage) -> None:
        async with stage.channel() as channel:
            made = await estranged(stage, channel)
            for address in made.addresses:
                name = f"networks/lan/addresses/{address.replace('.', '-').replace(':', '-')}"
                await call(channel, "NetworkService.ReleaseAddress", name=name)
            other = await create(
                channel,
                "other",
                {**ZONE, "nics": [{"network": "networks/lan", "ips": [made.addresses[0]]}]},
            )
            words = (made.addresses[0], "given to another")
            await fails(stage, channel, made.uid, "FAILED_PRECONDITION", *words)
            operation = await call(channel, "InstanceService.DeleteInstance", name=other.name)
            await done(channel, operation)
            operation = await call(channel, ADOPT, name=NAME, uid=made.uid)
            now = await done(channel, operation, instance_pb2.Instance())
            assert list(now.addresses) == list(made.addresses)

    play(scene)


def test_one_whose_id_is_taken_is_adopted_by_another(play: Play) -> None:
    async def scene(stage: Stage) -> None:
        async with stage.channel() as channel:
            made = await estranged(stage, channel)
            await create(channel)
            await fails(stage, channel, made.uid, "ALREADY_EXISTS", "instance_id")
            asked = {"name": NAME, "uid": made.uid}
            taken = await refused(call(channel, ADOPT, **asked, instance_id="web"))
            assert taken.code == "ALREADY_EXISTS"
            anothers = await refused(call(channel, ADOPT, **asked, instance_id=f"i-{ELSE}"))
            assert anothers.fields == ["instance_id"]
            operation = await call(channel, ADOPT, **asked, instance_id="web-2")
            now = await done(channel, operation, instance_pb2.Instance())
            assert (now.name, now.uid) == ("orgs/default/instances/web-2", made.uid)
            known = await refused(call(channel, ADOPT, **asked))
            assert known.code == "ALREADY_EXISTS"

    play(scene)


def test_one_without_its_image_or_network_in_the_store_is_not_adopted(play: Play) -> None:
    async def scene(stage: Stage) -> None:
        async with stage.channel() as channel:
            made = await estranged(stage, channel)
            for prefix, uid, word in (
                (keys.IMAGE, IMAGE, "image"),
                (keys.NETWORK, NETWORK, "network"),
            ):
                key = keys.by_uid(prefix, uid)
                (stored,) = (await stage.store.get(key)).kvs
                await stage.catalog.at((await stage.store.txn(Txn(then=(Delete(key),)))).revision)
                await fails(
                    stage, channel, made.uid, "FAILED_PRECONDITION", word, "not in the store"
                )
                await stage.catalog.at((await stage.store.put(key, stored.value)).revision)

    play(scene)


def test_a_watcher_of_hosts_is_told_when_an_instance_is_foreign_no_more(play: Play) -> None:
    async def scene(stage: Stage) -> None:
        async with stage.channel() as channel:
            made = await estranged(stage, channel)
            watched = stream(
                channel, "EventService.Watch", resource_types=["fifo/Hypervisor"], snapshot=True
            )
            seen: list[list[str]] = []

            async def read() -> None:
                async for message in watched:
                    for change in message.events:
                        host = hypervisor_pb2.Hypervisor()
                        if change.resource.Unpack(host):
                            seen.append(list(host.foreign_instances))
                            if seen[0] and not seen[-1]:
                                return

            reading = asyncio.ensure_future(read())
            await call(channel, ADOPT, name=NAME, uid=made.uid)
            await settled(reading)
            watched.cancel()

    play(scene)


def test_none_is_created_by_the_uid_of_a_foreign_one(play: Play) -> None:
    async def scene(stage: Stage) -> None:
        async with stage.channel() as channel:
            made = await estranged(stage, channel)
            asked = {"parent": "orgs/default", "instance": {**ZONE, "uid": made.uid}}
            told = await refused(
                call(channel, "InstanceService.CreateInstance", **asked, instance_id="other")
            )
            assert told.code == "ALREADY_EXISTS"
            assert "fifo hypervisor adopt-foreign host-1" in told.message
            requests = [{**asked, "instance_id": "other"}]
            operation = await call(
                channel,
                "InstanceService.BatchCreateInstances",
                parent="orgs/default",
                requests=requests,
            )
            failed = await ended(channel, operation)
            assert "remove-foreign" in str(failed)
            assert await foreign(channel) == [made.uid]

    play(scene)
