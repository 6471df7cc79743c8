"""Processes in Pykka's registry by choice, and the view of a node that looks like that registry."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pykka
import pytest
from pykka import ActorRegistry

from supervisors import ChildSpec, Flags, GenServer, Process, Supervisor
from supervisors.pykka_registry import NodeRegistry, register

if TYPE_CHECKING:
    from supervisors import Ref
    from tests.supervisors.world import World


class Worker(Process):
    def __init__(self, log: list[Any] | None = None) -> None:
        super().__init__()
        self.log = log if log is not None else []

    def on_receive(self, message: Any) -> Any:
        self.log.append(message)
        return message

    def on_stop(self) -> None:
        self.log.append(("stopped", self.pid.serial))


class Enters(Process):
    def on_start(self) -> None:
        register(self.ref)
        self.found = ActorRegistry.get_by_urn(self.actor_urn) == self.ref

    def on_receive(self, message: Any) -> Any:
        return self.found


class Server(GenServer):
    def init(self, log: list[Any]) -> None:
        self.log = log
        self.trap_exit = True

    def terminate(self, reason: Any) -> None:
        self.log.append(("terminated", reason))


@pytest.fixture
def view(world: World) -> NodeRegistry:
    return NodeRegistry(world.node)


# --- entered by choice ---------------------------------------------------------------------------


def test_a_process_is_not_in_pykkas_registry_by_itself(world: World) -> None:
    Worker.start().ask("started")
    assert ActorRegistry.get_all() == []


def test_a_process_enters_itself_when_it_starts(world: World) -> None:
    ref = Enters.start()
    assert ref.ask("were you there?") is True
    ref.stop()
    assert ActorRegistry.get_all() == []


@pytest.mark.parametrize("reason", ["kill", "normal", "shutdown", "boom"])
def test_a_process_is_taken_out_however_it_ends(world: World, reason: str) -> None:
    ref = Enters.start()
    ref.ask("started")
    assert ActorRegistry.get_all() == [ref]
    if reason == "normal":
        ref.stop()
    else:
        ref.exit(reason)
    world.settle()
    assert ActorRegistry.get_all() == []


def test_a_dead_process_does_not_stay_when_it_is_entered(world: World) -> None:
    ref = Worker.start()
    ref.stop()
    register(ref)
    world.settle()
    assert ActorRegistry.get_all() == []


# --- the view ------------------------------------------------------------------------------------


def test_the_view_lists_all_processes_in_the_order_of_their_starts(
    world: World, view: NodeRegistry
) -> None:
    refs: list[Ref[Any]] = [Worker.start() for _ in range(3)]
    refs.append(world.start(Server, []))
    assert view.get_all() == refs
    refs[1].stop()
    assert view.get_all() == [refs[0], refs[2], refs[3]]


def test_the_view_finds_by_class_superclass_and_class_name(
    world: World, view: NodeRegistry
) -> None:
    worker, server = Worker.start(), world.start(Server, [])
    assert view.get_by_class(Worker) == [worker]
    assert view.get_by_class(GenServer) == [server]
    assert view.get_by_class(Process) == [worker, server]
    assert view.get_by_class_name("Server") == [server]
    assert view.get_by_class_name("GenServer") == []


def test_the_view_finds_by_urn(world: World, view: NodeRegistry) -> None:
    worker = Worker.start()
    assert view.get_by_urn(worker.actor_urn) == worker
    worker.stop()
    assert view.get_by_urn(worker.actor_urn) is None


@pytest.mark.parametrize(
    "urn", ["", "urn:uuid:16b3c2b4-2b4a-4c3a-8a53-0d4a2f1e6b11", "urn:pid:<other.1.1>", "x.1", "1"]
)
def test_a_urn_that_is_not_of_this_node_is_not_found(
    world: World, view: NodeRegistry, urn: str
) -> None:
    Worker.start()
    assert view.get_by_urn(urn) is None


def test_a_broadcast_reaches_all_of_a_class_or_a_class_name(
    world: World, view: NodeRegistry
) -> None:
    log: list[Any] = []
    Worker.start(log)
    Enters.start()
    view.broadcast("to all")
    view.broadcast("to the class", target_class=Worker)
    view.broadcast("to the name", target_class="Worker")
    view.broadcast("to others", target_class=Enters)
    world.settle()
    assert log == ["to all", "to the class", "to the name"]


def test_stop_all_stops_the_last_started_first(world: World, view: NodeRegistry) -> None:
    log: list[Any] = []
    refs = [Worker.start(log) for _ in range(3)]
    assert view.stop_all() == [True, True, True]
    assert log == [("stopped", ref.pid.serial) for ref in reversed(refs)]
    assert view.get_all() == []


def test_stop_all_without_blocking_gives_futures(world: World, view: NodeRegistry) -> None:
    for _ in range(3):
        Worker.start()
    assert pykka.get_all(view.stop_all(block=False)) == [True, True, True]
    assert view.get_all() == []


def test_stop_all_leaves_children_to_their_supervisors(world: World, view: NodeRegistry) -> None:
    log: list[Any] = []
    children = [ChildSpec(name, (Server, (log,))) for name in ("a", "b")]
    world.start(Supervisor, Flags(), children)
    assert len(view.get_all()) == 3
    assert view.stop_all() == [True]
    assert view.get_all() == []
    assert log == [("terminated", "shutdown")] * 2
    assert world.supervisor_reports() == []
