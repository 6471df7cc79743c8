"""NetworkService: networks with their pools."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import msgspec
from google.protobuf import empty_pb2

from fifo.api import accepting, masks, references
from fifo.api.accepting import asked_of
from fifo.api.faults import Faults
from fifo.api.resources import networks
from fifo.api.resources.values import etag
from fifo.api.services import reading
from fifo.fleet import networks as fleet_networks
from fifo.fleet.commits import Plan, commit, recall
from fifo.model import names
from fifo.model.errors import Conflict, FifoError, InvalidInput, Violation
from fifo.model.network import Network
from fifo.v1 import network_service_pb2

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fifo.api.backend import Backend
    from fifo.api.calls import Call
    from fifo.store.catalog import Entry


class NetworkService:
    """Get, List, Create, Update and Delete."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._collection = reading.Collection(
            names.NETWORKS, backend.orders.networks, self._make, networks.Message.DESCRIPTOR
        )

    def _make(self, uid: str) -> networks.Message | None:
        parts = networks.capture(self._backend.catalog, uid)
        return None if parts is None else networks.message(self._backend.catalog, parts)

    def _of(self, entry: Entry[Network]) -> networks.Message:
        catalog = self._backend.catalog
        return networks.message(catalog, networks.parts_of(catalog, entry))

    def get_network(self, request: network_service_pb2.GetNetworkRequest, call: Call) -> Any:
        """Give one network."""
        del call
        return reading.get(self._backend, self._collection, request)

    async def list_networks(
        self, request: network_service_pb2.ListNetworksRequest, call: Call
    ) -> network_service_pb2.ListNetworksResponse:
        """Give one page."""
        page = await reading.page(self._backend, self._collection, request, call)
        return network_service_pb2.ListNetworksResponse(
            networks=page.messages, next_page_token=page.next_page_token
        )

    async def create_network(
        self, request: network_service_pb2.CreateNetworkRequest, call: Call
    ) -> networks.Message:
        """Make a network with its pools."""
        return await self._create(
            request.network_id, request.network, call, only_check=request.validate_only
        )

    async def _create(
        self, own: str, given: networks.Message, call: Call, *, only_check: bool
    ) -> networks.Message:
        backend = self._backend
        call.resource = f"{names.NETWORKS}/{own}"
        uid = given.uid or backend.new_uid()
        blank = Network(uid=uid, id=own, create_time=backend.now())
        network = networks.changed(blank, given)

        async def plan() -> Plan:
            with _told_of_field():
                return await fleet_networks.create(backend.world, network)

        if only_check:
            await plan()
            return self._of(accepting.as_if(network))
        done = await commit(backend.world, plan, asked_of(call), backend.remembering)
        return self._present(done.uid, call.resource)

    async def update_network(
        self, request: network_service_pb2.UpdateNetworkRequest, call: Call
    ) -> networks.Message:
        """Change a network; one whose pools lose addresses is closed meanwhile."""
        backend, given = self._backend, request.network
        if (known := await recall(backend.store, asked_of(call))) is not None:
            return self._present(known.uid, given.name)
        entry = reading.find_or_none(backend, self._collection, given.name, "network.name")
        if entry is None and request.allow_missing:
            own = names.parse(given.name, names.NETWORKS, "network.name").id
            return await self._create(own, given, call, only_check=request.validate_only)
        entry, changed = self._changed(request)
        uid = entry.record.uid
        if request.validate_only:
            await fleet_networks.update(backend.world, uid, changed, entry)
            return self._of(accepting.as_if(changed))
        if not fleet_networks.cuts(entry.record, changed):

            async def grown() -> Plan:
                now, wanted = self._changed(request)
                return await fleet_networks.update(backend.world, uid, wanted, now)

            await commit(backend.world, grown, asked_of(call), backend.remembering)
            return self._present(uid, given.name)

        before = msgspec.structs.replace(entry.record, closed=False)

        async def cut() -> Plan:
            closed = await fleet_networks.close(backend.world, uid, given.name)
            if msgspec.structs.replace(closed.record, closed=False) != before:
                raise Conflict("somebody else changed it", given.name, "read it again")
            return await fleet_networks.update(backend.world, uid, changed, closed)

        await self._closed(cut, uid, given.name, call)
        return self._present(uid, given.name)

    async def check_update_network(
        self, request: network_service_pb2.UpdateNetworkRequest, call: Call
    ) -> None:
        """Raise InvalidInput with all that is wrong with a change, whatever network it is of."""
        # A name that is none was left out.
        if request.network.name:
            await self.update_network(request, call)
        else:
            _refuse_alone(request)

    def _changed(
        self, request: network_service_pb2.UpdateNetworkRequest
    ) -> tuple[Entry[Network], Network]:
        backend, given = self._backend, request.network
        entry = reading.find_or_none(backend, self._collection, given.name, "network.name")
        if entry is None:
            _refuse_alone(request)
            raise references.absent(given.name)
        present = entry.record
        accepting.check_etag(
            given.etag, etag(entry.raw), given.name, lambda: _refuse_alone(request, present)
        )
        merged, wrong = masks.merged(self._of(entry), given, request.update_mask, "network")
        faults = Faults()
        faults.violations += wrong
        changed = networks.changed(present, merged)
        with faults, _told_of_field():
            fleet_networks.check(backend.catalog, changed, present)
        faults.refuse(given.name)
        return entry, changed

    async def delete_network(
        self, request: network_service_pb2.DeleteNetworkRequest, call: Call
    ) -> empty_pb2.Empty:
        """Delete a network of which no address is taken."""
        backend = self._backend
        if await recall(backend.store, asked_of(call)) is not None:
            return empty_pb2.Empty()
        entry = reading.find_or_none(backend, self._collection, request.name)
        if entry is None and request.allow_missing:
            if not request.validate_only:
                nothing = Plan("")
                await commit(backend.world, lambda: nothing, asked_of(call), backend.remembering)
            return empty_pb2.Empty()
        entry = reading.find(backend, self._collection, request.name)
        uid = entry.record.uid
        accepting.check_etag(request.etag, etag(entry.raw), request.name)
        fleet_networks.delete(backend.catalog, entry)
        if request.validate_only:
            return empty_pb2.Empty()

        async def plan() -> Plan:
            closed = await fleet_networks.close(backend.world, uid, request.name)
            return fleet_networks.delete(backend.catalog, closed)

        await self._closed(plan, uid, request.name, call)
        return empty_pb2.Empty()

    async def _closed(self, plan: Any, uid: str, name: str, call: Call) -> None:
        """Commit what needs the network closed, and open it again if it could not be done."""
        backend = self._backend
        try:
            await commit(backend.world, plan, asked_of(call), backend.remembering)
        except FifoError:
            entry = backend.catalog.networks.get(uid)
            if entry is not None and entry.record.closed:
                await fleet_networks.reopen(backend.world, uid, name)
            raise

    def _present(self, uid: str, name: str) -> networks.Message:
        made = self._make(uid)
        if made is None:
            raise references.absent(name)
        return made


def _refuse_alone(
    request: network_service_pb2.UpdateNetworkRequest, present: Network | None = None
) -> None:
    """Raise InvalidInput for what is wrong with a change by itself, but not in `present` too."""
    given = request.network
    merged, _ = masks.merged(networks.Message(), given, request.update_mask, "network")
    changed = networks.changed(Network(uid="", id="", create_time=0.0), merged)
    known = set() if present is None else set(fleet_networks.violations(present))
    wrong = tuple(own for own in fleet_networks.violations(changed) if own not in known)
    with _told_of_field():
        if wrong:
            raise InvalidInput(given.name, wrong)


@contextlib.contextmanager
def _told_of_field() -> Iterator[None]:
    """Name the fields of a network that are wrong from the request's root."""
    try:
        yield
    except InvalidInput as error:
        named = (
            Violation(f"network.{field.removeprefix('network.')}", wanted)
            for field, wanted in error.violations
        )
        raise InvalidInput(error.subject, tuple(named)) from None
