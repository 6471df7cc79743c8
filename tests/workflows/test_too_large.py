"""A transaction that the store never takes: its step has failed, and nobody asks for ever."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fifo.model.errors import DriverFailed, StoreLimit
from fifo.store.contract import absent
from fifo.store.limits import TXN_COMPARES
from fifo.workflows.registry import WORKFLOWS
from fifo.workflows.workflow import Outcome
from tests.workflows.cases import operation
from tests.workflows.stage import Stage, uid, zone
from tests.workflows.test_proofs import with_steps

if TYPE_CHECKING:
    from fifo.workflows.workflow import Items, Registry, Run, Step
    from supervisors.reports import Report

KIND = "create_instance"


def watched(workflows: Registry) -> tuple[Stage, list[Report]]:
    stage = Stage(workflows=workflows)
    reports: list[Report] = []
    stage.node.reports.subscribe(reports.append)
    return stage, reports


def crashes(reports: list[Report]) -> list[Report]:
    return [report for report in reports if report.kind == "crash"]


TOO_MANY = [absent(f"compared/{number}".encode()) for number in range(TXN_COMPARES)]
"""With the operation's own one more than the store takes."""


def test_a_step_that_writes_too_much_has_failed_and_is_undone() -> None:
    async def last(run: Run, items: Items) -> Outcome:
        return Outcome(compares=TOO_MANY)

    def changed(_: int, step: Step) -> Step:
        return step._replace(action=last) if step.name == "start" else step

    stage, reports = watched(with_steps(KIND, changed))
    before = stage.slate()
    ended = stage.run(operation(KIND, (uid(1),), zone()))
    assert ended.state == "failed"
    assert ended.failure is not None
    assert ended.failure.kind == StoreLimit.__name__
    assert stage.slate() == before
    assert not crashes(reports)


def test_an_undo_that_writes_too_much_needs_attention_at_once() -> None:
    async def fails(run: Run, items: Items) -> Outcome:
        raise DriverFailed("injected", "step")

    async def undo(run: Run, items: Items) -> Outcome:
        step = WORKFLOWS[KIND].steps[0]
        assert step.undo is not None
        outcome = await step.undo(run, items)
        outcome.compares += TOO_MANY
        return outcome

    def changed(index: int, step: Step) -> Step:
        if step.name == "place":
            return step._replace(action=fails)
        return step if index else step._replace(undo=undo)

    stage, reports = watched(with_steps(KIND, changed))
    ended = stage.run(operation(KIND, (uid(1),), zone()))
    assert ended.state == "needs_attention"
    assert ended.end_time < ended.create_time + 1.0
    assert not crashes(reports)
