"""What the fleet's processes hold is given back when their supervisor shuts them down."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from fifo.agent.supervisor import LocalLink
from fifo.fleet import limits
from fifo.fleet.placement import NAME
from fifo.fleet.session import CONNECT
from fifo.fleet.supervisor import FLEET, SESSIONS
from fifo.store.catalog import Catalog
from fifo.store.catalog_owner import CATALOG
from supervisors import Future, restart_child, terminate_child
from tests.simulation.machine import HYPERVISOR, Machine

if TYPE_CHECKING:
    from collections.abc import Callable

    from fifo.store.contract import WatchBatch


def shut_down(machine: Machine, supervisor: str, child: str) -> float:
    """Have a child of a supervisor shut down; gives the seconds that it took."""
    began_s = machine.scheduler.now_s
    ended = terminate_child(machine.node.address(supervisor), child)
    machine.scheduler.run_ready()
    while not ended.done():
        machine.scheduler.advance(0.01)
    ended.get()
    return machine.scheduler.now_s - began_s


def fence(machine: Machine) -> int:
    assert machine.parts.fleet is not None
    return machine.parts.fleet.hosts.owners_fence(HYPERVISOR)


@pytest.fixture
def following(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """List those who follow a catalog."""
    found: list[Any] = []
    listen = Catalog.listen

    def counted(catalog: Catalog, listener: Callable[[WatchBatch], None]) -> Callable[[], None]:
        stop = listen(catalog, listener)
        found.append(listener)

        def stopped() -> None:
            stop()
            found.remove(listener)

        return stopped

    monkeypatch.setattr(Catalog, "listen", counted)
    return found


def test_a_placement_process_that_is_shut_down_follows_the_catalog_no_more(
    following: list[Any],
) -> None:
    machine = Machine()

    def placements() -> int:
        return sum(own.__qualname__.startswith("PlacementServer") for own in following)

    for _ in range(3):
        assert placements() == 1
        assert shut_down(machine, FLEET, NAME) == 0.0
        assert placements() == 0
        restart_child(machine.node.address(FLEET), NAME).get()


def test_a_session_that_is_shut_down_owns_its_host_no_more() -> None:
    machine = Machine()
    assert fence(machine) > 0
    assert shut_down(machine, FLEET, SESSIONS) == 0.0
    assert fence(machine) == 0, "nothing is ordered in the name of one that has ended"


def test_a_session_that_waits_for_its_agent_holds_no_shutdown_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    machine = Machine()
    monkeypatch.setattr(LocalLink, "take", lambda *_: Future())
    machine.node.address(("session", HYPERVISOR)).send(CONNECT)
    machine.scheduler.run_ready()
    took_s = shut_down(machine, FLEET, SESSIONS)
    assert 0.0 < took_s <= limits.SHUTDOWN_MS / 1_000 + 0.02


def test_a_catalog_that_is_shut_down_follows_its_store_no_more() -> None:
    machine = Machine()
    store = machine.stores[0]
    watches = store.statistics().watches
    shut_down(machine, "node", CATALOG)
    assert store.statistics().watches == watches - 1
