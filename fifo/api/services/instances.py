"""InstanceService: looking at instances."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fifo.api import listing, masks, references
from fifo.api.faults import Faults
from fifo.api.places import list_token
from fifo.api.resources import instances
from fifo.model import names
from fifo.model.errors import InvalidInput, Violation
from fifo.v1 import instance_service_pb2

if TYPE_CHECKING:
    from collections.abc import Iterable

    from google.protobuf.field_mask_pb2 import FieldMask

    from fifo.api.backend import Backend
    from fifo.api.calls import Call


class InstanceReads:
    """Get, BatchGet and List."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._find = backend.references.instance
        self._data = backend.instances.data

    def get_instance(
        self, request: instance_service_pb2.GetInstanceRequest, call: Call
    ) -> bytes | instances.Message:
        """Give one instance; without a mask as the bytes that are kept of it."""
        del call
        if request.HasField("read_mask"):
            return self._get_part(request)
        entry = self._find(request.name)
        data = self._data(entry.record.uid)
        if data is None:
            raise references.absent(request.name)
        return data

    def _get_part(self, request: instance_service_pb2.GetInstanceRequest) -> instances.Message:
        faults, entry = Faults(), None
        with faults:
            masks.check_read(instances.Message.DESCRIPTOR, request.read_mask)
        with faults:
            entry = self._backend.references.instance_or_none(request.name)
        faults.refuse(request.name)
        data = None if entry is None else self._data(entry.record.uid)
        if data is None:
            raise references.absent(request.name)
        made: instances.Message = _read(data, request.read_mask)
        return made

    def batch_get_instances(
        self, request: instance_service_pb2.BatchGetInstancesRequest, call: Call
    ) -> instance_service_pb2.BatchGetInstancesResponse:
        """Give several at one revision, in the order asked, or nothing."""
        del call
        self._check(request)
        made = instance_service_pb2.BatchGetInstancesResponse()
        for index, name in enumerate(request.names):
            field = f"names[{index}]"
            data = self._data(self._find(name, field).record.uid)
            if data is None:
                raise references.absent(name)
            made.instances.append(_read(data, request.read_mask))
        return made

    def _check(self, request: instance_service_pb2.BatchGetInstancesRequest) -> None:
        faults = check_names(request.parent, request.names)
        with faults:
            masks.check_read(instances.Message.DESCRIPTOR, request.read_mask)
        faults.refuse("BatchGetInstances")

    async def list_instances(
        self, request: instance_service_pb2.ListInstancesRequest, call: Call
    ) -> instance_service_pb2.ListInstancesResponse:
        """Give one page, with where a watch goes on from it."""
        described, faults = instances.Message.DESCRIPTOR, Faults()
        backend, org = self._backend, ""
        with faults:
            org = names.parse_org(request.parent)
        question = listing.asked(call.method.path, request, org)
        if faults.violations:
            listing.read(backend.seals, question, described, mask=request.read_mask, faults=faults)
        token = list_token(backend)
        places = backend.orders.instances.places()
        if org != "-":
            prefix = names.instance_name("", org)
            places = [place for place in places if place.name.startswith(prefix)]

        def make(uid: str) -> instances.Message | None:
            data = self._data(uid)
            return None if data is None else instances.Message.FromString(data)

        page = await listing.page(
            backend.seals, question, places, make, described, mask=request.read_mask
        )
        return instance_service_pb2.ListInstancesResponse(
            instances=[masks.read(one, request.read_mask) for one in page.messages],
            next_page_token=page.next_page_token,
            resume_token=token,
        )


def check_names(parent: str, listed: Iterable[str]) -> Faults:
    """Find what is wrong with a batch's parent, and with names of instances below it."""
    faults, org = Faults(), "-"
    with faults:
        org = names.parse_org(parent)
    for index, name in enumerate(listed):
        with faults:
            _refuse_other_org(name, org, f"names[{index}]")
    return faults


def _refuse_other_org(name: str, org: str, field: str) -> None:
    """Raise InvalidInput for an instance that a batch's parent does not contain."""
    parsed = names.parse(name, names.INSTANCES, field)
    if org not in {"-", parsed.org}:
        raise InvalidInput(name, (Violation(field, f"an instance of orgs/{org}"),))


def _read(data: bytes, mask: FieldMask) -> Any:
    return masks.read(instances.Message.FromString(data), mask)
