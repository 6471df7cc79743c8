"""A runner: the process that drives one operation; when it dies another begins from the record."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from fifo.model import keys, records
from fifo.model.operation import Operation
from fifo.workflows.execution import Execution, Replaced
from supervisors import Continue, GenServer, Stop

if TYPE_CHECKING:
    from fifo.workflows.accepting import Accepted
    from fifo.workflows.world import World

logger = logging.getLogger("fifo.workflows")


class Runner(GenServer):
    """Drives an operation from where its record stands, then ends `normal`.

    A transient child of a dynamic supervisor with back-off: a crash, or a store that cannot be
    written, makes the next life read the record and go on.
    """

    def init(self, world: World, operation_id: str, accepted: Accepted | None = None) -> Any:
        """Begin after the start; what was accepted a moment ago need not be read again."""
        self.world = world
        self.operation_id = operation_id
        return Continue(accepted)

    async def handle_continue(self, accepted: Accepted | None) -> Any:
        """Drive the operation to its end."""
        found = await self._read() if accepted is None else (accepted.operation, accepted.revision)
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

    async def _read(self) -> tuple[Operation, int] | None:
        stored = (await self.world.store.get(keys.by_uid(keys.OPERATION, self.operation_id))).kvs
        if not stored:
            return None
        record = records.decode(Operation, stored[0].value, self.operation_id)
        return record, stored[0].mod_revision

    async def pause(self, seconds: float) -> None:
        """Wait before another attempt."""
        await self.sleep(seconds)
