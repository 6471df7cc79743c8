"""gen_statem_SUITE: replies from elsewhere, and many requests at once as futures."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from supervisors import Future, gather
from supervisors.errors import CallExit, CallTimeout
from supervisors.state_machine.actions import KeepState, NextEvent, NextState, Postpone
from supervisors.state_machine.events import INTERNAL
from tests.supervisors.state_machine.scripted import scripted

if TYPE_CHECKING:
    from supervisors import Ref
    from tests.supervisors.state_machine.stage import Stage
    from tests.supervisors.state_machine.telephone import Telephone

    Class = type[Telephone]


@pytest.fixture
def three(stage: Stage, telephone: Class) -> list[Ref[Any]]:
    return [stage.start(telephone) for _ in range(3)]


DELAYS_S = (0.4, 0.001, 0.2)


def note(stage: Stage, place: int, _: Future[Any]) -> None:
    """Note that an answer has come."""
    stage.notes.append(place)


def send(three: list[Ref[Any]], stage: Stage, timeout_s: float | None = None) -> list[Future[Any]]:
    """Ask all three for a delayed answer; notes tell in which order the answers come."""
    requests = []
    for place, (ref, delay_s) in enumerate(zip(three, DELAYS_S, strict=True)):
        request = ref.call(("delayed answer", delay_s), timeout_s)
        request.add_done_callback(partial(note, stage, place))
        requests.append(request)
    return requests


def test_reply_by_alias_with_payload_is_a_reply_by_whoever_has_the_caller(
    stage: Stage, mode: str
) -> None:
    def only(m: Any, event_type: Any, content: Any) -> Any:
        content.cast(lambda _: event_type.caller.reply("from another process"))

    ref = stage.start(scripted(mode, only), "only")
    assert stage.call(ref, stage.parent) == "from another process"
    caller: Future[Any] = Future()
    stage.cast(stage.parent, lambda _: caller.reply("by hand"), lambda _: caller.reply("late"))
    assert stage.world.wait(caller) == "by hand"


def test_send_request_receive_reqid_collection_takes_answers_as_they_come(
    stage: Stage, three: list[Ref[Any]]
) -> None:
    early = three[0].call("alive?", None)
    requests = send(three, stage)
    assert stage.world.wait(gather(requests)) == ["delayed"] * 3
    assert stage.taken() == [1, 2, 0]
    assert stage.world.wait(early) == "yes"
    assert stage.world.wait(gather([])) == []


def test_send_request_wait_reqid_collection_leaves_what_is_not_answered_in_time(
    stage: Stage, three: list[Ref[Any]]
) -> None:
    requests = send(three, stage)
    stage.world.advance(0.1)
    assert [request.done() for request in requests] == [False, True, False]
    assert stage.world.wait(requests[2]) == "delayed"
    assert stage.world.wait(requests[0]) == "delayed"
    # One whose own time is up is abandoned, and its answer dropped.
    late = send(three, stage, timeout_s=0.1)
    with pytest.raises(CallTimeout):
        stage.world.wait(gather(late))
    stage.world.advance(1)
    assert stage.call(three[0], "alive?") == "yes"


def test_send_request_check_reqid_collection_tells_a_dead_one_by_its_error(
    stage: Stage, three: list[Ref[Any]]
) -> None:
    three[1].kill()
    stage.world.settle()
    requests = send(three, stage)
    stage.world.settle()
    assert [request.done() for request in requests] == [False, True, False]
    with pytest.raises(CallExit) as caught:
        stage.world.wait(requests[1])
    assert caught.value.reason == "noproc"
    assert stage.world.wait(requests[0].join(requests[2])) == ["delayed"] * 2
    assert stage.taken() == [1, 2, 0]


# -- beyond the suite: Pykka's verbs, callbacks that await, long runs of events -----------------


def test_an_ask_is_a_call_whose_error_goes_to_the_asker_alone(stage: Stage, mode: str) -> None:
    async def only(m: Any, event_type: Any, content: Any) -> Any:
        if content == "crash":
            await m.sleep(1)
            raise OSError(content)
        event_type.caller.reply(content)

    ref = stage.start(scripted(mode, only), "only")
    assert stage.world.wait(ref.ask("echo", block=False)) == "echo"
    with pytest.raises(OSError, match="crash"):
        stage.world.wait(ref.ask("crash", block=False))
    assert stage.world.wait(ref.ask("echo", block=False)) == "echo"


def test_an_ask_that_sets_off_a_crash_elsewhere_ends_the_machine(stage: Stage, mode: str) -> None:
    def only(m: Any, event_type: Any, content: Any) -> Any:
        if event_type is INTERNAL:
            raise OSError("internal")
        return KeepState(NextEvent(INTERNAL))

    ref = stage.start(scripted(mode, only), "only")
    with pytest.raises(CallExit):
        stage.world.wait(ref.ask("ask", block=False))
    assert isinstance(stage.ended(ref).error, OSError)


def test_tell_proxy_and_stop_work_as_pykka_has_them(stage: Stage, telephone: Class) -> None:
    ref = stage.start(telephone, notes=stage.notes)
    ref.tell("alive?")
    proxy = ref.proxy()
    assert stage.world.wait(proxy.data) == "data"
    assert stage.world.wait(ref.stop(block=False)) is True
    assert stage.taken() == ["yes", ("terminate", "normal", "idle")]
    assert stage.world.wait(ref.stop(block=False)) is False


def test_a_machine_that_awaits_handles_nothing_else_meanwhile(stage: Stage, mode: str) -> None:
    async def one(m: Any, event_type: Any, content: Any) -> Any:
        m.notes.append(("begins", content))
        await m.sleep(1)
        m.notes.append(("ends", content))
        return NextState("two", NextEvent(INTERNAL, "inserted"))

    async def two(m: Any, event_type: Any, content: Any) -> Any:
        m.notes.append((m.state, content))
        await m.sleep(1)

    ref = stage.start(scripted(mode, one, two), "one", notes=stage.notes)
    stage.cast(ref, "first", "second")
    assert stage.taken() == [("begins", "first")]
    stage.world.advance(5)
    assert stage.taken() == [("ends", "first"), ("two", "inserted"), ("two", "second")]


def test_a_killed_machine_answers_who_waits_and_who_was_postponed(stage: Stage, mode: str) -> None:
    async def only(m: Any, event_type: Any, content: Any) -> Any:
        if content == "postpone":
            return KeepState(Postpone())
        await m.sleep(10)
        return None

    ref = stage.start(scripted(mode, only), "only")
    requests = [ref.call(word, None) for word in ("postpone", "wait", "mailbox")]
    stage.world.settle()
    ref.kill()
    for request in requests:
        with pytest.raises(CallExit) as caught:
            stage.world.wait(request)
        assert caught.value.reason == "killed"


def test_events_without_end_do_not_stop_the_neighbours(stage: Stage, mode: str) -> None:
    def only(m: Any, event_type: Any, content: Any) -> Any:
        m.data = (m.data or 0) + 1
        return KeepState(NextEvent(INTERNAL))

    ref = stage.start(scripted(mode, only), "only")
    ref.cast("go")
    waiting = ref.call("never handled", None)
    echo = stage.parent.call(answer, None)
    spin(stage, echo)
    assert echo.done()
    assert not waiting.done()
    ref.kill()
    stage.world.settle()


async def answer(_: Any) -> str:
    return "answered"


def spin(stage: Stage, until: Future[Any]) -> None:
    """Let a node with work without end run until a future is settled."""
    if stage.world.kind == "simulated":
        stage.world.node.shard.run_slice(10)
    else:
        until.get(timeout=20)
