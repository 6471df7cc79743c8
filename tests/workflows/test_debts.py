"""What hosts owe is not lost, and what is made anew is not taken for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest

from fifo.model import keys, records
from fifo.model.errors import AlreadyExists
from fifo.model.hypervisor import HypervisorStatus
from fifo.model.instance import Cleanup
from fifo.store.contract import Delete, Put, Txn
from tests.workflows.cases import CASES, IMAGE, image, operation
from tests.workflows.stage import HOST, Stage, uid

if TYPE_CHECKING:
    from fifo.model.operation import Operation

AWAY = tuple(f"00000000-0000-4000-8000-00000000a{number:03x}" for number in range(16, 21))


def without_image(*away: str) -> Stage:
    """Delete an image while hosts are away: each of them owes taking it out of its cache."""
    stage = Stage()
    for host in away:
        status = HypervisorStatus(uid=host, condition="unreachable", since=0.0)
        stage.write(Put(keys.by_uid(keys.HYPERVISOR_STATUS, host), records.encode(status)))
    assert stage.run(asked("import_image")).state == "done"
    assert stage.run(asked("delete_image")).state == "done"
    return stage


def asked(kind: str, suffix: str = "") -> Operation:
    """Ask for something about the image."""
    if kind == "create_image":
        wish = image(from_instance=uid(1))
        return operation(kind, (IMAGE,), wish, id=f"op-{kind}{suffix}")
    return operation(kind, (IMAGE,), image(), id=f"op-{kind}{suffix}")


def acquit(stage: Stage, host: str, what: str = IMAGE) -> None:
    """Forget a debt, as its session does when the host has done it."""
    assert stage.store.txn(Txn(then=(Delete(keys.cleanup(host, what)),))).get().succeeded
    stage.host.run_ready()


@pytest.mark.parametrize("kind", ["import_image", "create_image"])
def test_an_image_is_not_made_anew_while_a_host_owes_the_removal_of_its_uid(kind: str) -> None:
    stage = without_image(AWAY[0])
    made = operation("create_instance", (uid(1),), CASES[0].make(stage).input, id="op-made")
    assert stage.run(made).state == "done"
    with pytest.raises(AlreadyExists, match=f"{AWAY[0]} still has to remove an image") as refused:
        stage.submit(asked(kind, "-again"))
    assert refused.value.subject == "images/tiny"
    assert IMAGE not in stage.catalog.images.entries
    acquit(stage, AWAY[0])
    assert stage.run(asked(kind, "-again")).state == "done"


def test_it_is_refused_until_the_last_of_several_hosts_has_removed_it() -> None:
    stage = without_image(*AWAY)
    assert stage.catalog.owed == {IMAGE: AWAY}
    for left in range(len(AWAY), 0, -1):
        with pytest.raises(AlreadyExists) as refused:
            stage.submit(asked("import_image", "-again"))
        told = str(refused.value)
        assert sum(host in told for host in AWAY) == min(left, 3), told
        assert (f"and {left - 3} more" in told) == (left > 3)
        assert ("try again when that host is back" in told) == (left == 1)
        acquit(stage, AWAY[left - 1])
    assert not stage.catalog.owed
    assert stage.run(asked("import_image", "-again")).state == "done"


def test_what_is_owed_is_known_after_a_restart_and_once_however_often_it_is_written() -> None:
    stage = without_image(*AWAY[:2])
    key = keys.cleanup(AWAY[0], IMAGE)
    debt = records.decode(Cleanup, stage.content()[key])
    stage.write(Put(key, records.encode(msgspec.structs.replace(debt, operation="op-later"))))
    assert sorted(stage.catalog.owed[IMAGE]) == sorted(AWAY[:2])
    stage.crash()
    stage.start()
    assert sorted(stage.catalog.owed[IMAGE]) == sorted(AWAY[:2])
    acquit(stage, AWAY[0])
    assert stage.catalog.owed == {IMAGE: (AWAY[1],)}


def test_an_instance_that_one_host_owes_and_another_too_is_refused_for_either() -> None:
    stage = Stage()
    for host in (HOST, AWAY[0]):
        debt = Cleanup(uid=uid(1), host=host, operation="op-x", since=0.0)
        stage.write(Put(keys.cleanup(host, uid(1)), records.encode(debt)))
    create = CASES[0].make(stage)
    for host, name in ((HOST, "host-1"), (AWAY[0], AWAY[0])):
        with pytest.raises(AlreadyExists, match=name):
            stage.submit(create)
        acquit(stage, host, uid(1))
    assert stage.run(create).state == "done"


def test_a_snapshot_that_is_owed_stands_in_the_way_of_its_own_name_alone() -> None:
    stage = Stage()
    assert stage.run(CASES[0].make(stage)).state == "done"

    def take(name: str, suffix: str = "") -> Operation:
        return operation("create_snapshot", (uid(1),), {"snapshot": name}, id=f"op-{name}{suffix}")

    stage.truth.loses.add("snapshot")
    stage.submit(take("before"))
    stage.truth.away = True
    ended = stage.finish(take("before"))
    assert (ended.state, ended.owed) == ("failed", (0,))
    (debt,) = (entry.record for entry in stage.catalog.cleanups)
    assert (debt.what, debt.uid, debt.snapshot, debt.host) == ("snapshot", uid(1), "before", HOST)
    assert debt.operation == ended.id
    stage.truth.away = False
    with pytest.raises(AlreadyExists, match="host-1 still has to remove a snapshot of this name"):
        stage.submit(take("before", "-again"))
    assert stage.run(take("after")).state == "done"
    assert stage.run(operation("delete_instance", (uid(1),))).state == "done"
    create = msgspec.structs.replace(CASES[0].make(stage), id="op-create-again")
    assert stage.run(create).state == "done"
    with pytest.raises(AlreadyExists):
        stage.submit(take("before", "-again"))
    acquit(stage, HOST, f"{uid(1)}/before")
    assert stage.run(take("before", "-again")).state == "done"
