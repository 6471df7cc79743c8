"""InstanceService: creating and deleting many instances by one operation."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import msgspec
from google.protobuf import empty_pb2

from fifo.api import accepting, limits, trial
from fifo.api.accepting import Work
from fifo.api.faults import Faults
from fifo.api.resources import instances
from fifo.api.resources.partial import told_of
from fifo.api.services.instance_changes import as_if, check_deletion, check_parent, new_spec
from fifo.api.services.instances import check_names
from fifo.model import keys, names, records
from fifo.model import limits as model_limits
from fifo.model.errors import FifoError, NotFound, WrongState
from fifo.model.operation import Operation
from fifo.store.contract import DeleteRange, Put, Txn
from fifo.v1 import instance_service_pb2
from fifo.workflows import create
from fifo.workflows.failures import failure_of

if TYPE_CHECKING:
    from fifo.api.backend import Backend
    from fifo.api.calls import Call
    from fifo.api.resources.operations import Message
    from fifo.model.instance import InstanceSpec
    from fifo.model.operation import Failure

_OF_BATCH = ("request_id", "validate_only")
"""What each request in a batch leaves to the batch."""
DELETE_CHUNK = 20
"""Instances that a batch deletes at a time: of each the spec, the status, the index and the story
are deleted by one transaction, with the operation in it below the store's 100."""


