"""A runner: the process of one operation; when it dies another begins from the record."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from fifo.model import keys, records
from fifo.model.errors import FifoError
from fifo.model.operation import Operation
from fifo.workflows.accepting import Accepted, accept
from fifo.workflows.execution import Execution, Replaced
from supervisors import Continue, GenServer, Stop

if TYPE_CHECKING:
    from fifo.workflows.world import World
    from supervisors import Future

logger = logging.getLogger("fifo.workflows")


class Request:
    """An operation that is asked for, and who waits until it is promised, on the node's thread.

    `lives` counts the lives of its runner: one that comes again goes on with what it finds.
    """

    __slots__ = ("caller", "lives", "operation")

    def __init__(self, operation: Operation, caller: Future[Accepted]) -> None:
        self.operation = operation
        self.caller = caller
        self.lives = 0


class Runner(GenServer):
    """Accepts an operation, or goes on where its record stands; then ends `normal`.

    A transient child of a dynamic supervisor with back-off: a crash, or a store that cannot be
    written, makes the next life read the record and go on.
    """

    def init(self, world: World, operation_id: str, request: Request | None = None) -> Any:
        """Begin after the start; without a request the operation was accepted before."""
        self.world = world
        self.operation_id = operation_id
        return Continue(request)

    async def handle_continue(self, request: Request | None) -> Any:
        """Drive the operation to its end."""
        found = await self._begin(request)
        if found is None or found[0].final:
            return Stop("normal")
        operation, revision = found
        workflow = self.world.workflows[operation.kind]
        execution = Execution(operation, revision, workflow, self.world, self.pause)
        try:
            ended = await execution.drive()
        except Replaced:
            logger.info("Operation %s has another runner", self.operation_id)
        else:
            if ended.state == "needs_attention":
                logger.error("Operation %s needs attention: %s", ended.id, ended.failure)
        return Stop("normal")

    async def _begin(self, request: Request | None) -> tuple[Operation, int] | None:
        """Find the record to go on from; None where there is nothing to do for this runner."""
        if request is None:
            return await self._read()
        request.lives += 1
        found = await self._read() if request.lives > 1 else None
        # What is there may be of another request with the same id, which accepting refuses.
        if found is None or found[0].request_hash != request.operation.request_hash:
            return await self._accept(request)
        request.caller.reply(Accepted(*found, repeated=False))
        return found

    async def _accept(self, request: Request) -> tuple[Operation, int] | None:
        operation = request.operation
        workflow = self.world.workflows[operation.kind]
        try:
            accepted = await accept(self.world, workflow, operation, self.pause)
        except FifoError as error:
            request.caller.fail(error)
            return None
        except Exception as error:
            logger.exception("Accepting %s failed", operation.id)
            request.caller.fail(FifoError(f"a bug: {error!r}", operation.target, "report it"))
            return None
        request.caller.reply(accepted)
        # A repeat of a request has found what the first one made, and that has its runner.
        return None if accepted.repeated else (accepted.operation, accepted.revision)

    async def _read(self) -> tuple[Operation, int] | None:
        stored = (await self.world.store.get(keys.by_uid(keys.OPERATION, self.operation_id))).kvs
        if not stored:
            return None
        record = records.decode(Operation, stored[0].value, self.operation_id)
        return record, stored[0].mod_revision

    async def pause(self, seconds: float) -> None:
        """Wait before another attempt."""
        await self.sleep(seconds)
