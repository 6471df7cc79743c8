"""gen_statem_SUITE, group start. A global name is here a name in a table that nodes share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from supervisors import ChildSpec, Flags, Stop, Supervisor, Via
from supervisors.errors import AlreadyStarted
from supervisors.state_machine.actions import StartIn
from tests.supervisors.state_machine.names import Names

if TYPE_CHECKING:
    from collections.abc import Callable

    from supervisors import Ref
    from tests.supervisors.state_machine.stage import Stage
    from tests.supervisors.state_machine.telephone import Telephone

    Class = type[Telephone]


def works(stage: Stage, ref: Ref[Any]) -> None:
    """Take a telephone through its states, by casts and then by calls."""
    stage.cast(ref, "alive?", "connect", ("ping", 1), "confirm", ("message", 2), "disconnect")
    assert stage.taken() == ["yes", "accept", ("pong", 1), ("ack", 2)]
    assert stage.call(ref, "get")[0] == "idle"
    assert stage.call(ref, "connect") == "accept"
    assert stage.call(ref, "get")[0] == "ringing"
    stage.cast(ref, ("ping", 3))
    assert stage.call(ref, "confirm") == "yes"
    assert stage.taken() == [("pong", 3)]
    assert stage.call(ref, ("message", 4)) == ("ack", 4)
    assert stage.call(ref, "disconnect") == "yes"
    assert stage.call(ref, "what?") == "eh?"
    assert stage.call(ref, ("timeouts", 0.2)) == "ok"
    assert stage.call(ref, "get")[0] == "idle"


def stops(stage: Stage, ref: Ref[Any]) -> None:
    """End a telephone by asking it to."""
    assert stage.call(ref, "stop") == "stopped"
    assert stage.ended(ref) == "normal"
    assert stage.call_reason(ref, "alive?") == "noproc"


def clashes(stage: Stage, telephone: Class, name: Any, ref: Ref[Any]) -> None:
    """See that a name is taken, for linked and other starts, and who has it."""
    for start in (stage.start, stage.start_link):
        error = stage.start_error(start, telephone, name=name)
        assert isinstance(error, AlreadyStarted)
        assert error.ref == ref
    assert stage.world.node.address(name) == ref


def test_start1_anonymous_and_linked(stage: Stage, telephone: Class) -> None:
    ref = stage.start_link(telephone, notes=stage.notes)
    works(stage, ref)
    stops(stage, ref)


def test_start2_anonymous_and_stopped_with_shutdown(stage: Stage, telephone: Class) -> None:
    ref = stage.start(telephone, notes=stage.notes)
    works(stage, ref)
    assert stage.call(ref, ("stop", "shutdown")) == "stopped"
    assert stage.ended(ref) == "shutdown"


def test_start3_a_timeout_of_the_start(stage: Stage, telephone: Class) -> None:
    ref = stage.start(telephone, notes=stage.notes, timeout_s=0.005)
    works(stage, ref)
    stops(stage, ref)
    slow = ("sleep", 1)
    assert stage.start_error(stage.start, telephone, slow, timeout_s=0.005).reason == "timeout"
    patient = stage.start(telephone, slow, timeout_s=2)
    assert stage.call(patient, "alive?") == "yes"


def test_start4_an_init_that_wants_to_be_ignored(stage: Stage, telephone: Class) -> None:
    assert stage.start_error(stage.start, telephone, "ignore").ignored


def test_start5_an_init_that_stops(stage: Stage, telephone: Class) -> None:
    for how in (("stop", "stopped"), ("throw", Stop("stopped"))):
        error = stage.start_error(stage.start, telephone, how)
        assert error.reason == "stopped"
        assert not error.ignored


def test_start6_anonymous_and_linked_to_a_parent_that_sees_its_end(
    stage: Stage, telephone: Class
) -> None:
    ref = stage.start_link(telephone)
    stops(stage, ref)
    assert stage.taken() == [("exit", "normal")]


def test_start7_linked_under_a_global_name(stage: Stage, telephone: Class) -> None:
    name = Via(Names(), "machine")
    ref = stage.start_link(telephone, notes=stage.notes, name=name)
    clashes(stage, telephone, name, ref)
    works(stage, stage.world.node.address(name))
    stops(stage, ref)


def test_start8_under_a_local_name(stage: Stage, telephone: Class) -> None:
    ref = stage.start(telephone, notes=stage.notes, name="machine")
    clashes(stage, telephone, "machine", ref)
    works(stage, stage.world.node.address("machine"))
    stops(stage, ref)


def test_start9_linked_under_a_local_name(stage: Stage, telephone: Class) -> None:
    ref = stage.start_link(telephone, notes=stage.notes, name="machine")
    clashes(stage, telephone, "machine", ref)
    works(stage, stage.world.node.address("machine"))
    stops(stage, ref)


def test_start10_under_a_global_name(stage: Stage, telephone: Class) -> None:
    name = Via(Names(), "machine")
    ref = stage.start(telephone, notes=stage.notes, name=name)
    clashes(stage, telephone, name, ref)
    works(stage, stage.world.node.address(name))
    stops(stage, ref)


def test_start11_a_name_is_free_when_its_machine_has_stopped(
    stage: Stage, telephone: Class
) -> None:
    node = stage.world.node
    for name in ("machine", Via(Names(), "machine")):
        for start in (stage.start, stage.start_link):
            by_ref = start(telephone, name=name)
            stops(stage, by_ref)
            start(telephone, name=name)
            stops(stage, node.address(name))
            assert node.whereis(name) is None


def test_start12_linked_in_a_table_of_ones_own(stage: Stage, telephone: Class) -> None:
    table = Names()
    name = Via(table, ("machine", 1))
    ref = stage.start_link(telephone, notes=stage.notes, name=name)
    clashes(stage, telephone, name, ref)
    assert table.held == {("machine", 1): ref}
    works(stage, stage.world.node.address(name))
    stops(stage, ref)
    assert table.held == {}


def test_next_events_are_handled_in_the_order_in_which_they_were_inserted(
    stage: Stage, telephone: Class
) -> None:
    ref = stage.start(telephone)
    ref.cast("count")
    assert stage.call(ref, "get") == ("counting", [])


# -- beyond the suite --------------------------------------------------------------------------


@pytest.mark.parametrize("result", ["idle", (), None, {"state": "idle"}])
def test_an_init_that_returns_no_state_fails_the_start(
    stage: Stage, telephone: Class, result: Any
) -> None:
    error = stage.start_error(stage.start, telephone, ("throw", result))
    assert error.reason == ("bad_return_from_init", result)


def test_an_init_may_name_its_state_by_a_value(stage: Stage, telephone: Class) -> None:
    ref = stage.start(telephone, ("throw", StartIn("idle")))
    assert stage.call(ref, "alive?") == "yes"


def test_start_waits_for_the_init_as_a_server_s_does(stage: Stage, telephone: Class) -> None:
    start: Callable[..., Ref[Any]] = telephone.start
    ref = start(name="machine")
    assert stage.call(ref, "alive?") == "yes"
    assert stage.start_error(start, "ignore").ignored


def test_a_supervised_machine_begins_anew_in_its_first_state(
    stage: Stage, telephone: Class
) -> None:
    spec = ChildSpec("machine", (telephone, ()), name="machine")
    stage.start(Supervisor, Flags(), [spec])
    node = stage.world.node
    first = node.address("machine")
    assert stage.call(first, "connect") == "accept"
    assert stage.call(first, "get")[0] == "ringing"
    first.cast(("stop", "error"))
    stage.world.settle()
    assert node.address("machine") != first
    assert stage.call(node.address("machine"), "get")[0] == "idle"
