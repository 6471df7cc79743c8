"""Random scenarios for runs side by side with OTP.

They are valid in form, small, and short of real time: shutdown timeouts of tens of milliseconds,
few sleeps. Two situations are left out because no rule decides them. OTP promises no order
between the deaths of a killed supervisor's subtree and the start of its successor, so a
supervisor that can die at once has workers only. And what a worker that answers `shutdown` in
its own way does when its supervisor is killed is not said, so those workers sit elsewhere.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from random import Random

Json = dict[str, Any]

STRATEGIES = ["one_for_one", "one_for_all", "rest_for_one"]
RESTARTS = ["permanent", "transient", "temporary"]
REASONS: list[Any] = ["normal", "shutdown", {"shutdown": "done"}, "boom", "killed", "noproc"]
TIMEOUTS_MS = [10, 25, 40, 60]
SLEEPS_MS = [250, 600, 1100, 1300]
MAX_WORKERS = 8
MAX_DEPTH = 3
MAX_STEPS = 12
MAX_SLEEPS = 2
ROOT = "root"


class _Plan:
    """A scenario being drawn: what is spent, and the paths that steps can aim at."""

    def __init__(self, rng: Random) -> None:
        self.rng = rng
        self.workers_left = rng.randint(1, MAX_WORKERS)
        self.sleeps_left = MAX_SLEEPS
        self.names = 0
        self.workers: list[str] = []
        self.supervisors: dict[str, Json] = {}

    def chance(self, share: float) -> bool:
        return self.rng.random() < share

    def name(self, letter: str) -> str:
        self.names += 1
        return f"{letter}{self.names}"


def random_scenario(rng: Random) -> Json:
    """One scenario, the same for the same state of rng; called by the differential tests."""
    plan = _Plan(rng)
    tree = _supervisor(plan, ROOT, None, depth=1)
    return {"tree": tree, "steps": [_step(plan) for _ in range(rng.randint(1, MAX_STEPS))]}


def _supervisor(plan: _Plan, name: str, parent: tuple[str, Json] | None, depth: int) -> Json:
    rng = plan.rng
    path = name if parent is None else f"{parent[0]}/{name}"
    spec: Json = {"id": name, "type": "supervisor", "children": []}
    plan.supervisors[path] = spec
    spec["strategy"] = rng.choice(STRATEGIES)
    if plan.chance(0.8):
        spec["intensity"] = rng.choice([0, 1, 1, 2, 2, 3, 5])
    if plan.chance(0.6):
        spec["period"] = rng.choice([1, 2, 5, 10])
    if plan.chance(0.3):
        spec["auto_shutdown"] = rng.choice(["never", "any_significant", "all_significant"])
    if parent is not None:
        _restart_keys(plan, spec, parent[1])
    for _ in range(rng.randint(0 if depth > 1 else 1, 4)):
        if depth < MAX_DEPTH and plan.chance(0.25):
            child = _supervisor(plan, plan.name("s"), (path, spec), depth + 1)
            spec["children"].append(child)
        elif plan.workers_left > 0:
            spec["children"].append(_worker(plan, (path, spec)))
    if parent is not None and plan.chance(0.3):
        _supervisor_shutdown(plan, spec)
    return spec


def _supervisor_shutdown(plan: _Plan, spec: Json) -> None:
    if _dies_in_order(spec):
        spec["shutdown"] = plan.rng.choice(["brutal_kill", "infinity", *TIMEOUTS_MS])
    else:
        spec["shutdown"] = "infinity"


def _dies_in_order(spec: Json) -> bool:
    """Whether the order of events is certain when this supervisor dies at once."""
    return all(
        child.get("type") == "worker" and child.get("on_shutdown", "obey") == "obey"
        for child in spec["children"]
    )


def _restart_keys(plan: _Plan, spec: Json, parent: Json) -> None:
    if plan.chance(0.6):
        spec["restart"] = plan.rng.choice(RESTARTS)
    lasting = spec.get("restart", "permanent") == "permanent"
    if parent.get("auto_shutdown", "never") != "never" and not lasting and plan.chance(0.6):
        spec["significant"] = True


def _worker(plan: _Plan, parent: tuple[str, Json]) -> Json:
    plan.workers_left -= 1
    rng = plan.rng
    spec: Json = {"id": plan.name("w"), "type": "worker"}
    plan.workers.append(f"{parent[0]}/{spec['id']}")
    _restart_keys(plan, spec, parent[1])
    if plan.chance(0.2):
        first = rng.choices([1, 2, 3], [1, 10, 5])[0]
        spec["start"] = {"fail_on": list(range(first, first + rng.randint(1, 3)))}
    elif plan.chance(0.06):
        spec["start"] = "ignore"
    if plan.chance(0.4):
        spec["shutdown"] = rng.choice(["brutal_kill", "infinity", 0, *TIMEOUTS_MS])
    if plan.chance(0.35):
        spec["traps_exit"] = True
        if plan.chance(0.6):
            _answer_to_shutdown(plan, spec)
    return spec


def _answer_to_shutdown(plan: _Plan, spec: Json) -> None:
    if plan.chance(0.5):
        spec["on_shutdown"] = {"exit": plan.rng.choice(REASONS)}
        return
    spec["on_shutdown"] = "ignore"
    if spec.get("shutdown") not in ("brutal_kill", *TIMEOUTS_MS):
        spec["shutdown"] = plan.rng.choice(TIMEOUTS_MS)


def _step(plan: _Plan) -> Json:
    draw = plan.rng.choices(
        [_exit, _kill, _start_child, _child_call, _query, _sleep, _stop],
        [8, 6, 3, 6, 4, 0.5, 0.4],
    )[0]
    return draw(plan)


def _exit(plan: _Plan) -> Json:
    if not plan.workers:
        return _query(plan)
    reason = plan.rng.choice(REASONS)
    return {"do": "exit", "path": plan.rng.choice(plan.workers), "reason": reason}


def _kill(plan: _Plan) -> Json:
    victims = list(plan.workers)
    if plan.chance(0.3) or not victims:
        certain = (path for path, spec in plan.supervisors.items() if _dies_in_order(spec))
        victims += [path for path in certain if path != ROOT or plan.chance(0.1)]
    return {"do": "kill", "path": plan.rng.choice(victims)} if victims else _query(plan)


def _start_child(plan: _Plan) -> Json:
    path, spec = plan.rng.choice(list(plan.supervisors.items()))
    if plan.chance(0.25) and spec["children"]:
        child = plan.rng.choice(spec["children"])
        return {"do": "start_child", "sup": path, "child": child}
    certain = _dies_in_order(spec)
    child = _worker(plan, (path, spec))
    if certain:
        child.pop("on_shutdown", None)
    if plan.chance(0.15):
        _spoil(plan, child)
    return {"do": "start_child", "sup": path, "child": child}


def _spoil(plan: _Plan, child: Json) -> None:
    """Makes the spec one that OTP refuses (or, significant, may refuse)."""
    key, value = plan.rng.choice(
        [("restart", "always"), ("shutdown", -1), ("shutdown", "soon"), ("significant", True)]
    )
    child[key] = value


def _child_call(plan: _Plan) -> Json:
    call = plan.rng.choice(["terminate_child", "restart_child", "delete_child"])
    path, spec = plan.rng.choice(list(plan.supervisors.items()))
    names = [child["id"] for child in spec["children"]]
    names += [worker.rpartition("/")[2] for worker in plan.workers if _parent(worker) == path]
    return {"do": call, "sup": path, "id": plan.rng.choice([*names, "nobody"])}


def _parent(path: str) -> str:
    return path.rpartition("/")[0]


def _query(plan: _Plan) -> Json:
    query = plan.rng.choice(["which_children", "count_children"])
    return {"do": query, "sup": plan.rng.choice(list(plan.supervisors))}


def _sleep(plan: _Plan) -> Json:
    plan.sleeps_left -= 1
    if plan.sleeps_left < 0:
        return _query(plan)
    return {"do": "sleep", "ms": plan.rng.choice(SLEEPS_MS)}


def _stop(plan: _Plan) -> Json:
    return {"do": "stop"}
