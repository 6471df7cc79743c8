"""Ownership of a host: a key that a session writes at its start, and the fence that comes of it.

Every transaction of the owner compares the revision of that write, every command carries the fence,
and the host refuses a lower one than it has seen (design: section 7). The fence is that revision,
raised by what the owners before it were raised by: a store that was put back counts from an earlier
revision than the fences that its hosts have seen.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fifo.model import keys, records
from fifo.model.errors import Conflict
from fifo.model.hypervisor import HostOwner
from fifo.model.limits import CLAIM_ATTEMPTS
from fifo.store.contract import Compare, Put, Txn, unchanged
from fifo.store.statistics import NEVER_RESTORED

if TYPE_CHECKING:
    from fifo.store.contract import KeyValue, Store


class Ownership:
    """What a session owns its host by; part of the session, on its node's thread."""

    def __init__(self, host: str, store: Store) -> None:
        self._host = host
        self._store = store
        self._key = keys.by_uid(keys.OWNER, host)
        self._node = ""
        self._raised = 0
        self._revision = 0

    @property
    def fence(self) -> int:
        """What commands carry; higher with each owner and each raise."""
        return self._revision + self._raised

    def own(self) -> Compare:
        """Compare that this session is still the owner."""
        return unchanged(self._key, self._revision)

    async def take(self, node: str) -> None:
        """Own the host from now on, whoever did; raises Conflict when others take it all along."""
        self._node = node
        for _ in range(CLAIM_ATTEMPTS):
            found = (await self._store.get(self._key)).kvs
            before = found[0].mod_revision if found else 0
            if await self._write(unchanged(self._key, before), _raised(found)):
                return
        raise Conflict("others take the host all along", self._host, "try again")

    async def outbid(self, seen: int) -> bool:
        """Raise the fence above one that the host has seen; True if it is.

        Only for who still owns the host in a store that was put back: elsewhere a higher fence is
        that of a newer owner.
        """
        if self._store.statistics().restored == NEVER_RESTORED:
            return False
        return await self._write(self.own(), max(self._raised, seen - self._revision))

    async def _write(self, compare: Compare, raised: int) -> bool:
        record = HostOwner(node=self._node, raised=raised)
        reply = await self._store.txn(Txn((compare,), (Put(self._key, records.encode(record)),)))
        if reply.succeeded:
            self._revision, self._raised = reply.revision, raised
        return reply.succeeded


def _raised(found: tuple[KeyValue, ...]) -> int:
    # The first version wrote the bare name of its node.
    if not found or not found[0].value.startswith(b"{"):
        return 0
    return records.decode(HostOwner, found[0].value, found[0].key.decode()).raised
