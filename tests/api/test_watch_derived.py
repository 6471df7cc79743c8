"""A watch tells what is counted and listed out of other records as Get and List do, and when."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from fifo.model import keys
from fifo.v1 import image_pb2, network_pb2, package_pb2, snapshot_pb2
from tests.api.calls import call, done, stream
from tests.api.stage import PACKAGE
from tests.api.test_instances import WEB, ZONE, create
from tests.api.test_watch import WATCH, Event, snapshot, until

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.api.stage import Stage

    Play = Callable[..., None]

KINDS: dict[str, Any] = {
    "fifo/Image": image_pb2.Image,
    "fifo/Package": package_pb2.Package,
    "fifo/Network": network_pb2.Network,
    "fifo/Address": network_pb2.Address,
    "fifo/Snapshot": snapshot_pb2.Snapshot,
}
SIZED = ZONE | {"package": "packages/small"}
COUNTED = ["fifo/Image", "fifo/Package", "fifo/Network"]


def resource(event: Any) -> Any:
    """Unpack what an event tells."""
    made = KINDS[event.resource_type]()
    assert event.resource.Unpack(made)
    return made


def kept(events: list[Any]) -> dict[str, Any]:
    """Give what a watcher that keeps a copy of everything has after some events."""
    copy: dict[str, Any] = {}
    for event in events:
        if event.type == Event.DELETED:
            del copy[event.name]
        else:
            copy[event.name] = resource(event)
    return copy


async def counted(channel: Any) -> dict[str, Any]:
    """Read everything that has counts."""
    images = await call(channel, "ImageService.ListImages")
    packages = await call(channel, "PackageService.ListPackages")
    networks = await call(channel, "NetworkService.ListNetworks")
    found = (*images.images, *packages.packages, *networks.networks)
    return {own.name: own for own in found}


@pytest.mark.parametrize("changes", [16_384, 4], ids=["from memory", "from the store's history"])
def test_a_watcher_that_keeps_a_copy_has_the_counts_that_lists_give(
    play: Play, changes: int
) -> None:
    async def scene(stage: Stage) -> None:
        async with stage.channel() as channel:
            watch = stream(channel, WATCH, snapshot=True, resource_types=COUNTED)
            told, token = await snapshot(watch)
            watch.cancel()
            assert kept(told) == await counted(channel)
            # Image, package and network change with each, the network for the end's release too.
            for own in ("one", "two"):
                await create(channel, own, SIZED)
            gone = await call(channel, "InstanceService.DeleteInstance", name=WEB[:-3] + "one")
            await done(channel, gone)
            wanted = await counted(channel)
            assert wanted["packages/small"].instance_count == 1
            assert wanted["images/base"].instance_count == 1
            assert [pool.claimed_count for pool in wanted["networks/lan"].pools] == [1, 1]
            watch = stream(channel, WATCH, resume_token=token, resource_types=COUNTED)
            while kept(told) != wanted:
                told += (await until(watch, 1))[0]
            counts = [resource(e).instance_count for e in told if e.name == "packages/small"]
            assert counts == [0, 1, 2, 1], "each change once and in order"
            watch.cancel()
            watch = stream(channel, WATCH, snapshot=True, resource_types=COUNTED)
            present, _ = await snapshot(watch)
            assert kept(present) == wanted
            watch.cancel()

    play(scene, changes_kept=changes)


def test_a_filter_looks_at_counts_and_a_change_that_leaves_them_tells_nothing(play: Play) -> None:
    async def scene(stage: Stage) -> None:
        async with stage.channel() as channel:
            watch = stream(
                channel, WATCH, snapshot=True, resource_types=["fifo/Package"],
                filter="instance_count = 1",
            )  # fmt: skip
            assert (await snapshot(watch))[0] == []
            made = await create(channel, "web", SIZED)
            (event,), _ = await until(watch, 1)
            assert (event.type, resource(event).instance_count) == (Event.CREATED, 1)
            spec = stage.catalog.specs.record(made.uid)
            assert spec is not None
            renamed = msgspec.structs.replace(spec, alias="x", generation=spec.generation + 1)
            await stage.write(keys.INSTANCE_SPEC, made.uid, renamed)
            await create(channel, "other", SIZED)
            (event,), _ = await until(watch, 1)
            assert (event.type, event.out_of_filter) == (Event.DELETED, True)
            assert stage.catalog.usage.packages[PACKAGE] == 2
            watch.cancel()

    play(scene)


@pytest.mark.parametrize("changes", [16_384, 4], ids=["from memory", "from the store's history"])
def test_snapshots_are_told_from_a_token_on_without_gap_or_repetition(
    play: Play, changes: int
) -> None:
    async def scene(stage: Stage) -> None:
        async with stage.channel() as channel:
            await create(channel)
            await take(channel, "before")
            watch = stream(channel, WATCH, snapshot=True, resource_types=["fifo/Snapshot"])
            told, token = await snapshot(watch)
            watch.cancel()
            name = f"{WEB}/snapshots/before"
            assert [(event.type, event.name) for event in told] == [(Event.CURRENT, name)]
            listed = await call(channel, "SnapshotService.GetSnapshot", name=name)
            assert resource(told[0]) == listed
            for own in ("one", "two"):
                await take(channel, own)
            await done(channel, await call(channel, "SnapshotService.DeleteSnapshot", name=name))
            await done(channel, await call(channel, "InstanceService.StopInstance", name=WEB))
            await done(
                channel, await call(channel, "InstanceService.DeleteInstance", name=WEB, force=True)
            )
            watch = stream(channel, WATCH, resume_token=token, resource_types=["fifo/Snapshot"])
            told, _ = await until(watch, 5)
            assert [(event.type, event.name.rpartition("/")[2]) for event in told] == [
                (Event.CREATED, "one"),
                (Event.CREATED, "two"),
                (Event.DELETED, "before"),
                (Event.DELETED, "one"),
                (Event.DELETED, "two"),
            ]
            assert resource(told[-1]).name == f"{WEB}/snapshots/two"
            watch.cancel()

    play(scene, changes_kept=changes)


def test_snapshots_are_narrowed_by_parent_and_filter(play: Play) -> None:
    async def scene(stage: Stage) -> None:
        async with stage.channel() as channel:
            for own in ("web", "other"):
                await create(channel, own)
            watch = stream(
                channel, WATCH, snapshot=True, resource_types=["fifo/Snapshot"], parent=WEB,
                filter=f'name != "{WEB}/snapshots/one"',
            )  # fmt: skip
            assert (await snapshot(watch))[0] == []
            await take(channel, "one")
            await take(channel, "two", WEB[:-3] + "other")
            await take(channel, "three")
            (event,), _ = await until(watch, 1)
            assert event.name == f"{WEB}/snapshots/three"
            watch.cancel()

    play(scene)


async def take(channel: Any, own: str, instance: str = WEB) -> None:
    """Have a snapshot made, and wait for it."""
    operation = await call(
        channel, "SnapshotService.CreateSnapshot", parent=instance, snapshot_id=own
    )
    await done(channel, operation)


def test_an_address_whose_instance_is_gone_is_told_as_owed(play: Play) -> None:
    async def scene(stage: Stage) -> None:
        async with stage.channel() as channel:
            made = await create(channel)
            watch = stream(channel, WATCH, snapshot=True, resource_types=["fifo/Address"])
            told, _ = await snapshot(watch)
            assert {resource(event).state for event in told} == {network_pb2.Address.CLAIMED}
            await stage.store.delete(keys.by_uid(keys.INSTANCE_SPEC, made.uid))
            told, _ = await until(watch, 2)
            assert {resource(event).state for event in told} == {network_pb2.Address.OWED}
            watch.cancel()

    play(scene)
