"""All children of one supervisor killed at once: `... restarts CHILDREN ROUNDS`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from benchmarks.programs import meter, stage
from supervisors import Future, count_children, start_child, which_children

if TYPE_CHECKING:
    from supervisors import Node


class Ups:
    """Counts inits and settles when a number of them is reached."""

    def __init__(self, wanted: int) -> None:
        self.left = wanted
        self.reached: Future[None] = Future()

    def __call__(self) -> None:
        """Note one init."""
        self.left -= 1
        if not self.left:
            self.reached.set()


async def restart_all(node: Node, children: int) -> float:
    """Kill all children of a new supervisor and give the CPU seconds until all are back."""
    root = await stage.start_tree(node, 1)
    (supervisor,) = await stage.dynamic_supervisors(root)
    ups = Ups(2 * children)
    for number in range(children):
        await start_child(supervisor, stage.name(number), ups)
    refs = [ref for _, ref, _, _ in await which_children(supervisor)]
    began_s = meter.now_cpu_s()
    for ref in refs:
        ref.kill()
    await ups.reached
    counts = await count_children(supervisor)
    spent_s = meter.now_cpu_s() - began_s
    assert counts["active"] == children
    await root.stop(block=False)
    return spent_s


async def measure(node: Node) -> None:
    """Do it in rounds; every restart must have been reported."""
    children, rounds = map(int, sys.argv[1:])
    spent_s = sum([await restart_all(node, children) for _ in range(rounds)])
    assert node.reports.counts["supervisor", "child_terminated"] == children * rounds
    meter.emit(f"restarts_{children}", children * rounds / spent_s, "restarts/CPU s")


if __name__ == "__main__":
    stage.run(measure)
