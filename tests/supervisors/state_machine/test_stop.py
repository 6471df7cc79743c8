"""gen_statem_SUITE, group stop, and the cases shutdown and stop_and_reply.

`gen_statem:stop` is `system.terminate`. The suite's remote nodes are here nodes of the same
program: the one that stops a machine is not the one it lives on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from supervisors import Exit, Shutdown, Stop, Via, system
from supervisors.errors import CallExit
from supervisors.state_machine.actions import KeepState, NextState, ReplyTo, StopAndReply
from supervisors.state_machine.callbacks import HANDLE_EVENT_FUNCTION
from supervisors.state_machine.events import CAST, INFO
from tests.supervisors.state_machine.names import Names
from tests.supervisors.state_machine.scripted import scripted
from tests.supervisors.world import WORLDS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from supervisors import Ref
    from tests.supervisors.state_machine.stage import Stage
    from tests.supervisors.state_machine.telephone import Telephone
    from tests.supervisors.world import World

    Class = type[Telephone]


def terminate(stage: Stage, machine: Any, *reason: Any) -> None:
    """End a machine and wait until it is dead."""
    stage.world.wait(system.terminate(machine, *reason))


def is_gone(stage: Stage, machine: Any) -> None:
    """See that a machine can not be ended once more."""
    with pytest.raises(CallExit) as caught:
        terminate(stage, machine)
    assert caught.value.reason == "noproc"


@pytest.fixture
def other(world: World) -> Iterator[World]:
    """A second node, under a host of its own."""
    made = WORLDS[world.kind]()
    yield made
    made.close()


def test_stop1_anonymous_with_reason_normal(stage: Stage, telephone: Class) -> None:
    ref = stage.start(telephone, notes=stage.notes)
    terminate(stage, ref)
    assert stage.ended(ref) == "normal"
    assert stage.taken() == [("terminate", "normal", "idle")]
    assert not [report for report in stage.world.reports if report.kind == "crash"]
    is_gone(stage, ref)


def test_stop2_anonymous_with_another_reason(stage: Stage, telephone: Class) -> None:
    ref = stage.start(telephone, notes=stage.notes)
    terminate(stage, ref, "other")
    assert stage.ended(ref) == "other"
    assert stage.taken() == [("terminate", "other", "idle")]
    (report,) = [report for report in stage.world.reports if report.kind == "crash"]
    assert report.reason == "other"


def test_stop3_a_machine_in_a_callback_is_stopped_after_it(stage: Stage, telephone: Class) -> None:
    ref = stage.start(telephone)
    answer = ref.call(("delayed answer", 3600), None)
    stage.world.settle()
    stopping = system.terminate(ref, "other")
    stage.world.settle()
    assert not stopping.done()
    assert ref.is_alive()
    assert stage.world.wait(answer) == "delayed"
    stage.world.wait(stopping)
    assert stage.ended(ref) == "other"


def test_stop4_by_a_registered_name(stage: Stage, telephone: Class) -> None:
    ref = stage.start(telephone, name="to_stop")
    terminate(stage, "to_stop")
    assert stage.ended(ref) == "normal"
    is_gone(stage, "to_stop")


def test_stop5_by_a_pid(stage: Stage, telephone: Class) -> None:
    node = stage.world.node
    pid = stage.start(telephone).pid
    found = node.ref(pid)
    assert found is not None
    terminate(stage, found)
    assert node.ref(pid) is None


def test_stop6_by_a_global_name(stage: Stage, telephone: Class) -> None:
    name = Via(Names(), "to_stop")
    ref = stage.start(telephone, name=name)
    terminate(stage, name)
    assert stage.ended(ref) == "normal"
    is_gone(stage, name)


def test_stop7_by_a_name_in_a_table_of_ones_own(stage: Stage, telephone: Class) -> None:
    table = Names()
    ref = stage.start_link(telephone, name=Via(table, 7))
    terminate(stage, Via(table, 7))
    assert stage.ended(ref) == "normal"
    assert stage.taken() == [("exit", "normal")]
    is_gone(stage, Via(table, 7))


def terminate_across(stage: Stage, other: World, ref: Ref[Any]) -> None:
    """Let a process of the stage's node end a machine of the other node."""
    ended = stage.parent.call(lambda _: system.terminate(ref), None)
    stage.world.settle()
    other.settle()
    stage.world.wait(ended)


