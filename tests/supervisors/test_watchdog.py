"""Stuck turns: the situations of kill safety, on the hosts where they can be helped.

The tests call the watchdog's `look` themselves with a clock of their own, so that a turn is as old
as they say. Handlers that block wait for an event that the test sets.
"""

from __future__ import annotations

import contextlib
import sys
import threading
from typing import TYPE_CHECKING, Any

import pytest

from supervisors import ChildSpec, Flags, GenServer, Supervisor
from supervisors.errors import CallExit, StuckTurn
from supervisors.limits import ABANDONED_THREADS
from supervisors.safepoints import interruptible
from supervisors.watchdog import Watchdog
from tests.supervisors.world import REAL_PATIENCE_S, WORLDS, ManualClock, ThreadedWorld

if TYPE_CHECKING:
    from collections.abc import Iterator


class Scene:
    """What the test and a handler on another thread agree on."""

    def __init__(self) -> None:
        self.entered = threading.Event()
        self.release = threading.Event()
        self.left = threading.Event()


class Peer(GenServer):
    def init(self) -> None:
        self.heard: list[Any] = []

    def handle_cast(self, message: Any) -> None:
        self.heard.append(message)

    def handle_call(self, message: Any, caller: Any) -> Any:
        return list(self.heard)


class Worker(GenServer):
    """Gets stuck on request, in four ways."""

    def init(self, scene: Scene, peer: Any) -> None:
        self.scene = scene
        self.peer = peer

    def handle_cast(self, message: Any) -> None:
        self.scene.entered.set()
        if message == "spin":
            while True:
                pass
        elif message == "block":
            self.scene.release.wait(REAL_PATIENCE_S)
        elif message == "swallow":
            with contextlib.suppress(StuckTurn):
                self.scene.release.wait(REAL_PATIENCE_S)
            self.peer.cast("late")
            self.scene.left.set()
        elif message == "crash":
            raise ValueError(message)

    def handle_call(self, message: Any, caller: Any) -> Any:
        if message == "ping":
            return "pong"
        self.scene.entered.set()
        self.scene.release.wait(REAL_PATIENCE_S)
        return "late"


class Theatre:
    """A supervised worker, a peer, and a watchdog that the test winds."""

    def __init__(self, world: ThreadedWorld) -> None:
        self.world = world
        self.scene = Scene()
        self.peer = world.start(Peer)
        spec = ChildSpec("worker", (Worker, (self.scene, self.peer)), name="worker")
        self.supervisor = world.start(Supervisor, Flags(intensity=100), [spec])
        self.clock = ManualClock()
        self.dog = Watchdog(world.node, clock=self.clock, slow_s=0.02, stuck_s=2.0)

    @property
    def worker(self) -> Any:
        return self.world.node.address("worker")

    def enter(self) -> None:
        assert self.scene.entered.wait(REAL_PATIENCE_S)
        self.scene.entered.clear()

    def pass_time(self, duration_s: float) -> None:
        """Let the running turn be that much older."""
        self.dog.look()
        self.clock.now_s += duration_s
        self.dog.look()


def theatre(kind: str) -> Iterator[Theatre]:
    world = WORLDS[kind]()
    assert isinstance(world, ThreadedWorld)
    with world.node:
        made = Theatre(world)
        yield made
        made.scene.release.set()
    world.close()


@pytest.fixture
def on_thread() -> Iterator[Theatre]:
    yield from theatre("thread")


@pytest.fixture
def on_asyncio() -> Iterator[Theatre]:
    yield from theatre("asyncio")


@pytest.fixture(params=["thread", "asyncio"])
def anywhere(request: pytest.FixtureRequest) -> Iterator[Theatre]:
    yield from theatre(request.param)


def test_a_slow_turn_is_counted_once_and_left_alone(anywhere: Theatre) -> None:
    first = anywhere.worker
    first.cast("block")
    anywhere.enter()
    anywhere.pass_time(0.05)
    anywhere.pass_time(0.05)
    assert (anywhere.dog.slow_turns, anywhere.dog.abandoned) == (1, 0)
    anywhere.scene.release.set()
    anywhere.world.settle()
    assert anywhere.worker == first


def test_an_endless_python_loop_is_stopped_and_the_process_replaced(anywhere: Theatre) -> None:
    first = anywhere.worker
    first.cast("spin")
    anywhere.enter()
    anywhere.pass_time(2.5)
    anywhere.world.settle()
    assert anywhere.world.call(anywhere.worker, "ping") == "pong"
    assert anywhere.worker != first
    assert first._process.exit_reason == "stuck"
    assert ("child_terminated", "worker", "stuck") in anywhere.world.supervisor_reports()


