"""What counts as a stranger on a host: what the store neither knows nor has owed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from fifo.fleet.strangers import strangers
from fifo.model import keys, records
from fifo.model.hypervisor import Probe
from fifo.model.instance import Cleanup, Shares
from fifo.model.link import Hello
from fifo.store.contract import Put
from tests.workflows.stage import HOST, Stage, uid

if TYPE_CHECKING:
    from fifo.model.instance import Owed


@pytest.mark.parametrize(
    ("what", "snapshot", "listed"),
    [("instance", "", ()), ("snapshot", "before", (uid(1),)), ("image", "", (uid(1),))],
)
def test_what_is_owed_as_a_whole_is_no_stranger(
    what: Owed, snapshot: str, listed: tuple[str, ...]
) -> None:
    stage = Stage()
    debt = Cleanup(uid=uid(1), host=HOST, operation="op-x", since=0.0, what=what, snapshot=snapshot)
    stage.write(Put(keys.cleanup(HOST, uid(1), snapshot), records.encode(debt)))
    probe = Probe(driver="simulated", brands=("lx",), capacity=Shares())
    hello = Hello(
        host=HOST, probe=probe, version="1", highest_fence=0, first_unacknowledged=1,
        next_sequence=1, statuses=(), foreign=(uid(1),),
    )  # fmt: skip
    assert strangers(stage.catalog, hello) == listed
