"""What becomes of requests when their host is closed: everyone is told, nobody waits for ever."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pykka
import pytest

from supervisors import ChildSpec, Flags, GenServer, NoReply, Process, Supervisor, start_child
from supervisors.errors import CallExit, StartError
from supervisors.future import VALUE
from supervisors.task import TaskSupervisor, run_task_nolink
from tests.supervisors.probe import Probe
from tests.supervisors.world import REAL_PATIENCE_S, WORLDS, World

if TYPE_CHECKING:
    from collections.abc import Iterator

    from supervisors import Future


class Hosted:
    """A node under a host that can be closed, once."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.node = world.node
        self.is_open = True

    def close(self) -> None:
        if self.is_open:
            self.is_open = False
            self.world.close()


@pytest.fixture(params=["asyncio", "thread"])
def hosted(request: pytest.FixtureRequest) -> Iterator[Hosted]:
    made = Hosted(WORLDS[request.param]())
    yield made
    made.close()


def gone(future: Future[Any]) -> Any:
    """Give why a future failed, which it must have at once."""
    with pytest.raises(CallExit) as caught:
        future.get(timeout=0)
    return caught.value.reason


class Deaf(GenServer):
    """Answers no call."""

    def handle_call(self, message: Any, caller: Any) -> NoReply:
        return NoReply()


class Slow(GenServer):
    """Its init never ends."""

    async def init(self) -> None:
        await self.sleep(100)


async def never(self: Any) -> None:
    await self.sleep(100)


@pytest.mark.parametrize("timeout_s", [5.0, None])
def test_a_call_that_is_served_deferred_or_waiting_fails_when_its_host_is_closed(
    hosted: Hosted, timeout_s: float | None
) -> None:
    world = hosted.world
    busy, deaf = world.start(Probe), world.start(Deaf)
    calls = [
        busy.call(never, timeout_s),
        busy.call("waits", timeout_s),
        deaf.call("deferred", timeout_s),
        busy.ask("waits too", block=False),
    ]
    told: list[Any] = []
    calls[0].add_done_callback(told.append)
    world.settle()
    hosted.close()
    assert [gone(call) for call in calls] == ["noconnection"] * 4
    assert told == [calls[0]]


def test_what_is_asked_of_a_closed_host_fails_at_once(hosted: Hosted) -> None:
    probe = hosted.world.start(Probe)
    hosted.close()
    assert gone(probe.call("late")) == "noconnection"
    assert gone(probe.call("late", None)) == "noconnection"
    assert gone(probe._process.in_turn(lambda: None)) == "noconnection"
    assert gone(hosted.node.observer.snapshot()) == "noconnection"
    with pytest.raises(pykka.ActorDeadError):
        probe.ask("late")
    with pytest.raises(pykka.ActorDeadError):
        probe.proxy().seen.get()
    assert probe.stop() is False
    with pytest.raises(StartError) as caught:
        hosted.node.start(Probe).get(timeout=0)
    assert caught.value.reason == "noconnection"


def test_a_message_to_a_closed_host_is_a_counted_dead_letter(hosted: Hosted) -> None:
    probe = hosted.world.start(Probe)
    hosted.close()
    probe.tell(1)
    probe.cast(2)
    probe.send(3)
    letters = hosted.node.dead_letters
    assert letters.causes == {"closed": 3}
    assert [letter.message for letter in letters.recent] == [1, 2, 3]


def test_a_start_fails_when_its_host_is_closed_before_init_is_done(hosted: Hosted) -> None:
    world = hosted.world
    pending = hosted.node.start(Slow)
    supervisor = world.start(Supervisor, Flags(), [])
    child = start_child(supervisor, ChildSpec("slow", (Slow,)))
    task = run_task_nolink(world.start(TaskSupervisor), world.start(Deaf).call, "never")
    world.settle()
    hosted.close()
    with pytest.raises(StartError) as caught:
        pending.get(timeout=0)
    assert caught.value.reason == "noconnection"
    assert gone(child) == gone(task) == "noconnection"


def test_a_process_launched_on_a_closed_host_is_dead(hosted: Hosted) -> None:
    hosted.close()
    with hosted.node:
        ref = Process.start()
    assert not ref.is_alive()
    assert ref.exit_reason == "noconnection"


def test_a_thread_that_waits_for_an_end_waits_no_longer_when_the_host_is_closed(
    hosted: Hosted,
) -> None:
    probe = hosted.world.start(Probe)
    ended: list[bool] = []
    waiting = threading.Thread(target=lambda: ended.append(probe.actor_stopped.wait()))
    waiting.start()
    hosted.world.settle()
    hosted.close()
    waiting.join(REAL_PATIENCE_S)
    assert ended == [False]
    assert probe.actor_stopped.wait() is False


def test_a_feed_ends_when_its_host_is_closed(hosted: Hosted) -> None:
    feed = hosted.node.observer.subscribe()
    hosted.world.settle()
    reading = feed.read()
    hosted.close()
    assert reading.get(timeout=0) == []
    assert feed.read().get(timeout=0) == []


def test_no_request_is_lost_between_the_last_turn_and_the_close(hosted: Hosted) -> None:
    probe = hosted.world.start(Probe)
    calls: list[Future[Any]] = []
    begun = threading.Event()

    def send() -> None:
        while hosted.is_open or not calls[-1].done():
            calls.append(probe.call("again", None))
            begun.set()

    sender = threading.Thread(target=send)
    sender.start()
    assert begun.wait(REAL_PATIENCE_S)
    hosted.close()
    sender.join(REAL_PATIENCE_S)
    outcomes = {call._value if call._status == VALUE else call._value.reason for call in calls}
    assert outcomes <= {"again", "noconnection"}
