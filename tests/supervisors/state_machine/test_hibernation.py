"""gen_statem_SUITE: hibernate and auto_hibernate. What `on_hibernate` frees is counted in notes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from supervisors import Hibernate, system
from supervisors.state_machine.actions import KeepState, NextEvent, SetTimeout, StayAwake
from supervisors.state_machine.events import CAST, INTERNAL, STATE_TIMEOUT, TIMEOUT, Enter
from tests.supervisors.state_machine.scripted import scripted

if TYPE_CHECKING:
    from supervisors import Ref
    from tests.supervisors.state_machine.stage import Stage
    from tests.supervisors.state_machine.telephone import Telephone

    Class = type[Telephone]


def hibernates(stage: Stage, ref: Ref[Any]) -> bool:
    """Tell whether a machine hibernates, when nothing is left to run."""
    return stage.scheduler_state(ref) == "hibernated"


def test_hibernate_by_an_action_of_init(stage: Stage, telephone: Class) -> None:
    ref = stage.start_link(telephone, "nap now")
    assert hibernates(stage, ref)
    assert stage.call(ref, "stop") == "stopped"
    assert stage.taken() == [("exit", "normal")]


def test_hibernate_by_calls_and_casts_and_from_message_to_message(
    stage: Stage, telephone: Class
) -> None:
    ref = stage.start(telephone, "napping", notes=stage.notes)
    assert not hibernates(stage, ref)
    for _ in range(2):
        assert stage.call(ref, "hibernate") == "hibernating"
        assert hibernates(stage, ref)
        assert stage.call(ref, "snooze") == "five minutes more"
        assert hibernates(stage, ref)
        assert stage.call(ref, "wake up") == "good morning"
        assert not hibernates(stage, ref)
        for word, asleep in (
            ("hibernate", True), ("wake up", False), ("hibernate", True), ("snooze", True),
            ("wake up", False),
        ):  # fmt: skip
            ref.cast(word)
            assert hibernates(stage, ref) is asleep
    assert stage.taken() == ["hibernates"] * 10


def test_hibernate_by_messages_now_and_later(stage: Stage, telephone: Class) -> None:
    ref = stage.start(telephone, "napping")
    ref.tell("hibernate later")
    assert not hibernates(stage, ref)
    stage.world.advance(1)
    assert hibernates(stage, ref)
    assert stage.call(ref, "alive?") == "alive!"
    assert not hibernates(stage, ref)
    ref.tell("hibernate now")
    assert hibernates(stage, ref)


def test_hibernate_goes_on_through_suspension_and_looks_from_outside(
    stage: Stage, telephone: Class
) -> None:
    ref = stage.start(telephone, "napping")
    stage.call(ref, "hibernate")
    stage.world.wait(system.suspend(ref))
    stage.world.wait(system.resume(ref))
    assert hibernates(stage, ref)
    assert stage.get_state(ref)[1]["data"] == "data"
    assert hibernates(stage, ref)
    stage.world.advance(1)
    assert hibernates(stage, ref)
    assert stage.call(ref, "wake up") == "good morning"
    assert not hibernates(stage, ref)


def test_auto_hibernate_after_a_quiet_time_whatever_ended_the_last_one(
    stage: Stage, telephone: Class
) -> None:
    # Here it takes one to two of the times asked for: that costs messages nothing.
    after_s = 1.0
    ref = stage.start_link(type("Sleepy", (telephone,), {"hibernate_after_s": after_s}))

    def falls_asleep() -> None:
        assert not hibernates(stage, ref)
        stage.world.advance(after_s * 0.9)
        assert not hibernates(stage, ref)
        stage.world.advance(after_s * 1.2)
        assert hibernates(stage, ref)

    falls_asleep()
    ref.tell("alive?")
    falls_asleep()
    ref.cast("alive?")
    falls_asleep()
    assert stage.call(ref, "alive?") == "yes"
    falls_asleep()
    # A timer shorter than the quiet time, then a longer one, which wakes it.
    assert stage.call(ref, ("timer", after_s / 2)) == "ok"
    stage.world.advance(after_s / 2)
    falls_asleep()
    assert stage.call(ref, ("timer", after_s * 3)) == "ok"
    falls_asleep()
    stage.world.advance(after_s * 0.9)
    falls_asleep()
    assert stage.call(ref, "stop") == "stopped"
    assert stage.taken() == [("exit", "normal")]


# -- beyond the suite --------------------------------------------------------------------------


def test_hibernate_with_events_queued_waits_for_the_last_one(stage: Stage, mode: str) -> None:
    def only(m: Any, event_type: Any, content: Any) -> Any:
        m.notes.append(content)
        if event_type is CAST:
            inserted = [NextEvent(INTERNAL, word) for word in content]
            return KeepState(Hibernate(), *inserted, SetTimeout(STATE_TIMEOUT, 0, "zero"))
        return KeepState(Hibernate()) if content == "sleep" else None

    def note(m: Any) -> None:
        m.notes.append("hibernates")

    machine_class = type("Noting", (scripted(mode, only),), {"on_hibernate": note})
    ref = stage.start(machine_class, "only", notes=stage.notes)
    stage.cast(ref, ["sleep"])
    assert stage.taken() == [["sleep"], "sleep", "zero"]
    stage.cast(ref, [])
    assert stage.taken() == [[], "zero"]
    assert not hibernates(stage, ref)


def test_the_last_action_says_whether_it_hibernates_also_one_of_an_enter_call(
    stage: Stage, mode: str
) -> None:
    def only(m: Any, event_type: Any, content: Any) -> Any:
        if isinstance(event_type, Enter):
            return KeepState(Hibernate())
        return KeepState(Hibernate(), StayAwake()) if content == "awake" else None

    ref = stage.start(scripted(mode, only, enter=True), "only")
    assert hibernates(stage, ref)
    ref.cast("awake")
    assert not hibernates(stage, ref)


def test_a_timeout_wakes_a_machine_that_hibernates(stage: Stage, mode: str) -> None:
    def only(m: Any, event_type: Any, content: Any) -> Any:
        m.notes.append((event_type, content))
        return KeepState(Hibernate(), SetTimeout(TIMEOUT, 5, "ring")) if content == "set" else None

    ref = stage.start(scripted(mode, only), "only", notes=stage.notes)
    stage.cast(ref, "set")
    assert hibernates(stage, ref)
    stage.world.advance(6)
    assert stage.taken() == [(CAST, "set"), (TIMEOUT, "ring")]
    assert not hibernates(stage, ref)
