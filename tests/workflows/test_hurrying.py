"""A stop or reboot by force goes beside the one under way, and nothing else does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from fifo.model import keys, records
from fifo.model.errors import Busy
from fifo.model.instance import InstanceSpec, StopPatience
from fifo.store.contract import Put, Txn
from fifo.workflows import instances
from tests.workflows.cases import operation
from tests.workflows.host_double import HostDouble
from tests.workflows.stage import Stage, uid, zone
from tests.workflows.test_cancelling import Caller, cancel

if TYPE_CHECKING:
    from fifo.model.link import Command
    from fifo.model.operation import Operation
    from fifo.store.catalog import Entry
    from fifo.workflows.workflow import Outcome

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


BOTH = [("op-slow", "op-forced"), ("op-forced", "op-slow")]


def both_under_way(kind: str) -> tuple[Stage, InstanceSpec, list[Operation]]:
    """Have both go on because their host is away; gives what was wanted before, too."""
    stage, slow = under_way(kind)
    forced = change(stage, kind, "op-forced", 0.0)
    stage.submit(forced)
    stage.host.advance(1.0)
    return stage, zone(), [slow, forced]


def wish(spec: InstanceSpec | None) -> InstanceSpec:
    """Give what is wanted, apart from the generation that wants it."""
    assert spec is not None
    return msgspec.structs.replace(spec, generation=0, patience=None)


@pytest.mark.parametrize("kind", CHANGES)
@pytest.mark.parametrize("order", BOTH)
@pytest.mark.parametrize("gap_s", [0.0, 0.7, 40.0])
@pytest.mark.parametrize("back_s", [0.0, 2.0])
@pytest.mark.parametrize("killed", [False, True])
def test_of_two_that_are_cancelled_nothing_is_wanted_any_more(
    kind: str, order: tuple[str, str], gap_s: float, back_s: float, *, killed: bool
) -> None:
    stage, before, both = both_under_way(kind)
    cancel(stage, order[0])
    stage.host.advance(gap_s)
    cancel(stage, order[1])
    if killed:
        restarted(stage)
    stage.host.advance(back_s)
    stage.truth.away = False
    assert [stage.finish(each).state for each in both] == ["cancelled", "cancelled"]
    stored = stage.catalog.specs.record(uid(1))
    assert wish(stored) == wish(before)
    assert brought(stage) == stored
    assert stage.catalog.busy == {}


@pytest.mark.parametrize("kind", CHANGES)
@pytest.mark.parametrize("lost", [False, True])
def test_one_that_is_cancelled_as_the_host_is_brought_its_wish_again_is_gone_back_from_too(
    kind: str, monkeypatch: pytest.MonkeyPatch, *, lost: bool
) -> None:
    stage, before, both = both_under_way(kind)
    realise = HostDouble._realise
    told: list[InstanceSpec] = []

    def realised(host: HostDouble, command: Command) -> Any:
        if command.operation == "op-forced" and command.step.startswith("undo"):
            assert command.spec is not None
            told.append(command.spec)
            if len(told) == 1:
                stage.node.start(Caller, stage.operations, "op-slow")
                if lost:
                    host.truth.loses.add("realise")
        return realise(host, command)

    monkeypatch.setattr(HostDouble, "_realise", realised)
    cancel(stage, "op-forced")
    stage.truth.away = False
    assert [stage.finish(each).state for each in both] == ["cancelled", "cancelled"]
    assert told[0].generation == 4, "the other's wish"
    stored = stage.catalog.specs.record(uid(1))
    assert wish(stored) == wish(before)
    assert brought(stage) == stored


@pytest.mark.parametrize("kind", CHANGES)
def test_one_that_is_cancelled_as_its_wish_is_written_again_is_gone_back_from_too(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage, before, both = both_under_way(kind)
    write_spec = instances.write_spec
    asked: list[Any] = []

    def written(entry: Entry[InstanceSpec], spec: InstanceSpec) -> Outcome:
        if not asked:
            # Before anybody here can have heard of it.
            slow = instances.cancel(stage.catalog.operations.entries["op-slow"])
            asked.append(stage.store.txn(Txn(tuple(slow.compares), tuple(slow.writes))))
        return write_spec(entry, spec)

    monkeypatch.setattr(instances, "write_spec", written)
    cancel(stage, "op-forced")
    stage.truth.away = False
    assert [stage.finish(each).state for each in both] == ["cancelled", "cancelled"]
    stored = stage.catalog.specs.record(uid(1))
    assert wish(stored) == wish(before)
    assert brought(stage) == stored


@pytest.mark.parametrize("kind", CHANGES)
@pytest.mark.parametrize("own", ["op-slow", "op-forced"])
def test_of_one_that_is_cancelled_the_other_goes_on(kind: str, own: str) -> None:
    stage, _, both = both_under_way(kind)
    asked = stage.catalog.specs.record(uid(1))
    cancel(stage, own)
    stage.truth.away = False
    ended = {each.id: stage.finish(each).state for each in both}
    assert ended == {"op-slow": "done", "op-forced": "done"} | {own: "cancelled"}
    assert wish(brought(stage)) == wish(stage.catalog.specs.record(uid(1))) == wish(asked)


def test_one_by_force_that_an_earlier_version_accepted_goes_back_to_the_other() -> None:
    stage, _, (slow, forced) = both_under_way("stop_instance")
    record = stage.catalog.operations.record(forced.id)
    assert record is not None
    accepted = record.steps[0]
    bare = msgspec.structs.replace(accepted, outputs={"0": accepted.outputs["0"]["spec"]})
    old = msgspec.structs.replace(record, step=1, steps=(bare,))
    stage.write(Put(keys.by_uid(keys.OPERATION, old.id), records.encode(old)))
    restarted(stage)
    cancel(stage, forced.id)
    stage.truth.away = False
    assert [stage.finish(each).state for each in (slow, forced)] == ["done", "cancelled"]
    assert (brought(stage).wanted, brought(stage).generation) == ("stopped", 4)


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
