"""A port in a supervision tree: named, reopened when it breaks, closed when its owner ends."""

from __future__ import annotations

import queue
from typing import TYPE_CHECKING, Any

import pytest

from supervisors import INFINITY, ChildSpec, Flags, GenServer, Supervisor
from supervisors.blocking import forbid_blocking
from supervisors.errors import PortClosed, PortError, StartError
from supervisors.ports.owner import STATISTICS, PortOwner
from supervisors.ports.process_port import ProcessPort
from supervisors.ports.simulated_port import SimulatedPort
from supervisors.ports.thread_port import ThreadPort
from tests.supervisors.ports.functions import echo
from tests.supervisors.ports.rig import LONG_S, MODULE, Watch, children, read_pid
from tests.supervisors.world import REAL_PATIENCE_S

if TYPE_CHECKING:
    from pathlib import Path

    from supervisors import Node, Ref
    from supervisors.ports.port import Port
    from tests.supervisors.ports.rig import Rig
    from tests.supervisors.world import World


class Volume(GenServer):
    """Reads through the node's port `disk`."""

    async def handle_call(self, message: Any, caller: Any) -> Any:
        function, *args = message
        try:
            return await self.port("disk").call(function, *args, deadline_s=LONG_S)
        except PortError as error:
            return error


def simulated_disk(node: Node) -> Port:
    return SimulatedPort("disk", node, {"read": lambda number: f"block {number}"})


def real_disk(node: Node) -> Port:
    return ProcessPort("disk", [MODULE], workers=1)


def disk(make: Any) -> ChildSpec:
    # The world's clock runs ahead while nothing can run on the shard, and workers end in real time.
    return ChildSpec("disk", (PortOwner, ("disk", make)), name="disk owner", shutdown=INFINITY)


def start_disk(world: World, make: Any) -> Ref[Any]:
    return world.start(Supervisor, Flags(), [disk(make)])


def owner(world: World) -> Ref[Any]:
    found = world.node.whereis("disk owner")
    assert found is not None
    return found


def test_a_handler_reaches_a_port_by_its_name(world: World) -> None:
    start_disk(world, simulated_disk)
    assert world.call(world.start(Volume), ("read", 7)) == "block 7"


def test_a_name_without_a_port_is_told_at_once(world: World) -> None:
    answer = world.call(world.start(Volume), ("read", 7))
    assert isinstance(answer, PortClosed)
    assert "no port named 'disk'" in str(answer)


def test_an_owner_answers_for_its_port(world: World) -> None:
    start_disk(world, simulated_disk)
    world.call(world.start(Volume), ("read", 7))
    assert world.call(owner(world), STATISTICS).done == 1


@pytest.mark.parametrize("reason", ["kill", "boom", "shutdown"])
def test_a_port_is_closed_with_its_owner_and_opened_again(world: World, reason: str) -> None:
    start_disk(world, simulated_disk)
    before = world.node.ports.lookup("disk")
    owner(world).exit(reason)
    world.settle()
    assert before.ended.done()
    assert world.node.ports.lookup("disk") is not before
    assert world.call(world.start(Volume), ("read", 7)) == "block 7"


def test_a_port_that_is_closed_behind_its_owner_is_opened_again(world: World) -> None:
    start_disk(world, simulated_disk)
    before = world.node.ports.lookup("disk")
    world.wait(before.close())
    world.settle()
    assert world.call(world.start(Volume), ("read", 7)) == "block 7"


def test_two_ports_cannot_have_one_name(world: World) -> None:
    start_disk(world, simulated_disk)
    with pytest.raises(StartError, match="a port named 'disk' is open already"):
        world.start(PortOwner, "disk", simulated_disk)
    assert world.call(world.start(Volume), ("read", 7)) == "block 7"
    assert len(world.node.ports) == 1


def test_an_owner_is_started_when_its_workers_are_ready(processes: Rig) -> None:
    supervisor = start_disk(processes.world, real_disk)
    assert "echo" in processes.world.node.ports.lookup("disk").ready.result()
    volume = processes.world.start(Volume)
    assert processes.world.call(volume, ("echo", 7), None) == [7]
    assert processes.wait(supervisor.stop(block=False))


@pytest.mark.parametrize("kind", ["process", "thread"])
def test_opening_and_closing_a_port_blocks_no_handler(processes: Rig, kind: str) -> None:
    world = processes.world

    def make(node: Node) -> Port:
        return real_disk(node) if kind == "process" else ThreadPort("disk", {"echo": echo})

    with forbid_blocking():
        supervisor = start_disk(world, make)
        assert world.call(world.start(Volume), ("echo", 7), None) == [7]
        assert processes.wait(supervisor.stop(block=False))
    assert world.supervisor_reports() == []


def test_a_port_that_cannot_be_opened_is_a_failed_start(processes: Rig) -> None:
    with pytest.raises(StartError, match="no such disk"):
        start_disk(
            processes.world, lambda _: ProcessPort("disk", ["tests.supervisors.ports.unimportable"])
        )
    assert len(processes.world.node.ports) == 0


def test_a_port_that_breaks_is_replaced_by_its_supervisor(processes: Rig) -> None:
    world = processes.world
    opened: queue.SimpleQueue[Port] = queue.SimpleQueue()

    def open_disk(node: Node) -> Port:
        port = real_disk(node)
        opened.put(port)
        return port

    supervisor = start_disk(world, open_disk)
    volume = world.start(Volume)
    assert isinstance(world.call(volume, ("zygote_dies",), None), PortClosed)
    with pytest.raises(PortClosed, match="zygote has ended"):
        world.wait(opened.get(timeout=REAL_PATIENCE_S).ended)
    world.wait(opened.get(timeout=REAL_PATIENCE_S).ready)
    assert world.call(volume, ("echo", 7), None) == [7]
    assert [context for context, _, _ in world.supervisor_reports()] == ["child_terminated"]
    world.wait(supervisor.stop(block=False))


def test_the_port_of_a_killed_owner_leaves_no_process(processes: Rig, fifo: Path) -> None:
    before = children()
    alone = processes.world.start(PortOwner, "disk", real_disk)
    port = processes.world.node.ports.lookup("disk")
    port.call("announce_then_wait", str(fifo), deadline_s=LONG_S)
    watch = Watch(read_pid(fifo))
    alone.kill()
    processes.wait(port.ended)
    assert watch.all_ended()
    assert children() == before


def test_an_orderly_end_waits_until_every_worker_is_gone(processes: Rig, fifo: Path) -> None:
    before = children()
    supervisor = start_disk(processes.world, real_disk)
    volume = processes.world.start(Volume)
    stuck = volume.call(("announce_then_wait", str(fifo)), None)
    watch = Watch(read_pid(fifo))
    assert processes.wait(supervisor.stop(block=False))
    assert children() == before
    assert isinstance(processes.wait(stuck), PortClosed)
    assert watch.all_ended()
