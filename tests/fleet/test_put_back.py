"""What stays down on its host stays down when an older store is put back: nobody has asked."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from fifo.model.instance import Exit, RestartPolicy
from fifo.store.statistics import Restored
from tests.fleet.test_settling import start, state
from tests.simulation.machine import HYPERVISOR, Machine
from tests.simulation.test_one_machine import bare_zone
from tests.workflows.stage import uid

if TYPE_CHECKING:
    from collections.abc import Callable

    from fifo.store.embedded import EmbeddedStore
    from fifo.store.memory import MemoryDisk
    from supervisors import Future, Node

NOT_THERE = "its data is no longer on this host"


class PutBack(Machine):
    """A machine whose store can be put back."""

    backup: MemoryDisk | None = None

    def _open(self, node: Node, disk: MemoryDisk) -> Future[EmbeddedStore]:
        opened = super()._open(node, disk)
        if self.backup is not None:
            self.stores[-1]._restored = Restored(at=1.0, revision=1)
        return opened

    def save(self) -> None:
        self.backup = copy.deepcopy(self.disk)

    def go_back(self) -> None:
        """Begin anew with the store as it was saved; the agent's own is as it is."""
        assert self.backup is not None
        self.kill()
        self.disk = copy.deepcopy(self.backup)
        self.disk.taken = False
        self.start()
        self.scheduler.advance(60.0)
        status = self.catalog.host_statuses.record(HYPERVISOR)
        assert status is not None
        assert status.condition == "ready"

    def newer(self, kind: str = "update_instance", **changes: Any) -> None:
        spec = self.catalog.specs.record(uid(1))
        assert spec is not None
        changed = msgspec.structs.replace(spec, generation=spec.generation + 1, **changes)
        assert self.run(kind, (uid(1),), changed).state == "done"

    def generation(self) -> int:
        spec = self.catalog.specs.record(uid(1))
        assert spec is not None
        return spec.generation


def saved(*aliases: str, **more: Any) -> PutBack:
    """Have an instance that was changed since its store was saved."""
    machine = PutBack()
    made = msgspec.structs.replace(bare_zone(1), **more)
    assert machine.run("create_instance", (uid(1),), made).state == "done"
    machine.save()
    for alias in aliases:
        machine.newer(alias=alias)
    return machine


def lose(machine: PutBack) -> None:
    machine.kill()
    machine.hypervisor.guests.clear()
    machine.start()
    machine.scheduler.advance(40.0)


def halt(machine: PutBack) -> None:
    machine.hypervisor.end(uid(1), Exit(at=machine.utc(), code=0))
    machine.scheduler.advance(5.0)


def crash(machine: PutBack) -> None:
    machine.hypervisor.end(uid(1), Exit(at=machine.utc(), code=1))
    machine.scheduler.advance(5.0)


DOWN = [
    pytest.param(lose, ("failed", NOT_THERE), id="lost"),
    pytest.param(halt, ("stopped", ""), id="halted by its guest"),
    pytest.param(crash, ("failed", "1 ends within 300 s, the last: exit code 1"), id="crash loop"),
]


@pytest.mark.parametrize("aliases", [("x", "y"), ("x", "")], ids=["changed", "as it was"])
@pytest.mark.parametrize(("happens", "down"), DOWN)
def test_what_stays_down_is_not_started_by_a_store_that_is_put_back(
    happens: Callable[[PutBack], None], down: tuple[str, str], aliases: tuple[str, ...]
) -> None:
    machine = saved(*aliases, restart=RestartPolicy(attempts=1))
    happens(machine)
    assert state(machine) == down
    for _ in range(2):
        machine.go_back()
        assert machine.generation() > 3, "its host is beyond what the store had"
        assert state(machine) == down
        assert not any(guest.running for guest in machine.hypervisor.guests.values())
    machine.kill()
    machine.start()
    machine.scheduler.advance(60.0)
    assert state(machine) == down
    assert start(machine).state == "done"
    assert state(machine) == ("running", "")


def test_what_is_found_lost_after_the_store_was_put_back_is_not_made_anew() -> None:
    machine = saved("x", "y")
    machine.hypervisor.guests.clear()
    machine.go_back()
    assert state(machine) == ("failed", NOT_THERE)
    assert not machine.hypervisor.guests


def test_what_the_older_store_wants_running_is_started_though_it_was_stopped_since() -> None:
    machine = saved()
    machine.newer("stop_instance", wanted="stopped")
    machine.go_back()
    assert state(machine) == ("running", "")


def test_what_runs_takes_over_what_the_older_store_wants_of_it() -> None:
    machine = saved("x", "y")
    machine.go_back()
    status = machine.catalog.statuses.record(uid(1))
    assert status is not None
    assert (status.state, status.generation, status.start_id) == ("running", 4, 1)
