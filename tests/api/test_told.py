"""Fields that say how things stand: waits, work that goes on, what an operator should look at."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from fifo.api.resources import instances
from fifo.model import records
from fifo.model.instance import InstanceSpec, InstanceStatus
from fifo.store.catalog import Entry, View
from fifo.store.contract import KeyValue
from tests.api.calls import call, done, refused
from tests.api.test_instances import WEB, ZONE, create, get

if TYPE_CHECKING:
    from collections.abc import Callable

    from fifo.model.instance import State
    from fifo.model.records import Record
    from tests.api.stage import Stage

    Play = Callable[..., None]

UID = "00000000-0000-4000-8000-000000000001"


def entry(record: Record) -> Entry[Any]:
    return Entry(type(record), KeyValue(b"k/u", records.encode(record), 1, 1, 1))


def test_the_waits_of_a_restart_policy_come_back_and_are_checked(play: Play) -> None:
    async def scene(stage: Stage) -> None:
        async with stage.channel() as channel:
            policy = {"first_wait": {"seconds": 2}, "longest_wait": {"seconds": 90}}
            made = await create(channel, given={**ZONE, "restart_policy": policy})
            assert made.restart_policy.first_wait.seconds == 2
            assert made.restart_policy.longest_wait.seconds == 90
            kept = stage.catalog.specs.record(made.uid)
            assert kept is not None
            assert (kept.restart.first_s, kept.restart.most_s) == (2.0, 90.0)
            policy = {"first_wait": {"seconds": 91}, "longest_wait": {"seconds": 90}}
            told = await refused(
                call(
                    channel, "InstanceService.CreateInstance", parent="orgs/default",
                    instance_id="other", instance={**ZONE, "restart_policy": policy},
                )
            )  # fmt: skip
            assert any("first_wait" in field for field in told.fields)

    play(scene)


@pytest.mark.parametrize(
    ("state", "seen", "deleting", "reconciling"),
    [
        ("running", 2, False, False),
        ("stopped", 2, False, False),
        ("failed", 2, False, False),
        ("running", 1, False, True),
        ("starting", 2, False, True),
        ("stopping", 2, False, True),
        ("running", 2, True, True),
    ],
)
def test_an_instance_is_reconciling_while_it_is_not_what_is_wanted(
    state: State, seen: int, *, deleting: bool, reconciling: bool
) -> None:
    spec = InstanceSpec(
        uid=UID, id="web", org="default", generation=2, wanted="running", brand="lx",
        create_time=0.0, deleting=deleting,
    )  # fmt: skip
    status = InstanceStatus(uid=UID, host="h", state=state, generation=seen, since=0.0)
    parts = instances.Parts(entry(spec), entry(status), None, cut_off=False)
    assert instances.message(View(), parts).reconciling == reconciling
    assert instances.message(View(), parts._replace(status=None)).reconciling


def test_a_settled_instance_does_not_reconcile_and_one_that_is_made_does(play: Play) -> None:
    async def scene(stage: Stage) -> None:
        async with stage.channel() as channel:
            operation = await call(
                channel, "InstanceService.CreateInstance", parent="orgs/default",
                instance_id="web", instance=ZONE,
            )  # fmt: skip
            assert (await get(channel)).reconciling
            await done(channel, operation)
            assert not (await get(channel)).reconciling
            assert (await get(channel)).name == WEB

    play(scene)


def test_a_store_that_is_nearly_full_is_a_warning_of_the_node(
    play: Play, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scene(stage: Stage) -> None:
        async with stage.channel() as channel:
            assert list((await call(channel, "AdminService.GetNodeInfo")).warnings) == []
            live_bytes = stage.store.statistics().live_bytes
            monkeypatch.setattr(stage.store, "_live_limit_bytes", live_bytes + 1)
            (told,) = (await call(channel, "AdminService.GetNodeInfo")).warnings
            assert told.startswith("the store is nearly full")

    play(scene)
