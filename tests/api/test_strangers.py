"""What a host runs and a restored store does not know: listed, kept, removed on request."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from google.protobuf import empty_pb2

from fifo.hypervisors.simulated.faults import Fault
from fifo.model import keys
from fifo.v1 import instance_pb2
from tests.api.calls import call, done, ended, refused
from tests.api.estranging import NAME, addresses, estranged, foreign, forget, greet_again, leftover
from tests.api.stage import HOST
from tests.api.test_instances import WEB, create, get

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.api.stage import Stage

    Play = Callable[..., None]

REMOVE = "HypervisorService.RemoveForeignInstance"
REQUEST = "00000000-0000-4000-8000-00000000eeee"
ELSE = "00000000-0000-4000-8000-00000000ffff"


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


def test_a_foreign_instance_is_removed_on_request_and_its_addresses_are_given_back(
    play: Play,
) -> None:
    async def scene(stage: Stage) -> None:
        async with stage.channel() as channel:
            made = await estranged(stage, channel)
            assert await addresses(channel) == set(made.addresses)
            told = await call(channel, REMOVE, name=NAME, uid=made.uid, validate_only=True)
            assert told.done
            assert made.uid in stage.simulated.guests
            operation = await call(channel, REMOVE, name=NAME, uid=made.uid)
            await done(channel, operation, empty_pb2.Empty())
            assert made.uid not in stage.simulated.guests
            assert await foreign(channel) == []
            assert await addresses(channel) == set()
            await greet_again(stage)
            assert await foreign(channel) == []
            gone = await refused(call(channel, REMOVE, name=NAME, uid=made.uid))
            assert gone.code == "NOT_FOUND"

    play(scene)


def test_a_leftover_that_the_agent_does_not_know_either_is_removed(play: Play) -> None:
    async def scene(stage: Stage) -> None:
        async with stage.channel() as channel:
            made = await leftover(stage, channel)
            operation = await call(channel, REMOVE, name=NAME, uid=made.uid)
            await done(channel, operation, empty_pb2.Empty())
            assert made.uid not in stage.simulated.guests
            assert await foreign(channel) == []
            await greet_again(stage)
            assert await foreign(channel) == []

    play(scene)


def test_what_is_not_foreign_is_not_removed(play: Play) -> None:
    async def scene(stage: Stage) -> None:
        async with stage.channel() as channel:
            made = await create(channel)
            known = await refused(call(channel, REMOVE, name=NAME, uid=made.uid))
            assert known.code == "FAILED_PRECONDITION"
            assert "fifo instance delete web" in known.message
            for uid, name, code in (
                (ELSE, NAME, "NOT_FOUND"),
                (ELSE, "hypervisors/none", "NOT_FOUND"),
                ("", NAME, "INVALID_ARGUMENT"),
                ("web", NAME, "INVALID_ARGUMENT"),
            ):
                told = await refused(call(channel, REMOVE, name=name, uid=uid))
                assert told.code == code, uid
            assert made.uid in stage.simulated.guests

    play(scene)


def test_a_host_that_refuses_the_removal_keeps_the_instance_listed_and_it_can_be_asked_again(
    play: Play,
) -> None:
    async def scene(stage: Stage) -> None:
        async with stage.channel() as channel:
            made = await leftover(stage, channel)
            stage.simulated.faults.add(Fault("delete", "error", times=1))
            operation = await call(channel, REMOVE, name=NAME, uid=made.uid)
            assert (await ended(channel, operation)).HasField("error")
            assert await foreign(channel) == [made.uid]
            again = await call(channel, REMOVE, name=NAME, uid=made.uid)
            await done(channel, again, empty_pb2.Empty())
            assert await foreign(channel) == []

    play(scene)


def test_a_repeated_request_and_a_second_one_remove_it_once(play: Play) -> None:
    async def scene(stage: Stage) -> None:
        async with stage.channel() as channel:
            made = await estranged(stage, channel)
            asked = {"name": NAME, "uid": made.uid, "request_id": REQUEST}
            first = await call(channel, REMOVE, **asked)
            assert (await call(channel, REMOVE, **asked)).name == first.name
            await done(channel, first, empty_pb2.Empty())
            assert (await call(channel, REMOVE, **asked)).name == first.name

    play(scene)


def test_while_a_host_is_not_heard_of_it_is_said_that_nobody_knows(play: Play) -> None:
    async def scene(stage: Stage) -> None:
        async with stage.channel() as channel:
            status = stage.catalog.host_statuses.record(HOST)
            assert status is not None
            gone = msgspec.structs.replace(status, condition="unreachable")
            await stage.write(keys.HYPERVISOR_STATUS, HOST, gone)
            told = await refused(call(channel, REMOVE, name=NAME, uid=ELSE))
            assert (told.code, "RetryInfo" in told.details) == ("UNAVAILABLE", True)

    play(scene)
