"""NetworkService: addresses that are taken, reserved and given back."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING

from google.protobuf import empty_pb2

from fifo.api import listing, references
from fifo.api.accepting import asked_of
from fifo.api.faults import Faults
from fifo.api.ordering import Place
from fifo.api.resources import networks
from fifo.fleet import networks as fleet_networks
from fifo.fleet.commits import Plan, commit
from fifo.model import keys, names
from fifo.model.errors import InvalidInput, Violation
from fifo.model.network import AddressClaim
from fifo.v1 import network_service_pb2

if TYPE_CHECKING:
    from fifo.api.backend import Backend
    from fifo.api.calls import Call
    from fifo.model.network import Network
    from fifo.store.catalog import Entry

Family = network_service_pb2.ReserveAddressRequest
_VERSIONS = {Family.FAMILY_UNSPECIFIED: 0, Family.IPV4: 4, Family.IPV6: 6}


class AddressMethods:
    """List, Reserve and Release."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    async def list_addresses(
        self, request: network_service_pb2.ListAddressesRequest, call: Call
    ) -> network_service_pb2.ListAddressesResponse:
        """Give one page of the addresses of a network that are taken, in their own order."""
        backend = self._backend
        catalog = backend.catalog
        network, faults = None, Faults()
        with faults:
            network = backend.references.top_or_none(
                catalog.networks, names.NETWORKS, request.parent, "parent"
            )
        question = listing.asked(
            call.method.path, request, "" if network is None else network.record.uid
        )
        if network is None:
            described = networks.Address.DESCRIPTOR
            listing.read(backend.seals, question, described, faults=faults, lost=True)
            raise references.absent(request.parent)
        # The path of an address sorts as the address does.
        places = sorted(Place(path, path) for path in networks.paths(catalog, network.record))

        def make(path: str) -> networks.Address | None:
            parts = networks.capture_address(catalog, path)
            return None if parts is None else networks.address_message(catalog, parts)

        page = await listing.page(
            backend.seals, question, places, make, networks.Address.DESCRIPTOR
        )
        return network_service_pb2.ListAddressesResponse(
            addresses=page.messages, next_page_token=page.next_page_token
        )

    async def reserve_address(
        self, request: network_service_pb2.ReserveAddressRequest, call: Call
    ) -> networks.Address:
        """Keep an address from being given."""
        backend = self._backend
        address = str(ipaddress.ip_address(request.address)) if request.address else ""
        version = _VERSIONS[request.family]
        if address and version and ipaddress.ip_address(address).version != version:
            wanted = "the family of the address, or nothing"
            raise InvalidInput("ReserveAddress", (Violation("family", wanted),))
        claim = AddressClaim(network="", address="", note=request.note, since=backend.now())

        def plan() -> Plan:
            network = self._network(request.parent)
            return fleet_networks.reserve(backend.catalog, network, address, version, claim)[0]

        if request.validate_only:
            plan()
            return networks.Address(address=address, note=request.note)
        done = await commit(backend.world, plan, asked_of(call), backend.remembering)
        parts = networks.capture_address(backend.catalog, done.uid)
        if parts is None:
            raise references.absent(request.parent)
        return networks.address_message(backend.catalog, parts)

    async def release_address(
        self, request: network_service_pb2.ReleaseAddressRequest, call: Call
    ) -> empty_pb2.Empty:
        """Give a reserved address back."""
        backend = self._backend
        parent, address = _split(request.name)

        def plan() -> Plan:
            network = self._network(parent, "name")
            path = keys.address(network.record.uid, address)[len(keys.ADDRESS) :].decode()
            parts = networks.capture_address(backend.catalog, path)
            if parts is None:
                if request.allow_missing:
                    return Plan("")
                raise references.absent(request.name)
            return fleet_networks.release(backend.catalog, parts.address, request.name)

        if request.validate_only:
            plan()
        else:
            await commit(backend.world, plan, asked_of(call), backend.remembering)
        return empty_pb2.Empty()

    def _network(self, name: str, field: str = "parent") -> Entry[Network]:
        return self._backend.references.top(
            self._backend.catalog.networks, names.NETWORKS, name, field
        )


def _split(name: str) -> tuple[str, str]:
    """Take `networks/lan/addresses/10-0-0-7` apart; raises InvalidInput."""
    parent, found, dashed = name.rpartition(f"/{networks.ADDRESSES}/")
    for dot in (".", ":"):
        try:
            return parent, str(ipaddress.ip_address(dashed.replace("-", dot)))
        except ValueError:
            continue
    del found
    wanted = "a name like networks/lan/addresses/10-0-0-7"
    raise InvalidInput(name, (Violation("name", wanted),))
