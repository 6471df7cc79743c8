"""HypervisorService."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

from fifo.api import accepting, limits, masks, references
from fifo.api.accepting import asked_of
from fifo.api.places import list_token
from fifo.api.resources import hypervisors
from fifo.api.resources.values import etag
from fifo.api.services import reading
from fifo.fleet.admission import admit
from fifo.fleet.commits import Plan, commit, next_generation, recall
from fifo.model import names
from fifo.v1 import hypervisor_service_pb2

if TYPE_CHECKING:
    from collections.abc import Callable

    from fifo.api.backend import Backend
    from fifo.api.calls import Call
    from fifo.model.hypervisor import Admission, HypervisorSpec, Probe
    from fifo.store.catalog import Entry

logger = logging.getLogger("fifo.api")


class HypervisorService:
    """Get, List, Update, Cordon, Uncordon and Probe."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._collection = reading.Collection(
            names.HYPERVISORS,
            backend.orders.hypervisors,
            self._make,
            hypervisors.Message.DESCRIPTOR,
        )

    def _make(self, uid: str) -> hypervisors.Message | None:
        parts = hypervisors.capture(self._backend.catalog, uid)
        return None if parts is None else hypervisors.message(self._backend.catalog, parts)

    def get_hypervisor(
        self, request: hypervisor_service_pb2.GetHypervisorRequest, call: Call
    ) -> Any:
        """Give one host as it last reported."""
        del call
        return reading.get(self._backend, self._collection, request)

    async def list_hypervisors(
        self, request: hypervisor_service_pb2.ListHypervisorsRequest, call: Call
    ) -> hypervisor_service_pb2.ListHypervisorsResponse:
        """Give one page, with where a watch goes on from it."""
        token = list_token(self._backend)
        page = await reading.page(self._backend, self._collection, request, call)
        return hypervisor_service_pb2.ListHypervisorsResponse(
            hypervisors=page.messages, next_page_token=page.next_page_token, resume_token=token
        )

    async def update_hypervisor(
        self, request: hypervisor_service_pb2.UpdateHypervisorRequest, call: Call
    ) -> hypervisors.Message:
        """Change labels and what is reserved."""
        backend, given = self._backend, request.hypervisor

        def changed(entry: Entry[HypervisorSpec]) -> HypervisorSpec:
            accepting.check_etag(given.etag, etag(entry.raw), given.name)
            parts = hypervisors.capture(backend.catalog, entry.record.uid)
            assert parts is not None
            present = hypervisors.message(backend.catalog, parts)
            merged = masks.merge(present, given, request.update_mask, "hypervisor")
            return hypervisors.changed(entry.record, merged)

        return await self._change(
            request,
            given.name,
            call,
            lambda entry: next_generation(entry, changed(entry)),
            "hypervisor.name",
        )

    async def cordon_hypervisor(
        self, request: hypervisor_service_pb2.CordonHypervisorRequest, call: Call
    ) -> hypervisors.Message:
        """Keep new instances away from a host."""
        return await self._admit(request, call, "cordoned")

    async def uncordon_hypervisor(
        self, request: hypervisor_service_pb2.UncordonHypervisorRequest, call: Call
    ) -> hypervisors.Message:
        """Let a host take new instances again."""
        return await self._admit(request, call, "open")

    async def probe_hypervisor(
        self, request: hypervisor_service_pb2.ProbeHypervisorRequest, call: Call
    ) -> hypervisors.Message:
        """Give a host as it is found by trying now, and have it known so from then on."""
        del call
        entry = reading.find(self._backend, self._collection, request.name)
        found = await self._backend.gateway.probe(entry.record.uid)
        await self._written(entry.record.uid, found)
        made = self._present(entry.record.uid, request.name)
        hypervisors.add_probe(made, found)
        return made

    async def _written(self, uid: str, found: Probe) -> None:
        """Wait until the host's session has written a probe down, so that who reads next has it.

        Not for long: one that lost its host meanwhile, or was told of a later probe, never does.
        """
        catalog = self._backend.catalog
        waiting = catalog.when(
            catalog.host_statuses,
            uid,
            lambda entry: entry is not None and entry.record.probe == found,
        )
        try:
            async with asyncio.timeout(limits.PROBE_WRITTEN_S):
                await waiting
        except TimeoutError:
            logger.warning("Host %s was probed, and its session has not written that yet", uid)
        finally:
            waiting.cancel()

    async def _admit(self, request: Any, call: Call, admission: Admission) -> hypervisors.Message:
        def plan(entry: Entry[HypervisorSpec]) -> Plan:
            accepting.check_etag(request.etag, etag(entry.raw), request.name)
            return admit(entry, admission)

        return await self._change(request, request.name, call, plan)

    async def _change(
        self,
        request: Any,
        name: str,
        call: Call,
        plan: Callable[[Entry[HypervisorSpec]], Plan],
        field: str = "name",
    ) -> hypervisors.Message:
        backend = self._backend

        def planned() -> Plan:
            return plan(reading.find(backend, self._collection, name, field))

        if request.validate_only:
            if (known := await recall(backend.store, asked_of(call))) is None:
                return self._present(planned().uid, name)
            return self._present(known.uid, name)
        done = await commit(backend.world, planned, asked_of(call), backend.remembering)
        return self._present(done.uid, name)

    def _present(self, uid: str, name: str) -> hypervisors.Message:
        made = self._make(uid)
        if made is None:
            raise references.absent(name)
        return made
