"""The clock of a shard on a simulated host that nothing but deadlines wakes."""

from __future__ import annotations

from supervisors import SimulatedHost
from supervisors.timers import Deadline


def test_a_deadline_from_outside_counts_from_when_it_is_made() -> None:
    host = SimulatedHost(seed=0)
    shard = host.node("idle", log_reports=False).shard
    fired: list[float] = []

    def arm() -> None:
        if shard.asleep:
            shard.wake()
        Deadline(shard, 60.0, lambda: fired.append(host.now_s))

    for _ in range(3):
        host.run_ready()
        arm()
        host.advance(15.0)
    host.advance(100.0)
    assert [round(at, 2) for at in fired] == [60.0, 75.0, 90.0]
