"""What users hang on to the runtime may raise: it is logged, and the node and others go on."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import pytest

from supervisors import ChildSpec, DynamicSupervisor, Flags, GenServer, Supervisor, Via, start_child
from supervisors.errors import CallExit, CallTimeout
from supervisors.messages import SYSTEM
from supervisors.timers import Deadline
from tests.supervisors.probe import Probe, exit_reason, seen

if TYPE_CHECKING:
    from supervisors import Ref
    from tests.supervisors.world import World


def fail(*_: Any) -> None:
    raise ValueError("a user's mistake")


def logged(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Give what was logged with the user's error."""
    return [
        record.getMessage()
        for record in caplog.records
        if record.levelno == logging.ERROR
        and record.exc_info is not None
        and "a user's mistake" in str(record.exc_info[1])
    ]


async def park(self: Any) -> None:
    await self.sleep(100)


@pytest.mark.parametrize("timeout_s", [5.0, 1.0])
def test_a_callback_that_raises_harms_neither_server_nor_node_nor_who_waits(
    world: World, caplog: pytest.LogCaptureFixture, timeout_s: float
) -> None:
    probe = world.start(Probe)
    told: list[Any] = []
    answer = probe.call("x" if timeout_s == 5.0 else park, timeout_s)
    answer.add_done_callback(fail)
    answer.add_done_callback(told.append)
    if timeout_s == 5.0:
        assert world.wait(answer) == "x"
    else:
        with pytest.raises(CallTimeout):
            world.wait(answer)
    world.settle()
    assert told == [answer]
    answer.add_done_callback(fail)
    assert len(logged(caplog)) == 2
    assert world.call(world.start(Probe), "still there") == "still there"
    assert probe.is_alive()


def test_a_subscriber_that_raises_is_logged_and_the_next_is_told(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    letters: list[Any] = []
    reports: list[Any] = []
    world.node.dead_letters.subscribe(fail)
    world.node.dead_letters.subscribe(letters.append)
    world.node.reports.subscribe(fail)
    world.node.reports.subscribe(reports.append)
    ref = world.start(Probe)
    ref.cast(fail)
    world.settle()
    ref.cast("late")
    world.settle()
    assert not ref.is_alive()
    assert [letter.message for letter in letters] == ["late"]
    assert [report.kind for report in reports] == ["crash"]
    assert len(logged(caplog)) == 2
    assert world.call(world.start(Probe), "still there") == "still there"


class Table:
    """A name table that takes names and does not give them back."""

    def __init__(self) -> None:
        self.held: dict[Any, Ref[Any]] = {}

    def register_name(self, name: Any, ref: Ref[Any]) -> bool:
        return self.held.setdefault(name, ref) == ref

    def unregister_name(self, name: Any) -> None:
        fail(name)

    def whereis_name(self, name: Any) -> Ref[Any] | None:
        return self.held.get(name)


def test_a_name_table_that_raises_does_not_leave_its_process_half_dead(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    table, watcher = Table(), world.start(Probe)
    named = world.start(Probe, name=Via(table, "x"))
    watcher.cast(lambda self: self.monitor(named) and None)
    waiting = named.call(park, None)
    world.settle()
    named.kill()
    with pytest.raises(CallExit):
        world.wait(waiting)
    assert exit_reason(world, named) == "killed"
    assert [down.reason for down in seen(world, watcher)] == ["killed"]
    assert len(logged(caplog)) == 1
    assert "Via('x')" in logged(caplog)[0]


class Incomparable:
    """A reason that raises when somebody compares it."""

    __hash__ = None  # type: ignore[assignment]

    def __eq__(self, other: object) -> bool:
        raise ValueError("a user's mistake")


@pytest.mark.parametrize("trap", [True, False])
def test_a_reason_that_cannot_be_compared_is_a_reason_like_any_other(
    world: World, trap: bool
) -> None:
    reason, probe = Incomparable(), world.start(Probe, trap=trap)
    probe.exit(reason)
    world.settle()
    if trap:
        assert [one.reason is reason for one in seen(world, probe)] == [True]
    else:
        assert not probe.is_alive()
        assert probe.exit_reason is reason
    assert world.call(world.start(Probe), "still there") == "still there"


class Odd(GenServer):
    """Ends for a reason that can be neither compared nor hashed, when it is told to stop."""

    def init(self) -> None:
        self.trap_exit = True

    def terminate(self, reason: Any) -> None:
        self.exit(Incomparable())


def test_children_that_end_for_such_a_reason_are_restarted_and_stopped(world: World) -> None:
    supervisor = world.start(Supervisor, Flags(), [ChildSpec("odd", (Probe,), name="odd")])
    odd = world.node.address("odd")
    odd.exit(Incomparable())
    world.settle()
    assert world.node.address("odd") != odd
    assert supervisor.is_alive()
    dynamic = world.start(
        DynamicSupervisor, Flags("simple_one_for_one"), [ChildSpec("odd", (Odd,))]
    )
    for _ in range(3):
        world.wait(start_child(dynamic))
    dynamic.stop(block=False)
    world.settle()
    assert not dynamic.is_alive()
    assert world.supervisor_reports()[-1][:2] == ("shutdown_error", "odd")


def test_no_entry_from_outside_and_no_timer_can_end_the_node(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    shard, probe = world.node.shard, world.start(Probe)
    shard.post_from_outside(None, SYSTEM, fail, None)
    probe.cast("behind it")
    world.settle()
    world.on_shard(lambda: Deadline(shard, 1, fail))
    world.on_shard(lambda: probe._process.send_after(1, "behind it as well"))
    world.advance(2)
    assert seen(world, probe) == ["behind it", "behind it as well"]
    assert len(logged(caplog)) == 2


class Shy(GenServer):
    """Fails to show its inside for the report of its crash."""

    def handle_call(self, message: Any, caller: Any) -> None:
        fail()

    def crash_status(self, reason: Any) -> dict[str, Any] | None:
        raise ValueError("a user's mistake")


def test_a_crash_status_that_raises_does_not_stop_the_crash(world: World) -> None:
    with pytest.raises(CallExit):
        world.call(world.start(Shy), "x")
    assert [report.kind for report in world.reports] == ["crash"]
