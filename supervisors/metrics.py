"""Metrics of a node for Prometheus: counted in plain ints, rendered when somebody scrapes.

`metrics = enable(node)` puts a meter into the node's shard and a collector into a registry. Per
turn the shard adds to one int, and times one turn in `limits.TURNS_PER_TIMING`; everything else
here runs on the thread that scrapes, reads without a lock the shard could wait for, and walks
tables whose size depends on the number of classes, never of processes.
"""

from __future__ import annotations

import itertools
import random
import threading
from bisect import bisect_left
from collections import deque
from typing import TYPE_CHECKING, Any, Final

from prometheus_client import REGISTRY
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
)  # fmt: skip
from prometheus_client.registry import Collector, CollectorRegistry
from prometheus_client.utils import floatToGoString

from supervisors import limits
from supervisors.errors import SupervisorsError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from prometheus_client.core import Metric

    from supervisors.node import Node

OTHER: Final = "other"
"""The label of what is beyond the bound of a label set."""

TURN_BUCKETS_S: Final = (
    5e-6, 1e-5, 2.5e-5, 5e-5, 1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 5e-3, 1e-2, limits.SLOW_TURN_S,
    0.1, 0.5, limits.STUCK_TURN_S,
)  # fmt: skip
"""Upper bounds of the turn histogram, from one quick message to the watchdog's patience."""

_GAPS: Final = 1_021


class Histogram:
    """Turn durations of one class; `counts` is per bucket, the last for what is above all."""

    __slots__ = ("counts", "messages", "sum_s")

    def __init__(self) -> None:
        self.counts = [0] * (len(TURN_BUCKETS_S) + 1)
        self.messages = 0
        self.sum_s = 0.0

    def add(self, other: Histogram) -> None:
        """Add what another one holds."""
        self.counts = [sum(pair) for pair in zip(self.counts, other.counts, strict=True)]
        self.messages += other.messages
        self.sum_s += other.sum_s


class Meter:
    """Takes the duration of one turn in 64 from the scheduler, at random distances.

    Fixed distances would meet the same process again and again when a few take turns in a rhythm.
    """

    def __init__(self) -> None:
        self.turns_to_go = 1
        """The scheduler times the turn that makes this zero."""
        self.samples: deque[tuple[type, float, int]] = deque()
        """Timed turns that are not in a histogram yet: class, seconds, messages handled."""
        self._histograms: dict[type, Histogram] = {}
        self._folding = threading.Lock()
        draw = random.Random(limits.TURNS_PER_TIMING).randrange  # noqa: S311 - only spreads samples
        gaps = [draw(1, 2 * limits.TURNS_PER_TIMING) for _ in range(_GAPS)]
        self.gap = itertools.cycle(gaps).__next__
        """Draws the number of turns to the next timed one."""

    def ran(self, turns_to_go: int) -> None:
        """Take note at the end of a slice; called by the scheduler on the shard's thread."""
        self.turns_to_go = turns_to_go
        if len(self.samples) >= limits.TURN_SAMPLES and self._folding.acquire(blocking=False):
            try:
                self._fold()
            finally:
                self._folding.release()

    def histograms(self) -> dict[type, Histogram]:
        """Give a copy of the histograms by class; called by who scrapes, on any thread.

        The shard never waits for this: while it runs, samples are kept for the next fold.
        """
        with self._folding:
            self._fold()
            copies: dict[type, Histogram] = {}
            for process_class, histogram in self._histograms.items():
                copies[process_class] = Histogram()
                copies[process_class].add(histogram)
            return copies

    def _fold(self) -> None:
        samples = self.samples
        while samples:
            process_class, duration_s, handled = samples.popleft()
            histogram = self._histograms.get(process_class)
            if histogram is None:
                histogram = self._histograms[process_class] = Histogram()
            histogram.counts[bisect_left(TURN_BUCKETS_S, duration_s)] += 1
            histogram.messages += handled
            histogram.sum_s += duration_s


class Labels:
    """A label set of bounded size: the first names to come are kept, all others are `other`."""

    def __init__(self, bound: int) -> None:
        self._bound = bound
        self._kept: set[str] = set()
        self._keeping = threading.Lock()

    def label(self, name: str) -> str:
        """Give the label of a name, the same for ever."""
        with self._keeping:
            if name not in self._kept:
                if len(self._kept) >= self._bound:
                    return OTHER
                self._kept.add(name)
            return name

    def sums(self, counts: Mapping[Any, float]) -> dict[str, float]:
        """Add up counts by label; keys are classes or names."""
        sums: dict[str, float] = {}
        for key, count in counts.items():
            label = self.label(key.__name__ if isinstance(key, type) else str(key))
            sums[label] = sums.get(label, 0) + count
        return sums


