"""Latencies counted in plain ints: what a histogram's series needs, for next to nothing a call."""

from __future__ import annotations

from bisect import bisect_left

from fifo.telemetry.metrics import LATENCY_BUCKETS_S


class Latency:
    """Counts by bucket, the last for what is above all bounds; on the node's thread."""

    __slots__ = ("counts", "sum_s")

    def __init__(self) -> None:
        self.counts = [0] * (len(LATENCY_BUCKETS_S) + 1)
        self.sum_s = 0.0

    def observe(self, duration_s: float) -> None:
        """Count one."""
        self.counts[bisect_left(LATENCY_BUCKETS_S, duration_s)] += 1
        self.sum_s += duration_s
