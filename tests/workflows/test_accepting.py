"""Accepting: whoever asks is told once that it is promised, whatever happens to the runner."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest

from fifo.fleet.operations import RUNNERS
from fifo.model import keys
from fifo.model.errors import FifoError, RequestIdReused
from fifo.store.contract import Put
from fifo.workflows.registry import WORKFLOWS
from fifo.workflows.runner import Request
from supervisors import Future, count_children, start_child
from tests.workflows.cases import operation
from tests.workflows.stage import Stage, uid, zone

if TYPE_CHECKING:
    from fifo.model.operation import Operation
    from fifo.workflows.accepting import Accepted
    from fifo.workflows.workflow import Items, Outcome, Run


def create(stage: Stage, request_hash: str = "") -> Operation:
    """Ask for one zone, as an API would, in good time."""
    now = stage.world.utc()
    made = operation("create_instance", (uid(1),), zone(), request_hash=request_hash)
    return msgspec.structs.replace(made, create_time=now, deadline=now + 1_000.0)


def begin_again(stage: Stage, made: Operation) -> Accepted:
    """Have a runner begin that has lived before, and give what it tells the caller."""
    request = Request(made, Future(stage.node.shard))
    request.lives = 1
    start_child(stage.node.address(RUNNERS), made.id, request).get()
    return request.caller.get()


def runners(stage: Stage) -> int:
    """Count those that run."""
    found: dict[str, int] = count_children(stage.node.address(RUNNERS)).get()
    return found["active"]


def test_a_runner_that_ended_before_it_promised_anything_accepts_in_its_next_life() -> None:
    stage = Stage()
    made = create(stage)
    accepted = begin_again(stage, made)
    assert (accepted.operation.id, accepted.repeated) == (made.id, False)
    assert stage.finish(made).state == "done"


def test_a_runner_that_ended_after_its_promise_tells_of_it_and_goes_on() -> None:
    stage = Stage()
    stage.truth.away = True
    made = create(stage)
    stage.submit(made)
    stage.host.advance(1.0)
    assert begin_again(stage, made).operation.id == made.id
    stage.truth.away = False
    assert stage.finish(made).state == "done"
    assert runners(stage) == 0


def test_a_runner_in_its_next_life_takes_no_other_request_for_its_own() -> None:
    stage = Stage()
    made = create(stage, "one")
    stage.submit(made)
    with pytest.raises(RequestIdReused):
        begin_again(stage, create(stage, "another"))
    assert stage.finish(made).state == "done"
    assert runners(stage) == 0


def test_a_repeat_is_told_what_was_promised_and_a_mix_up_is_refused() -> None:
    stage = Stage()
    made = create(stage, "one")
    assert not stage.operations.submit(made).get().repeated
    assert stage.operations.submit(made).get().repeated
    with pytest.raises(RequestIdReused):
        stage.operations.submit(create(stage, "another")).get()
    assert stage.finish(made).state == "done"
    assert runners(stage) == 0


def test_a_batch_that_an_earlier_version_accepted_finds_what_was_left_for_it() -> None:
    stage = Stage()
    made = operation("create_instances", (uid(1), uid(2)), chunk_size=2)
    specs = msgspec.json.encode([zone(1), zone(2)])
    stage.write(Put(keys.operation_input(made.id, 0), specs))
    assert stage.run(made).state == "done"
    assert {entry.record.uid for entry in stage.catalog.specs} == set(made.uids)


def test_a_bug_in_a_first_step_is_told_once_and_not_tried_for_ever() -> None:
    workflow = WORKFLOWS["create_instance"]

    async def broken(run: Run, items: Items) -> Outcome:
        raise ZeroDivisionError

    first = workflow.steps[0]._replace(action=broken)
    changed = workflow._replace(steps=(first, *workflow.steps[1:]))
    stage = Stage(workflows={**WORKFLOWS, "create_instance": changed})
    with pytest.raises(FifoError, match="a bug: ZeroDivisionError"):
        stage.operations.submit(create(stage)).get()
    stage.host.advance(60.0)
    assert runners(stage) == 0
