"""HypervisorService: what becomes of instances on a host that the store does not know."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from google.protobuf import empty_pb2

from fifo.api import accepting
from fifo.api.accepting import Work
from fifo.api.resources import instances
from fifo.model import names
from fifo.model.errors import InvalidInput, Violation
from fifo.workflows.adopt import refuse_unfit
from fifo.workflows.strangers import refuse_unlisted

if TYPE_CHECKING:
    from fifo.api.backend import Backend
    from fifo.api.calls import Call
    from fifo.api.resources.operations import Message
    from fifo.v1 import hypervisor_service_pb2


class Strangers:
    """AdoptForeignInstance and RemoveForeignInstance."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    async def adopt_foreign_instance(
        self, request: hypervisor_service_pb2.AdoptForeignInstanceRequest, call: Call
    ) -> Message:
        """Have the store take a foreign instance over."""
        backend = self._backend
        if (first := await accepting.repeated(backend, call)) is not None:
            return first
        call.resource = target = names.instance_name(request.uid)
        if names.uid_from_id(request.instance_id) not in {None, request.uid}:
            wanted = "one that is not made from another's uid"
            raise InvalidInput(target, (Violation("instance_id", wanted),))
        host = backend.references.top(backend.catalog.hosts, names.HYPERVISORS, request.name).record
        asked = {"host": host.uid, "id": request.instance_id}
        refuse_unfit(backend.catalog, asked, request.uid)
        work = Work("adopt_foreign_instance", target, (request.uid,), asked)
        made = instances.Message(uid=request.uid)
        return await self._begin(work, call, made, only_check=request.validate_only)

    async def remove_foreign_instance(
        self, request: hypervisor_service_pb2.RemoveForeignInstanceRequest, call: Call
    ) -> Message:
        """Have a foreign instance removed from its host."""
        backend = self._backend
        if (first := await accepting.repeated(backend, call)) is not None:
            return first
        host = backend.references.top(backend.catalog.hosts, names.HYPERVISORS, request.name).record
        call.resource = target = names.instance_name(request.uid)
        refuse_unlisted(backend.catalog, host.uid, request.uid)
        work = Work("remove_foreign_instance", target, (request.uid,), {"host": host.uid})
        nothing = empty_pb2.Empty()
        return await self._begin(work, call, nothing, only_check=request.validate_only)

    async def _begin(self, work: Work, call: Call, made: Any, *, only_check: bool) -> Message:
        backend = self._backend
        if only_check:
            return accepting.only_validated(backend, call, work, made)
        return await accepting.submit(backend, call, accepting.prepare(backend, call, work))
