"""The journal: the agent's own store, and the one process that writes it.

Everything that is promised goes through here, is written in the order it came, and what came in
one moment shares a commit. One commit is under way at a time, so that a commit whose outcome is
not known can be made again: nothing later has been written. A store that takes no commit within
`limits.WRITE_DEADLINE_S` ends the journal, and with it the agent, which then begins anew from
what is on disk; instances go on meanwhile.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from fifo.agent import dropping, limits, names, recollection
from fifo.agent.intent import Acknowledged, Fence
from fifo.agent.messages import Realise
from fifo.agent.writes import (
    Entries,
    Grown,
    Loaded,
    Numbers,
    Read,
    Recall,
    Recalled,
    Tell,
    Write,
    Written,
)
from fifo.model import keys, records
from fifo.model.errors import FifoError, OutcomeUnknown, StoreFull, StoreOverloaded
from fifo.model.link import Acknowledge, JournalEntry
from fifo.store.contract import Delete, DeleteRange, Put, Txn
from fifo.store.owner import STORE
from supervisors import Future, GenServer, NoReply

if TYPE_CHECKING:
    from fifo.agent.settings import AgentSettings
    from fifo.model.instance import InstanceStatus
    from fifo.store.contract import Operation, RangeReply, Store, TxnReply

LOAD: Final = "load"
"""Call: a Loaded."""
NUMBERS: Final = "numbers"
"""Call: a Numbers."""
STATUSES: Final = "statuses"
"""Call: the latest status of each instance, a tuple."""
_FLUSH: Final = "flush"
_SWEEP: Final = "sweep"
_RETRY: Final = "retry"


class _Settled(NamedTuple):
    reply: Future[TxnReply]


class _Batch:
    """What one commit writes, and who is told then."""

    __slots__ = ("bytes", "entries", "mark", "operations", "writes")

    def __init__(self, mark: JournalEntry | None = None) -> None:
        self.mark = mark
        self.operations: dict[bytes, Operation] = {}
        self.entries: list[JournalEntry] = []
        self.writes: list[Write] = []
        self.bytes = 0

    def put(self, key: bytes, value: bytes) -> None:
        """Write a key; of several values of one moment the last stands."""
        self.operations[key] = Put(key, value)
        self.bytes += len(key) + len(value)

    def has_room_for(self, write: Write) -> bool:
        """Tell whether a further write fits into this commit; the first one always has to."""
        if not self.writes:
            return True
        operations = len(self.operations) + _most_operations(write)
        return operations <= limits.TXN_OPERATIONS and self.bytes < limits.TXN_BYTES


def _most_operations(write: Write) -> int:
    """Count what a write adds at most: an intent, a memory, and an entry with a status a tell."""
    return len(write.puts) + 2 + 2 * len(write.tells) + 2 * bool(write.again)


class Journal(GenServer):
    """Writes and recalls (`names.journal`)."""

    mailbox_limit = limits.WRITES_WAITING

    async def init(self, settings: AgentSettings) -> None:
        """Read back all that is stored."""
        self.settings = settings
        self.host = settings.host
        self.store: Store = await self.node.address(names.store(settings.host)).call(STORE)
        memory = await recollection.read(self.store)
        self.loaded = memory.recalled
        self.known = {known.uid: known for known in memory.known}
        self.results = memory.results
        self.fence = memory.fence
        self.first = memory.first
        self.next = memory.next
        self.mark = memory.mark
        self.statuses: dict[str, InstanceStatus] = memory.statuses
        self.held: deque[JournalEntry] = deque(maxlen=limits.REPORTS_HELD)
        self.queue: deque[Write | Recall] = deque()
        self.batch: _Batch | None = None
        self.recall: Recall | None = None
        self.failing_since: float | None = None
        self.retry_s = limits.WRITE_RETRY_S
        # An earlier life may have ended before it dropped what is beyond the bound.
        self.scheduled = True
        self.ref.cast(_FLUSH)
        self.send_after(limits.SWEEP_S, _SWEEP)

    # -- messages ----------------------------------------------------------------------------

    def handle_cast(self, message: Any) -> None:
        """Take a Write, a Recall or an Acknowledge."""
        if message is _FLUSH:
            self.scheduled = False
            self._flush()
        elif message.__class__ is Write:
            self._enqueue(message)
        elif message.__class__ is Recall:
            found = self.loaded.pop(message.uid, None)
            if found is None:
                self._enqueue(message)
            elif message.to.is_alive():
                message.to.send(found._replace(token=message.token))
        elif isinstance(message, Acknowledge):
            self._acknowledge(message.sequence)

    def handle_call(self, message: Any, caller: Future[Any]) -> Any:
        """Answer LOAD, NUMBERS, STATUSES, Entries and Read."""
        if message == LOAD:
            return Loaded(tuple(self.known.values()), dict(self.results), self.fence)
        if message == NUMBERS:
            return Numbers(self.first, self.next)
        if message == STATUSES:
            return tuple(self.statuses.values())
        if isinstance(message, Entries):
            return self._entries(message, caller)
        assert isinstance(message, Read), message
        reply = self.store.range(message.key)
        reply.add_done_callback(lambda read: _pass_on(caller, read, recollection.one_value))
        return NoReply()

    def handle_info(self, message: Any) -> None:
        """Go on after a commit, or try it again; sweep."""
        if message.__class__ is _Settled:
            self._settled(message.reply)
        elif message == _RETRY:
            self._commit()
        elif message == _SWEEP:
            self.send_after(limits.SWEEP_S, _SWEEP)
            self.store.compact(self.store.revision)

    def _enqueue(self, message: Write | Recall) -> None:
        """Let a message wait for the disk; raises StoreOverloaded if too many do."""
        if len(self.queue) >= limits.WRITES_WAITING:
            raise StoreOverloaded(f"{len(self.queue)} writes wait for the disk", self.host)
        self.queue.append(message)
        if self.batch is None and self.recall is None and not self.scheduled:
            # Behind the messages that wait already, so that theirs are in the same commit.
            self.scheduled = True
            self.ref.cast(_FLUSH)

    # -- commits -----------------------------------------------------------------------------

    def _flush(self) -> None:
        if self.batch is not None or self.recall is not None:
            return
        if self.next - self.first > limits.JOURNAL_ENTRIES:
            self.batch = self._shed()
            self._commit()
            return
        if not self.queue:
            return
        first = self.queue[0]
        if first.__class__ is Recall:
            self.queue.popleft()
            self.recall = first
        else:
            self.batch = batch = _Batch()
            queue = self.queue
            while queue:
                write = queue[0]
                if write.__class__ is not Write or not batch.has_room_for(write):
                    break
                queue.popleft()
                self._add(batch, write)
        self._commit()

    def _add(self, batch: _Batch, write: Write) -> None:
        batch.writes.append(write)
        for operation in write.puts:
            if isinstance(operation, Put):
                batch.put(operation.key, operation.value)
            else:
                start = operation.start if isinstance(operation, DeleteRange) else operation.key
                batch.operations[start] = operation
        if write.intent is not None:
            uid = write.intent.spec.uid
            batch.put(keys.by_uid(keys.AGENT_SPEC, uid), records.encode(write.intent))
        if write.memory is not None:
            key = keys.by_uid(keys.AGENT_MEMORY, write.memory.uid)
            batch.put(key, records.encode(write.memory))
        for tell in write.tells:
            self._tell(batch, tell)
        if write.again:
            self._tell_again(batch, write.again)

    def _tell(self, batch: _Batch, tell: Tell) -> None:
        """Number an entry; the number counts once the commit is made, and is then not reused."""
        sequence = self.next + len(batch.entries)
        entry = JournalEntry(
            sequence=sequence,
            at=self.settings.utc(),
            uid=tell.uid,
            status=tell.status,
            event=tell.event,
        )
        batch.entries.append(entry)
        batch.put(keys.journal(sequence), records.encode(entry))
        if tell.status is None:
            return
        key = keys.by_uid(keys.AGENT_STATUS, tell.uid)
        if tell.status.state == "deleted":
            batch.operations[key] = Delete(key)
        else:
            batch.put(key, records.encode(tell.status))

    def _tell_again(self, batch: _Batch, uid: str) -> None:
        """Tell the latest status of an instance once more, be it one of this very commit."""
        status = self.statuses.get(uid)
        for entry in batch.entries:
            if entry.uid == uid and entry.status is not None:
                status = entry.status
        if status is not None:
            self._tell(batch, Tell(uid, status))

    def _commit(self) -> None:
        """Hand what is under way to the store, for the first time or again."""
        if self.recall is not None:
            txn = recollection.question(self.recall.uid)
        else:
            assert self.batch is not None
            txn = Txn(then=tuple(self.batch.operations.values()))
        ref = self.ref
        self.store.txn(txn).add_done_callback(lambda reply: ref.send(_Settled(reply)))

    def _settled(self, reply: Future[TxnReply]) -> None:
        try:
            answer = reply.result()
        except (StoreFull, StoreOverloaded, OutcomeUnknown) as error:
            self._retry(error)
            return
        self.failing_since = None
        self.retry_s = limits.WRITE_RETRY_S
        if self.recall is not None:
            recall, self.recall = self.recall, None
            if recall.to.is_alive():
                recall.to.send(recollection.recalled(recall.token, answer))
        else:
            batch, self.batch = self.batch, None
            assert batch is not None
            if batch.mark is not None:
                self._marked(batch.mark)
            else:
                self._durable(batch)
        self._flush()

    def _retry(self, error: FifoError) -> None:
        """Try a commit again in a while; raises the error when that has gone on for too long."""
        now_s = self.node.shard.now_s()
        if self.failing_since is None:
            self.failing_since = now_s
        if now_s - self.failing_since > limits.WRITE_DEADLINE_S:
            raise error
        self.send_after(self.retry_s, _RETRY)
        self.retry_s = min(2 * self.retry_s, limits.WRITE_RETRY_MOST_S)

    def _durable(self, batch: _Batch) -> None:
        self.next += len(batch.entries)
        for entry in batch.entries:
            self.held.append(entry)
            status = entry.status
            if status is None:
                continue
            if status.state == "deleted":
                self.statuses.pop(entry.uid, None)
            else:
                self.statuses[entry.uid] = status
        for write in batch.writes:
            if write.intent is not None:
                self._remember(write)
            if write.puts:
                self._note(write.puts)
            if write.to is not None and write.to.is_alive():
                write.to.send(Written(write.token))
        if batch.entries:
            reporter = self.node.whereis(names.reporter(self.host))
            if reporter is not None:
                reporter.cast(Grown(self.next - 1))

    def _remember(self, write: Write) -> None:
        """Hand what is durable to the instance's actor, or keep it for when that begins.

        It is not left to the gateway, which may end before.
        """
        assert write.intent is not None
        uid = write.intent.spec.uid
        self.known[uid] = recollection.known_of(write.intent)
        found = self.loaded.get(uid)
        if found is not None:
            self.loaded[uid] = found._replace(intent=write.intent)
        elif write.fresh:
            fresh = write.memory is None
            self.loaded[uid] = Recalled(
                0, write.intent, write.memory, None, again=False, fresh=fresh
            )
        actor = self.node.whereis(names.instance(self.host, uid))
        if actor is not None:
            actor.cast(Realise(write.intent))

    def _note(self, puts: tuple[Operation, ...]) -> None:
        """Keep up what a gateway that begins anew is given."""
        for operation in puts:
            if isinstance(operation, Put):
                if operation.key.startswith(keys.AGENT_RESULT):
                    self.results[operation.key] = self.settings.utc()
                elif operation.key == keys.AGENT_FENCE:
                    self.fence = records.decode(Fence, operation.value).fence
            elif isinstance(operation, Delete):
                self.results.pop(operation.key, None)
                if operation.key.startswith(keys.AGENT_SPEC):
                    self.known.pop(keys.uid_of(operation.key), None)
                elif operation.key.startswith(keys.AGENT_STATUS):
                    self.statuses.pop(keys.uid_of(operation.key), None)

    # -- entries -----------------------------------------------------------------------------

    def _entries(self, wanted: Entries, caller: Future[Any]) -> Any:
        """Give entries from memory where they are held, else from the store."""
        first = max(wanted.after + 1, self.first)
        if first >= self.next:
            return ()
        if self.held and self.held[0].sequence <= first:
            skip = first - self.held[0].sequence
            stop = min(skip + wanted.most, len(self.held))
            return tuple(self.held[at] for at in range(skip, stop))
        reply = self.store.range(keys.journal(first), keys.journal(self.next), limit=wanted.most)
        reply.add_done_callback(lambda read: _pass_on(caller, read, recollection.entries))
        return NoReply()

    def _acknowledge(self, sequence: int) -> None:
        """Drop what the session has taken over."""
        sequence = min(sequence, self.next - 1)
        if sequence < self.first:
            return
        self._drop(sequence)

    def _drop(self, sequence: int) -> None:
        gone = DeleteRange(keys.journal(self.first), keys.journal(sequence + 1))
        put = Put(keys.AGENT_ACKNOWLEDGED, records.encode(Acknowledged(sequence=sequence)))
        self.first = sequence + 1
        while self.held and self.held[0].sequence <= sequence:
            self.held.popleft()
        self._enqueue(Write(puts=(gone, put)))

    def _shed(self) -> _Batch:
        """Drop the oldest entries of a session that stays away for too long."""
        mark = dropping.mark_of(self.first, self.mark, self.settings.utc())
        was = self.mark.dropped if self.mark is not None and self.mark.sequence == self.first else 0
        self.settings.journal.dropped += mark.dropped - was
        batch = _Batch(mark)
        batch.operations.update(dropping.drop(self.first, mark))
        return batch

    def _marked(self, mark: JournalEntry) -> None:
        """Go on from a mark, unless a session has taken over what is behind it meanwhile."""
        if mark.sequence >= self.first:
            self.first, self.mark = mark.sequence, mark
        while self.held and self.held[0].sequence <= mark.sequence:
            self.held.popleft()


def _pass_on(caller: Future[Any], reply: Future[RangeReply], read: Any) -> None:
    try:
        caller.reply(read(reply.result()))
    except FifoError as error:
        caller.fail(error)
