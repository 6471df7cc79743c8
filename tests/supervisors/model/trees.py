"""Hypothesis strategies for random trees and steps that the model has rules for.

Timeouts and sleeps are eighths of a second, so that no rounding moves a restart over a second's
edge. Supervisors are not killed and have no timeout of their own: their children would die in no
order.
"""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING, Any

from hypothesis import strategies as st

if TYPE_CHECKING:
    from collections.abc import Iterator

Json = dict[str, Any]

MAX_DEPTH = 3
MAX_CHILDREN = 4

REASONS = st.sampled_from(["normal", "shutdown", {"shutdown": "done"}, "boom", "killed"])
RESTARTS = st.sampled_from(["permanent", "transient", "temporary"])
STRATEGIES = st.sampled_from(["one_for_one", "one_for_all", "rest_for_one"])
AUTO_SHUTDOWNS = st.sampled_from(["never", "never", "any_significant", "all_significant"])
PATIENCES_MS = st.sampled_from([125, 250])
SLEEPS_MS = st.sampled_from([125, 500, 1000, 2500, 6000])
FAILURES = st.sampled_from([[2], [2, 3], [3], [2, 3, 4, 5], [1]])


@st.composite
def trees(draw: st.DrawFn) -> Json:
    """A root with its subtree; ids are distinct over the whole tree."""
    return draw(supervisors("root", "never", 1, count(1)))


@st.composite
def supervisors(
    draw: st.DrawFn, child_id: str, above_mode: str, depth: int, numbers: Iterator[int]
) -> Json:
    """A supervisor with its children."""
    spec: Json = {
        "id": child_id,
        "type": "supervisor",
        "strategy": draw(STRATEGIES),
        "intensity": draw(st.integers(0, 4)),
        "period": draw(st.sampled_from([1, 3, 5])),
        "auto_shutdown": draw(AUTO_SHUTDOWNS),
    }
    if depth > 1:
        draw_restart(draw, spec, above_mode)
    children = []
    for _ in range(draw(st.integers(0, MAX_CHILDREN))):
        if depth < MAX_DEPTH and draw(st.integers(0, 3)) == 0:
            name = f"s{next(numbers)}"
            children.append(draw(supervisors(name, spec["auto_shutdown"], depth + 1, numbers)))
        else:
            children.append(draw(workers(f"w{next(numbers)}", spec["auto_shutdown"])))
    spec["children"] = children
    return spec


@st.composite
def workers(draw: st.DrawFn, child_id: str, above_mode: str) -> Json:
    """A worker, which starts and stops in any of the ways there are."""
    spec: Json = {"id": child_id, "type": "worker"}
    draw_restart(draw, spec, above_mode)
    start = draw(st.integers(0, 9))
    if start == 0:
        spec["start"] = "ignore"
    elif start <= 2:
        spec["start"] = {"fail_on": draw(FAILURES)}
    if draw(st.booleans()):
        spec["shutdown"] = draw(st.one_of(st.just("brutal_kill"), PATIENCES_MS))
    if draw(st.booleans()):
        spec["traps_exit"] = True
        answer = draw(st.integers(0, 2))
        if answer == 1:
            spec["on_shutdown"] = {"exit": draw(REASONS)}
        elif answer == 2:
            spec["on_shutdown"] = "ignore"
            spec["shutdown"] = draw(PATIENCES_MS)
    return spec


def draw_restart(draw: st.DrawFn, spec: Json, above_mode: str) -> None:
    """Draw the keys that say how the supervisor above treats this one."""
    spec["restart"] = draw(RESTARTS)
    if above_mode != "never" and spec["restart"] != "permanent":
        spec["significant"] = draw(st.booleans())
