"""GenServer's callbacks: how one starts, what its results ask for, when terminate runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from supervisors import (
    IGNORE,
    Continue,
    GenServer,
    Hibernate,
    NoReply,
    Reply,
    Shutdown,
    Stop,
    Timeout,
    system,
)  # fmt: skip
from supervisors.errors import AlreadyStarted, CallExit, CallTimeout, ProcessExit, StartError
from supervisors.reasons import Crash
from tests.supervisors.probe import Probe, do, exit_reason, seen

if TYPE_CHECKING:
    from supervisors import Ref
    from tests.supervisors.world import SimulatedWorld, World


class Server(Probe):
    """A probe whose init does what its argument says, and that notes its continuations."""

    def init(self, answer: Any = None, *_: Any, **options: Any) -> Any:
        super().init(**options)
        if callable(answer):
            answer = answer(self)
        if isinstance(answer, BaseException):
            raise answer
        return answer

    def handle_continue(self, argument: Any) -> Any:
        self.seen.append(("continue", argument))
        return argument(self) if callable(argument) else None

    def on_hibernate(self) -> None:
        self.seen.append("hibernates")

    def on_wake(self) -> None:
        self.seen.append("wakes")


async def slowly(self: GenServer, answer: Any = None, duration_s: float = 10) -> Any:
    """Answer after a while."""
    await self.sleep(duration_s)
    if isinstance(answer, BaseException):
        raise answer
    return answer


def later(answer: Any = None, duration_s: float = 10) -> Any:
    """Make an init, or a message for a probe, that answers after a while."""
    return lambda self: slowly(self, answer, duration_s)


def start_error(world: World, answer: Any, **options: Any) -> StartError:
    """Give the error of a start; the process must be gone and its name free."""
    with pytest.raises(StartError) as told:
        world.wait(world.node.start(Server, answer, name="server", **options))
    assert world.node.whereis("server") is None
    assert world.on_shard(lambda: list(world.node.shard.processes)) == []
    return told.value


# -- init ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("answer", [None, later()], ids=["plain", "async"])
def test_a_start_is_answered_when_init_is_done(world: World, answer: Any) -> None:
    ref = world.start(Server, answer)
    assert ref.is_alive()
    assert world.now_s() == (0 if answer is None else 10)
    assert world.call(ref, "hello") == "hello"


@pytest.mark.parametrize("answer", [IGNORE, later(IGNORE)], ids=["plain", "async"])
def test_an_init_may_ask_to_be_ignored(world: World, answer: Any) -> None:
    error = start_error(world, answer)
    assert error.ignored
    assert world.reports == []


REFUSALS = [
    (Stop("boom"), "boom"),
    (Stop("normal"), "normal"),
    (Stop(Shutdown("x")), Shutdown("x")),
    ("nonsense", ("bad_return_value", "nonsense")),
    (ProcessExit("boom"), "boom"),
]


@pytest.mark.parametrize(("answer", "reason"), REFUSALS, ids=repr)
def test_a_failed_init_is_the_reason_of_the_start_error(
    world: World, answer: Any, reason: Any
) -> None:
    for one in (answer, later(answer)):
        error = start_error(world, one)
        assert (error.reason, error.ignored) == (reason, False)


def test_an_init_that_raises_gives_the_crash(world: World) -> None:
    for slow in (False, True):
        error = ValueError("boom")
        told = start_error(world, later(error) if slow else error).reason
        assert isinstance(told, Crash)
        assert told.error is error


def test_an_init_that_is_too_slow_is_killed(world: World) -> None:
    assert start_error(world, later(None, 10), timeout_s=1).reason == "timeout"
    assert 1 <= world.now_s() < 1.1
    assert world.start(Server, later(None, 10), timeout_s=20).is_alive()


def test_a_taken_name_is_an_error_that_says_whose_it_is(world: World) -> None:
    first = world.start(Server, name="server")
    with pytest.raises(AlreadyStarted) as told:
        world.start(Server, name="server")
    assert told.value.ref == first
    assert told.value.reason == ("already_started", first)
    assert world.node.whereis("server") == first
    assert world.on_shard(lambda: len(world.node.shard.processes)) == 1


def test_a_failed_start_frees_the_name_for_the_next(world: World) -> None:
    start_error(world, Stop("boom"))
    assert world.start(Server, name="server") == world.node.whereis("server")


def test_messages_that_come_during_init_are_handled_after_it(world: World) -> None:
    started = world.node.start(Server, later(), name="server")
    world.settle()
    server: Any = world.node.whereis("server")
    server.cast("early")
    world.settle()
    assert not started.done()
    assert seen(world, world.wait(started)) == ["early"]


# -- continue ------------------------------------------------------------------------------------


def test_a_continuation_of_init_runs_before_messages_that_wait(world: World) -> None:
    started = world.node.start(Server, later(Continue("first")), name="server")
    world.settle()
    server: Any = world.node.whereis("server")
    server.cast("early")
    asked = server.call("asked", None)
    ref = world.wait(started)
    assert world.wait(asked) == "asked"
    assert seen(world, ref) == [("continue", "first"), "early"]


def test_a_continuation_runs_before_messages_that_wait_and_may_ask_for_another(
    world: World,
) -> None:
    ref = world.start(Server)

    def chain(self: Server) -> Continue:
        self.ref.cast("queued")
        return Continue(lambda _: Continue("second"))

    ref.cast(chain)
    (_, first), *rest = seen(world, ref)
    assert callable(first)
    assert rest == [("continue", "second"), "queued"]


def test_a_reply_goes_out_before_its_continuation_runs(world: World) -> None:
    ref = world.start(Server)
    assert do(world, ref, lambda _: Reply("at once", Continue(later(None, 10)))) == "at once"
    assert world.now_s() == 0


def test_a_continuation_may_stop_the_server(world: World) -> None:
    ref = world.start(Server, Continue(lambda _: Stop("boom")))
    assert exit_reason(world, ref) == "boom"


# -- timeout -------------------------------------------------------------------------------------


def test_a_timeout_comes_if_no_message_does(world: World) -> None:
    for kind in ("init", "cast", "call"):
        ref = world.start(Server, Timeout(3) if kind == "init" else None)
        if kind == "cast":
            ref.cast(lambda _: Timeout(3))
        elif kind == "call":
            assert do(world, ref, lambda _: Reply("yes", Timeout(3))) == "yes"
        world.settle()
        began_s = world.now_s()
        world.advance(2.9)
        assert seen(world, ref) == []
        world.advance(0.2)
        assert seen(world, ref) == ["timeout"]
        world.advance(10)
        assert seen(world, ref) == ["timeout"]
        assert world.now_s() - began_s == pytest.approx(13.1)


def test_any_message_cancels_a_timeout(world: World) -> None:
    for kind in ("cast", "call", "send", "exit"):
        ref = world.start(Server, Timeout(3))
        world.advance(2)
        if kind == "call":
            world.call(ref, "message")
        elif kind == "exit":
            do(world, ref, lambda self: setattr(self, "trap_exit", True))
            ref.exit("boom")
        else:
            getattr(ref, kind)("message")
        world.advance(10)
        assert "timeout" not in seen(world, ref)


def test_a_timeout_of_zero_comes_only_if_no_message_waits(world: World) -> None:
    ref = world.start(Server)
    ref.cast(lambda _: Timeout(0))
    world.advance(0.01)
    assert seen(world, ref) == ["timeout"]

    def busy(self: Server) -> Timeout:
        self.ref.cast("waits")
        return Timeout(0)

    ref.cast(busy)
    world.advance(0.01)
    assert seen(world, ref) == ["timeout", "waits"]


def test_a_timeout_of_zero_precedes_every_message_that_comes_later(world: World) -> None:
    for _ in range(20):
        ref = world.start(Server, Timeout(0))
        ref.cast("later")
        assert seen(world, ref) == ["timeout", "later"]
    do(world, ref, lambda _: Reply("answered", Timeout(0)))
    ref.cast("last")
    assert seen(world, ref)[2:] == ["timeout", "last"]


def test_a_timeout_of_zero_takes_no_time(simulated: SimulatedWorld) -> None:
    ref = simulated.start(Server, Timeout(0))
    simulated.host.run_ready()
    assert ref._process.seen == ["timeout"]
    assert simulated.now_s() == 0


@pytest.mark.parametrize("looks", [1, 2])
def test_a_timeout_runs_anew_in_full_after_a_look_from_outside(world: World, looks: int) -> None:
    ref = world.start(Server, Timeout(3))
    world.advance(2)
    for look in [ref._process.in_turn(lambda: None) for _ in range(looks)]:
        world.wait(look)
    world.advance(2.9)
    assert seen(world, ref) == []
    world.advance(0.2)
    assert seen(world, ref) == ["timeout"]


def test_a_timeout_does_not_run_while_its_process_is_suspended(world: World) -> None:
    ref = world.start(Server, Timeout(3))
    world.advance(2)
    world.wait(system.suspend(ref))
    world.advance(10)
    assert seen(world, ref) == []
    world.wait(system.resume(ref))
    world.advance(2.9)
    assert seen(world, ref) == []
    world.advance(0.2)
    assert seen(world, ref) == ["timeout"]


def test_a_message_to_a_suspended_process_cancels_its_timeout(world: World) -> None:
    ref = world.start(Server, Timeout(3))
    world.wait(system.suspend(ref))
    ref.cast("message")
    world.settle()
    world.wait(system.resume(ref))
    world.advance(10)
    assert seen(world, ref) == ["message"]
    world.wait(ref._process.in_turn(lambda: None))
    world.advance(10)
    assert seen(world, ref) == ["message"]


# -- hibernate -----------------------------------------------------------------------------------


def test_a_hibernating_server_wakes_before_its_next_message(world: World) -> None:
    ref = world.start(Server, Hibernate())
    assert seen(world, ref) == ["hibernates"]
    ref.cast("message")
    assert seen(world, ref) == ["hibernates", "wakes", "message"]
    ref.cast("another")
    assert seen(world, ref)[3:] == ["another"]
    ref.cast(lambda _: Hibernate())
    world.settle()
    assert world.call(ref, "called") == "called"
    assert seen(world, ref)[4:] == ["hibernates", "wakes"]


def test_a_server_with_messages_waiting_does_not_hibernate(world: World) -> None:
    ref = world.start(Server)

    def busy(self: Server) -> Hibernate:
        self.ref.cast("waits")
        return Hibernate()

    ref.cast(busy)
    assert seen(world, ref) == ["waits"]


# -- async handlers ------------------------------------------------------------------------------


def test_messages_wait_for_an_async_handler_and_other_servers_do_not(world: World) -> None:
    ref, other = world.start(Server), world.start(Server)
    answer = ref.call(later("slow"), None)
    ref.cast("after")
    assert world.call(other, "fast") == "fast"
    assert world.now_s() == 0
    assert seen(world, ref) == []
    assert world.wait(answer) == "slow"
    assert world.now_s() == 10
    assert seen(world, ref) == ["after"]


@pytest.mark.parametrize("result", [Continue("more"), Stop("boom"), Timeout(1), Hibernate()])
def test_the_result_of_an_async_handler_is_acted_on(world: World, result: Any) -> None:
    ref = world.start(Server)
    ref.cast(later(result, 1))
    world.advance(3)
    if isinstance(result, Stop):
        assert exit_reason(world, ref) == "boom"
    else:
        expected = {Continue: ("continue", "more"), Timeout: "timeout", Hibernate: "hibernates"}
        assert seen(world, ref) == [expected[type(result)]]


# -- what nobody handles -------------------------------------------------------------------------


def test_a_call_or_cast_without_a_handler_ends_the_server(world: World) -> None:
    called, cast = world.start(GenServer), world.start(GenServer)
    with pytest.raises(CallExit) as told:
        world.call(called, "what?")
    assert isinstance(told.value.reason.error, NotImplementedError)
    cast.cast("what?")
    assert isinstance(exit_reason(world, cast).error, NotImplementedError)


def test_an_info_without_a_handler_is_logged(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    ref: Ref[Any] = world.start(GenServer)
    ref.send("what?")
    world.settle()
    assert ref.is_alive()
    assert "'what?'" in caplog.text


def test_a_reply_of_none_is_a_reply_and_no_reply_is_none(world: World) -> None:
    ref = world.start(Server)
    assert do(world, ref, lambda _: None) is None
    assert do(world, ref, lambda _: Reply(None)) is None
    with pytest.raises(CallTimeout):
        world.call(ref, lambda _: NoReply())
