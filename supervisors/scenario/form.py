"""The form of a scenario: JSON text in, checked values out, each fault with its JSON pointer.

Everything here is a function of its arguments. The tree is checked whole. The child of a
`start_child` step is checked only where OTP has no opinion (which path its id makes, when its
start fails, how it answers): its faults as a child spec are for the supervisor it is given to.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from supervisors import limits
from supervisors.child import (
    ONE_FOR_ONE,
    SIMPLE_ONE_FOR_ONE,
    SUPERVISOR,
    WORKER,
    check_child,
    check_flags,
)
from supervisors.errors import SpecError
from supervisors.scenario.document import (
    Where,
    check_plain,
    fault,
    is_whole,
    members,
    read,
    require,
    shown,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from supervisors.errors import ScenarioFault

OBEY: Final = "obey"
IGNORES: Final = "ignore"

_ID = re.compile(r"[A-Za-z0-9_.-]+")

FLAG_KEYS: Final = ("strategy", "intensity", "period", "auto_shutdown")
SPEC_KEYS: Final = ("id", "type", "restart", "shutdown", "significant")
SUPERVISOR_KEYS: Final = (*SPEC_KEYS, *FLAG_KEYS, "children")
WORKER_KEYS: Final = (*SPEC_KEYS, "start", "traps_exit", "on_shutdown")

# What OTP calls a fault of a spec or of flags, and the key that it stands at.
_FAULTY_KEY: Final = {
    "invalid_restart_type": "restart",
    "invalid_shutdown": "shutdown",
    "invalid_significant": "significant",
    "bad_combination": "significant",
    "invalid_strategy": "strategy",
    "invalid_intensity": "intensity",
    "invalid_period": "period",
    "invalid_auto_shutdown": "auto_shutdown",
}


class Scenario(NamedTuple):
    """A checked scenario: the root's SUP and the steps, as the objects of its JSON."""

    tree: dict[str, Any]
    steps: list[dict[str, Any]]


def parse(text: bytes) -> Scenario:
    """Read a scenario from UTF-8 JSON text; raises ScenarioFault."""
    return check(read(text))


def check(document: Any) -> Scenario:
    """Check a parsed document; raises ScenarioFault with the pointer of the first fault."""
    check_plain(document)
    members((), document, ("tree", "steps"), required=("tree", "steps"))
    _check_tree(document["tree"])
    steps = document["steps"]
    require((), "steps", isinstance(steps, list), "must be a list of steps")
    for number, step in enumerate(steps):
        _check_step(("steps", number), step)
    return Scenario(document["tree"], steps)


# -- the tree --------------------------------------------------------------------------------


def _check_tree(tree: Any) -> None:
    where: Where = ("tree",)
    if isinstance(tree, dict) and tree.get("type", SUPERVISOR) != SUPERVISOR:
        raise fault((*where, "type"), 'the root must be a "supervisor"')
    for place, node, auto_shutdown in _walk(where, tree):
        _check_spec(place, node, auto_shutdown)
        if node["type"] == SUPERVISOR:
            _check_supervisor(place, node)
        else:
            _check_worker(place, node)


def _walk(where: Where, tree: Any) -> Iterator[tuple[Where, dict[str, Any], str | None]]:
    """Give every node in its order with its place and its supervisor's auto_shutdown.

    Each is looked into only after its receiver has checked it.
    """
    waiting: list[tuple[Where, Any, str | None]] = [(where, tree, None)]
    while waiting:
        place, node, auto_shutdown = waiting.pop()
        yield place, node, auto_shutdown
        if node["type"] == SUPERVISOR:
            children = enumerate(node.get("children", ()))
            mode = node.get("auto_shutdown", "never")
            below = [((*place, "children", number), child, mode) for number, child in children]
            waiting.extend(reversed(below))


def _check_spec(where: Where, node: Any, auto_shutdown: str | None) -> None:
    """Check what supervisors and workers share, by OTP's own check of child specs."""
    if not isinstance(node, dict):
        raise fault(where, f"must be an object, not {shown(node)}")
    kind = node.get("type", WORKER)
    if kind not in (SUPERVISOR, WORKER):
        raise fault((*where, "type"), f"invalid_child_type: {shown(kind)}")
    allowed = SUPERVISOR_KEYS if kind == SUPERVISOR else WORKER_KEYS
    members(where, node, allowed, required=("id", "type"))
    _check_id(where, node["id"])
    spec = {key: node[key] for key in SPEC_KEYS if key in node}
    try:
        check_child({**spec, "start": object}, auto_shutdown)
    except SpecError as error:
        raise _of_spec(where, error) from None
    _check_patience(where, node)


def _of_spec(where: Where, error: SpecError) -> ScenarioFault:
    what, value = error.reason
    return fault((*where, _FAULTY_KEY[what]), f"{what}: {shown(value)}")


def _check_id(where: Where, value: Any) -> None:
    fits = isinstance(value, str) and _ID.fullmatch(value) is not None
    require(where, "id", fits, f"must match {_ID.pattern}, not {shown(value)}")


def _check_patience(where: Where, node: dict[str, Any]) -> None:
    shutdown = node.get("shutdown")
    if is_whole(shutdown, limits.SCENARIO_MS + 1):
        raise fault((*where, "shutdown"), f"longer than {limits.SCENARIO_MS} ms")


