"""How long the steps of workflows take: read from the records of operations as they end."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from fifo.model import keys
from fifo.telemetry.latency import Latency

if TYPE_CHECKING:
    from fifo.store.catalog import Catalog
    from fifo.store.contract import WatchBatch


class StepTimes:
    """Follows the catalog, on the node's thread; what ended before it began is not counted.

    Of a batch that runs in chunks the record has the steps of the last one, and so has this.
    """

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self.latencies: defaultdict[tuple[str, str], Latency] = defaultdict(Latency)
        """By kind of operation and step."""
        self.close = catalog.listen(self._changed)

    def _changed(self, batch: WatchBatch) -> None:
        for event in batch.events:
            if not event.key.startswith(keys.OPERATION) or event.deleted:
                continue
            record = self._catalog.operations.record(keys.uid_of(event.key))
            if record is None or not record.final:
                continue
            for step in record.steps:
                # A clock that was set back between the two tells of no time at all.
                took_s = max(0.0, step.ended - step.began)
                self.latencies[record.kind, step.name].observe(took_s)
