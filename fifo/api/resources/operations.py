"""Operations: the record of a workflow as the standard google.longrunning.Operation."""

from __future__ import annotations

from itertools import islice
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from google.longrunning import operations_pb2
from google.protobuf import empty_pb2

from fifo.api import status
from fifo.api.resources import images, instances, partial, snapshots
from fifo.api.resources.instances import field_names
from fifo.api.resources.values import set_time
from fifo.api.resources.view import hypervisor_name, instance_name
from fifo.model import names
from fifo.model.errors import InvalidInput, Violation
from fifo.model.operation import BATCHES
from fifo.model.vmadm.in_vain import IN_VAIN
from fifo.v1 import instance_service_pb2, operation_pb2
from fifo.workflows.failures import error_of
from fifo.workflows.registry import WORKFLOWS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from google.protobuf.message import Message as Any_Message

    from fifo.model.operation import Explanation, Failure, Operation
    from fifo.store.catalog import Entry, View

Message = operations_pb2.Operation
List = operations_pb2.ListOperationsResponse
Metadata = operation_pb2.OperationMetadata
TYPE: Final = "fifo/Operation"
STATES: Final = MappingProxyType(
    {
        "running": Metadata.RUNNING,
        "undoing": Metadata.UNDOING,
        "done": Metadata.DONE,
        "failed": Metadata.FAILED,
        "cancelled": Metadata.CANCELLED,
        "needs_attention": Metadata.NEEDS_ATTENTION,
    }
)
_VERBS: Final = MappingProxyType({"roll": "rollback"})
_LISTED: Final = 100
"""Owed cleanups and unhonoured properties that are listed: the metadata stays small."""


class Parts(NamedTuple):
    """The record that an operation is seen from."""

    operation: Entry[Operation]


def capture(view: View, operation_id: str) -> Parts | None:
    """Take an operation's record as it is now; None if there is none."""
    operation = view.operations.get(operation_id)
    return None if operation is None else Parts(operation)


def name_of(parts: Parts) -> str:
    """Name it."""
    return f"{names.OPERATIONS}/{parts.operation.record.id}"


def message(view: View, parts: Parts) -> Message:
    """Make what callers see, with its result as that is now."""
    return of_record(view, parts.operation.record)


def of_record(view: View, record: Operation) -> Message:
    """Make what callers see of a record, stored or about to be."""
    made = Message(name=f"{names.OPERATIONS}/{record.id}", done=record.final)
    made.metadata.Pack(metadata(view, record))
    if record.state == "done":
        answer = _RESULTS[record.kind](view, record)
        if answer is not None:
            made.response.Pack(answer)
    elif record.final:
        made.error.CopyFrom(_error(view, record))
    return made


def metadata(view: View, record: Operation) -> Metadata:
    """Make the metadata."""
    verb = record.kind.partition("_")[0]
    made = Metadata(
        target=record.target,
        verb=_VERBS.get(verb, verb),
        state=STATES[record.state],
        progress_percent=record.progress,
        requested_cancellation=record.cancel_requested,
        principal=record.principal,
    )
    set_time(made.create_time, record.create_time)
    set_time(made.end_time, record.end_time)
    set_time(made.deadline, record.deadline)
    steps = WORKFLOWS[record.kind].steps
    if not record.final:
        made.stage = steps[min(record.step, len(steps) - 1)].name
    if len(record.uids) > 1 or record.kind in BATCHES:
        for index, failure in partial.failures(record):
            made.failed_requests[index].CopyFrom(_status(view, record, failure))
    # Of a batch it is that of one of its requests, and nobody could tell of which.
    if record.explanation is not None and record.kind not in BATCHES:
        made.placement.CopyFrom(placement(view, record.explanation))
    _add_effects(view, made, record)
    return made


def tell_transfer(made: Message, record: Operation, done_bytes: int, of_bytes: int) -> None:
    """Write how far the bytes of an import are, which no record says: only its host knows."""
    metadata = Metadata()
    made.metadata.Unpack(metadata)
    metadata.transferred_bytes, metadata.total_bytes = done_bytes, of_bytes
    if of_bytes:
        share = 100 // len(WORKFLOWS[record.kind].steps)
        metadata.progress_percent += share * min(done_bytes, of_bytes) // of_bytes
    made.metadata.Pack(metadata)


def placement(view: View, why: Explanation) -> operation_pb2.PlacementExplanation:
    """Make the explanation of a placement."""
    return operation_pb2.PlacementExplanation(
        considered=why.considered,
        refused=why.refused,
        hypervisor=hypervisor_name(view, why.host),
        next_best=[hypervisor_name(view, host) for host in why.next_best],
    )


# -- its parts ------------------------------------------------------------------------------------


def _error(view: View, record: Operation) -> Any:
    if record.failure is None:
        return status.of_bug(record.id)
    return _status(view, record, record.failure)


