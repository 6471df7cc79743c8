"""GenServer's terminate: when it runs and when not, and what it can change."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from supervisors import Continue, Shutdown, Stop
from supervisors.errors import CallExit, StartError
from supervisors.reasons import Crash
from tests.supervisors.probe import do, end, exit_reason
from tests.supervisors.test_gen_server import Server, later

if TYPE_CHECKING:
    from tests.supervisors.world import World


def test_terminate_runs_on_a_stop_and_on_an_exit_with_its_reason(world: World) -> None:
    for reason in ("normal", "shutdown", Shutdown("x"), "boom"):
        stopped, left = world.start(Server), world.start(Server)
        end(world, stopped, reason)
        left.cast(lambda self, reason=reason: self.exit(reason))
        assert exit_reason(world, left) == reason
        assert (stopped._process.terminated, left._process.terminated) == (reason, reason)


@pytest.mark.parametrize("kind", ["cast", "call", "send", "continue", "async", "exit"])
def test_terminate_runs_when_a_callback_raises(world: World, kind: str) -> None:
    class Raising(Server):
        def handle_info(self, message: Any) -> None:
            raise ValueError(message)

    def fail(_: Any) -> None:
        raise ValueError(kind)

    ref = world.start(Raising)
    if kind == "exit":
        do(world, ref, lambda self: setattr(self, "trap_exit", True))
        ref.exit(kind)
    elif kind == "send":
        ref.send(kind)
    elif kind == "call":
        ref.call(fail)
    else:
        messages = {"cast": fail, "continue": lambda _: Continue(fail), "async": None}
        ref.cast(messages[kind] or later(ValueError(kind), 1))
        world.advance(1)
    reason = exit_reason(world, ref)
    assert isinstance(reason, Crash)
    assert isinstance(reason.error, ValueError)
    assert ref._process.terminated == reason


def test_terminate_does_not_run_on_a_kill_or_an_untrapped_signal(world: World) -> None:
    killed, signalled, parked = (world.start(Server) for _ in range(3))
    do(world, killed, lambda self: setattr(self, "trap_exit", True))
    killed.kill()
    signalled.exit("boom")
    parked.cast(later())
    world.settle()
    parked.exit("boom")
    for ref, reason in ((killed, "killed"), (signalled, "boom"), (parked, "boom")):
        assert exit_reason(world, ref) == reason
        assert ref._process.terminated is None


def test_terminate_does_not_run_when_init_fails(world: World) -> None:
    told: list[Any] = []

    class Remembering(Server):
        def terminate(self, reason: Any) -> None:
            told.append(reason)

    with pytest.raises(StartError):
        world.wait(world.node.start(Remembering, Stop("boom")))
    assert told == []


def test_what_terminate_raises_becomes_the_reason(world: World) -> None:
    class Failing(Server):
        async def terminate(self, reason: Any) -> None:
            await self.sleep(1)
            self.exit(("instead of", reason))

    ref = world.start(Failing)
    ref.cast(lambda _: Stop("boom"))
    world.advance(2)
    assert exit_reason(world, ref) == ("instead of", "boom")


def test_an_async_terminate_is_waited_for(world: World) -> None:
    class Slow(Server):
        async def terminate(self, reason: Any) -> None:
            await self.sleep(10)
            self.terminated = reason

    ref = world.start(Slow)
    ref.cast(lambda _: Stop("boom"))
    world.advance(9)
    assert ref.is_alive()
    world.advance(2)
    assert exit_reason(world, ref) == "boom"
    assert ref._process.terminated == "boom"


def test_only_an_end_that_is_not_orderly_is_reported(world: World) -> None:
    for reason in ("normal", "shutdown", Shutdown("x")):
        end(world, world.start(Server), reason)
    assert world.reports == []
    end(world, world.start(Server), "boom")
    ((kind, reason),) = ((report.kind, report.reason) for report in world.reports)
    assert (kind, reason) == ("crash", "boom")


class Parting(Server):
    """Takes ten seconds to terminate, and does so as it was told to."""

    def init(self, *end: Any, trap: bool = False) -> None:
        super().init(trap=trap)
        self.end = end[0] if end else None

    async def terminate(self, reason: Any) -> None:
        await self.sleep(10)
        self.terminated = reason
        if self.end is not None:
            raise self.end


@pytest.mark.parametrize("fault", [None, OSError("not saved")])
def test_the_reply_of_a_stop_comes_when_terminate_is_done_also_if_that_fails(
    world: World, fault: Exception | None
) -> None:
    ref = world.start(Parting, fault)
    answer = ref.call(lambda _: Stop("boom", reply="bye"), None)
    world.advance(9)
    assert not answer.done()
    assert world.wait(answer) == "bye"
    assert ref._process.terminated == "boom"
    reason = exit_reason(world, ref)
    assert reason == "boom" if fault is None else reason.error is fault


def test_the_reply_of_a_stop_is_lost_with_a_process_that_is_killed_in_terminate(
    world: World,
) -> None:
    ref = world.start(Parting)
    answer = ref.call(lambda _: Stop("boom", reply="bye"), None)
    world.advance(1)
    ref.kill()
    with pytest.raises(CallExit) as caught:
        world.wait(answer)
    assert caught.value.reason == "killed"


@pytest.mark.parametrize("crashes", [True, False])
def test_a_caller_learns_the_reason_when_a_slow_terminate_is_done(
    world: World, crashes: bool
) -> None:
    fault = ValueError("boom")

    def end_badly(_: Any) -> Stop:
        if crashes:
            raise fault
        return Stop(fault)

    ref = world.start(Parting)
    answer = ref.call(end_badly, None)
    with pytest.raises(CallExit) as caught:
        world.wait(answer)
    assert caught.value.reason == exit_reason(world, ref)
