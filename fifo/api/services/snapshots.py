"""SnapshotService."""

from __future__ import annotations

from typing import TYPE_CHECKING

from google.protobuf import empty_pb2

from fifo.api import accepting, listing
from fifo.api.accepting import Work
from fifo.api.faults import Faults
from fifo.api.ordering import Place
from fifo.api.references import absent
from fifo.api.resources import instances, snapshots
from fifo.api.services.instance_changes import state
from fifo.model import limits, names
from fifo.model.errors import AlreadyExists, NoRoom, WrongState
from fifo.model.instance_states import admit
from fifo.v1 import snapshot_service_pb2
from fifo.workflows import debts

if TYPE_CHECKING:
    from fifo.api.backend import Backend
    from fifo.api.calls import Call
    from fifo.api.resources.operations import Message
    from fifo.model.instance import InstanceSpec, Snapshot
    from fifo.store.catalog import Entry


class SnapshotService:
    """Get, List, Create, Delete and Rollback."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    def get_snapshot(
        self, request: snapshot_service_pb2.GetSnapshotRequest, call: Call
    ) -> snapshots.Message:
        """Give one snapshot."""
        del call
        entry, name = self._find(request.name)
        for own in self._of(entry.record.uid):
            if own.name == name:
                return snapshots.message(self._backend.catalog, snapshots.Parts(_name(entry), own))
        raise absent(request.name)

    async def list_snapshots(
        self, request: snapshot_service_pb2.ListSnapshotsRequest, call: Call
    ) -> snapshot_service_pb2.ListSnapshotsResponse:
        """Give one page of an instance's snapshots, oldest first."""
        backend, entry, faults = self._backend, None, Faults()
        with faults:
            entry = backend.references.instance_or_none(request.parent, "parent")
        if entry is None:
            question, described = listing.asked(call.method.path, request), snapshots.Message
            listing.read(backend.seals, question, described.DESCRIPTOR, faults=faults, lost=True)
            raise absent(request.parent)
        found = {own.name: own for own in self._of(entry.record.uid)}
        oldest = sorted(found.values(), key=lambda own: (own.created, own.name))
        places = [Place(f"{index:06}/{own.name}", own.name) for index, own in enumerate(oldest)]
        question = listing.asked(call.method.path, request, entry.record.uid)
        catalog = backend.catalog
        page = await listing.page(
            backend.seals,
            question,
            places,
            lambda own: snapshots.message(catalog, snapshots.Parts(_name(entry), found[own])),
            snapshots.Message.DESCRIPTOR,
        )
        return snapshot_service_pb2.ListSnapshotsResponse(
            snapshots=page.messages, next_page_token=page.next_page_token
        )

    async def create_snapshot(
        self, request: snapshot_service_pb2.CreateSnapshotRequest, call: Call
    ) -> Message:
        """Have a snapshot made."""
        if (first := await accepting.repeated(self._backend, call)) is not None:
            return first
        entry = self._backend.references.instance(request.parent, "parent")
        name = f"{_name(entry)}/{names.SNAPSHOTS}/{request.snapshot_id}"
        call.resource = name
        admit("snapshot", state(self._backend, entry.record), _name(entry))
        uid = entry.record.uid
        own = self._of(uid)
        catalog = self._backend.catalog
        if (owed := debts.owed(catalog, "snapshot", uid, name, request.snapshot_id)) is not None:
            raise owed
        if any(one.name == request.snapshot_id for one in own):
            raise AlreadyExists("the instance has a snapshot of this name", name, "choose another")
        if len(own) >= limits.SNAPSHOTS:
            told = f"it has {len(own)} snapshots, at most {limits.SNAPSHOTS}"
            raise NoRoom(told, _name(entry), "delete one first")
        work = self._work("create_snapshot", name, entry, request.snapshot_id)
        if request.validate_only:
            answer = snapshots.Message(name=name)
            return accepting.only_validated(self._backend, call, work, answer)
        return await self._submit(call, work)

    async def delete_snapshot(
        self, request: snapshot_service_pb2.DeleteSnapshotRequest, call: Call
    ) -> Message:
        """Have a snapshot taken away."""
        if (first := await accepting.repeated(self._backend, call)) is not None:
            return first
        parsed = names.parse_snapshot(request.name)
        found = self._backend.references.instance_or_none(str(parsed._replace(snapshot="")))
        there = found is not None and any(
            own.name == parsed.snapshot for own in self._of(found.record.uid)
        )
        if found is None or not there:
            if not request.allow_missing:
                raise absent(request.name)
            work = Work("delete_snapshot", request.name, ())
            return await accepting.done_already(self._backend, call, work)
        work = self._work("delete_snapshot", request.name, found, parsed.snapshot)
        if request.validate_only:
            return accepting.only_validated(self._backend, call, work, empty_pb2.Empty())
        return await self._submit(call, work)

    async def rollback_snapshot(
        self, request: snapshot_service_pb2.RollbackSnapshotRequest, call: Call
    ) -> Message:
        """Have an instance made what it was; newer snapshots go with force alone."""
        if (first := await accepting.repeated(self._backend, call)) is not None:
            return first
        entry, name = self._find(request.name)
        own = self._of(entry.record.uid)
        wanted = next((one for one in own if one.name == name), None)
        if wanted is None:
            raise absent(request.name)
        admit("rollback", state(self._backend, entry.record), _name(entry))
        newer = [one.name for one in own if one.created > wanted.created]
        if newer and not request.force:
            raise WrongState(
                f"{len(newer)} newer snapshots would be deleted: {', '.join(newer[:3])}",
                request.name,
                "delete these first, or use force",
                reason="NEWER_SNAPSHOTS",
            )
        work = self._work("roll_back_snapshot", request.name, entry, name)
        if request.validate_only:
            parts = instances.capture(self._backend.catalog, entry.record.uid)
            assert parts is not None
            present = instances.message(self._backend.catalog, parts)
            return accepting.only_validated(self._backend, call, work, present)
        return await self._submit(call, work)

    # -- its parts ---------------------------------------------------------------------------

    def _find(self, name: str) -> tuple[Entry[InstanceSpec], str]:
        parsed = names.parse_snapshot(name)
        entry = self._backend.references.instance_or_none(str(parsed._replace(snapshot="")))
        if entry is None:
            raise absent(name)
        return entry, parsed.snapshot

    def _of(self, uid: str) -> tuple[Snapshot, ...]:
        status = self._backend.catalog.statuses.record(uid)
        return status.snapshots if status is not None else ()

    def _work(self, kind: str, target: str, entry: Entry[InstanceSpec], name: str) -> Work:
        return Work(kind, target, (entry.record.uid,), {"snapshot": name}, org=entry.record.org)

    async def _submit(self, call: Call, work: Work) -> Message:
        prepared = accepting.prepare(self._backend, call, work)
        return await accepting.submit(self._backend, call, prepared)


def _name(entry: Entry[InstanceSpec]) -> str:
    return names.instance_name(entry.record.id, entry.record.org)
