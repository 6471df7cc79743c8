"""A cancellation reaches an operation whatever it waits for, and undoes what it did."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from supervisors import GenServer
from tests.workflows.cases import operation
from tests.workflows.stage import Stage, uid, zone

if TYPE_CHECKING:
    from fifo.fleet.operations import Operations


class _Caller(GenServer):
    async def init(self, operations: Operations, operation_id: str) -> None:
        await operations.cancel(operation_id)


@pytest.mark.parametrize("seed", range(3))
def test_a_create_that_waits_for_its_host_is_cancelled_and_undone(seed: int) -> None:
    stage = Stage(seed)
    before = stage.slate()
    stage.truth.away = True
    made = operation("create_instance", (uid(1),), zone())
    stage.submit(made)
    stage.host.advance(5.0)
    asked = stage.node.start(_Caller, stage.operations, made.id)
    asked.get()
    stage.truth.away = False
    ended = stage.finish(made)
    assert ended.state == "cancelled"
    assert ended.cancel_requested
    assert not stage.catalog.waiting
    assert stage.slate() == before


def test_cancelling_twice_and_after_the_end_changes_nothing() -> None:
    stage = Stage()
    made = operation("create_instance", (uid(1),), zone())
    assert stage.run(made).state == "done"
    stage.node.start(_Caller, stage.operations, made.id).get()
    record = stage.catalog.operations.record(made.id)
    assert record is not None
    assert record.state == "done"
    assert not record.cancel_requested
