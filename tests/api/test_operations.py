"""Operations as every client of google.longrunning knows them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from google.longrunning import operations_pb2

from fifo.hypervisors.simulated.faults import Fault
from fifo.hypervisors.simulated.settings import HostSettings
from fifo.model import keys
from fifo.v1.operation_pb2 import OperationMetadata
from tests.api.calls import call, ended, metadata_of, refused
from tests.api.test_instances import WEB, ZONE, create, get

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.api.stage import Stage

    Play = Callable[..., None]

SLOW = HostSettings(latency_s={"create": (0.3, 0.3)})


def test_a_wait_ends_with_the_operation_or_with_its_time(play: Play) -> None:
    async def scene(stage: Stage) -> None:
        async with stage.channel() as channel:
            operation = await call(
                channel,
                "InstanceService.CreateInstance",
                parent="orgs/default",
                instance_id="web",
                instance=ZONE,
            )
            waited = await call(
                channel, "Operations.WaitOperation", name=operation.name, timeout={"nanos": 10**7}
            )
            assert not waited.done
            assert metadata_of(waited).stage in {"place", "realise", "start"}
            waiters = stage.catalog.waiting[keys.OPERATION, operation.name.rpartition("/")[2]]
            assert len(waiters) == 1, "but for who runs it, nobody waits"
            waiting = asyncio.create_task(
                call(channel, "Operations.WaitOperation", name=operation.name)
            )
            await call(channel, "Operations.CancelOperation", name=operation.name)
            assert (await waiting).done

    play(scene, SLOW)


class Patient:
    """The call of a caller who set no deadline, and may go away."""

    def remaining_s(self) -> None:
        """Tell that there is none."""


def test_a_caller_who_goes_away_waits_no_more(play: Play) -> None:
    async def scene(stage: Stage) -> None:
        async with stage.channel() as channel:
            operation = await call(
                channel,
                "InstanceService.CreateInstance",
                parent="orgs/default",
                instance_id="web",
                instance=ZONE,
            )
            waiters = stage.catalog.waiting[keys.OPERATION, operation.name.rpartition("/")[2]]
            before = len(waiters)
            service: Any = stage.api.services.objects["google.longrunning.Operations"][0]
            asked = operations_pb2.WaitOperationRequest(name=operation.name)
            # By hand, so that it is left at the moment it waits.
            serving = service.wait_operation(asked, Patient())
            serving.send(None)
            assert len(waiters) == before + 1
            with pytest.raises(asyncio.CancelledError):
                serving.throw(asyncio.CancelledError())
            assert len(waiters) == before

    play(scene, SLOW)


def test_a_cancelled_operation_is_undone_and_says_so(play: Play) -> None:
    async def scene(stage: Stage) -> None:
        async with stage.channel() as channel:
            operation = await call(
                channel,
                "InstanceService.CreateInstance",
                parent="orgs/default",
                instance_id="web",
                instance=ZONE,
            )
            await call(channel, "Operations.CancelOperation", name=operation.name)
            operation = await ended(channel, operation)
            assert operation.error.code == 1
            metadata = metadata_of(operation)
            assert metadata.state == OperationMetadata.CANCELLED
            assert metadata.requested_cancellation
            assert (await refused(get(channel))).code == "NOT_FOUND"
            await call(channel, "Operations.CancelOperation", name=operation.name)

    play(scene, SLOW)


def test_a_failed_operation_carries_the_hosts_words(play: Play) -> None:
    async def scene(stage: Stage) -> None:
        async with stage.channel() as channel:
            operation = await call(
                channel,
                "InstanceService.CreateInstance",
                parent="orgs/default",
                instance_id="web",
                instance=ZONE,
            )
            operation = await ended(channel, operation)
            assert operation.HasField("error")
            assert metadata_of(operation).state == OperationMetadata.FAILED
            assert operation.error.message.startswith(f"{WEB}: ")

    play(scene, HostSettings(faults=(Fault("create", "error", text="the disk is on fire"),)))


def test_operations_are_listed_by_filter_and_deleted_when_they_ended(play: Play) -> None:
    async def scene(stage: Stage) -> None:
        async with stage.channel() as channel:
            await create(channel, "web")
            await create(channel, "db")
            listed = await call(channel, "Operations.ListOperations", name="operations")
            assert len(listed.operations) == 2
            one = await call(
                channel, "Operations.ListOperations", filter=f'target = "{WEB}" AND state = DONE'
            )
            assert [metadata_of(operation).target for operation in one.operations] == [WEB]
            first = await call(channel, "Operations.ListOperations", page_size=1)
            second = await call(
                channel, "Operations.ListOperations", page_size=1, page_token=first.next_page_token
            )
            names = {first.operations[0].name, second.operations[0].name}
            assert names == {operation.name for operation in listed.operations}
            name = listed.operations[0].name
            await call(channel, "Operations.DeleteOperation", name=name)
            told = await refused(call(channel, "Operations.GetOperation", name=name))
            assert told.code == "NOT_FOUND"
            assert told.details["ResourceInfo"].resource_type == "google.longrunning/Operation"

    play(scene)


def test_one_that_runs_is_not_deleted_and_a_wrong_name_is_told(play: Play) -> None:
    async def scene(stage: Stage) -> None:
        async with stage.channel() as channel:
            operation = await call(
                channel,
                "InstanceService.CreateInstance",
                parent="orgs/default",
                instance_id="web",
                instance=ZONE,
            )
            told = await refused(call(channel, "Operations.DeleteOperation", name=operation.name))
            assert told.code == "FAILED_PRECONDITION"
            told = await refused(call(channel, "Operations.GetOperation", name="nonsense"))
            assert told.fields == ["name"]
            told = await refused(call(channel, "InstanceService.StartInstance", name=WEB))
            assert told.code == "FAILED_PRECONDITION"
            await call(channel, "Operations.CancelOperation", name=operation.name)
            await ended(channel, operation)

    play(scene, SLOW)


def test_an_import_tells_how_many_of_its_bytes_have_come(play: Play) -> None:
    async def scene(stage: Stage) -> None:
        async with stage.channel() as channel:
            operation = await call(
                channel,
                "ImageService.ImportImage",
                image_id="large",
                format="ROOTFS_TAR",
                url="https://images.example.org/large.tar",
            )
            seen = []
            while not operation.done:
                name, soon = operation.name, {"nanos": 10**7}
                operation = await call(channel, "Operations.WaitOperation", name=name, timeout=soon)
                seen.append(metadata_of(operation))
            began = [one for one in seen if 0 < one.transferred_bytes < one.total_bytes]
            assert began
            assert all(0 < one.progress_percent < 100 for one in began)
            assert seen[-1].transferred_bytes == seen[-1].total_bytes == began[0].total_bytes

    play(scene, HostSettings(transfer_bytes_s=40_000_000.0))


def test_who_waits_for_an_operation_without_a_name_is_told_that_it_is_done(play: Play) -> None:
    async def scene(stage: Stage) -> None:
        async with stage.channel() as channel:
            await create(channel)
            operation = await call(channel, "InstanceService.StartInstance", name=WEB)
            assert (operation.done, operation.name) == (True, "")
            for method in ("GetOperation", "WaitOperation"):
                told = await refused(call(channel, f"Operations.{method}", name=operation.name))
                assert (told.code, told.fields) == ("INVALID_ARGUMENT", ["name"])
                assert "an operation without one is done" in told.message

    play(scene)