def test_the_thread_host_goes_on_while_the_turn_is_still_blocked(on_thread: Theatre) -> None:
    first = on_thread.worker
    first.cast("block")
    on_thread.enter()
    on_thread.pass_time(2.5)
    assert on_thread.world.call(on_thread.worker, "ping") == "pong"
    assert not on_thread.scene.release.is_set()
    assert first._process.exit_reason == "stuck"


def test_under_asyncio_the_process_dies_when_control_returns(on_asyncio: Theatre) -> None:
    first = on_asyncio.worker
    first.cast("block")
    on_asyncio.enter()
    on_asyncio.pass_time(2.5)
    assert first.is_alive(), "nothing can run before the loop's thread is free"
    on_asyncio.scene.release.set()
    on_asyncio.world.settle()
    assert on_asyncio.world.call(on_asyncio.worker, "ping") == "pong"
    assert first._process.exit_reason == "stuck"
    assert on_asyncio.worker != first


def test_what_an_abandoned_thread_still_sends_is_dropped(on_thread: Theatre) -> None:
    on_thread.worker.cast("swallow")
    on_thread.enter()
    on_thread.pass_time(2.5)
    assert on_thread.world.call(on_thread.worker, "ping") == "pong"
    on_thread.scene.release.set()
    assert on_thread.scene.left.wait(REAL_PATIENCE_S)
    on_thread.world.settle()
    assert on_thread.world.call(on_thread.peer, "heard") == []
    assert on_thread.world.node.dead_letters.causes["fenced"] == 1


def test_the_caller_of_a_stuck_process_learns_it_and_no_late_answer_comes(
    anywhere: Theatre,
) -> None:
    answer = anywhere.worker.call("block", timeout_s=None)
    anywhere.enter()
    anywhere.pass_time(2.5)
    anywhere.scene.release.set()
    with pytest.raises(CallExit) as caught:
        anywhere.world.wait(answer)
    assert caught.value.reason == "stuck"


def test_the_asker_of_a_stuck_process_learns_it_too(anywhere: Theatre) -> None:
    answer = anywhere.worker.ask("block", block=False)
    anywhere.enter()
    anywhere.pass_time(2.5)
    anywhere.scene.release.set()
    with pytest.raises(CallExit) as caught:
        anywhere.world.wait(answer)
    assert caught.value.reason == "stuck"


def test_too_many_abandoned_threads_make_the_node_unhealthy(on_thread: Theatre) -> None:
    for _ in range(ABANDONED_THREADS + 1):
        assert on_thread.world.node.healthy
        on_thread.worker.cast("block")
        on_thread.enter()
        on_thread.pass_time(2.5)
        on_thread.world.settle()
    assert not on_thread.world.node.healthy


def test_the_watching_thread_sees_a_stuck_turn_by_itself(on_thread: Theatre) -> None:
    first = on_thread.worker
    with Watchdog(on_thread.world.node, period_s=0.005, stuck_s=0.05):
        first.cast("spin")
        assert on_thread.world.node.shard is not None
        ended = on_thread.world.node.start(Waiter, first)
        ended.get(timeout=REAL_PATIENCE_S)
    assert first._process.exit_reason == "stuck"


class Waiter(GenServer):
    async def init(self, other: Any) -> None:
        self.monitor(other)


def test_what_the_runtime_calls_in_its_own_work_is_not_given_up_and_said_once(
    anywhere: Theatre, caplog: pytest.LogCaptureFixture
) -> None:
    def stuck(report: Any) -> None:
        anywhere.scene.entered.set()
        anywhere.scene.release.wait(REAL_PATIENCE_S)

    anywhere.world.node.reports.subscribe(stuck)
    anywhere.worker.cast("crash")
    anywhere.enter()
    for _ in range(3):
        anywhere.pass_time(2.5)
    assert anywhere.dog.abandoned == 0
    assert caplog.text.count("cannot be given up yet") == 1
    anywhere.scene.release.set()
    anywhere.world.settle()
    assert anywhere.world.call(anywhere.worker, "ping") == "pong"


def test_only_a_handlers_own_code_is_interrupted() -> None:
    def own() -> bool:
        return interruptible(sys._getframe())

    assert not own(), "nothing of the runtime dispatched this"
    assert not interruptible(None)

    class Asker(GenServer):
        def init(self) -> None:
            self.answer = own()

    world = WORLDS["simulated"]()
    asker = world.start(Asker)
    assert asker._process.answer
    told: list[bool] = []
    world.node.reports.subscribe(lambda _: told.append(own()))
    asker._process._shard.node.reports.crash(asker._process, "why", None, None)
    assert told == [False], "a subscriber runs in the middle of the runtime's work"
