"""Stops and reboots with a time of their own, and by force: the guests here go on until forced."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from fifo.hypervisors.simulated.faults import Fault
from fifo.hypervisors.simulated.settings import HostSettings
from fifo.model.limits import STOP_PATIENCE_MOST_S
from fifo.v1 import instance_pb2, operation_pb2
from tests.api.calls import call, done, ended, metadata_of, refused
from tests.api.test_instances import WEB, create, get

if TYPE_CHECKING:
    from collections.abc import Callable

    import grpc.aio

    from fifo.model.instance import InstanceSpec
    from fifo.model.operation import Operation
    from tests.api.stage import Stage

    Play = Callable[..., None]

Instance = instance_pb2.Instance
OperationMetadata = operation_pb2.OperationMetadata
HANGING = HostSettings(faults=(Fault("stop", "deaf"),))
AN_HOUR = {"seconds": 3_600}


async def stop(channel: grpc.aio.Channel, verb: str = "Stop", **fields: Any) -> Any:
    return await call(channel, f"InstanceService.{verb}Instance", name=WEB, **fields)


def spec(stage: Stage) -> InstanceSpec:
    (entry,) = stage.catalog.specs
    return entry.record


def is_forced(stage: Stage) -> bool:
    (guest,) = stage.simulated.guests.values()
    return guest.exit is not None and guest.exit.forced


def stored(stage: Stage, operation: Any) -> Operation:
    record = stage.catalog.operations.record(operation.name.removeprefix("operations/"))
    assert record is not None
    return record


async def state_is(stage: Stage, state: str) -> None:
    """Wait until the status says so."""
    await stage.catalog.when(
        stage.catalog.statuses,
        spec(stage).uid,
        lambda entry: entry is not None and entry.record.state == state,
    )


@pytest.mark.parametrize(
    "fields", [{"force": True}, {"timeout": {}}, {"timeout": {"nanos": 200_000_000}}]
)
def test_a_guest_that_hangs_is_forced_when_it_is_asked_for(
    play: Play, fields: dict[str, Any]
) -> None:
    async def scene(stage: Stage) -> None:
        async with stage.channel() as channel:
            await create(channel)
            made = await done(channel, await stop(channel, **fields), Instance())
            assert made.state == Instance.STOPPED
            assert is_forced(stage)

    play(scene, HANGING)


def test_force_counts_more_than_a_timeout(play: Play) -> None:
    async def scene(stage: Stage) -> None:
        async with stage.channel() as channel:
            await create(channel)
            await done(channel, await stop(channel, force=True, timeout=AN_HOUR))

    play(scene, HANGING)


def test_a_reboot_by_force_starts_a_guest_that_hangs_anew(play: Play) -> None:
    async def scene(stage: Stage) -> None:
        async with stage.channel() as channel:
            before = await create(channel)
            made = await done(channel, await stop(channel, "Reboot", force=True), Instance())
            assert made.state == Instance.RUNNING
            assert made.pid != before.pid

    play(scene, HANGING)


def test_a_long_timeout_moves_the_deadline_of_the_operation(play: Play) -> None:
    async def scene(stage: Stage) -> None:
        async with stage.channel() as channel:
            await create(channel)
            record = stored(stage, await stop(channel, timeout=AN_HOUR))
            assert record.deadline - record.create_time >= STOP_PATIENCE_MOST_S + 60.0

    play(scene, HANGING)


@pytest.mark.parametrize(("verb", "state"), [("Stop", "STOPPED"), ("Reboot", "RUNNING")])
def test_force_shortens_what_is_under_way_and_both_are_done(
    play: Play, verb: str, state: str
) -> None:
    async def scene(stage: Stage) -> None:
        async with stage.channel() as channel:
            await create(channel)
            slow = await stop(channel, verb, timeout=AN_HOUR)
            await state_is(stage, "stopping")
            boot_generation = spec(stage).boot_generation
            forced = await stop(channel, verb, force=True)
            assert forced.name != slow.name
            for operation in (forced, slow):
                made = await done(channel, operation, Instance())
                assert made.state == Instance.State.Value(state)
            assert spec(stage).boot_generation == boot_generation
            (guest,) = stage.simulated.guests.values()
            assert guest.start_id == (2 if verb == "Reboot" else 1)
            assert stage.catalog.busy == {}

    play(scene, HANGING)


def test_force_is_heard_before_the_status_tells_of_the_stop(play: Play) -> None:
    async def scene(stage: Stage) -> None:
        async with stage.channel() as channel:
            await create(channel)
            slow = await stop(channel, timeout=AN_HOUR)
            forced = await stop(channel, force=True)
            for operation in (slow, forced):
                await done(channel, operation)

    play(scene, HANGING)


def test_a_stop_of_what_is_stopping_answers_with_the_operation_that_does_it(play: Play) -> None:
    async def scene(stage: Stage) -> None:
        stage.simulated.faults.add(Fault("stop", "hang"))
        async with stage.channel() as channel:
            await create(channel)
            first = await stop(channel)
            await state_is(stage, "stopping")
            assert (await stop(channel)).name == first.name
            forced = await stop(channel, force=True)
            assert (await stop(channel, force=True)).name in {first.name, forced.name}
            assert len(stage.catalog.busy[spec(stage).uid]) == 2

    play(scene)


def test_nothing_else_goes_beside_a_stop_or_a_reboot(play: Play) -> None:
    async def scene(stage: Stage) -> None:
        async with stage.channel() as channel:
            await create(channel)
            reboot = await stop(channel, "Reboot", timeout=AN_HOUR)
            await state_is(stage, "stopping")
            told = await refused(stop(channel, force=True))
            assert (told.code, told.reason) == ("ABORTED", "RESOURCE_BUSY")
            await done(channel, await stop(channel, "Reboot", force=True))
            await done(channel, reboot)
            slow = await stop(channel, timeout=AN_HOUR)
            await state_is(stage, "stopping")
            told = await refused(stop(channel, "Reboot", force=True))
            assert told.code == "FAILED_PRECONDITION"
            await done(channel, await stop(channel, force=True))
            await done(channel, slow)

    play(scene, HANGING)


def test_the_patience_of_one_stop_is_not_that_of_the_next_change(play: Play) -> None:
    async def scene(stage: Stage) -> None:
        async with stage.channel() as channel:
            await create(channel)
            await done(channel, await stop(channel, force=True))
            assert spec(stage).patience_s == 0.0
            given = {"name": WEB, "alias": "renamed"}
            change = await call(channel, "InstanceService.UpdateInstance", instance=given)
            await done(channel, change)
            assert spec(stage).patience_s is None
            await done(channel, await stop(channel, "Start"))
            await stop(channel)
            assert spec(stage).patience_s is None

    play(scene)


def test_an_update_that_changes_nothing_is_done_at_once_after_a_stop_by_force(play: Play) -> None:
    async def scene(stage: Stage) -> None:
        async with stage.channel() as channel:
            await create(channel)
            await done(channel, await stop(channel, force=True))
            given = {"name": WEB, "alias": ""}
            again = await call(channel, "InstanceService.UpdateInstance", instance=given)
            assert again.done

    play(scene)


def test_a_delete_does_not_wait_for_a_stop(play: Play) -> None:
    async def scene(stage: Stage) -> None:
        async with stage.channel() as channel:
            await create(channel)
            slow = await stop(channel, timeout=AN_HOUR)
            await state_is(stage, "stopping")
            await done(channel, await call(channel, "InstanceService.DeleteInstance", name=WEB))
            assert (await ended(channel, slow)).HasField("error")
            assert (await refused(get(channel))).code == "NOT_FOUND"

    play(scene, HANGING)


@pytest.mark.parametrize("verb", ["Stop", "Reboot"])
def test_a_stop_or_reboot_that_is_cancelled_forces_nobody(play: Play, verb: str) -> None:
    async def scene(stage: Stage) -> None:
        async with stage.channel() as channel:
            before = await create(channel)
            slow = await stop(channel, verb, timeout=AN_HOUR)
            await state_is(stage, "stopping")
            await call(channel, "Operations.CancelOperation", name=slow.name)
            told = await ended(channel, slow)
            assert metadata_of(told).state == OperationMetadata.CANCELLED
            await state_is(stage, "running")
            now = await get(channel)
            assert (now.desired_state, now.pid) == (Instance.RUNNING, before.pid)
            # A later one is another one.
            made = await done(channel, await stop(channel, "Reboot", force=True), Instance())
            assert made.pid != before.pid

    play(scene, HANGING)


def test_a_timeout_beyond_an_hour_is_refused_with_the_bounds(play: Play) -> None:
    async def scene(stage: Stage) -> None:
        async with stage.channel() as channel:
            told = await refused(stop(channel, timeout={"seconds": 3_601}))
            (violation,) = told.details["BadRequest"].field_violations
            assert violation.field == "timeout"
            assert "0 s to 3,600 s" in violation.description

    play(scene)


def test_to_validate_only_changes_nothing(play: Play) -> None:
    async def scene(stage: Stage) -> None:
        async with stage.channel() as channel:
            await create(channel)
            assert (await stop(channel, force=True, validate_only=True)).done
            assert (await get(channel)).state == Instance.RUNNING

    play(scene)
