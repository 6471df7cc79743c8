"""What a node was killed in waits for hosts whose agents have not looked at them yet."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from fifo.model import keys, records
from fifo.store.contract import Put
from tests.workflows.cases import IMAGE, image, operation
from tests.workflows.stage import HOST, Stage, uid, zone

if TYPE_CHECKING:
    from fifo.model.hypervisor import Condition
    from fifo.model.operation import Operation


def be(stage: Stage, condition: Condition, **more: Any) -> None:
    """Have the host's session write what it knows."""
    status = stage.catalog.host_statuses.record(HOST)
    assert status is not None
    changed = msgspec.structs.replace(status, condition=condition, **more)
    stage.write(Put(keys.by_uid(keys.HYPERVISOR_STATUS, HOST), records.encode(changed)))


def asked(kind: str) -> Operation:
    """Ask for something whose host is chosen."""
    if kind == "import_image":
        return operation(kind, (IMAGE,), image())
    return operation(kind, (uid(1),), zone())


KINDS = pytest.mark.parametrize("kind", ["create_instance", "import_image"])


@KINDS
def test_a_host_that_is_met_in_a_moment_is_waited_for(kind: str) -> None:
    stage = Stage()
    be(stage, "unreachable")
    stage.submit(asked(kind))
    stage.host.advance(10.0)
    found = stage.catalog.operations.record(asked(kind).id)
    assert found is not None
    assert not found.final
    be(stage, "ready")
    stage.host.advance(5.0)
    assert stage.finish(asked(kind)).state == "done"


@KINDS
@pytest.mark.parametrize("why", ["its absence is told of", "it does not run the brand"])
def test_a_host_that_will_not_take_it_is_not_waited_for(kind: str, why: str) -> None:
    stage = Stage()
    status = stage.catalog.host_statuses.record(HOST)
    assert status is not None
    assert status.probe is not None
    if why == "its absence is told of":
        be(stage, "unreachable", told=True)
    else:
        be(stage, "unreachable", probe=msgspec.structs.replace(status.probe, brands=("bhyve",)))
    stage.submit(asked(kind))
    stage.host.advance(1.0)
    found = stage.catalog.operations.record(asked(kind).id)
    assert found is not None
    assert (found.final, found.state) == (True, "failed")
    assert found.failure is not None
    assert found.failure.kind == "NoRoom"


@KINDS
def test_a_host_that_is_never_met_is_given_up_when_that_is_told_of(kind: str) -> None:
    stage = Stage()
    be(stage, "unreachable")
    stage.submit(asked(kind))
    stage.host.advance(10.0)
    be(stage, "unreachable", told=True)
    found = stage.finish(asked(kind))
    assert found.failure is not None
    assert (found.state, found.failure.kind) == ("failed", "NoRoom")