def _status(view: View, record: Operation, failure: Failure) -> Any:
    """Make the status of a failure; hosts know no names, and who reads it knows no uids."""
    error = error_of(failure)
    if error.subject in record.uids:
        alone = len(record.uids) == 1 and record.kind not in BATCHES
        error.subject = record.target if alone else instance_name(view, error.subject)
    if type(error) is InvalidInput and error.violations:
        told = (Violation(_field(record, field), wanted) for field, wanted in error.violations)
        error = InvalidInput(error.subject, tuple(told))
    return status.status_of(error)


def _field(record: Operation, field: str) -> str:
    """Give what a request calls the field of a record that a host or the fleet refused."""
    if record.kind == "import_image":
        own = {"source": images.source_field(record.input["source"]), "boot": "image.boot"}
        return own.get(field, field)
    is_instances = record.kind.removesuffix("s") in {"create_instance", "update_instance"}
    return f"instance.{field}" if is_instances and not field.startswith("instance.") else field


def _add_effects(view: View, made: Metadata, record: Operation) -> None:
    """Write what came of it besides its result: what is owed, unhonoured, live, or for later."""
    made.owed_cleanups.extend(islice(_owed(view, record), _LISTED))
    if record.kind.startswith("create_instance"):
        unhonoured = {own for uid in record.uids for own in _unhonoured(view, uid)}
        made.unhonoured_properties.extend(sorted(unhonoured)[:_LISTED])
    if record.kind == "import_image" and record.state == "done":
        image = view.images.record(record.uids[0])
        made.transferred_bytes = made.total_bytes = image.size_bytes if image is not None else 0
    if record.kind == "update_instance" and isinstance(record.result, dict):
        changed = {*record.result.get("live", ()), *record.result.get("at_start", ())}
        spec = view.specs.record(record.uids[0])
        unhonoured = {*_unhonoured(view, record.uids[0])}
        made.unhonoured_properties.extend(sorted(changed & unhonoured))
        # Not in effect either when it is taken back.
        vain = unhonoured | (IN_VAIN.get(spec.brand, set()) if spec is not None else set())
        for told, part in ((made.applied_live, "live"), (made.pending_reboot, "at_start")):
            own = (name for name in record.result.get(part, ()) if name not in vain)
            told.extend(field_names(own))


def _owed(view: View, record: Operation) -> Iterator[str]:
    """Say what hosts still have to clear, as long as they owe it."""
    for debt in (own.record for own in view.cleanups):
        if debt.operation == record.id:
            what = record.target if debt.what == "image" else instance_name(view, debt.uid)
            if debt.snapshot:
                what = f"{what}/{names.SNAPSHOTS}/{debt.snapshot}"
            yield f"{hypervisor_name(view, debt.host)} still has to remove {what}"


def _unhonoured(view: View, uid: str) -> tuple[str, ...]:
    spec, claim = view.specs.record(uid), view.claims.record(uid)
    host = claim.host if claim is not None else ""
    lacks = instances.lacking(view, host)
    return instances.unhonoured(spec, lacks) if spec is not None else ()


def _instance(view: View, record: Operation) -> instances.Message | None:
    parts = instances.capture(view, record.uids[0]) if record.uids else None
    return None if parts is None else instances.message(view, parts)


def _instances(view: View, record: Operation) -> Any_Message:
    found = (
        instances.capture(view, uid)
        for item, uid in enumerate(record.uids)
        if str(item) not in record.failures
    )
    made = [instances.message(view, parts) for parts in found if parts is not None]
    return instance_service_pb2.BatchCreateInstancesResponse(instances=made)


def _image(view: View, record: Operation) -> images.Message | None:
    parts = images.capture(view, record.uids[0])
    return None if parts is None else images.message(view, parts)


def _snapshot(view: View, record: Operation) -> snapshots.Message | None:
    parts = snapshots.capture(view, f"{record.uids[0]}/{record.input['snapshot']}")
    # Its host has not reported it yet, or it is gone again.
    return (
        snapshots.Message(name=record.target) if parts is None else snapshots.message(view, parts)
    )


def _nothing(view: View, record: Operation) -> Any_Message:
    del view, record
    return empty_pb2.Empty()


_RESULTS: Final[MappingProxyType[str, Callable[[View, Operation], Any_Message | None]]] = (
    MappingProxyType(
        {
            "create_instance": _instance,
            "create_instances": _instances,
            "update_instance": _instance,
            "start_instance": _instance,
            "stop_instance": _instance,
            "reboot_instance": _instance,
            "delete_instance": _nothing,
            "delete_instances": _nothing,
            "create_snapshot": _snapshot,
            "delete_snapshot": _nothing,
            "roll_back_snapshot": _instance,
            "import_image": _image,
            "create_image": _image,
            "delete_image": _nothing,
            "remove_foreign_instance": _nothing,
            "adopt_foreign_instance": _instance,
        }
    )
)
"""Workflow -> what its operation ends with, as the methods' operation_info says."""