def _check_supervisor(where: Where, node: dict[str, Any]) -> None:
    try:
        check_flags({key: node[key] for key in FLAG_KEYS if key in node})
    except SpecError as error:
        raise _of_spec(where, error) from None
    _check_static(where, node)
    children = node.get("children", [])
    require(where, "children", isinstance(children, list), "must be a list")
    seen: set[Any] = set()
    for number, child in enumerate(children):
        name = child.get("id") if isinstance(child, dict) else None
        if isinstance(name, str) and name in seen:
            place = (*where, "children", number, "id")
            raise fault(place, f"duplicate_child_name: {shown(name)}")
        seen.add(name if isinstance(name, str) else None)


def _check_static(where: Where, node: dict[str, Any]) -> None:
    if node.get("strategy", ONE_FOR_ONE) == SIMPLE_ONE_FOR_ONE:
        raise fault((*where, "strategy"), f"{SIMPLE_ONE_FOR_ONE} is not one of the static ones")


def _check_worker(where: Where, node: dict[str, Any]) -> None:
    _check_behaviour(where, node)
    answer = node.get("on_shutdown", OBEY)
    traps = node.get("traps_exit", False)
    require(
        where, "on_shutdown", answer == OBEY or traps,
        f"{shown(answer)} needs traps_exit: a worker that traps no exits just ends",
    )  # fmt: skip
    require(
        where, "on_shutdown", answer != IGNORES or node.get("shutdown") != "infinity",
        "a worker that ignores shutdown, with a shutdown of infinity, would be waited for for ever",
    )  # fmt: skip


def _check_behaviour(where: Where, node: dict[str, Any]) -> None:
    """Check what only a scenario knows of a worker: how it starts and how it answers."""
    start = node.get("start", "ok")
    if isinstance(start, dict):
        place = (*where, "start")
        members(place, start, ("fail_on",), required=("fail_on",))
        attempts = start["fail_on"]
        fits = isinstance(attempts, list) and all(is_whole(number, 1) for number in attempts)
        require(place, "fail_on", fits, "must be a list of attempts, counted from 1")
    else:
        fits = start in ("ok", "ignore")
        require(
            where,
            "start",
            fits,
            f'must be "ok", "ignore" or {{"fail_on": [...]}}, not {shown(start)}',
        )
    require(
        where,
        "traps_exit",
        isinstance(node.get("traps_exit", False), bool),
        "must be true or false",
    )
    answer = node.get("on_shutdown", OBEY)
    if isinstance(answer, dict):
        place = (*where, "on_shutdown")
        members(place, answer, ("exit",), required=("exit",))
        _check_reason(place, "exit", answer["exit"])
    else:
        fits = answer in (OBEY, IGNORES)
        require(
            where,
            "on_shutdown",
            fits,
            f'must be "obey", "ignore" or {{"exit": REASON}}, not {shown(answer)}',
        )


def _check_reason(where: Where, key: str, reason: Any) -> None:
    if isinstance(reason, dict):
        place = (*where, key)
        members(place, reason, ("shutdown",), required=("shutdown",))
        require(place, "shutdown", isinstance(reason["shutdown"], str), "must be a string")
    else:
        fits = isinstance(reason, str)
        require(
            where, key, fits, f'must be a string or {{"shutdown": STRING}}, not {shown(reason)}'
        )


# -- the steps -------------------------------------------------------------------------------


def _check_path(where: Where, key: str, value: Any) -> None:
    fits = isinstance(value, str) and all(_ID.fullmatch(part) for part in value.split("/"))
    require(where, key, fits, f"must be a path of ids joined by /, not {shown(value)}")


def _check_step_id(where: Where, key: str, value: Any) -> None:
    del key
    _check_id(where, value)


def _check_ms(where: Where, key: str, value: Any) -> None:
    require(where, key, is_whole(value, 0), f"must be whole milliseconds, not {shown(value)}")
    require(where, key, value <= limits.SCENARIO_MS, f"longer than {limits.SCENARIO_MS} ms")


def _check_given_child(where: Where, key: str, value: Any) -> None:
    """Check of a child to be started only what its supervisor could not refuse by itself."""
    waiting: list[tuple[Where, Any]] = [((*where, key), value)]
    while waiting:
        place, node = waiting.pop()
        if not isinstance(node, dict):
            continue
        if "id" in node:
            _check_id(place, node["id"])
        _check_patience(place, node)
        if node.get("type") != SUPERVISOR:
            _check_behaviour(place, node)
            continue
        _check_static(place, node)
        children = node.get("children", [])
        require(place, "children", isinstance(children, list), "must be a list")
        waiting.extend(
            ((*place, "children", number), child) for number, child in enumerate(children)
        )


_FIELDS: Final[dict[str, Callable[[Where, str, Any], None]]] = {
    "path": _check_path,
    "sup": _check_path,
    "id": _check_step_id,
    "reason": _check_reason,
    "ms": _check_ms,
    "child": _check_given_child,
}

STEPS: Final[dict[str, tuple[str, ...]]] = {
    "exit": ("path", "reason"),
    "kill": ("path",),
    "start_child": ("sup", "child"),
    "terminate_child": ("sup", "id"),
    "restart_child": ("sup", "id"),
    "delete_child": ("sup", "id"),
    "which_children": ("sup",),
    "count_children": ("sup",),
    "sleep": ("ms",),
    "stop": (),
}
"""Every step by its name in `do`, with the fields it must have."""


def _check_step(where: Where, step: Any) -> None:
    if not isinstance(step, dict):
        raise fault(where, f"must be an object, not {shown(step)}")
    if "do" not in step:
        raise fault((*where, "do"), "missing")
    name = step["do"]
    if not isinstance(name, str) or name not in STEPS:
        raise fault((*where, "do"), f"unknown step {shown(name)}; known: {', '.join(STEPS)}")
    fields = STEPS[name]
    members(where, step, ("do", *fields), required=fields)
    for field in fields:
        _FIELDS[field](where, field, step[field])
