"""An owed snapshot whose instance is between two states: it waits, and nothing waits for it."""

from __future__ import annotations

import msgspec

from fifo.agent.limits import WISHES
from fifo.fleet import limits
from fifo.model import keys, records
from fifo.model.instance import Cleanup, Exit, RestartPolicy
from fifo.store.contract import Put, Txn
from tests.fleet.test_settling import AT_ONCE_S, owe, owed, state
from tests.simulation.machine import HYPERVISOR, Machine
from tests.simulation.test_one_machine import bare_zone
from tests.workflows.stage import uid

WAIT_S = 1_500.0


def backing_off(machine: Machine) -> None:
    """Have the first instance end, and wait very long for its next start."""
    made = bare_zone(1)
    patient = RestartPolicy(first_s=WAIT_S, most_s=WAIT_S)
    machine.run("create_instance", (uid(1),), msgspec.structs.replace(made, restart=patient))
    machine.hypervisor.end(uid(1), Exit(at=machine.utc(), signal=9))
    machine.scheduler.advance(AT_ONCE_S)
    assert state(machine)[0] == "backing_off"


def owe_snapshot(machine: Machine, name: str = "before") -> None:
    debt = Cleanup(
        uid=uid(1), host=HYPERVISOR, operation="op-x", since=0.0, what="snapshot", snapshot=name
    )
    put = Put(keys.cleanup(HYPERVISOR, uid(1), name), records.encode(debt))
    assert machine.catalog.store.txn(Txn(then=(put,))).get().succeeded


def test_a_snapshot_whose_instance_backs_off_holds_up_nothing_else() -> None:
    machine = Machine()
    backing_off(machine)
    machine.run("create_instance", (uid(2),), bare_zone(2))
    entry = machine.catalog.specs.get(uid(2))
    assert entry is not None
    newer = msgspec.structs.replace(entry.record, wanted="stopped", generation=2)
    machine.catalog.store.txn(Txn(then=(Put(entry.key, records.encode(newer)),))).get()
    owe_snapshot(machine)
    machine.kill()
    machine.start()
    machine.scheduler.advance(limits.SETTLE_SNAPSHOT_S + AT_ONCE_S)
    assert owed(machine) == {uid(1)}
    assert not machine.hypervisor.guests[uid(2)].running
    machine.scheduler.advance(limits.SETTLE_AGAIN_S - AT_ONCE_S)
    owe(machine, uid(2))
    machine.scheduler.advance(limits.SETTLE_SNAPSHOT_S + AT_ONCE_S)
    assert owed(machine) == {uid(1)}, "nor when it is asked for again"
    assert set(machine.hypervisor.guests) == {uid(1)}


def test_a_snapshot_that_is_owed_for_long_leaves_room_for_those_that_users_ask_for() -> None:
    machine = Machine()
    backing_off(machine)
    owe_snapshot(machine)
    again_s = limits.SETTLE_AGAIN_S + limits.SETTLE_SNAPSHOT_S
    machine.scheduler.advance((WISHES + 2) * again_s)
    assert state(machine)[0] == "backing_off"
    by = machine.utc() + WAIT_S
    asked = machine.submit("create_snapshot", (uid(1),), {"snapshot": "mine"}, deadline=by)
    ended = machine.finish(asked, WAIT_S)
    assert ended.state == "done", ended.failure
    machine.scheduler.advance(again_s)
    assert owed(machine) == set()
    names = [taken.name for taken in machine.hypervisor.guests[uid(1)].snapshots]
    assert names == ["mine"]
