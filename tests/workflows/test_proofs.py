"""What every registered workflow owes, step by step: registration alone puts it under these.

It fails at a step and leaves nothing behind; it is killed before or after a step and ends as if
nothing had been; the answer to any commit is lost; every action, and every undo, runs twice.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, get_args

import pytest

from fifo.model.errors import DriverFailed
from fifo.model.link import Verb
from fifo.store.faults import Fate, ScriptedFaults
from fifo.workflows.registry import WORKFLOWS
from supervisors import Future
from tests.workflows.cases import CASES, FORWARD_ONLY, Case
from tests.workflows.stage import Stage

if TYPE_CHECKING:
    from collections.abc import Callable

    from fifo.workflows.workflow import Action, Items, Outcome, Registry, Run, Step

# The first step of most is part of the acceptance: what it refuses was never promised.
AFTER_ACCEPTANCE = [
    pytest.param(case, index, id=f"{case.name}-{step.name}")
    for case in CASES
    for index, step in enumerate(WORKFLOWS[case.kind].steps)
    if index or not WORKFLOWS[case.kind].accepts_first
]
EACH = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)


def test_every_workflow_has_a_case() -> None:
    assert {case.kind for case in CASES} == set(WORKFLOWS)


def with_steps(kind: str, change: Callable[[int, Step], Step]) -> Registry:
    """Give the registry with the steps of one workflow changed."""
    workflow = WORKFLOWS[kind]
    steps = tuple(change(index, step) for index, step in enumerate(workflow.steps))
    return {**WORKFLOWS, kind: workflow._replace(steps=steps)}


def prepared(case: Case) -> Stage:
    stage = Stage()
    case.prepare(stage)
    return stage


def restart(stage: Stage, **more: Any) -> None:
    stage.crash()
    stage.start(**more)


def plain_end(case: Case) -> dict[str, Any]:
    """Give the slate as a run without trouble leaves it."""
    stage = prepared(case)
    ended = stage.run(case.make(stage))
    assert ended.state == "done", ended.failure
    return stage.slate()


@EACH
def test_it_ends_done_and_waits_for_nothing_more(case: Case) -> None:
    stage = prepared(case)
    assert stage.run(case.make(stage)).state == "done"
    assert not stage.catalog.waiting


@pytest.mark.parametrize(("case", "index"), AFTER_ACCEPTANCE)
def test_failing_at_a_step_leaves_nothing_behind(case: Case, index: int) -> None:
    async def fails(run: Run, items: Items) -> Outcome:
        raise DriverFailed("injected", "step")

    async def works_and_fails(run: Run, items: Items) -> Outcome:
        await step.action(run, items)
        raise DriverFailed("injected", "step")

    step = WORKFLOWS[case.kind].steps[index]
    for action in (fails, works_and_fails):
        stage = prepared(case)
        before = stage.slate()
        restart(stage, workflows=replaced(case.kind, index, action))
        ended = stage.run(case.make(stage))
        assert ended.state == "failed"
        assert ended.failure is not None
        assert ended.failure.what == "injected"
        assert not ended.owed
        assert not stage.catalog.waiting
        if case.kind not in FORWARD_ONLY:
            assert stage.slate() == before


@pytest.mark.parametrize(("case", "index"), [
    pytest.param(*own.values, id=own.id)
    for own in AFTER_ACCEPTANCE
    if isinstance(own.values[0], Case) and own.values[0].kind not in FORWARD_ONLY
])  # fmt: skip
def test_what_a_host_that_is_lost_keeps_is_owed_by_name(case: Case, index: int) -> None:
    """Whatever an undo cannot be asked for is free, in use as before, or in a debt of its own."""

    async def works_and_is_lost(run: Run, items: Items) -> Outcome:
        await step.action(run, items)
        stage.lose()
        raise DriverFailed("injected", "step")

    step = WORKFLOWS[case.kind].steps[index]
    stage = prepared(case)
    before = stage.slate()
    restart(stage, workflows=replaced(case.kind, index, works_and_is_lost))
    ended = stage.run(case.make(stage))
    assert ended.state == "failed"
    owed = {
        (debt.what, debt.uid, debt.snapshot)
        for debt in (entry.record for entry in stage.catalog.cleanups)
    }
    truth = stage.truth
    kept = {("instance", own, "") for own in truth.instances if own not in before["instances"]}
    kept |= {("image", own, "") for own in truth.images if own not in before["images"]}
    kept |= {
        ("snapshot", own, name)
        for own, names in truth.snapshots.items()
        for name in names
        if name not in before["snapshots"].get(own, ())
    }
    assert kept <= owed
    # Nothing else is held for good: claims are, of what is owed, and of what was there before.
    held = {uid for uid, _ in stage.slate()["taken"].values()}
    assert held <= {uid for _, uid, _ in owed} | {uid for uid, _ in before["taken"].values()}


def replaced(kind: str, index: int, action: Action) -> Registry:
    return with_steps(
        kind, lambda own, step: step._replace(action=action) if own == index else step
    )


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize(("case", "index"), AFTER_ACCEPTANCE)
def test_being_killed_around_a_step_changes_nothing(case: Case, index: int, when: str) -> None:
    expected = plain_end(case)
    step = WORKFLOWS[case.kind].steps[index]
    reached: list[str] = []

    async def killed(run: Run, items: Items) -> Outcome:
        if when == "after":
            await step.action(run, items)
        reached.append(step.name)
        await run.wait(Future())
        raise AssertionError

    stage = prepared(case)
    restart(stage, workflows=replaced(case.kind, index, killed))
    operation = case.make(stage)
    stage.submit(operation)
    while not reached:
        stage.host.advance(0.1)
    restart(stage, workflows=WORKFLOWS)
    assert stage.finish(operation).state == "done"
    assert stage.slate() == expected


LOST: Final = Fate("reply lost")
FEWEST_COMMITS = 3
"""The acceptance, a step and the end: less was not written down before it acted."""


class Drawn(ScriptedFaults):
    """Loses the answer to one commit, or to none, and notes what became of each."""

    def __init__(self, number: int = 0) -> None:
        super().__init__({number: LOST})
        self.fates: list[Fate] = []

    def fate(self, number: int) -> Fate:
        self.fates.append(super().fate(number))
        return self.fates[-1]


def with_faults(case: Case, faults: Drawn) -> Stage:
    """Run a case to its end while some commits are not answered."""
    stage = prepared(case)
    operation = case.make(stage)
    restart(stage, faults=faults)
    ended = stage.run(operation)
    assert ended.state == "done", ended.failure
    return stage


@EACH
def test_the_answer_to_any_commit_may_be_lost(case: Case) -> None:
    plain = Drawn()
    expected = with_faults(case, plain).slate()
    assert len(plain.fates) >= FEWEST_COMMITS
    for number in range(1, len(plain.fates) + 1):
        faults = Drawn(number)
        assert with_faults(case, faults).slate() == expected, number
        assert faults.fates[number - 1] is LOST


def test_every_verb_is_sent_by_some_workflow() -> None:
    sent: set[str] = set()
    for case in CASES:
        sent |= verbs_of(case)
    assert sent == set(get_args(Verb))


def verbs_of(case: Case) -> set[str]:
    """Give the verbs that a run without trouble sends to hosts."""
    stage = prepared(case)
    operation = case.make(stage)
    stage.truth.sent.clear()
    stage.run(operation)
    return set(stage.truth.sent)


@EACH
def test_the_answer_of_a_host_may_be_lost(case: Case) -> None:
    expected = plain_end(case)
    for verb in sorted(verbs_of(case)):
        stage = prepared(case)
        stage.truth.loses.add(verb)
        ended = stage.run(case.make(stage))
        assert verb not in stage.truth.loses, "its answer was lost"
        assert ended.state == "done", verb
        assert stage.slate() == expected, verb


@EACH
def test_every_action_may_run_twice(case: Case) -> None:
    expected = plain_end(case)

    def doubled(_: int, step: Step) -> Step:
        async def twice(run: Run, items: Items) -> Outcome:
            await step.action(run, items)
            return await step.action(run, items)

        return step._replace(action=twice)

    stage = prepared(case)
    restart(stage, workflows=with_steps(case.kind, doubled))
    assert stage.run(case.make(stage)).state == "done"
    assert stage.slate() == expected


@pytest.mark.parametrize("case", [case for case in CASES if case.kind not in FORWARD_ONLY],
                         ids=lambda case: case.name)  # fmt: skip
def test_every_undo_may_run_twice(case: Case) -> None:
    last = len(WORKFLOWS[case.kind].steps) - 1

    def doubled(index: int, step: Step) -> Step:
        undo = step.undo
        changed = step
        if undo is not None:

            async def twice(run: Run, items: Items) -> Outcome:
                await undo(run, items)
                return await undo(run, items)

            changed = step._replace(undo=twice)
        if index == last:

            async def fails(run: Run, items: Items) -> Outcome:
                await step.action(run, items)
                raise DriverFailed("injected", "step")

            changed = changed._replace(action=fails)
        return changed

    stage = prepared(case)
    before = stage.slate()
    restart(stage, workflows=with_steps(case.kind, doubled))
    assert stage.run(case.make(stage)).state == "failed"
    assert stage.slate() == before
