"""Reading an agent's store back: all of it at the start, one instance's part later."""

from __future__ import annotations

from operator import itemgetter
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from fifo.agent.intent import Acknowledged, Fence, Intent, KeptResult
from fifo.agent.writes import Known, Recalled
from fifo.model import keys, records
from fifo.model.instance import InstanceStatus
from fifo.model.link import JournalEntry
from fifo.model.restart import Memory
from fifo.store.contract import Get, RangeReply, Txn
from fifo.store.pages import pages

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from fifo.store.contract import KeyValue, Store, TxnReply

R = TypeVar("R", bound=records.Record)

PAGE_KEYS = 1_000
"""Records read at once: a page of large intents stays below what a reply may hold."""


class Recollection(NamedTuple):
    """All that is stored; sequence numbers begin with 1, and `results` with the oldest.

    `mark` is the first entry if it stands for others that were dropped.
    """

    recalled: dict[str, Recalled]
    known: tuple[Known, ...]
    results: dict[bytes, float]
    fence: int
    first: int
    next: int
    mark: JournalEntry | None
    statuses: dict[str, InstanceStatus]


async def read(store: Store) -> Recollection:
    """Read an agent's store; raises what the store says, and DataLoss for what is no record."""
    memories = await _by_uid(store, keys.AGENT_MEMORY, Memory)
    statuses = await _by_uid(store, keys.AGENT_STATUS, InstanceStatus)
    recalled: dict[str, Recalled] = {}
    known: list[Known] = []
    for uid, intent in (await _by_uid(store, keys.AGENT_SPEC, Intent)).items():
        recalled[uid] = Recalled(0, intent, memories.get(uid), statuses.get(uid), again=False)
        known.append(known_of(intent))
    results: dict[bytes, float] = {}
    async for kv in _all(store, keys.AGENT_RESULT):
        results[kv.key] = records.decode(KeptResult, kv.value, kv.key.decode()).at
    results = dict(sorted(results.items(), key=itemgetter(1)))
    fence = await _one(store, keys.AGENT_FENCE, Fence)
    taken = await _one(store, keys.AGENT_ACKNOWLEDGED, Acknowledged)
    acknowledged = taken.sequence if taken is not None else 0
    mark = await _mark(store)
    last = acknowledged
    async for kv in _all(store, keys.AGENT_JOURNAL, keys_only=True):
        last = int(keys.uid_of(kv.key), 16)
    return Recollection(
        recalled,
        tuple(known),
        results,
        fence.fence if fence is not None else 0,
        acknowledged + 1 if mark is None else mark.sequence,
        last + 1,
        mark,
        statuses,
    )


async def _mark(store: Store) -> JournalEntry | None:
    end = keys.end_of(keys.AGENT_JOURNAL)
    for entry in entries(await store.range(keys.AGENT_JOURNAL, end, limit=1)):
        return entry if entry.dropped else None
    return None


def known_of(intent: Intent) -> Known:
    """Give what the gateway notes of an intent."""
    spec = intent.spec
    image = intent.image.uid if intent.image is not None else ""
    return Known(spec.uid, spec.generation, spec.is_vm, image, intent.removing)


async def _all(store: Store, prefix: bytes, *, keys_only: bool = False) -> AsyncIterator[KeyValue]:
    end = keys.end_of(prefix)
    async for page in pages(store, prefix, end, limit=PAGE_KEYS, keys_only=keys_only):
        for kv in page.kvs:
            yield kv


async def _by_uid(store: Store, prefix: bytes, kind: type[R]) -> dict[str, R]:
    return {
        keys.uid_of(kv.key): records.decode(kind, kv.value, kv.key.decode())
        async for kv in _all(store, prefix)
    }


async def _one(store: Store, key: bytes, kind: type[R]) -> R | None:
    reply = await store.range(key)
    return records.decode(kind, reply.kvs[0].value, key.decode()) if reply.kvs else None


def question(uid: str) -> Txn:
    """Ask for all that is stored of one instance."""
    prefixes = (keys.AGENT_SPEC, keys.AGENT_MEMORY, keys.AGENT_STATUS)
    return Txn(then=tuple(Get(keys.by_uid(prefix, uid)) for prefix in prefixes))


def recalled(token: int, reply: TxnReply) -> Recalled:
    """Take the answer to `question` apart."""
    intent, memory, status = reply.responses
    return Recalled(
        token,
        _record(intent, Intent),
        _record(memory, Memory),
        _record(status, InstanceStatus),
        again=True,
    )


def _record(response: object, kind: type[R]) -> R | None:
    assert isinstance(response, RangeReply)
    return records.decode(kind, response.kvs[0].value) if response.kvs else None


def one_value(reply: RangeReply) -> bytes | None:
    """Give the value of the one key that was read."""
    return reply.kvs[0].value if reply.kvs else None


def entries(reply: RangeReply) -> tuple[JournalEntry, ...]:
    """Give the journal entries that were read."""
    return tuple(records.decode(JournalEntry, kv.value, kv.key.decode()) for kv in reply.kvs)
