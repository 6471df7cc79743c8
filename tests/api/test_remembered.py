"""A request with an id is done once, also where there was nothing to do when it came first."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from fifo.fleet.commits import REQUEST
from fifo.model import keys
from tests.api.calls import call, done, metadata_of, refused
from tests.api.test_instances import WEB, Instance, create, get
from tests.api.test_networks import DMZ
from tests.api.test_patience import HANGING, state_is

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.api.stage import Stage

    Play = Callable[..., None]

R = "6e8bc430-9c3a-41d9-9669-0800200c9a66"
OTHER = "7e8bc430-9c3a-41d9-9669-0800200c9a66"
START, STOP = "InstanceService.StartInstance", "InstanceService.StopInstance"
UPDATE, DELETE = "InstanceService.UpdateInstance", "InstanceService.DeleteInstance"


def test_a_start_of_what_runs_is_remembered_and_starts_nothing_later(play: Play) -> None:
    async def scene(stage: Stage) -> None:
        async with stage.channel() as channel:
            await create(channel)
            first = await call(channel, START, name=WEB, request_id=R)
            assert (first.done, first.name) == (True, "")
            assert metadata_of(first).verb == "start"
            await done(channel, await call(channel, STOP, name=WEB))
            again = await call(channel, START, name=WEB, request_id=R.upper())
            assert (again.done, again.name) == (True, "")
            assert metadata_of(again) == metadata_of(first)
            answer = Instance()
            again.response.Unpack(answer)
            # Like the result of any operation it is the instance as it is now.
            assert answer.state == Instance.STOPPED
            assert (await get(channel)).desired_state == Instance.STOPPED

    play(scene)


def test_an_update_that_changed_nothing_is_remembered(play: Play) -> None:
    async def scene(stage: Stage) -> None:
        async with stage.channel() as channel:
            await create(channel, given={"image": "images/base", "alias": "one"})
            asked = {"instance": {"name": WEB, "alias": "one"}, "request_id": R}
            first = await call(channel, UPDATE, **asked)
            other = {"name": WEB, "alias": "two"}
            await done(channel, await call(channel, UPDATE, instance=other))
            again = await call(channel, UPDATE, **asked)
            assert metadata_of(again) == metadata_of(first)
            assert (await get(channel)).alias == "two"
            told = await refused(call(channel, UPDATE, instance=other, request_id=R))
            assert told.reason == "REQUEST_ID_REUSED"

    play(scene)


MISSING: list[tuple[str, dict[str, Any]]] = [
    (DELETE, {"name": WEB, "allow_missing": True}),
    (
        "InstanceService.BatchDeleteInstances",
        {"parent": "orgs/default", "names": [WEB], "allow_missing": True},
    ),
    ("InstanceService.BatchDeleteInstances", {"parent": "orgs/default", "names": [WEB]}),
]


@pytest.mark.parametrize(("path", "asked"), MISSING)
def test_a_delete_of_what_was_missing_deletes_nothing_that_was_made_since(
    play: Play, path: str, asked: dict[str, Any]
) -> None:
    async def scene(stage: Stage) -> None:
        async with stage.channel() as channel:
            first = await call(channel, path, **asked, request_id=R)
            await create(channel)
            again = await call(channel, path, **asked, request_id=R)
            assert again == first
            assert (await get(channel)).state == Instance.RUNNING

    play(scene)


def test_a_network_that_was_missing_is_not_deleted_by_a_repeat(play: Play) -> None:
    async def scene(stage: Stage) -> None:
        async with stage.channel() as channel:
            path = "NetworkService.DeleteNetwork"
            asked = {"name": "networks/dmz", "allow_missing": True, "request_id": R}
            await call(channel, path, **asked)
            await call(channel, "NetworkService.CreateNetwork", network_id="dmz", network=DMZ)
            await call(channel, path, **asked)
            await call(channel, "NetworkService.GetNetwork", name="networks/dmz")

    play(scene)


def test_a_stop_that_met_another_under_way_is_remembered_as_that_one(play: Play) -> None:
    async def scene(stage: Stage) -> None:
        async with stage.channel() as channel:
            await create(channel)
            own = await call(channel, STOP, name=WEB, timeout={"seconds": 3_600})
            await state_is(stage, "stopping")
            joined = await call(channel, STOP, name=WEB, request_id=R)
            assert (joined.name, joined.done) == (own.name, False)
            forced = await call(channel, STOP, name=WEB, force=True)
            for operation in (own, forced):
                await done(channel, operation)
            await done(channel, await call(channel, START, name=WEB))
            again = await call(channel, STOP, name=WEB, request_id=R)
            assert (again.name, again.done) == (own.name, True)
            assert (await get(channel)).state == Instance.RUNNING

    play(scene, HANGING)


def test_what_is_only_tried_or_has_no_id_is_not_written_down(play: Play) -> None:
    async def scene(stage: Stage) -> None:
        async with stage.channel() as channel:
            await create(channel)
            before = stage.catalog.revision
            await call(channel, START, name=WEB)
            await call(channel, START, name=WEB, request_id=R, validate_only=True)
            assert not (await stage.store.range(REQUEST, keys.end_of(REQUEST))).kvs
            assert stage.catalog.revision == before
            for _ in range(3):
                await call(channel, START, name=WEB, request_id=R)
            await call(channel, START, name=WEB, request_id=OTHER)
            kept = (await stage.store.range(REQUEST, keys.end_of(REQUEST))).kvs
            assert len(kept) == 2
            # Both end by themselves, with the lease of their hour.
            assert len({kv.lease for kv in kept}) == 1
            assert kept[0].lease

    play(scene)
