"""Random trees with random failures behave as the model says, on every host.

A failing example shrinks and is printed as the steps that made it; `--hypothesis-seed` replays a
run. Runs are the same every time unless MODEL_EXAMPLES asks for a number of new ones.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from supervisors.child import check_child
from supervisors.errors import SpecError
from supervisors.scenario.workers import Worker
from tests.supervisors.model import rules, trees
from tests.supervisors.model.driver import Driver
from tests.supervisors.world import WORLDS

EXAMPLES = int(os.environ.get("MODEL_EXAMPLES", "0"))
CORPUS = Path(__file__).parents[1] / "otp" / "corpus.json"


class RandomTree(RuleBasedStateMachine):
    """Does the same to a real tree and to the model, and compares after each step."""

    kind: str

    @initialize(tree=trees.trees())
    def grow(self, tree: dict[str, Any]) -> None:
        self.world = WORLDS[self.kind]()
        self.number = 0
        self.fresh = 0
        self.model = rules.Model(tree)
        self.driver = Driver(self.world, tree)
        self.compare()

    def compare(self) -> None:
        assert self.driver.events == self.model.events
        assert self.driver.end() == self.model.end

    def do(self, step: dict[str, Any]) -> None:
        self.model.step(self.number, step)
        self.driver.step(self.number, step)
        self.number += 1
        self.compare()

    def teardown(self) -> None:
        if hasattr(self, "world"):
            self.world.close()

    def paths(self, kind: type) -> list[str]:
        known = [path for path, process in self.model.alive.items() if isinstance(process, kind)]
        return sorted(known)

    def lives(self) -> bool:
        alive: bool = self.model.end == "alive"
        return alive

    def has_worker(self) -> bool:
        return bool(self.paths(rules.Worker))

    @precondition(has_worker)
    @rule(data=st.data(), reason=trees.REASONS)
    def a_worker_ends(self, data: st.DataObject, reason: Any) -> None:
        path = data.draw(st.sampled_from(self.paths(rules.Worker)))
        self.do({"do": "exit", "path": path, "reason": reason})

    @precondition(has_worker)
    @rule(data=st.data())
    def a_worker_is_killed(self, data: st.DataObject) -> None:
        self.do({"do": "kill", "path": data.draw(st.sampled_from(self.paths(rules.Worker)))})

    @precondition(lives)
    @rule(
        data=st.data(),
        do=st.sampled_from(["terminate_child", "restart_child", "delete_child"]),
    )
    def a_child_is_managed(self, data: st.DataObject, do: str) -> None:
        path = data.draw(st.sampled_from(self.paths(rules.Sup)))
        sup = self.model.alive[path]
        assert isinstance(sup, rules.Sup)
        child_id = data.draw(st.sampled_from([*sup.rows, "nobody"]))
        self.do({"do": do, "sup": path, "id": child_id})

    @precondition(lives)
    @rule(data=st.data(), known=st.booleans())
    def a_child_is_added(self, data: st.DataObject, known: bool) -> None:
        path = data.draw(st.sampled_from(self.paths(rules.Sup)))
        sup = self.model.alive[path]
        assert isinstance(sup, rules.Sup)
        self.fresh += 1
        child_id = f"new{self.fresh}"
        if known and sup.rows:
            child_id = data.draw(st.sampled_from(list(sup.rows)))
        child = data.draw(trees.workers(child_id, sup.spec["auto_shutdown"]))
        self.do({"do": "start_child", "sup": path, "child": child})

    @precondition(lives)
    @rule(data=st.data(), do=st.sampled_from(["which_children", "count_children"]))
    def somebody_looks(self, data: st.DataObject, do: str) -> None:
        self.do({"do": do, "sup": data.draw(st.sampled_from(self.paths(rules.Sup)))})

    @rule(duration_ms=trees.SLEEPS_MS)
    def time_passes(self, duration_ms: int) -> None:
        self.do({"do": "sleep", "ms": duration_ms})

    @precondition(lives)
    @rule(sure=st.integers(0, 9))
    def the_root_is_stopped(self, sure: int) -> None:
        if sure == 0:
            self.do({"do": "stop"})


def case(kind: str, examples: int) -> Any:
    """Make the test case of one host."""
    machine: Any = type(f"RandomTreeOn{kind.title()}", (RandomTree,), {"kind": kind})
    machine.TestCase.settings = settings(
        max_examples=EXAMPLES or examples,
        stateful_step_count=15,
        deadline=None,
        derandomize=not EXAMPLES,
        print_blob=True,
        suppress_health_check=list(HealthCheck),
    )
    return machine.TestCase


TestOnSimulatedHost = case("simulated", 150)
TestOnAsyncioHost = case("asyncio", 30)
TestOnThreadHost = case("thread", 30)


def supervisor_paths(spec: dict[str, Any], path: str) -> list[str]:
    """List the paths of a SUP and the SUPs below it."""
    below = [
        found
        for child in spec.get("children", [])
        if child.get("type") == "supervisor"
        for found in supervisor_paths(child, f"{path}/{child['id']}")
    ]
    return [path, *below]


def in_domain(scenario: dict[str, Any]) -> bool:
    """Tell whether the model has rules for a scenario: good specs, no supervisor dies at once."""
    tree = scenario["tree"]
    supervisors = supervisor_paths(tree, tree["id"])
    patience = {spec.get("shutdown", "infinity") for spec in walk(tree) if "children" in spec}
    if patience != {"infinity"}:
        return False
    for step in scenario["steps"]:
        if step["do"] == "kill" and step["path"] in supervisors:
            return False
        if step["do"] == "start_child":
            try:
                check_child({**step["child"], "start": (Worker,)}, "any_significant")
            except SpecError:
                return False
            if "children" in step["child"] or "type" not in step["child"]:
                return False
            if step["child"].get("significant") and "auto_shutdown" not in tree:
                return False
    return True


def walk(spec: dict[str, Any]) -> list[dict[str, Any]]:
    """List a spec and all below it."""
    return [spec, *(found for child in spec.get("children", []) for found in walk(child))]


def entries() -> list[Any]:
    """Give the recorded runs of OTP that are in the model's domain."""
    recorded = json.loads(CORPUS.read_text())
    chosen = [entry for entry in recorded if in_domain(entry["scenario"])]
    return [pytest.param(entry, id=entry["name"]) for entry in chosen]


def test_the_model_has_rules_for_most_of_what_was_recorded() -> None:
    assert len(entries()) > 300


@pytest.mark.parametrize("entry", entries())
def test_the_model_says_what_otp_did(entry: dict[str, Any]) -> None:
    assert rules.run(entry["scenario"]) == entry["expected"]
