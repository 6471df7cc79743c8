"""The tables of a watch: the records as of a revision, moved on one commit at a time.

The catalog is ahead of what a watcher was told; a change has to be told as it was. So watches have
tables of their own, which share the entries with the catalog's and differ in when they move.
"""

from __future__ import annotations

from itertools import groupby
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias

from fifo.api.resources import events, images, instances, networks, packages, snapshots
from fifo.api.resources.kinds import KINDS, EventParts, touched
from fifo.model import keys, records
from fifo.model.instance import InstanceSpec, InstanceStatus
from fifo.model.network import Network
from fifo.store.catalog import View
from fifo.store.usage import used_by

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from fifo.store.catalog import Table
    from fifo.store.contract import KeyValue


Own: TypeAlias = tuple[str, str]
"""A resource: its type, and its uid or path."""


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
        made.usage = view.usage.copy()
        return made

    def load(self, stored: Iterable[KeyValue]) -> None:
        """Take records over as they are, telling no change."""
        for kv in stored:
            self.take(kv.key, kv)

    def move(self, changed: Iterable[KeyValue], at: float) -> Iterator[Change]:
        """Apply commits in their order, and give the changes of each, none split."""
        for revision, group in groupby(changed, attrgetter("mod_revision")):
            yield from self._commit(revision, tuple(group), at)
            self.revision = revision

    def _commit(self, revision: int, group: tuple[KeyValue, ...], at: float) -> Iterator[Change]:
        found = dict.fromkeys(filter(None, (touched(kv.key) for kv in group)))
        for kv in group:
            for prefix, beside in _BESIDE:
                if kv.key.startswith(prefix):
                    found |= dict.fromkeys(beside(self, kv.key[len(prefix) :].decode(), kv))
        before = {own: KINDS[own[0]].capture(self, own[1]) for own in found}
        for kv in group:
            self.take(kv.key, None if kv.deleted else kv)
        for own in found:
            after = KINDS[own[0]].capture(self, own[1])
            if after != before[own]:
                yield Change(revision, own[0], before[own], after, at)
        for kv in group:
            if kv.version == 1 and kv.key.startswith(keys.STORY):
                yield Change(revision, events.TYPE, None, EventParts(kv), at)

    def on_host(self, host: str, kv: KeyValue) -> Iterator[Own]:
        """Yield the instances of a host, which are in limbo while it cannot be reached."""
        del kv
        for claim in self.claims:
            if claim.record.host == host:
                yield instances.TYPE, claim.record.uid

    def around_spec(self, uid: str, kv: KeyValue) -> Iterator[Own]:
        """Yield what an instance is counted for, and what goes or is owed with it."""
        coming = None if kv.deleted else records.decode(InstanceSpec, kv.value, kv.key.decode())
        before, after = self.usage.used(uid), used_by(coming)
        for image in before.images ^ after.images:
            yield images.TYPE, image
        if before.package != after.package:
            yield from ((packages.TYPE, own) for own in (before.package, after.package) if own)
        if kv.deleted or kv.version == 1:
            yield from self._snapshots(uid)
            if (claim := self.claims.record(uid)) is not None:
                yield from ((networks.ADDRESS_TYPE, own) for own in networks.held(self, claim))

    def around_status(self, uid: str, kv: KeyValue) -> Iterator[Own]:
        """Yield the snapshots that an instance had, and those that it has from here on."""
        yield from self._snapshots(uid)
        if not kv.deleted:
            coming = records.decode(InstanceStatus, kv.value, kv.key.decode())
            yield from ((snapshots.TYPE, f"{uid}/{own.name}") for own in coming.snapshots)

    def _snapshots(self, uid: str) -> Iterator[Own]:
        for parts in snapshots.of_instance(self, uid):
            yield snapshots.TYPE, f"{uid}/{parts.snapshot.name}"

    def around_address(self, path: str, kv: KeyValue) -> Iterator[Own]:
        """Yield the network whose pool an address is of, and as what one of a wire is seen."""
        del kv
        for own in networks.seen(self, path):
            yield networks.TYPE, own.partition("/")[0]
            yield networks.ADDRESS_TYPE, own

    def around_network(self, uid: str, kv: KeyValue) -> Iterator[Own]:
        """Yield what of a network's wire is seen as its own, before and from here on."""
        coming = None if kv.deleted else records.decode(Network, kv.value, kv.key.decode())
        for network in (self.networks.record(uid), coming):
            if network is not None:
                yield from ((networks.ADDRESS_TYPE, own) for own in networks.of_wire(self, network))

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
            if kind == snapshots.TYPE:
                for uid in self.statuses.entries:
                    yield from ((kind, parts) for parts in snapshots.of_instance(self, uid))
            if kind == networks.ADDRESS_TYPE:
                yield from ((kind, parts) for parts in self._of_wires())

    def _of_wires(self) -> Iterator[networks.AddressParts]:
        """Give the addresses that are seen as a network's and are no record of its own."""
        for entry in self.networks:
            for path in networks.of_wire(self, entry.record):
                if path not in self.addresses.entries:
                    parts = networks.capture_address(self, path)
                    if parts is not None:
                        yield parts


_BESIDE: Final[tuple[tuple[bytes, Callable[[Tables, str, KeyValue], Iterator[Own]]], ...]] = (
    (keys.HYPERVISOR_STATUS, Tables.on_host),
    (keys.INSTANCE_SPEC, Tables.around_spec),
    (keys.INSTANCE_STATUS, Tables.around_status),
    (keys.ADDRESS, Tables.around_address),
    (keys.NETWORK, Tables.around_network),
)
"""What else a record's change is seen in, besides the resource that it is part of."""
