"""A cancellation reaches an operation whatever it waits for, and undoes what it did."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from supervisors import GenServer
from tests.workflows.cases import operation
from tests.workflows.stage import Stage, uid, zone

if TYPE_CHECKING:
    from fifo.fleet.operations import Operations


class Caller(GenServer):
    """Cancels in a process, where it can be awaited."""

    async def init(self, operations: Operations, operation_id: str) -> None:
        await operations.cancel(operation_id)


def cancel(stage: Stage, operation_id: str) -> None:
    """Have an operation cancelled, as the API does."""
    stage.node.start(Caller, stage.operations, operation_id).get()


@pytest.mark.parametrize("seed", range(3))
def test_a_create_that_waits_for_its_host_is_cancelled_and_undone(seed: int) -> None:
    stage = Stage(seed)
    before = stage.slate()
    stage.truth.away = True
    made = operation("create_instance", (uid(1),), zone())
    stage.submit(made)
    stage.host.advance(5.0)
    cancel(stage, made.id)
    stage.truth.away = False
    ended = stage.finish(made)
    assert ended.state == "cancelled"
    assert ended.cancel_requested
    assert not stage.catalog.waiting
    assert stage.slate() == before


@pytest.mark.parametrize("killed", [False, True])
@pytest.mark.parametrize(
    ("kind", "before", "change"),
    [
        ("start_instance", "stopped", {"wanted": "running"}),
        ("stop_instance", "running", {"wanted": "stopped"}),
        ("reboot_instance", "running", {"boot_generation": 2}),
    ],
)
def test_what_a_cancelled_start_stop_or_reboot_asked_for_is_wanted_no_more(
    kind: str, before: str, change: dict[str, Any], *, killed: bool
) -> None:
    stage = Stage()
    spec = zone(wanted=before)
    assert stage.run(operation("create_instance", (uid(1),), spec, id="op-made")).state == "done"
    kept = stage.catalog.specs.record(uid(1))
    assert kept is not None
    moved = msgspec.structs.replace(kept, generation=kept.generation + 1, **change)
    asked = operation(kind, (uid(1),), moved)
    stage.truth.away = True
    stage.submit(asked)
    stage.host.advance(1.0)
    assert stage.catalog.specs.record(uid(1)) == moved
    cancel(stage, asked.id)
    if killed:
        stage.crash()
        stage.start()
    stage.truth.away = False
    assert stage.finish(asked).state == "cancelled"
    wanted = msgspec.structs.replace(kept, generation=moved.generation + 1)
    assert stage.catalog.specs.record(uid(1)) == stage.truth.instances[uid(1)] == wanted
    assert stage.catalog.busy == {}


def test_a_stop_is_cancelled_though_its_host_stays_away() -> None:
    stage = Stage()
    assert stage.run(operation("create_instance", (uid(1),), zone(), id="op-made")).state == "done"
    kept = stage.catalog.specs.record(uid(1))
    assert kept is not None
    moved = msgspec.structs.replace(kept, generation=kept.generation + 1, wanted="stopped")
    asked = operation("stop_instance", (uid(1),), moved)
    stage.truth.away = True
    stage.submit(asked)
    stage.host.advance(1.0)
    cancel(stage, asked.id)
    assert stage.finish(asked).state == "cancelled"
    # Whoever settles with the host brings it that, since it is newer than what it has.
    spec = stage.catalog.specs.record(uid(1))
    assert spec == msgspec.structs.replace(kept, generation=moved.generation + 1)
    assert stage.catalog.busy == {}


def test_a_cancelled_start_of_what_failed_does_not_start_it_again() -> None:
    stage = Stage()
    assert stage.run(operation("create_instance", (uid(1),), zone(), id="op-made")).state == "done"
    kept = stage.catalog.specs.record(uid(1))
    assert kept is not None
    assert kept.wanted == "running"
    again = msgspec.structs.replace(kept, generation=kept.generation + 1)
    asked = operation("start_instance", (uid(1),), again)
    stage.truth.away = True
    stage.submit(asked)
    stage.host.advance(1.0)
    cancel(stage, asked.id)
    stage.truth.away = False
    assert stage.finish(asked).state == "cancelled"
    wanted = msgspec.structs.replace(kept, generation=again.generation + 1, wanted="stopped")
    assert stage.catalog.specs.record(uid(1)) == stage.truth.instances[uid(1)] == wanted


def test_what_a_stop_that_failed_asked_for_stays_wanted() -> None:
    stage = Stage()
    assert stage.run(operation("create_instance", (uid(1),), zone(), id="op-made")).state == "done"
    kept = stage.catalog.specs.record(uid(1))
    assert kept is not None
    moved = msgspec.structs.replace(kept, generation=kept.generation + 1, wanted="stopped")
    stage.truth.refuses = frozenset({"realise"})
    assert stage.run(operation("stop_instance", (uid(1),), moved)).state == "failed"
    assert stage.catalog.specs.record(uid(1)) == moved


def test_cancelling_twice_and_after_the_end_changes_nothing() -> None:
    stage = Stage()
    made = operation("create_instance", (uid(1),), zone())
    assert stage.run(made).state == "done"
    cancel(stage, made.id)
    record = stage.catalog.operations.record(made.id)
    assert record is not None
    assert record.state == "done"
    assert not record.cancel_requested
