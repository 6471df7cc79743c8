"""What is told of an instance that fails by itself: why, and where more can be looked at."""

from __future__ import annotations

import msgspec
import pytest

from fifo.model import keys
from fifo.store.contract import Put
from tests.workflows.cases import operation
from tests.workflows.stage import Stage, uid, zone

WHY = "5 ends within 60 s, the last: exit code 3"


@pytest.mark.parametrize("kind", ["create_instance", "create_instances"])
def test_of_a_create_that_is_undone_no_events_and_logs_are_promised(kind: str) -> None:
    stage = Stage()
    stage.truth.fails = WHY
    stage.write(Put(keys.operation_input("left", 0), msgspec.json.encode([zone()])))
    asked = zone() if kind == "create_instance" else "left"
    failure = stage.run(operation(kind, (uid(1),), asked)).failure
    assert failure is not None
    assert failure.what == WHY
    assert "this operation tells why" in failure.remedy
    assert "create it stopped" in failure.remedy
    assert not len(stage.catalog.specs)


def test_an_instance_that_was_created_stopped_keeps_its_events_when_its_start_fails() -> None:
    stage = Stage()
    stopped = zone(wanted="stopped")
    assert stage.run(operation("create_instance", (uid(1),), stopped)).state == "done"
    stage.truth.fails = WHY
    started = zone(generation=2, boot_generation=1)
    failure = stage.run(operation("start_instance", (uid(1),), started)).failure
    assert failure is not None
    assert (failure.what, failure.remedy) == (WHY, "see its events and logs")
    assert len(stage.catalog.specs) == 1
