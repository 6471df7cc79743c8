"""Thread ports: threads that do not come back, and those that come back late."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest

from supervisors.errors import PortClosed, PortCrashed, PortOverload, PortStuck, PortTimeout
from supervisors.ports.thread_port import ThreadPort
from tests.supervisors.ports.rig import LONG_S, SHORT_S
from tests.supervisors.world import REAL_PATIENCE_S

if TYPE_CHECKING:
    from collections.abc import Iterator


class Stage:
    """A thread port whose jobs wait until the test lets them go."""

    def __init__(self, **options: Any) -> None:
        self.gate = threading.Event()
        self.returned: list[str] = []
        self.lost: set[threading.Thread] = set()
        meeting = threading.Barrier(2, timeout=REAL_PATIENCE_S)
        table = {"wait": self.wait, "echo": lambda value: value, "meet": meeting.wait}
        self.port = ThreadPort("stage", table, **options)
        self.port.ready.get(timeout=REAL_PATIENCE_S)

    def wait(self, name: str) -> str:
        self.gate.wait()
        self.returned.append(name)
        return name

    def lose(self, name: str) -> threading.Thread:
        """Have a job run past its deadline; give the thread that is lost by it."""
        before = set(self.port._runners)
        job = self.port.call("wait", name, deadline_s=SHORT_S)
        with pytest.raises(PortTimeout):
            job.get(timeout=REAL_PATIENCE_S)
        (lost,) = (runner for runner in before - self.lost if runner.lost)
        self.lost.add(lost)
        return lost

    def let_go_until_mended(self) -> None:
        """Let lost threads come back and wait until the circuit is closed again."""
        bulkhead = self.port._bulkhead
        mended, mend = threading.Event(), bulkhead.mend

        def tell() -> None:
            mend()
            mended.set()

        bulkhead.mend = tell  # type: ignore[method-assign]
        self.gate.set()
        assert mended.wait(REAL_PATIENCE_S)

    def echo(self, value: Any) -> Any:
        return self.port.call("echo", value).get(timeout=REAL_PATIENCE_S)


@pytest.fixture
def stages() -> Iterator[list[Stage]]:
    made: list[Stage] = []
    yield made
    for stage in made:
        stage.gate.set()
        stage.port.close().get(timeout=REAL_PATIENCE_S)


def test_a_lost_thread_is_replaced_and_its_late_result_dropped(stages: list[Stage]) -> None:
    stage = Stage(workers=1)
    stages.append(stage)
    lost = stage.lose("late")
    assert stage.echo(1) == 1
    statistics = stage.port.statistics()
    assert (statistics.lost, statistics.alive, statistics.replaced) == (1, 1, 1)
    stage.gate.set()
    lost.join(REAL_PATIENCE_S)
    assert not lost.is_alive()
    assert stage.returned == ["late"]
    statistics = stage.port.statistics()
    assert (statistics.lost, statistics.alive, statistics.done) == (0, 1, 1)


def test_too_many_lost_threads_break_the_circuit_until_one_comes_back(
    stages: list[Stage],
) -> None:
    stage = Stage(workers=1, lost_threads=1)
    stages.append(stage)
    stage.lose("first")
    stage.lose("second")
    refused = stage.port.call("echo", 1)
    assert refused.done()
    with pytest.raises(PortStuck, match="2 of its threads are lost"):
        refused.result()
    assert stage.port.statistics().alive == 0
    stage.let_go_until_mended()
    assert stage.echo(2) == 2


def test_jobs_that_wait_when_the_circuit_breaks_are_told(stages: list[Stage]) -> None:
    stage = Stage(workers=1, lost_threads=0)
    stages.append(stage)
    stuck = stage.port.call("wait", "stuck", deadline_s=SHORT_S)
    waiting = stage.port.call("echo", 1, deadline_s=LONG_S)
    with pytest.raises(PortTimeout):
        stuck.get(timeout=REAL_PATIENCE_S)
    with pytest.raises(PortOverload, match="was not started"):
        waiting.get(timeout=REAL_PATIENCE_S)


def test_a_lost_thread_of_a_short_pool_takes_its_place_again(stages: list[Stage]) -> None:
    stage = Stage(workers=2, lost_threads=0)
    stages.append(stage)
    stage.lose("late")
    assert stage.port.statistics().alive == 1
    stage.let_go_until_mended()
    # Two jobs can wait for each other: both threads are there again.
    meetings = [stage.port.call("meet") for _ in range(2)]
    assert sorted(meeting.get(timeout=REAL_PATIENCE_S) for meeting in meetings) == [0, 1]


def test_a_thread_survives_whatever_ends_its_job() -> None:
    def leave() -> None:
        raise SystemExit(3)

    def interrupt() -> None:
        raise KeyboardInterrupt

    port = ThreadPort("exits", {"leave": leave, "interrupt": interrupt, "echo": str}, workers=1)
    port.ready.get(timeout=REAL_PATIENCE_S)
    (runner,) = port._runners
    for function, kind in (("leave", "SystemExit"), ("interrupt", "KeyboardInterrupt")):
        with pytest.raises(PortCrashed, match=f"was ended by {kind}"):
            port.call(function).get(timeout=REAL_PATIENCE_S)
    assert port.call("echo", 1).get(timeout=REAL_PATIENCE_S) == "1"
    assert port._runners == {runner}
    port.close().get(timeout=REAL_PATIENCE_S)
    assert not runner.is_alive()


def test_closing_does_not_wait_for_threads_that_are_stuck(stages: list[Stage]) -> None:
    stage = Stage(workers=2)
    stages.append(stage)
    stuck = stage.port.call("wait", "stuck", deadline_s=LONG_S)
    assert stage.echo(1) == 1
    runners = set(stage.port._runners)
    assert stage.port.close().get(timeout=REAL_PATIENCE_S) is None
    with pytest.raises(PortClosed):
        stuck.result()
    assert sum(runner.is_alive() for runner in runners) == 1
    stage.gate.set()
    for runner in runners:
        runner.join(REAL_PATIENCE_S)
    assert not any(runner.is_alive() for runner in runners)
    assert stage.port.statistics().done == 1
