"""The execution of one operation: step after step, each committed before the next begins.

But for a `repeated` step, which is committed with the one after it (docs/decisions/0009).

Who holds the operation's record at the revision it last wrote owns it: every commit compares that
revision, so an execution that was replaced finds out at its next write and stops without effect.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import msgspec

from fifo.model import keys, records
from fifo.model.errors import (
    Cancelled,
    Conflict,
    DeadlineExceeded,
    FifoError,
    InvalidInput,
    OutcomeUnknown,
    Unavailable,
)
from fifo.model.operation import FINAL, NEXT, StepRecord
from fifo.store.catalog import Waiting
from fifo.store.contract import Get, Put, RangeReply, Txn, TxnReply, unchanged
from fifo.workflows import limits
from fifo.workflows.failures import failure_of_item
from fifo.workflows.patience import Patience
from fifo.workflows.undoing import undo_failed
from fifo.workflows.workflow import Outcome
from fifo.workflows.world import NO_HOST
from supervisors import CallTimeout, Future, within

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from fifo.model.operation import Operation
    from fifo.store.catalog import Catalog
    from fifo.store.contract import Store
    from fifo.workflows.workflow import Items, Step, Workflow
    from fifo.workflows.world import Hosts, Placement, World

logger = logging.getLogger("fifo.workflows")


class Replaced(Exception):  # noqa: N818 - it is no error: another runner has the operation
    """The operation's record is no longer what this execution wrote last."""


