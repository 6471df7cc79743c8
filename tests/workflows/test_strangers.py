"""One operation at a time is about a stranger, and none loses it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest

from fifo.model.errors import Busy
from fifo.workflows.registry import WORKFLOWS
from supervisors import Future
from tests.workflows.cases import CASES, operation
from tests.workflows.stage import HOST, Stage, uid
from tests.workflows.test_proofs import replaced

if TYPE_CHECKING:
    from fifo.model.operation import Operation
    from fifo.workflows.workflow import Items, Outcome, Run

(PREPARE,) = (case.prepare for case in CASES if case.kind == "adopt_foreign_instance")


def with_stranger() -> Stage:
    stage = Stage()
    PREPARE(stage)
    return stage


def asked(kind: str, number: int = 0) -> Operation:
    """Give a request about the stranger, with an hour for it."""
    made = operation(
        f"{kind}_foreign_instance", (uid(1),), {"host": HOST, "id": ""}, id=f"op-{kind}-{number}"
    )
    return msgspec.structs.replace(made, create_time=1_000_000.0, deadline=1_003_600.0)


@pytest.mark.parametrize("kinds", [("adopt", "adopt"), ("adopt", "remove"), ("remove", "remove")])
def test_of_two_requests_in_one_moment_one_is_refused(kinds: tuple[str, str]) -> None:
    stage = with_stranger()
    requests = [asked(kind, number) for number, kind in enumerate(kinds)]
    answers = [stage.operations.submit(request) for request in requests]
    # Neither can have seen the other: both were asked for before anything ran.
    stage.host.run_ready()
    done, busy = [], []
    for answer in answers:
        try:
            done.append(answer.get().operation)
        except Busy as error:
            busy.append(error)
    assert (len(done), len(busy)) == (1, 1)
    assert stage.finish(done[0]).state == "done"


async def _never(run: Run, items: Items) -> Outcome:
    await run.wait(Future())
    raise AssertionError


def test_one_that_is_being_adopted_is_not_deleted_before_that_has_ended() -> None:
    steps = [step.name for step in WORKFLOWS["adopt_foreign_instance"].steps]
    stage = with_stranger()
    stage.crash()
    stage.start(workflows=replaced("adopt_foreign_instance", steps.index("report"), _never))
    adoption = asked("adopt")
    stage.submit(adoption)
    stage.host.advance(1.0)
    delete = operation("delete_instance", (uid(1),))
    with pytest.raises(Busy, match="wait for operations/op-adopt-0"):
        stage.submit(delete)
    stage.crash()
    stage.start()
    assert stage.finish(adoption).state == "done"
    assert stage.run(delete).state == "done"
    assert uid(1) not in stage.truth.instances


def test_a_host_that_is_away_leaves_a_stranger_as_it_was_and_free_to_be_asked_about() -> None:
    for kind in ("adopt", "remove"):
        stage = with_stranger()
        before = stage.slate()
        stage.truth.away = True
        submitted = stage.operations.submit(asked(kind))
        stage.host.run_ready()
        submitted.get()
        ended = stage.finish(asked(kind))
        assert ended.failure is not None
        assert (ended.state, ended.failure.kind, ended.owed) == ("failed", "Unavailable", ())
        assert stage.slate() == before
