"""A stop or reboot by force goes beside the one under way, and nothing else does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from fifo.model import keys, records
from fifo.model.errors import Busy
from fifo.model.instance import InstanceSpec, StopPatience
from fifo.store.contract import Put
from tests.workflows.cases import operation
from tests.workflows.stage import Stage, uid, zone

if TYPE_CHECKING:
    from fifo.model.operation import Operation

CHANGES: dict[str, dict[str, Any]] = {
    "stop_instance": {"wanted": "stopped"},
    "reboot_instance": {"boot_generation": 2},
}


def change(stage: Stage, kind: str, own: str, seconds: float | None = None) -> Operation:
    """Make a stop or a reboot of the spec as it is now."""
    spec = stage.catalog.specs.record(uid(1))
    assert spec is not None
    generation = spec.generation + 1
    patience = None if seconds is None else StopPatience(generation=generation, seconds=seconds)
    wish: Any = {"generation": generation, "patience": patience, **CHANGES[kind]}
    return operation(kind, (uid(1),), msgspec.structs.replace(spec, **wish), id=own)


def under_way(kind: str) -> tuple[Stage, Operation]:
    """Have a stop or a reboot go on, because its host is away."""
    stage = Stage()
    assert stage.run(operation("create_instance", (uid(1),), zone())).state == "done"
    stage.truth.away = True
    slow = change(stage, kind, "op-slow", 3_600.0)
    stage.submit(slow)
    stage.host.advance(1.0)
    return stage, slow


def brought(stage: Stage) -> InstanceSpec:
    """Give what the host was told."""
    return stage.truth.instances[uid(1)]


def restarted(stage: Stage) -> None:
    """Kill the control node and start it again."""
    stage.crash()
    stage.start()


@pytest.mark.parametrize("kind", CHANGES)
@pytest.mark.parametrize("killed", ["never", "before", "after"])
def test_force_is_accepted_beside_it_and_both_end_done(kind: str, killed: str) -> None:
    stage, slow = under_way(kind)
    if killed == "before":
        restarted(stage)
    forced = change(stage, kind, "op-forced", 0.0)
    stage.submit(forced)
    if killed == "after":
        restarted(stage)
    stage.truth.away = False
    assert [stage.finish(each).state for each in (slow, forced)] == ["done", "done"]
    assert (brought(stage).generation, brought(stage).patience_s) == (3, 0.0)
    assert stage.catalog.busy == {}


@pytest.mark.parametrize("kind", CHANGES)
def test_what_does_not_hurry_is_refused_beside_it(kind: str) -> None:
    stage, _ = under_way(kind)
    other = next(own for own in CHANGES if own != kind)
    for refused in (
        change(stage, kind, "op-usual"),
        change(stage, kind, "op-timed", 5.0),
        change(stage, other, "op-other", 0.0),
    ):
        with pytest.raises(Busy, match="op-slow"):
            stage.submit(refused)
    stage.submit(change(stage, kind, "op-forced", 0.0))
    with pytest.raises(Busy):
        stage.submit(change(stage, kind, "op-again", 0.0))


def test_a_delete_has_both_give_up() -> None:
    stage, slow = under_way("stop_instance")
    forced = change(stage, "stop_instance", "op-forced", 0.0)
    stage.submit(forced)
    delete = operation("delete_instance", (uid(1),))
    stage.submit(delete)
    stage.truth.away = False
    assert stage.finish(delete).state == "done"
    assert [stage.finish(each).state for each in (slow, forced)] == ["cancelled", "cancelled"]
    assert stage.truth.instances == {}


def test_a_delete_that_an_earlier_version_accepted_goes_on_with_its_one_rival() -> None:
    stage, slow = under_way("stop_instance")
    delete = operation("delete_instance", (uid(1),))
    stage.submit(delete)
    record = stage.catalog.operations.record(delete.id)
    assert record is not None
    marked = record.steps[0]
    assert marked.outputs == {"0": [slow.id]}
    steps = (msgspec.structs.replace(marked, outputs={"0": slow.id}),)
    old = msgspec.structs.replace(record, step=1, steps=steps)
    stage.write(Put(keys.by_uid(keys.OPERATION, old.id), records.encode(old)))
    restarted(stage)
    stage.truth.away = False
    assert [stage.finish(each).state for each in (delete, slow)] == ["done", "cancelled"]
