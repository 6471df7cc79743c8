"""What falls as in OTP when signals act in turns, and what falls so on every host."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from supervisors import (
    ChildSpec,
    Flags,
    GenServer,
    SimulatedHost,
    Stop,
    Supervisor,
    terminate_child,
    which_children,
)
from supervisors.signals import watch

if TYPE_CHECKING:
    from supervisors.node import Node
    from supervisors.process import Process
    from supervisors.ref import Ref
    from tests.supervisors.world import World


class Server(GenServer):
    """A server that traps exits and obeys an order to stop."""

    def init(self) -> None:
        self.trap_exit = True


class Plain(GenServer):
    """A server that traps nothing."""


class Ends:
    """Watchers that note in which order processes end."""

    def __init__(self) -> None:
        self.seen: list[Any] = []

    def watch(self, process: Process, name: str) -> None:
        watch(process, _Watcher(self.seen, name))


class _Watcher:
    def __init__(self, seen: list[Any], name: str) -> None:
        self.seen = seen
        self.name = name

    def fire(self, process: Ref[Any], reason: Any) -> None:
        self.seen.append((self.name, reason))


@pytest.fixture
def beam() -> Node:
    return SimulatedHost(beam_order=True).node(log_reports=False)


def test_a_signal_acts_when_its_receiver_gets_a_turn(beam: Node) -> None:
    first = beam.start(Plain).get()
    second = beam.start(Plain).get()
    ends = Ends()
    ends.watch(first._process, "first")
    ends.watch(second._process, "second")
    second.exit("boom")
    first.kill()
    assert first.is_alive()
    assert second.is_alive()
    beam.shard.host.run_ready()  # type: ignore[attr-defined]
    assert ends.seen == [("second", "boom"), ("first", "killed")]


def test_the_first_of_two_deadly_signals_gives_the_reason(beam: Node) -> None:
    ref = beam.start(Plain).get()
    ends = Ends()
    ends.watch(ref._process, "it")
    ref.exit("shutdown")
    ref.kill()
    beam.shard.host.run_ready()  # type: ignore[attr-defined]
    assert ends.seen == [("it", "shutdown")]


def test_a_call_to_a_process_that_has_a_deadly_signal_fails_with_its_reason(beam: Node) -> None:
    ref = beam.start(Plain).get()
    ref.exit("boom")
    answer = ref.call("anything")
    with pytest.raises(Exception, match="boom"):
        answer.get()


def test_a_supervisor_goes_on_before_the_orphans_of_the_child_it_killed(beam: Node) -> None:
    inner = ChildSpec(
        "inner", (Supervisor, (Flags(), [ChildSpec("a", (Plain,)), ChildSpec("b", (Plain,))])),
        shutdown="brutal_kill", type="supervisor",
    )  # fmt: skip
    outer = beam.start(Supervisor, Flags(), [inner]).get()
    ((_, middle, _, _),) = which_children(outer).get()
    ends = Ends()
    for child_id, ref, _, _ in which_children(middle).get():
        ends.watch(ref._process, child_id)
    ends.watch(outer._process, "outer")
    outer.stop()
    assert ends.seen == [("outer", "normal"), ("b", "killed"), ("a", "killed")]


def test_no_patience_kills_even_a_child_that_would_obey_at_once(world: World) -> None:
    spec = ChildSpec("hasty", (Server,), shutdown=0)
    supervisor = world.start(Supervisor, Flags(), [spec])
    world.wait(terminate_child(supervisor, "hasty"))
    assert world.supervisor_reports() == [("shutdown_error", "hasty", "killed")]


class Answering(GenServer):
    """A server whose starts take the next answer of a list."""

    def init(self, answers: list[Any]) -> Any:
        return answers.pop(0)


def test_a_child_whose_elder_sibling_cannot_be_restarted_is_down_meanwhile(world: World) -> None:
    elder = ChildSpec("elder", (Answering, ([None, Stop("no"), None],)))
    younger = ChildSpec("younger", (Plain,))
    flags = Flags("one_for_all", intensity=5)
    supervisor = world.start(Supervisor, flags, [elder, younger])

    def kill_and_ask() -> Any:
        """Put the question into the mailbox right behind the exit."""
        child = supervisor._process.children["younger"].process
        child.ref.kill()
        return which_children(supervisor)

    rows = world.wait(world.on_shard(kill_and_ask))
    assert [(child_id, state) for child_id, state, _, _ in rows] == [
        ("younger", None),
        ("elder", "restarting"),
    ]
