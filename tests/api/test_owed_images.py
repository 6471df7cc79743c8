"""An image that is deleted while a host is away leaves that host's disk when it is back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fifo.agent.names import agent
from fifo.model import keys
from fifo.v1 import hypervisor_pb2
from supervisors import restart_child, terminate_child
from tests.api.calls import call, done, ended, metadata_of, stream
from tests.api.stage import HOST, IMAGE
from tests.api.test_instances import WEB, create
from tests.api.test_watch import WATCH, until

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.api.stage import Stage

    Play = Callable[..., None]


async def went_away(stage: Stage) -> None:
    """End the host's agent, and wait until its session knows."""
    await terminate_child(stage.root, agent(HOST))
    await condition(stage, "unreachable")


async def came_back(stage: Stage) -> None:
    await restart_child(stage.root, agent(HOST))
    await condition(stage, "ready")


async def condition(stage: Stage, wanted: str) -> None:
    await stage.catalog.when(
        stage.catalog.host_statuses,
        HOST,
        lambda entry: entry is not None and entry.record.condition == wanted,
    )


async def host(channel: Any) -> Any:
    return await call(channel, "HypervisorService.GetHypervisor", name="hypervisors/host-1")


def test_a_host_that_was_away_removes_a_deleted_image_when_it_is_back(play: Play) -> None:
    async def scene(stage: Stage) -> None:
        async with stage.channel() as channel:
            await create(channel)
            await done(channel, await call(channel, "InstanceService.DeleteInstance", name=WEB))
            assert IMAGE in stage.simulated.images
            await went_away(stage)
            watch = stream(channel, WATCH, resource_types=["fifo/Hypervisor"])
            operation = await call(channel, "ImageService.DeleteImage", name="images/base")
            operation = await ended(channel, operation)
            assert not operation.HasField("error")
            owed = ["hypervisors/host-1 still has to remove images/base"]
            assert list(metadata_of(operation).owed_cleanups) == owed
            assert list((await host(channel)).owed_images) == [IMAGE]
            (event,), _ = await until(watch, 1)
            seen = hypervisor_pb2.Hypervisor()
            assert event.resource.Unpack(seen)
            assert (list(seen.owed_images), list(seen.owed_cleanups)) == ([IMAGE], [])
            assert IMAGE in stage.simulated.images
            await came_back(stage)
            path = keys.cleanup(HOST, IMAGE)[len(keys.CLEANUP) :].decode()
            await stage.catalog.when(stage.catalog.cleanups, path, lambda entry: entry is None)
            assert IMAGE not in stage.simulated.images
            assert not (await host(channel)).owed_images
            watch.cancel()

    play(scene)


def test_an_image_of_a_host_that_is_there_is_gone_with_the_operation(play: Play) -> None:
    async def scene(stage: Stage) -> None:
        async with stage.channel() as channel:
            await create(channel)
            await done(channel, await call(channel, "InstanceService.DeleteInstance", name=WEB))
            operation = await call(channel, "ImageService.DeleteImage", name="images/base")
            operation = await ended(channel, operation)
            assert not metadata_of(operation).owed_cleanups
            assert IMAGE not in stage.simulated.images
            assert not len(stage.catalog.cleanups)

    play(scene)