class InstanceBatches:
    """BatchCreate and BatchDelete."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    async def batch_create_instances(
        self, request: instance_service_pb2.BatchCreateInstancesRequest, call: Call
    ) -> Message:
        """Have many instances created; the whole request is checked before any is."""
        backend = self._backend
        if (first := await accepting.repeated(backend, call, may_idle=False)) is not None:
            return first
        specs = await self._drafted(request)
        work = Work(
            "create_instances",
            request.parent,
            tuple(spec.uid for spec in specs),
            backend.new_uid(),
            chunk_size=chunk_size(specs),
            org=names.DEFAULT_ORG,
        )
        if request.validate_only:
            return self._tried(call, work, specs)
        operation = accepting.prepare(backend, call, work)
        try:
            await self._leave(operation, specs)
            accepted = await accepting.submit(backend, call, operation)
        except FifoError:
            await self._take_back(operation)
            raise
        await self._take_back(operation)
        return accepted

    async def _drafted(
        self, request: instance_service_pb2.BatchCreateInstancesRequest
    ) -> list[InstanceSpec]:
        """Make the specs of all requests; raises InvalidInput with what is wrong in any."""
        specs: list[InstanceSpec] = []
        faults = Faults()
        with faults:
            check_parent(request.parent)
        seen: dict[str, int] = {}
        for index, own in enumerate(request.requests):
            prefix = f"requests[{index}]."
            if own.parent not in {"", request.parent}:
                faults.add(f"{prefix}parent", "the batch's, or nothing")
            for field in _OF_BATCH:
                if getattr(own, field):
                    faults.add(f"{prefix}{field}", "nothing here: it belongs to the batch")
            spec = None
            with faults:
                spec = new_spec(self._backend, own, prefix)
            if not (index + 1) % limits.DRAFTS_SLICE:
                await asyncio.sleep(0)
            if spec is None:
                continue
            for what in (spec.uid, f"{spec.org}/{spec.id}"):
                if what in seen:
                    told = f"not the name or uid of requests[{seen[what]}]"
                    faults.add(f"{prefix}instance_id", told)
                seen[what] = index
            specs.append(spec)
        faults.refuse("BatchCreateInstances")
        return specs

    async def _leave(self, operation: Operation, specs: list[InstanceSpec]) -> None:
        """Leave the specs for the operation, chunk by chunk, under a lease that outlives it.

        They are there before the operation is, and are called by what it alone says: a request with
        the same id makes the same operation, and may be under way. What nobody takes ends with the
        lease.
        """
        backend = self._backend
        lease = await backend.remembering.lease()
        for first in range(0, len(specs), operation.chunk_size):
            value = msgspec.json.encode(specs[first : first + operation.chunk_size])
            key = keys.operation_input(operation.input, first)
            await backend.store.txn(Txn(then=(Put(key, value, lease),)))

    async def _take_back(self, operation: Operation) -> None:
        """Take what was left away again, unless the operation was accepted and is to find it."""
        backend = self._backend
        record = backend.catalog.operations.record(operation.id)
        if record is None:
            # What is not known to be accepted may be: the catalog follows behind the store.
            stored = (await backend.store.get(keys.by_uid(keys.OPERATION, operation.id))).kvs
            record = records.decode(Operation, stored[0].value, operation.id) if stored else None
        if record is None or record.input != operation.input:
            prefix = keys.operation_inputs(operation.input)
            await backend.store.txn(Txn(then=(DeleteRange(prefix, keys.end_of(prefix)),)))

    def _tried(self, call: Call, work: Work, specs: list[InstanceSpec]) -> Message:
        """Place all of them in turn, claiming nothing, and give what would become of each."""
        backend = self._backend
        ledger = trial.ledger(backend.catalog, backend.now())
        answer = instance_service_pb2.BatchCreateInstancesResponse()
        failures = {}
        for item, spec in enumerate(specs):
            error = create.refusal(backend.catalog, spec) or ledger.place(spec, "").error
            if error is not None:
                failures[str(item)] = failure_of(error)
            else:
                answer.instances.append(instances.message(backend.catalog, as_if(spec)))
        return accepting.only_validated(backend, call, work, answer, failures=failures)

    async def batch_delete_instances(
        self, request: instance_service_pb2.BatchDeleteInstancesRequest, call: Call
    ) -> Message:
        """Have many instances deleted; what one is refused for stops no other."""
        backend = self._backend
        if (first := await accepting.repeated(backend, call)) is not None:
            return first
        check_names(request.parent, request.names).refuse("BatchDeleteInstances")
        uids, refused = self._sorted(request)
        work = Work(
            "delete_instances", request.parent, tuple(uids), told_of(uids.values(), refused),
            chunk_size=DELETE_CHUNK, org=names.parse_org(request.parent),
        )  # fmt: skip
        if uids and not request.validate_only:
            return await accepting.submit(backend, call, accepting.prepare(backend, call, work))
        if not uids and not request.validate_only:
            return await accepting.done_already(backend, call, work)
        failures = {str(index): failure for index, failure in refused.items()}
        return accepting.only_validated(backend, call, work, empty_pb2.Empty(), failures=failures)

    def _sorted(
        self, request: instance_service_pb2.BatchDeleteInstancesRequest
    ) -> tuple[dict[str, int], dict[int, Failure]]:
        """Tell what can be deleted, by uid, from what is refused, each with its place."""
        references = self._backend.references
        uids: dict[str, int] = {}
        refused: dict[int, Failure] = {}
        for index, name in enumerate(request.names):
            if request.allow_missing and references.instance_or_none(name) is None:
                continue
            try:
                spec = references.instance(name).record
                check_deletion(self._backend, spec, name, force=request.force)
            except (NotFound, WrongState) as error:
                refused[index] = failure_of(error)
            else:
                uids.setdefault(spec.uid, index)
        return uids, refused


def chunk_size(specs: list[InstanceSpec]) -> int:
    """Give how many instances go into one transaction: by its keys, and by their size.

    Each is accepted with its index, and the images of all are compared once; what they claim is
    cut into transactions by placement itself.
    """
    # One: of a batch whose list is refused the rest is looked through without it.
    largest = max((len(msgspec.json.encode(spec)) for spec in specs), default=1)
    size = max(1, min(model_limits.CHUNK_INSTANCES, limits.INPUT_BYTES // largest))
    used = [spec.images for spec in specs]
    while size > 1 and any(
        2 * size + len(set().union(*used[first : first + size])) > limits.CREATE_CHUNK_KEYS
        for first in range(0, len(used), size)
    ):
        size -= 1
    return size
