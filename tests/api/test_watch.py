"""A watch tells every change once and in order, across breaks, overloads and restarts."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import grpc.aio
import msgspec
import pytest

from fifo.model import keys, records
from fifo.v1 import event_service_pb2, instance_pb2, package_pb2
from tests.api.calls import call, done, end_of, refusal_of, refused, stream
from tests.api.stage import PACKAGE
from tests.api.test_instances import WEB, create

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.api.stage import Stage

    Play = Callable[..., None]

WATCH = "EventService.Watch"
Event = event_service_pb2.WatchEvent
PACKAGES = ["fifo/Package"]


async def until(watch: Any, count: int) -> tuple[list[Any], str]:
    """Read events until there are so many; gives them and the last token."""
    events: list[Any] = []
    token = ""
    async with asyncio.timeout(10):
        while len(events) < count:
            frame = await watch.read()
            assert frame is not grpc.aio.EOF
            events += frame.events
            token = frame.resume_token
    return events, token


async def snapshot(watch: Any) -> tuple[list[Any], str]:
    """Read the snapshot that a watch begins with."""
    events: list[Any] = []
    async with asyncio.timeout(10):
        while True:
            frame = await watch.read()
            events += frame.events
            if frame.snapshot_done:
                return events, frame.resume_token
            assert not frame.resume_token, "there is no place to go on from before the end"


async def change(stage: Stage, number: int) -> int:
    """Change a package beside the API; gives the revision."""
    package = stage.catalog.packages.record(PACKAGE)
    assert package is not None
    changed = msgspec.structs.replace(package, description=str(number))
    reply = await stage.store.put(keys.by_uid(keys.PACKAGE, PACKAGE), records.encode(changed))
    return int(reply.revision)


def numbers(events: list[Any]) -> list[int]:
    """Give the numbers of the changes that were told."""
    found = []
    for event in events:
        package = package_pb2.Package()
        assert event.resource.Unpack(package)
        found.append(int(package.description or 0))
    return found


def test_a_watch_begins_with_what_there_is_and_goes_on_with_what_changes(play: Play) -> None:
    async def scene(stage: Stage) -> None:
        async with stage.channel() as channel:
            watch = stream(channel, WATCH, snapshot=True)
            events, token = await snapshot(watch)
            assert {(event.resource_type, event.name) for event in events} == {
                ("fifo/Hypervisor", "hypervisors/host-1"),
                ("fifo/Image", "images/base"),
                ("fifo/Image", "images/disk"),
                ("fifo/Network", "networks/lan"),
                ("fifo/Package", "packages/small"),
            }
            assert {event.type for event in events} == {Event.CURRENT}
            assert token
            await call(channel, "PackageService.CreatePackage", package_id="big", package={})
            (event,), _ = await until(watch, 1)
            assert (event.type, event.name) == (Event.CREATED, "packages/big")
            assert event.time.seconds > 0
            await call(channel, "PackageService.DeletePackage", name="packages/big")
            (event,), _ = await until(watch, 1)
            assert (event.type, event.uid, event.out_of_filter) == (
                Event.DELETED, event.uid, False,
            )  # fmt: skip
            watch.cancel()

    play(scene)


def test_the_life_of_an_instance_is_told_in_order(play: Play) -> None:
    async def scene(stage: Stage) -> None:
        async with stage.channel() as channel:
            watch = stream(channel, WATCH, snapshot=True, resource_types=["fifo/Instance"])
            await snapshot(watch)
            await create(channel)
            await done(channel, await call(channel, "InstanceService.DeleteInstance", name=WEB))
            told: list[Any] = []
            while not told or told[-1].type != Event.DELETED:
                more, _ = await until(watch, 1)
                told += more
            assert told[0].type == Event.CREATED
            assert {event.type for event in told[1:-1]} == {Event.UPDATED}
            states = []
            for event in told:
                instance = instance_pb2.Instance()
                event.resource.Unpack(instance)
                states.append(instance_pb2.Instance.State.Name(instance.state))
            assert [state for n, state in enumerate(states) if state != states[n - 1]][:2] != []
            assert states.index("RUNNING") < states.index("DELETING")
            watch.cancel()

    play(scene)


def test_a_list_and_the_watch_after_it_have_no_gap_between_them(play: Play) -> None:
    async def scene(stage: Stage) -> None:
        async with stage.channel() as channel:
            await create(channel, "before")
            listed = await call(channel, "InstanceService.ListInstances", parent="orgs/default")
            assert [one.name.rpartition("/")[2] for one in listed.instances] == ["before"]
            await create(channel, "after")
            watch = stream(
                channel,
                WATCH,
                resume_token=listed.resume_token,
                resource_types=["fifo/Instance"],
                parent="orgs/default",
            )
            events, _ = await until(watch, 3)
            assert {event.name.rpartition("/")[2] for event in events} == {"after"}
            assert events[0].type == Event.CREATED
            watch.cancel()

    play(scene)


@pytest.mark.parametrize("kept", [16_384, 40], ids=["from memory", "from the store's history"])
def test_breaks_under_load_lose_and_repeat_nothing(play: Play, kept: int) -> None:
    count = 400

    async def scene(stage: Stage) -> None:
        async def load() -> None:
            for number in range(1, count + 1):
                await change(stage, number)

        async with stage.channel() as channel:
            watch = stream(channel, WATCH, snapshot=True, resource_types=PACKAGES)
            _, token = await snapshot(watch)
            loading = asyncio.create_task(load())
            told: list[int] = []
            while len(told) < count:
                watch.cancel()
                watch = stream(channel, WATCH, resume_token=token, resource_types=PACKAGES)
                wanted = min(len(told) + 37, count)
                while len(told) < wanted:
                    try:
                        events, token = await until(watch, 1)
                    except grpc.aio.AioRpcError as error:
                        # Memory holds less than is changed at a time: go on from the last token.
                        ended = refusal_of(error)
                        assert ended.reason == "WATCH_OVERFLOW"
                        assert ended.trailing["fifo-resume-token"]
                        break
                    told += numbers(events)
            await loading
            assert told == list(range(1, count + 1))
            watch.cancel()

    play(scene, changes_kept=kept)


def test_a_token_is_good_for_the_same_question_after_a_restart_of_the_api(play: Play) -> None:
    async def scene(stage: Stage) -> None:
        async with stage.channel() as channel:
            watch = stream(channel, WATCH, snapshot=True, resource_types=PACKAGES)
            _, token = await snapshot(watch)
        await change(stage, 1)
        await stage.api.stop(0)
        await stage.start_api()
        await change(stage, 2)
        async with stage.channel() as channel:
            watch = stream(channel, WATCH, resume_token=token, resource_types=PACKAGES)
            events, _ = await until(watch, 2)
            assert numbers(events) == [1, 2]
            watch.cancel()

    play(scene)


def test_what_no_longer_matches_a_filter_is_told_as_gone_for_this_watcher(play: Play) -> None:
    async def scene(stage: Stage) -> None:
        async with stage.channel() as channel:
            await create(channel)
            watch = stream(
                channel, WATCH, snapshot=True, resource_types=["fifo/Instance"],
                filter="state = RUNNING", read_mask={"paths": ["name", "state"]},
            )  # fmt: skip
            events, _ = await snapshot(watch)
            assert [event.name for event in events] == [WEB]
            seen = instance_pb2.Instance()
            events[0].resource.Unpack(seen)
            assert seen == instance_pb2.Instance(name=WEB, state=instance_pb2.Instance.RUNNING)
            await done(channel, await call(channel, "InstanceService.StopInstance", name=WEB))
            told: list[Any] = []
            while not told or told[-1].type != Event.DELETED:
                told += (await until(watch, 1))[0]
            assert told[-1].out_of_filter
            await done(channel, await call(channel, "InstanceService.StartInstance", name=WEB))
            (event, *_), _ = await until(watch, 1)
            assert event.type == Event.CREATED
            watch.cancel()

    play(scene)


def test_a_parent_narrows_what_is_told(play: Play) -> None:
    async def scene(stage: Stage) -> None:
        async with stage.channel() as channel:
            watch = stream(channel, WATCH, snapshot=True, parent="networks/lan")
            await snapshot(watch)
            await call(channel, "NetworkService.ReserveAddress", parent="networks/lan")
            await create(channel)
            events, _ = await until(watch, 3)
            assert {event.resource_type for event in events} <= {"fifo/Address", "fifo/Network"}
            assert events[0].name == "networks/lan/addresses/10-0-0-10"
            watch.cancel()

    play(scene)


def test_stories_are_told_and_listed(play: Play) -> None:
    async def scene(stage: Stage) -> None:
        async with stage.channel() as channel:
            watch = stream(channel, WATCH, snapshot=True, resource_types=["fifo/Event"])
            await snapshot(watch)
            await create(channel)
            (event, *_), _ = await until(watch, 1)
            assert (event.resource_type, event.type) == ("fifo/Event", Event.CREATED)
            watch.cancel()
            listed = await call(channel, "EventService.ListEvents", parent=WEB)
            assert listed.events
            assert {one.subject for one in listed.events} == {WEB}
            oldest = await call(
                channel, "EventService.ListEvents", parent=WEB, order_by="time", page_size=1
            )
            assert oldest.events[0] == listed.events[-1]
            all_of_them = await call(channel, "EventService.ListEvents")
            assert len(all_of_them.events) == len(listed.events)
            told = await refused(call(channel, "EventService.ListEvents", order_by="kind"))
            assert told.fields == ["order_by"]

    play(scene)


def test_silence_is_broken_by_a_sign_of_life_with_a_fresh_token(play: Play) -> None:
    async def scene(stage: Stage) -> None:
        async with stage.channel() as channel:
            watch = stream(channel, WATCH, resource_types=PACKAGES)
            frame = await watch.read()
            assert not frame.events
            await create(channel)
            await change(stage, 1)
            events, _ = await until(watch, 1)
            assert numbers(events) == [1]
            resumed = stream(
                channel, WATCH, resume_token=frame.resume_token, resource_types=PACKAGES
            )
            events, _ = await until(resumed, 1)
            assert numbers(events) == [1]

    play(scene, heartbeat_s=0.01)


def test_a_watcher_that_does_not_read_is_ended_with_a_token_and_loses_nothing(play: Play) -> None:
    async def scene(stage: Stage) -> None:
        async with stage.channel(None, ("grpc.http2.lookahead_bytes", 1024)) as channel:
            slow = stream(channel, WATCH, snapshot=True, resource_types=PACKAGES)
            await snapshot(slow)
            quick = stream(
                channel,
                WATCH,
                snapshot=True,
                resource_types=PACKAGES,
                read_mask={"paths": ["name"]},
            )
            await snapshot(quick)
            big = "x" * 200_000
            package = stage.catalog.packages.record(PACKAGE)
            assert package is not None
            count = 70
            for number in range(count):
                changed = msgspec.structs.replace(package, description=str(number), tags={"a": big})
                await stage.store.put(keys.by_uid(keys.PACKAGE, PACKAGE), records.encode(changed))
                await until(quick, 1)
            assert not quick.done()
            told: list[int] = []
            ended = await end_of(slow, heard=lambda frame: told.extend(numbers(frame.events)))
            assert (ended.code, ended.reason) == ("RESOURCE_EXHAUSTED", "WATCH_OVERFLOW")
            rest = stream(
                channel,
                WATCH,
                resume_token=ended.trailing["fifo-resume-token"],
                resource_types=PACKAGES,
            )
            events, _ = await until(rest, count - len(told))
            assert told + numbers(events) == list(range(count))
            quick.cancel()
            rest.cancel()

    play(scene, watch_lag=20)


def test_a_node_that_stops_ends_watches_with_their_token(play: Play) -> None:
    async def scene(stage: Stage) -> None:
        async with stage.channel() as channel:
            watch = stream(channel, WATCH, snapshot=True, resource_types=PACKAGES)
            await snapshot(watch)
            await change(stage, 1)
            await until(watch, 1)
            stopping = asyncio.create_task(stage.api.stop(5))
            told = await end_of(watch)
            assert (told.code, told.reason) == ("UNAVAILABLE", "DRAINING")
            assert "RetryInfo" in told.details
            await stopping
        await stage.start_api()
        await change(stage, 2)
        async with stage.channel() as channel:
            watch = stream(
                channel,
                WATCH,
                resume_token=told.trailing["fifo-resume-token"],
                resource_types=PACKAGES,
            )
            events, _ = await until(watch, 1)
            assert numbers(events) == [2]
            watch.cancel()

    play(scene)


def test_changes_since_a_moment_are_told(play: Play) -> None:
    async def scene(stage: Stage) -> None:
        async with stage.channel() as channel:
            watch = stream(channel, WATCH, snapshot=True, resource_types=PACKAGES)
            await snapshot(watch)
            for number in (1, 2):
                await change(stage, number)
            (_, second), _ = await until(watch, 2)
            later = stream(channel, WATCH, since=second.time, resource_types=PACKAGES)
            events, _ = await until(later, 1)
            assert numbers(events)[-1] == 2
            watch.cancel()
            later.cancel()

    play(scene)
