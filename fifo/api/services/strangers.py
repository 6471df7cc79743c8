"""HypervisorService: what becomes of instances on a host that the store does not know."""

from __future__ import annotations

from typing import TYPE_CHECKING

from google.protobuf import empty_pb2

from fifo.api import accepting
from fifo.api.accepting import Work
from fifo.model import names
from fifo.workflows.strangers import refuse_unlisted

if TYPE_CHECKING:
    from fifo.api.backend import Backend
    from fifo.api.calls import Call
    from fifo.api.resources.operations import Message
    from fifo.v1 import hypervisor_service_pb2


class Strangers:
    """RemoveForeignInstance."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    async def remove_foreign_instance(
        self, request: hypervisor_service_pb2.RemoveForeignInstanceRequest, call: Call
    ) -> Message:
        """Have a foreign instance removed from its host."""
        backend = self._backend
        if (first := accepting.repeated(backend, call)) is not None:
            return first
        host = backend.references.top(backend.catalog.hosts, names.HYPERVISORS, request.name).record
        call.resource = target = names.instance_name(request.uid)
        refuse_unlisted(backend.catalog, host.uid, request.uid)
        work = Work("remove_foreign_instance", target, (request.uid,), {"host": host.uid})
        if request.validate_only:
            return accepting.only_validated(backend, call, work, empty_pb2.Empty())
        return await accepting.submit(backend, call, accepting.prepare(backend, call, work))
