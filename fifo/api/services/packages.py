"""PackageService."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from google.protobuf import empty_pb2

from fifo.api import accepting, masks, references
from fifo.api.accepting import asked_of
from fifo.api.resources import packages
from fifo.api.resources.values import etag
from fifo.api.services import reading
from fifo.fleet import packages as fleet_packages
from fifo.fleet.commits import Plan, commit, next_generation, recall
from fifo.model import names
from fifo.model.package import Package
from fifo.v1 import package_service_pb2

if TYPE_CHECKING:
    from fifo.api.backend import Backend
    from fifo.api.calls import Call
    from fifo.store.catalog import Entry


class PackageService:
    """Get, List, Create, Update and Delete."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._collection = reading.Collection(
            names.PACKAGES, backend.orders.packages, self._make, packages.Message.DESCRIPTOR
        )

    def _make(self, uid: str) -> packages.Message | None:
        parts = packages.capture(self._backend.catalog, uid)
        return None if parts is None else packages.message(self._backend.catalog, parts)

    def _of(self, entry: Entry[Package]) -> packages.Message:
        catalog = self._backend.catalog
        return packages.message(catalog, packages.parts_of(catalog, entry))

    def get_package(self, request: package_service_pb2.GetPackageRequest, call: Call) -> Any:
        """Give one package."""
        del call
        return reading.get(self._backend, self._collection, request)

    async def list_packages(
        self, request: package_service_pb2.ListPackagesRequest, call: Call
    ) -> package_service_pb2.ListPackagesResponse:
        """Give one page."""
        page = await reading.page(self._backend, self._collection, request, call)
        return package_service_pb2.ListPackagesResponse(
            packages=page.messages, next_page_token=page.next_page_token
        )

    async def create_package(
        self, request: package_service_pb2.CreatePackageRequest, call: Call
    ) -> packages.Message:
        """Make a package."""
        return await self._create(
            request.package_id, request.package, call, only_check=request.validate_only
        )

    async def _create(
        self, own: str, given: packages.Message, call: Call, *, only_check: bool
    ) -> packages.Message:
        backend = self._backend
        call.resource = f"{names.PACKAGES}/{own}"
        blank = Package(uid=backend.new_uid(), id=own, create_time=backend.now())
        package = packages.changed(blank, given)

        def plan() -> Plan:
            return fleet_packages.create(backend.catalog, package)

        if only_check and await recall(backend.store, asked_of(call)) is None:
            plan()
            return self._of(accepting.as_if(package))
        return await self._commit(plan, call, call.resource)

    async def update_package(
        self, request: package_service_pb2.UpdatePackageRequest, call: Call
    ) -> packages.Message:
        """Change a package; with allow_missing make it if it is missing."""
        backend, given = self._backend, request.package
        if (known := await recall(backend.store, asked_of(call))) is not None:
            return self._present(known.uid, given.name)
        entry = reading.find_or_none(backend, self._collection, given.name, "package.name")
        if entry is None and request.allow_missing:
            own = names.parse(given.name, names.PACKAGES, "package.name").id
            return await self._create(own, given, call, only_check=request.validate_only)

        def changed() -> tuple[Entry[Package], Package]:
            entry = reading.find(backend, self._collection, given.name, "package.name")
            accepting.check_etag(given.etag, etag(entry.raw), given.name)
            present = self._of(entry)
            merged = masks.merge(present, given, request.update_mask, "package")
            return entry, packages.changed(entry.record, merged)

        if request.validate_only:
            return self._of(accepting.as_if(changed()[1]))
        return await self._commit(lambda: next_generation(*changed()), call, given.name)

    async def delete_package(
        self, request: package_service_pb2.DeletePackageRequest, call: Call
    ) -> empty_pb2.Empty:
        """Delete a package that no instance has."""
        backend = self._backend

        def plan() -> Plan:
            entry = reading.find_or_none(backend, self._collection, request.name)
            if entry is None and request.allow_missing:
                return Plan("")
            entry = reading.find(backend, self._collection, request.name)
            accepting.check_etag(request.etag, etag(entry.raw), request.name)
            return fleet_packages.delete(backend.catalog, entry)

        if request.validate_only:
            plan()
        else:
            await commit(backend.world, plan, asked_of(call), backend.remembering)
        return empty_pb2.Empty()

    async def _commit(self, plan: Any, call: Call, name: str) -> packages.Message:
        backend = self._backend
        done = await commit(backend.world, plan, asked_of(call), backend.remembering)
        return self._present(done.uid, name)

    def _present(self, uid: str, name: str) -> packages.Message:
        made = self._make(uid)
        if made is None:
            raise references.absent(name)
        return made