def test_stop8_anonymous_on_another_node(stage: Stage, other: World, telephone: Class) -> None:
    ref = other.start(telephone)
    terminate_across(stage, other, ref)
    assert not ref.is_alive()
    with pytest.raises(CallExit):
        terminate_across(stage, other, ref)


def test_stop9_by_a_name_on_another_node(stage: Stage, other: World, telephone: Class) -> None:
    ref = other.start(telephone, name="to_stop")
    assert stage.world.node.whereis("to_stop") is None
    terminate_across(stage, other, other.node.address("to_stop"))
    assert not ref.is_alive()
    assert other.node.whereis("to_stop") is None


def test_stop10_by_a_global_name_on_another_node(
    stage: Stage, other: World, telephone: Class
) -> None:
    name = Via(Names(), "to_stop")
    ref = other.start(telephone, name=name)
    assert stage.world.node.whereis(name) == ref
    terminate_across(stage, other, stage.world.node.address(name))
    assert stage.world.node.whereis(name) is None
    is_gone(stage, name)


def test_shutdown_with_a_detail_is_an_orderly_end(stage: Stage, telephone: Class) -> None:
    ref = stage.start_link(telephone)
    assert stage.call(ref, ("stop", Shutdown("reason"))) == "stopped"
    assert stage.taken() == [("exit", Shutdown("reason"))]
    assert stage.call_reason(ref, "hello") == "noproc"
    assert not [report for report in stage.world.reports if report.kind == "crash"]


def test_stop_and_reply_sends_its_replies_in_order_and_before_the_exit(
    stage: Stage, mode: str
) -> None:
    def echoing(machine: Any, _: Any, content: Any) -> Any:
        caller, value = content
        return NextState("stopping", ReplyTo(caller, value))

    def stopping(machine: Any, _: Any, content: Any) -> Any:
        return StopAndReply("reason", *content)

    ref = stage.start_link(scripted(mode, echoing, stopping), "echoing")
    first, second, third = stage.caller(), stage.caller(), stage.caller()
    replies = [ReplyTo(second, "second"), ReplyTo(third, "third")]
    stage.cast(ref, (first, "first"), replies)
    assert stage.taken() == ["first", "second", "third", ("exit", "reason")]
    assert stage.call_reason(ref, "hello") == "noproc"
    assert stage.taken() == []


# -- beyond the suite --------------------------------------------------------------------------


def test_a_suspended_machine_can_be_stopped(stage: Stage, telephone: Class) -> None:
    ref = stage.start(telephone, notes=stage.notes)
    stage.world.wait(system.suspend(ref))
    ref.cast("alive?")
    terminate(stage, ref, "other")
    assert stage.taken() == [("terminate", "other", "idle")]


def test_a_stop_with_a_reply_answers_the_call_it_came_from(stage: Stage, mode: str) -> None:
    def only(machine: Any, event_type: Any, content: Any) -> Any:
        return Stop("reason", content) if content is not None else KeepState()

    assert stage.call(stage.start(scripted(mode, only), "only"), "bye") == "bye"
    cast = stage.start(scripted(mode, only), "only")
    cast.cast("bye")
    assert stage.ended(cast).error.reason[0] == "bad_return_from_state_function"


def test_an_exit_of_the_parent_ends_a_machine_and_any_other_is_an_event(stage: Stage) -> None:
    def only(machine: Any, event_type: Any, content: Any) -> Any:
        if content == "trap":
            machine.trap_exit = True
        machine.notes.append((event_type, content))

    ref = stage.start_link(scripted(HANDLE_EVENT_FUNCTION, only), "only", notes=stage.notes)
    stranger = stage.start(scripted(HANDLE_EVENT_FUNCTION, only), "only")
    stage.cast(ref, "trap")
    stage.world.on_shard(lambda: ref._process.link(stranger))
    stranger.kill()
    assert stage.taken() == [(CAST, "trap"), (INFO, Exit(stranger, "killed"))]
    stage.cast(stage.parent, lambda _: ref.exit("bye"))
    assert stage.taken() == [("exit", "bye")]
