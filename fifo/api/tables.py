"""The tables of a watch: the records as of a revision, moved on one commit at a time.

The catalog is ahead of what a watcher was told; a change has to be told as it was. So watches have
tables of their own, which share the entries with the catalog's and differ in when they move.
"""

from __future__ import annotations

from itertools import groupby
from operator import attrgetter
from typing import TYPE_CHECKING, Any, NamedTuple

from fifo.api.resources import events, instances
from fifo.api.resources.kinds import KINDS, EventParts, touched
from fifo.model import keys
from fifo.store.catalog import View

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from fifo.store.catalog import Table
    from fifo.store.contract import KeyValue


class Change(NamedTuple):
    """One change of one resource in a commit: its records before and after, None for absent."""

    revision: int
    kind: str
    before: Any
    after: Any
    at: float
    """When it was heard of, in UTC seconds; 0 if that was long ago."""


class Tables(View):
    """A view that is moved from one revision to the next."""

    @classmethod
    def of(cls, view: View) -> Tables:
        """Copy the tables of a catalog, or of other tables; the entries are shared."""
        made = cls()
        made.revision = view.revision
        for own, other in zip(made.tables, view.tables, strict=True):
            own.entries.update(other.entries)
        return made

    def load(self, stored: Iterable[KeyValue]) -> None:
        """Take records over as they are, telling no change."""
        for kv in stored:
            self._take(kv)

    def move(self, changed: Iterable[KeyValue], at: float) -> Iterator[Change]:
        """Apply commits in their order, and give the changes of each, none split."""
        for revision, group in groupby(changed, attrgetter("mod_revision")):
            yield from self._commit(revision, tuple(group), at)
            self.revision = revision

    def _commit(self, revision: int, group: tuple[KeyValue, ...], at: float) -> Iterator[Change]:
        found = dict.fromkeys(filter(None, (touched(kv.key) for kv in group)))
        for kv in group:
            if kv.key.startswith(keys.HYPERVISOR_STATUS):
                found |= dict.fromkeys(self._on_host(keys.uid_of(kv.key)))
        before = {own: KINDS[own[0]].capture(self, own[1]) for own in found}
        for kv in group:
            self._take(kv)
        for own in found:
            after = KINDS[own[0]].capture(self, own[1])
            if after != before[own]:
                yield Change(revision, own[0], before[own], after, at)
        for kv in group:
            if kv.version == 1 and kv.key.startswith(keys.STORY):
                yield Change(revision, events.TYPE, None, EventParts(kv), at)

    def _on_host(self, host: str) -> Iterator[tuple[str, str]]:
        """Yield the instances of a host, which are in limbo while it cannot be reached."""
        for claim in self.claims:
            if claim.record.host == host:
                yield instances.TYPE, claim.record.uid

    def _take(self, kv: KeyValue) -> None:
        for table in self.tables:
            if kv.key.startswith(table.prefix):
                table.apply(kv.key, None if kv.deleted else kv)
                return

    def resources(self, kinds: Iterable[str]) -> Iterator[tuple[str, Any]]:
        """Give every resource of some kinds, with its records."""
        tables: dict[str, Table[Any]] = {
            "fifo/Instance": self.specs,
            "fifo/Hypervisor": self.hosts,
            "fifo/Image": self.images,
            "fifo/Package": self.packages,
            "fifo/Network": self.networks,
            "fifo/Address": self.addresses,
            "fifo/Operation": self.operations,
        }
        for kind in kinds:
            for own in tables[kind].entries if kind in tables else ():
                parts = KINDS[kind].capture(self, own)
                if parts is not None:
                    yield kind, parts
