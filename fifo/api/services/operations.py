"""The standard google.longrunning.Operations, over the records of workflows."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

from google.protobuf import empty_pb2

from fifo.api import limits, listing
from fifo.api.faults import Faults
from fifo.api.resources import operations
from fifo.api.resources.values import seconds_of
from fifo.model import names
from fifo.model.errors import Conflict, FifoError, NotFound, WrongState
from supervisors import SupervisorsError

if TYPE_CHECKING:
    from google.longrunning import operations_pb2

    from fifo.api.backend import Backend
    from fifo.api.calls import Call
    from fifo.model.operation import Operation
    from fifo.store.catalog import Entry


class OperationsService:
    """Get, List, Wait, Cancel and Delete."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    async def get_operation(
        self, request: operations_pb2.GetOperationRequest, call: Call
    ) -> operations.Message:
        """Give one operation."""
        del call
        return await self._message(self._find(request.name))

    async def list_operations(
        self, request: operations_pb2.ListOperationsRequest, call: Call
    ) -> operations_pb2.ListOperationsResponse:
        """Give one page; a filter is on the metadata, `done` included: `state = RUNNING`."""
        faults = Faults()
        if request.name not in {"", names.OPERATIONS}:
            faults.add("name", "operations, or nothing")
        backend = self._backend
        question = listing.Asked(
            call.method.path,
            request.name,
            listing.page_size(request.page_size),
            request.page_token,
            request.filter,
            "",
        )
        described = operations.Metadata.DESCRIPTOR
        if faults.violations:
            listing.read(backend.seals, question, described, faults=faults)

        def make(operation_id: str) -> operations.Metadata | None:
            record = backend.catalog.operations.record(operation_id)
            if record is None:
                return None
            return operations.metadata(backend.catalog, record)

        page = await listing.page(
            backend.seals,
            question,
            backend.orders.operations.places(),
            make,
            described,
        )
        found = (backend.catalog.operations.record(uid) for uid in page.uids)
        return operations.List(
            operations=[
                operations.of_record(backend.catalog, record)
                for record in found
                if record is not None
            ],
            next_page_token=page.next_page_token,
        )

    async def wait_operation(
        self, request: operations_pb2.WaitOperationRequest, call: Call
    ) -> operations.Message:
        """Give an operation when it has ended, or as it is when the time is over."""
        entry = self._find(request.name)
        if entry.record.final:
            return await self._message(entry)
        patience_s = limits.WAIT_MOST_S
        if request.HasField("timeout"):
            patience_s = min(patience_s, max(0.0, seconds_of(request.timeout)))
        remaining_s = call.remaining_s()
        if remaining_s is not None:
            # An answer of how it is now is worth more than an expired call.
            patience_s = min(patience_s, max(0.0, remaining_s * 0.9 - 0.05))
        ended = asyncio.get_running_loop().create_future()

        def settle(_: object) -> None:
            if not ended.done():
                ended.set_result(None)

        waiting = self._backend.operations.ended(entry.record.id)
        waiting.add_done_callback(settle)
        try:
            async with asyncio.timeout(patience_s):
                await ended
        except TimeoutError:
            pass
        finally:
            waiting.cancel()
        return await self._message(self._find(request.name))

    async def cancel_operation(
        self, request: operations_pb2.CancelOperationRequest, call: Call
    ) -> empty_pb2.Empty:
        """Ask an operation to give up; one that has ended stays as it is."""
        entry = self._find(request.name)
        call.operation = request.name
        await self._backend.operations.cancel(entry.record.id)
        return empty_pb2.Empty()

    async def delete_operation(
        self, request: operations_pb2.DeleteOperationRequest, call: Call
    ) -> empty_pb2.Empty:
        """Forget an operation that has ended."""
        entry = self._find(request.name)
        call.operation = request.name
        if not entry.record.final:
            raise WrongState("it has not ended", request.name, "cancel it, and wait for its end")
        try:
            await self._backend.operations.forget(entry.record.id)
        except NotFound:
            raise Conflict("somebody else deleted it", request.name) from None
        return empty_pb2.Empty()

    def _find(self, name: str) -> Entry[Operation]:
        return self._backend.operations.get(names.parse_operation(name))

    async def _message(self, entry: Entry[Operation]) -> operations.Message:
        record, backend = entry.record, self._backend
        made = operations.of_record(backend.catalog, record)
        if record.kind != "import_image" or record.final:
            return made
        for host in backend.catalog.host_statuses:
            # Who cannot be asked fetches nothing; the operation is told all the same.
            with contextlib.suppress(FifoError, SupervisorsError):
                transfers = await backend.gateway.transfers(host.record.uid)
                if (found := transfers.get(record.uids[0])) is not None:
                    operations.tell_transfer(made, record, *found)
        return made