class Metrics(Collector):
    """The collector of one node; `enable` makes it. `collect` runs on the thread that scrapes."""

    def __init__(self, node: Node, registry: CollectorRegistry) -> None:
        self._node = node
        self._registry = registry
        self._meter = Meter()
        self._classes = Labels(limits.METRIC_CLASSES)
        self._causes = Labels(limits.METRIC_CAUSES)

    def attach(self) -> None:
        """Register and begin to count; raises ValueError if the registry has a node already."""
        self._registry.register(self)
        self._node.shard.meter = self._meter

    def disable(self) -> None:
        """Stop counting and leave the registry."""
        self._node.shard.meter = None
        self._registry.unregister(self)

    def describe(self) -> Iterable[Metric]:
        """Name the families, so that a registry refuses a second node."""
        return (*self._by_class({}, {}, {}, {}, {}), *self._of_node({}, {}), *self._turns({}))

    def collect(self) -> Iterator[Metric]:
        """Render everything; the tables are copied in one step each, since the shard goes on."""
        node = self._node
        shard = node.shard
        yield from self._by_class(
            dict.copy(shard.tally),
            dict.copy(shard.census.alive),
            dict.copy(node.restarts),
            dict.copy(node.reports.crashes),
            dict.copy(node.dead_letters.refusals),
        )
        yield from self._of_node(
            dict.copy(node.dead_letters.causes), dict.copy(node.reports.counts)
        )
        yield from self._turns(self._meter.histograms())

    def _by_class(
        self,
        handled: Mapping[Any, int],
        alive: Mapping[Any, int],
        restarts: Mapping[Any, int],
        crashes: Mapping[Any, int],
        refusals: Mapping[Any, int],
    ) -> Iterator[Metric]:
        label = ["class"]
        for counts, family in (
            (handled, CounterMetricFamily(
                "supervisors_messages_handled", "Messages handled, by process class.",
                labels=label)),
            (alive, GaugeMetricFamily(
                "supervisors_processes", "Processes alive, by class.", labels=label)),
            (restarts, CounterMetricFamily(
                "supervisors_restarts", "Automatic restarts by supervisors, by class of the child.",
                labels=label)),
            (crashes, CounterMetricFamily(
                "supervisors_crashes", "Crash reports, by class of the process that died.",
                labels=label)),
            (refusals, CounterMetricFamily(
                "supervisors_mailbox_refusals", "Messages that met a full mailbox, by class.",
                labels=label)),
        ):  # fmt: skip
            for name, value in self._classes.sums(counts).items():
                family.add_metric([name], value)
            yield family

    def _of_node(
        self, causes: Mapping[str, int], reports: Mapping[tuple[str, str], int]
    ) -> Iterator[Metric]:
        shard = self._node.shard
        letters = CounterMetricFamily(
            "supervisors_dead_letters", "Messages nobody handled, by cause.", labels=["cause"]
        )
        for name, value in self._causes.sums(causes).items():
            letters.add_metric([name], value)
        yield letters
        told = CounterMetricFamily(
            "supervisors_reports", "Reports, by kind and context.", labels=["kind", "context"]
        )
        for (kind, context), count in reports.items():
            told.add_metric([kind, context], count)
        yield told
        yield CounterMetricFamily("supervisors_turns", "Turns of processes run.", shard.turns)
        yield CounterMetricFamily(
            "supervisors_slices", "Slices of turns between two looks at the loop.", shard.slices
        )
        yield GaugeMetricFamily(
            "supervisors_run_queue_length", "Processes ready to run.", len(shard.runq)
        )
        yield GaugeMetricFamily(
            "supervisors_timers", "Timers held, cancelled ones not swept yet included.",
            len(shard.timers),
        )  # fmt: skip

    def _turns(self, histograms: Mapping[type, Histogram]) -> Iterator[Metric]:
        every = limits.TURNS_PER_TIMING
        durations = HistogramMetricFamily(
            "supervisors_turn_duration_seconds",
            f"Time in handlers per turn, by class; one turn in {every} is timed.",
            labels=["class"],
        )
        messages = CounterMetricFamily(
            "supervisors_timed_messages",
            "Messages handled in the timed turns, by class: the divisor of their duration.",
            labels=["class"],
        )
        by_label: dict[str, Histogram] = {}
        for process_class, histogram in histograms.items():
            label = self._classes.label(process_class.__name__)
            by_label.setdefault(label, Histogram()).add(histogram)
        for label, histogram in by_label.items():
            bounds = (*map(floatToGoString, TURN_BUCKETS_S), "+Inf")
            cumulated = itertools.accumulate(histogram.counts)
            buckets = list(zip(bounds, cumulated, strict=True))
            durations.add_metric([label], buckets, histogram.sum_s)
            messages.add_metric([label], histogram.messages)
        yield durations
        yield messages


def enable(node: Node, registry: CollectorRegistry = REGISTRY) -> Metrics:
    """Switch the metrics of a node on and offer them in a registry; from any thread.

    Messages and turn durations are counted from here on, everything else since the node began.
    Raises SupervisorsError if the node's are on already, ValueError (Prometheus) if the registry
    holds another node's: give each node a registry of its own.
    """
    if node.shard.meter is not None:
        raise SupervisorsError(f"the metrics of {node!r} are on already; disable those first")
    metrics = Metrics(node, registry)
    metrics.attach()
    return metrics
