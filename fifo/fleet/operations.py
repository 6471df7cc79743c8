"""Operations as callers know them: asked for, looked up, waited for, cancelled, forgotten."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import msgspec

from fifo.fleet import limits
from fifo.model import keys, records
from fifo.model import limits as model_limits
from fifo.model.errors import Conflict, NotFound, Unavailable
from fifo.store.contract import Delete, Put, Txn, unchanged
from fifo.workflows.runner import Request, Runner
from supervisors import (
    SIMPLE_ONE_FOR_ONE,
    TRANSIENT,
    Backoff,
    ChildSpec,
    Continue,
    DynamicSupervisor,
    Flags,
    Future,
    GenServer,
    SupervisorsError,
    start_child,
)

if TYPE_CHECKING:
    from fifo.model.operation import Operation
    from fifo.store.catalog import Entry, Waiting
    from fifo.workflows.accepting import Accepted
    from fifo.workflows.world import World
    from supervisors import Node

logger = logging.getLogger("fifo.fleet")

RUNNERS = "operation runners"
DAY_S = 86_400.0


def runners_spec(world: World) -> ChildSpec:
    """The dynamic supervisor of runners: each is restarted by itself, at its own expense."""
    runner = ChildSpec(
        "runner", (Runner, (world,)), restart=TRANSIENT, backoff=Backoff(min_s=0.2, max_s=10.0)
    )
    flags = Flags(SIMPLE_ONE_FOR_ONE)
    return ChildSpec(
        RUNNERS, (DynamicSupervisor, (flags, [runner])), type="supervisor", name=RUNNERS
    )


class Recovery(GenServer):
    """Starts a runner for every operation that had not ended when the node did; then idles.

    It stands behind the runners' supervisor under rest_for_one, so that it runs again whenever
    that was restarted.
    """

    def init(self, world: World) -> Any:
        """Begin when the start is answered."""
        self.world = world
        return Continue("recover")

    async def handle_continue(self, argument: Any) -> None:
        """Start the runners, oldest operation first."""
        del argument
        running = [entry for entry in self.world.catalog.operations if not entry.record.final]
        running.sort(key=lambda entry: entry.create_revision)
        supervisor = self.node.address(RUNNERS)
        for entry in running:
            await start_child(supervisor, entry.record.id)
        if running:
            logger.info("Going on with %d operations", len(running))


class Expiry(GenServer):
    """Forgets operations that ended more than `OPERATION_DAYS` ago."""

    def init(self, world: World) -> None:
        """Look through them once in a while."""
        self.world = world
        self.send_after(limits.EXPIRE_EVERY_S, "look")

    async def handle_info(self, message: Any) -> None:
        """Forget what is old enough."""
        del message
        before = self.world.utc() - model_limits.OPERATION_DAYS * DAY_S
        old = [
            entry
            for entry in self.world.catalog.operations
            if entry.record.final and entry.record.end_time < before
        ]
        for first in range(0, len(old), limits.EXPIRE_BATCH):
            some = old[first : first + limits.EXPIRE_BATCH]
            await self.world.store.txn(Txn(then=tuple(Delete(entry.key) for entry in some)))
        self.send_after(limits.EXPIRE_EVERY_S, "look")


class Operations:
    """The calls of the API and of others that are no workflows; on the node's thread."""

    def __init__(self, world: World, node: Node) -> None:
        self.world = world
        self._node = node

    def submit(self, operation: Operation) -> Future[Accepted]:
        """Accept an operation and have it run; fails with what its workflow refuses."""
        caller: Future[Accepted] = Future(self._node.shard)
        running = len(self.world.catalog.busy)
        if running >= limits.OPERATIONS_RUNNING:
            told = f"{running} operations run already"
            caller.fail(Unavailable(told, operation.target, "try again later"))
            return caller

        def refused(started: Future[Any]) -> None:
            try:
                started.result()
            except SupervisorsError as error:
                caller.fail(error)

        runners = self._node.address(RUNNERS)
        request = Request(operation, caller)
        start_child(runners, operation.id, request).add_done_callback(refused)
        return caller

    def get(self, operation_id: str) -> Entry[Operation]:
        """Look an operation up; raises NotFound."""
        entry = self.world.catalog.operations.get(operation_id)
        if entry is None:
            told = "it does not exist, or ended more than a week ago"
            raise NotFound(told, f"operations/{operation_id}")
        return entry

    def ended(self, operation_id: str) -> Waiting[Operation]:
        """Wait until an operation has ended; raises NotFound."""
        self.get(operation_id)
        return self.world.catalog.when(
            self.world.catalog.operations,
            operation_id,
            lambda entry: entry is None or entry.record.final,
        )

    async def cancel(self, operation_id: str) -> Entry[Operation]:
        """Ask an operation to give up; one that has ended stays as it is. Raises NotFound."""
        for _ in range(model_limits.CLAIM_ATTEMPTS):
            entry = self.get(operation_id)
            record = entry.record
            if record.final or record.cancel_requested:
                return entry
            asked = msgspec.structs.replace(record, cancel_requested=True)
            txn = Txn(
                (unchanged(entry.key, entry.revision),),
                (Put(entry.key, records.encode(asked)),),
            )
            reply = await self.world.store.txn(txn)
            await self.world.catalog.at(reply.revision)
            if reply.succeeded:
                return self.get(operation_id)
        raise Conflict("it kept moving on", f"operations/{operation_id}", "try again")

    async def forget(self, operation_id: str) -> None:
        """Drop the record of an operation that has ended; raises NotFound, Conflict."""
        entry = self.get(operation_id)
        if not entry.record.final:
            raise Conflict("it has not ended", f"operations/{operation_id}", "cancel it first")
        key = keys.by_uid(keys.OPERATION, operation_id)
        reply = await self.world.store.txn(Txn((unchanged(key, entry.revision),), (Delete(key),)))
        await self.world.catalog.at(reply.revision)
