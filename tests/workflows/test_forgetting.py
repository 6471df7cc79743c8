"""What a chunk of a batch leaves in the store when it is taken back, or deleted, as a whole."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest

from fifo.api.services.instance_batches import chunk_size
from fifo.model import keys, limits
from fifo.store.contract import Put
from tests.workflows.cases import operation
from tests.workflows.stage import Stage, uid, zone

if TYPE_CHECKING:
    from fifo.model.operation import Operation


def largest_chunk(stage: Stage) -> Operation:
    """Give the create of as many instances as one transaction may be about, each with an id."""
    specs = [zone(number, nics=()) for number in range(1, limits.CHUNK_INSTANCES + 1)]
    size = chunk_size(specs)
    assert size == len(specs), "nothing else bounds them"
    uids = tuple(spec.uid for spec in specs)
    made = operation("create_instances", uids, "left", chunk_size=size)
    stage.write(Put(keys.operation_input("left", 0), msgspec.json.encode(specs)))
    return made


@pytest.mark.parametrize("refused", ["realise", ""])
def test_the_largest_chunk_is_forgotten_in_one_transaction(refused: str) -> None:
    stage = Stage()
    before = stage.slate()
    stage.truth.refuses = frozenset({refused})
    ended = stage.run(largest_chunk(stage))
    assert ended.state == ("failed" if refused else "done"), ended.failures
    if not refused:
        every = tuple(uid(number) for number in range(1, limits.CHUNK_INSTANCES + 1))
        gone = operation("delete_instances", every, None, chunk_size=len(every), id="op-gone")
        ended = stage.run(gone)
        assert ended.state == "done", ended.failures
    assert stage.slate() == before
    assert not len(stage.catalog.statuses)
