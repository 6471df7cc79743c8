"""What a node was killed in waits for hosts whose agents have not looked at them yet."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import msgspec
import pytest

from fifo.fleet.refusals import no_host
from fifo.model import keys, records
from fifo.model.errors import FifoError, NoRoom, Unavailable
from fifo.model.operation import Explanation
from fifo.store.contract import Put
from fifo.workflows.unmet import while_unmet
from tests.workflows.cases import IMAGE, image, operation
from tests.workflows.stage import HOST, Stage, uid, zone

if TYPE_CHECKING:
    from fifo.model.hypervisor import Condition
    from fifo.model.operation import Operation
    from fifo.workflows.workflow import Run


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
    assert found.failure.reason == "NO_HOST" or kind == "import_image"
    if why == "its absence is told of" or kind == "create_instance":
        assert found.failure.kind == "Unavailable"
        assert "once it is, ask again" in found.failure.remedy
    else:
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
    assert (found.state, found.failure.kind) == ("failed", "Unavailable")
    assert found.failure.reason == "NO_HOST"


@KINDS
def test_what_an_earlier_node_told_of_a_host_s_absence_does_not_keep_it_from_being_met(
    kind: str,
) -> None:
    stage = Stage()
    be(stage, "unreachable", told=True)
    stage.truth.awaited = frozenset({HOST})
    stage.submit(asked(kind))
    stage.host.advance(10.0)
    found = stage.catalog.operations.record(asked(kind).id)
    assert found is not None
    assert not found.final
    be(stage, "ready", told=False)
    stage.truth.awaited = frozenset()
    stage.host.advance(5.0)
    assert stage.finish(asked(kind)).state == "done"


@KINDS
def test_a_host_that_no_session_has_written_of_yet_is_waited_for(kind: str) -> None:
    stage = Stage()
    stage.truth.awaited = frozenset({"00000000-0000-4000-8000-00000000a002"})
    be(stage, "unreachable", told=True)
    stage.submit(asked(kind))
    stage.host.advance(10.0)
    found = stage.catalog.operations.record(asked(kind).id)
    assert found is not None
    assert not found.final
    stage.truth.awaited = frozenset()
    stage.host.advance(5.0)
    assert stage.finish(asked(kind)).state == "failed"


def test_a_host_that_came_while_placement_decided_is_asked_again() -> None:
    stage = Stage()
    run = cast("Run", SimpleNamespace(catalog=stage.catalog, hosts=stage.world.hosts))
    refusal = NoRoom("none takes it", reason="NO_HOST", details={"refused_not_ready": "1"})
    assert isinstance(while_unmet(run, refusal, {"lx"}), Unavailable)
    be(stage, "unreachable", told=True)
    assert while_unmet(run, refusal, {"lx"}) is refusal


@pytest.mark.parametrize(
    ("refused", "kind"),
    [
        ({"not ready": 2, "memory": 1}, Unavailable),
        ({"not ready": 1, "cordoned": 1}, Unavailable),
        ({"not ready": 1, "memory": 1}, NoRoom),
        ({"memory": 2}, NoRoom),
        ({}, NoRoom),
    ],
)
def test_a_refusal_is_for_want_of_room_only_where_something_is_used_up(
    refused: dict[str, int], kind: type[FifoError]
) -> None:
    why = Explanation(considered=2 if refused else 0, refused=refused)
    error = no_host(zone(), why)
    assert (type(error), error.reason_text) == (kind, "NO_HOST")
