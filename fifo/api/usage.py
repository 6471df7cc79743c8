"""Who uses what: instances by image and by package, addresses by network. Counted, not searched."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from fifo.model import keys

if TYPE_CHECKING:
    from fifo.store.catalog import Catalog
    from fifo.store.contract import WatchBatch


class Usage:
    """Counts that follow the catalog; on the node's loop."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self.images: Counter[str] = Counter()
        self.packages: Counter[str] = Counter()
        self._addresses: dict[str, dict[int, set[int]]] = {}
        self._used: dict[str, tuple[frozenset[str], str]] = {}
        for uid in catalog.specs.entries:
            self._take(uid)
        for path in catalog.addresses.entries:
            self._take_address(path, taken=True)
        self.close = catalog.listen(self._changed)

    def addresses(self, network: str) -> dict[int, set[int]]:
        """Give the taken addresses of a network by family, as numbers; not to be changed."""
        return self._addresses.get(network, {})

    def _changed(self, batch: WatchBatch) -> None:
        for event in batch.events:
            if event.key.startswith(keys.INSTANCE_SPEC):
                self._take(keys.uid_of(event.key))
            elif event.key.startswith(keys.ADDRESS):
                path = event.key[len(keys.ADDRESS) :].decode()
                self._take_address(path, taken=not event.deleted)

    def _take(self, uid: str) -> None:
        spec = self._catalog.specs.record(uid)
        if spec is None:
            now: tuple[frozenset[str], str] = (frozenset(), "")
        else:
            used = frozenset((spec.image, *(disk.image for disk in spec.disks))) - {""}
            now = (used, spec.package)
        before = self._used.get(uid, (frozenset(), ""))
        if now == before:
            return
        self.images.subtract(before[0])
        self.images.update(now[0])
        self.packages.subtract([before[1]] if before[1] else ())
        self.packages.update([now[1]] if now[1] else ())
        if spec is None:
            self._used.pop(uid, None)
        else:
            self._used[uid] = now

    def _take_address(self, path: str, *, taken: bool) -> None:
        network, family, number = path.split("/")
        own = self._addresses.setdefault(network, {}).setdefault(int(family), set())
        if taken:
            own.add(int(number, 16))
        else:
            own.discard(int(number, 16))
