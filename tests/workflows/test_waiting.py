"""Who waits for what never comes leaves nothing behind that waits, however the wait ends."""

from __future__ import annotations

import pytest

from tests.workflows.cases import operation
from tests.workflows.host_double import HostDouble
from tests.workflows.stage import Stage, uid, zone


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch) -> Stage:
    """A host that obeys and never reports what became of it."""
    monkeypatch.setattr(HostDouble, "_report", lambda *_: None)
    return Stage()


def create_three(stage: Stage) -> str:
    """Have three instances asked for, and let time pass until their reports are waited for."""
    specs = [zone(number) for number in (1, 2, 3)]
    for spec in specs:
        stage.submit(operation("create_instance", (spec.uid,), spec, id=f"op-{spec.id}"))
    stage.host.advance(5.0)
    awaited = {place[1] for place in stage.catalog.waiting}
    assert awaited >= {uid(1), uid(2), uid(3)}
    return "op-web-1"


def test_a_wait_that_is_over_by_the_deadline_is_forgotten(stage: Stage) -> None:
    first = create_three(stage)
    stage.host.advance(2_000.0)
    record = stage.catalog.operations.record(first)
    assert record is not None
    assert record.state == "failed"
    assert not stage.catalog.waiting


def test_a_wait_of_a_runner_that_is_killed_is_forgotten(stage: Stage) -> None:
    create_three(stage)
    catalog = stage.catalog
    stage.crash()
    assert not catalog.waiting
