"""What the calls of a driver cost: counted where they end, read at a scrape."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Final

from fifo.telemetry.latency import Latency

if TYPE_CHECKING:
    from fifo.model.errors import FifoError

OK: Final = "ok"
FAILED: Final = "failed"


class CallCounts:
    """Counts by verb; on the node's thread, and kept while the driver's process comes and goes."""

    def __init__(self) -> None:
        self.counts: Counter[tuple[str, str]] = Counter()
        """Calls that ended, by verb and outcome."""
        self.latencies: defaultdict[str, Latency] = defaultdict(Latency)

    def ended(self, verb: str, took_s: float, error: FifoError | None) -> None:
        """Count the end of a call; called by the driver's process."""
        self.counts[verb, OK if error is None else FAILED] += 1
        self.latencies[verb].observe(took_s)