class Execution:
    """Drives one operation to its end; in the runner's process, which alone awaits it."""

    def __init__(
        self,
        operation: Operation,
        revision: int,
        workflow: Workflow,
        world: World,
        sleep: Callable[[float], Awaitable[None]],
    ) -> None:
        self.operation = operation
        self.stored = operation
        """The record as it was last written; `operation` may be some repeatable steps further."""
        self.revision = revision
        self.workflow = workflow
        self.world = world
        self.sleep = sleep
        self.undo_until = 0.0
        self.seen = revision
        """The newest revision of the store that an answer spoke of."""
        self._key = keys.by_uid(keys.OPERATION, operation.id)
        self._cancelled: Waiting[Operation] | None = None

    # -- what a step sees --------------------------------------------------------------------

    @property
    def store(self) -> Store:
        """Reads and transactions."""
        return self.world.store

    @property
    def catalog(self) -> Catalog:
        """Every resource as it is."""
        return self.world.catalog

    @property
    def hosts(self) -> Hosts:
        """The sessions with the hosts."""
        return self.world.hosts

    @property
    def placement(self) -> Placement:
        """Who chooses hosts and addresses."""
        return self.world.placement

    def uid(self, item: int) -> str:
        """Whom an item is about."""
        return self.operation.uids[item]

    def output(self, step: str, item: int) -> Any:
        """What a step of this chunk gave for an item."""
        for record in self.operation.steps:
            if record.name == step:
                return record.outputs.get(str(item))
        return None

    def until(self) -> float:
        """UTC second by which what is asked for now must be done."""
        return self.undo_until or self.operation.deadline

    def left_s(self) -> float:
        """Seconds until then; a clock that was set back gives no more than there were at first."""
        operation = self.operation
        whole_s = operation.deadline - operation.create_time
        most_s = limits.UNDO_PATIENCE_S if self.undo_until else whole_s
        return min(self.until() - self.world.utc(), most_s)

    def patience(self, until: float, most_s: float) -> Patience:
        """Try something until a UTC second, and for no more seconds than these."""
        return Patience(self.world.utc, self.sleep, until, most_s)

    async def wait(self, awaited: Any) -> Any:
        """Await a future, but no longer than the deadline or until the operation is cancelled.

        Who waits for an entry of the catalog waits no more when this ends.
        """
        try:
            self._go_on()
            if not awaited.done():
                await self._settled(awaited)
            return awaited.result()
        finally:
            if isinstance(awaited, Waiting):
                awaited.cancel()

    async def _settled(self, awaited: Any) -> None:
        settled: Future[None] = Future()

        def settle(_: Any) -> None:
            if not settled.done():
                settled.set()

        awaited.add_done_callback(settle)
        if self._cancelled is not None and not self.undo_until:
            self._cancelled.add_done_callback(settle)
        try:
            await within(max(0.001, self.left_s()), settled)
        except CallTimeout:
            raise self._late() from None
        if not awaited.done():
            raise self._given_up()

    def _go_on(self) -> None:
        if self.undo_until:
            return
        if self._cancelled is not None and self._cancelled.done():
            raise self._given_up()
        if self.world.utc() >= self.operation.deadline:
            raise self._late()

    def _late(self) -> DeadlineExceeded:
        step = self.workflow.steps[min(self.operation.step, len(self.workflow.steps) - 1)]
        return DeadlineExceeded(
            f"not done by its deadline, in step {step.name!r}",
            self.operation.target,
            "look at the host, then ask again",
        )

    def _given_up(self) -> Cancelled:
        return Cancelled("cancelled on request", self.operation.target)

    # -- driving -----------------------------------------------------------------------------

    async def drive(self) -> Operation:
        """Run the operation to its end and give its final record.

        Raises Replaced when another execution has taken it over, and what the store raises when
        it cannot be written: whoever supervises tries again from the record.
        """
        self._cancelled = self.catalog.when(
            self.catalog.operations,
            self.operation.id,
            lambda entry: entry is not None and entry.record.cancel_requested,
        )
        try:
            while self.operation.state not in FINAL:
                await self._advance()
        finally:
            self._cancelled.cancel()
        return self.operation

    async def _advance(self) -> None:
        operation = self.operation
        failed = self.failed()
        if failed:
            await undo_failed(self, failed)
        elif (live := self.live()) and operation.step < len(self.workflow.steps):
            await self._act(self.workflow.steps[operation.step], live)
        elif operation.chunk + operation.chunk_size < len(operation.uids):
            await self.commit(self.next_chunk(), Outcome())
        else:
            await self.commit(finished(operation, self.world.utc()), Outcome())

    def items(self) -> Items:
        """The items of the chunk that runs."""
        first = self.operation.chunk
        last = min(first + self.operation.chunk_size, len(self.operation.uids))
        return tuple(range(first, last))

    def live(self) -> Items:
        """The items of the chunk that have not failed."""
        failures = self.operation.failures
        return tuple(item for item in self.items() if str(item) not in failures)

    def failed(self) -> Items:
        """The items of the chunk that have failed and are still to be undone."""
        operation = self.operation
        return tuple(
            item
            for item in self.items()
            if str(item) in operation.failures and item not in operation.undone
        )

    def next_chunk(self) -> Operation:
        """Give the record with the next chunk to run."""
        operation = self.operation
        first = operation.chunk + operation.chunk_size
        return msgspec.structs.replace(
            operation,
            chunk=first,
            step=0,
            steps=(),
            undone=(),
            state="running",
            progress=100 * first // len(operation.uids),
        )

    async def _act(self, step: Step, live: Items) -> None:
        """Run a step's action, and again where its transaction is lost to somebody else's."""
        began = self.world.utc()
        told: FifoError = Conflict("others kept changing the same records", self.operation.target)
        for _ in range(limits.COMMIT_ATTEMPTS):
            outcome = await self._try(step, live, began)
            after = self.after_step(step, outcome, began)
            if step.repeated and not outcome.failed and not outcome.writes:
                self.operation = after
                return
            try:
                if await self.commit(self._or_finished(after), outcome):
                    return
            except InvalidInput as error:
                # The store takes no such transaction, however often it is asked.
                told = error
                break
            await self.catalog.at(self.seen)
        outcome = all_failed(live, told)
        await self.commit(self.after_step(step, outcome, began), outcome)

    def _or_finished(self, after: Operation) -> Operation:
        """Give the final record at once where the last step left nothing to undo or to go on."""
        is_last = after.step == len(self.workflow.steps) and (
            after.chunk + after.chunk_size >= len(after.uids)
        )
        if is_last and after.state == "running":
            return finished(after, self.world.utc())
        return after

    async def _try(self, step: Step, live: Items, began: float) -> Outcome:
        """Run an action until it could ask everyone it has to ask, within the step's patience."""
        until = min(self.operation.deadline, began + limits.STEP_PATIENCE_S)
        patience = self.patience(until, limits.STEP_PATIENCE_S)
        while True:
            outcome = await self._run(step, live)
            away = (
                isinstance(error, Unavailable) and error.reason_text != NO_HOST
                for error in outcome.failed.values()
            )
            if not any(away) or not await patience.again():
                return outcome

    async def _run(self, step: Step, live: Items) -> Outcome:
        try:
            self._go_on()
            return await step.action(self, live)
        except FifoError as error:
            return all_failed(live, error)
        except Exception as error:
            logger.exception("Step %s of %s failed", step.name, self.operation.id)
            return all_failed(live, FifoError(f"a bug: {error!r}", step.name, "report it"))

    def after_step(self, step: Step, outcome: Outcome, began: float) -> Operation:
        """Give the record that follows a step."""
        operation = self.operation
        now = self.world.utc()
        outputs = {str(item): output for item, output in outcome.outputs.items()}
        record = StepRecord(name=step.name, began=began, ended=now, outputs=outputs)
        failures = {
            str(item): failure_of_item(self.catalog, operation, item, error)
            for item, error in outcome.failed.items()
        }
        return msgspec.structs.replace(
            operation,
            step=operation.step + 1,
            steps=(*operation.steps, record),
            state=NEXT["running", "item_failed" if failures else "step_done"],
            failures=operation.failures | failures,
            failed_at=operation.failed_at | dict.fromkeys(failures, operation.step),
            progress=max(operation.progress, self._progress()),
            result=outcome.result if outcome.result is not None else operation.result,
            explanation=outcome.explanation or operation.explanation,
        )

    def _progress(self) -> int:
        operation = self.operation
        share = operation.chunk_size * (operation.step + 1) / len(self.workflow.steps)
        return min(99, int(100 * (operation.chunk + share) / max(1, len(operation.uids))))

    # -- committing --------------------------------------------------------------------------

    async def commit(self, operation: Operation, outcome: Outcome) -> bool:
        """Write an operation's next record with what a step wants written; False if that lost."""
        data = records.encode(operation)
        txn = Txn(
            (unchanged(self._key, self.revision), *outcome.compares),
            (*outcome.writes, Put(self._key, data)),
            (Get(self._key),),
        )
        took = await self._write(txn, data)
        if took:
            self.operation = self.stored = operation
        return took

    async def _write(self, txn: Txn, data: bytes) -> bool:
        try:
            reply: TxnReply = await self.store.txn(txn)
        except OutcomeUnknown:
            return await self._look(data)
        self.seen = reply.revision
        if reply.succeeded:
            self.revision = reply.revision
            return True
        (found,) = reply.responses
        assert isinstance(found, RangeReply)
        return self.take_over(found, data)

    async def _look(self, data: bytes) -> bool:
        """Find out whether a commit whose answer was lost was done."""
        left_s = max(0.0, self.left_s()) + limits.UNDO_PATIENCE_S
        patience = self.patience(self.world.utc() + left_s, left_s)
        while True:
            try:
                return self.take_over(await self.store.get(self._key), data)
            except Unavailable:
                if not await patience.again():
                    raise

    def take_over(self, found: RangeReply, data: bytes) -> bool:
        """Compare what is stored with what was written; True if it was our own write."""
        if not found.kvs:
            raise Replaced(self.operation.id)
        stored = found.kvs[0]
        if stored.value == data:
            self.revision = stored.mod_revision
            return True
        if stored.mod_revision != self.revision:
            # As bytes: what was decoded has lists where what was made here may have tuples.
            asked = msgspec.structs.replace(self.stored, cancel_requested=True)
            if stored.value != records.encode(asked):
                raise Replaced(self.operation.id)
            self.stored, self.revision = asked, stored.mod_revision
            self.operation = msgspec.structs.replace(self.operation, cancel_requested=True)
        return False


def all_failed(items: Items, error: FifoError) -> Outcome:
    """The outcome of a step that failed for everyone alike."""
    return Outcome(failed=dict.fromkeys(items, error))


def finished(operation: Operation, now: float) -> Operation:
    """Give the final record of an operation whose items are all done, or failed and undone."""
    failures = operation.failures
    if len(failures) < len(operation.uids) and not operation.refused:
        return msgspec.structs.replace(
            operation, state=NEXT["running", "finished"], progress=100, end_time=now
        )
    failure = next(iter(failures.values()), operation.failure)
    if operation.refused:
        happening = "undo_refused"
    elif failure is not None and failure.kind == Cancelled.__name__:
        happening = "undone_cancelled"
    else:
        happening = "undone"
    return msgspec.structs.replace(
        operation, state=NEXT["undoing", happening], failure=failure, end_time=now
    )
