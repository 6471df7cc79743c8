"""The page of `/metrics`: numbers are read on the node's thread, their text is made beside it."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter
from types import MappingProxyType
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, generate_latest

from fifo.agent import names
from fifo.agent.sampling import LATEST
from fifo.cli.serving.instance_page import InstancePage
from fifo.fleet import placement
from fifo.fleet.step_times import StepTimes
from fifo.store.owner import STORE
from fifo.telemetry.exposition import Page
from fifo.telemetry.instance_lines import NAMES
from supervisors import SupervisorsError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from fifo.agent.sampling import Sample
    from fifo.api.measures import MethodMeasures
    from fifo.cli.serving.tree import Parts
    from fifo.store.catalog import Catalog
    from fifo.store.statistics import StoreStatistics
    from supervisors import Node

PARTS = ("cpu", "memory", "disk")
STORE_SIZES = MappingProxyType(
    {
        "live_bytes": "live_bytes",
        "file_bytes": "size_bytes",
        "live_alarm_bytes": "live_alarm_bytes",
        "file_alarm_bytes": "size_alarm_bytes",
        "alarm": "alarm",
    }
)
"""What is told of every store, and what its statistics call that."""
LOADS = ("1", "5", "15")
SIZES = ("memory_bytes", "memory_available_bytes", "storage_bytes", "storage_available_bytes")


class MetricsPage:
    """Makes the page; one a node, on its loop."""

    def __init__(self, node: Node, parts: Parts, registry: CollectorRegistry, version: str) -> None:
        self._node = node
        self._parts = parts
        self._registry = registry
        self._version = version
        self._instances = InstancePage()
        self.methods: Iterable[MethodMeasures] = ()
        fleet = parts.fleet
        self._steps = StepTimes(fleet.world.catalog) if fleet is not None else None
        self._took_s = 0.0

    def close(self) -> None:
        """Follow nothing any more."""
        if self._steps is not None:
            self._steps.close()

    async def render(self) -> bytes:
        """Give the whole page; the runtime's own metrics first."""
        began_s = time.perf_counter()
        page = Page()
        page.add("fifo_build_info", [((self._version, self._node.name), 1)])
        page.add("fifo_scrape_seconds", [((), self._took_s)])
        self._add_calls(page)
        fleet = self._parts.fleet
        if fleet is not None:
            await self._add_fleet(page, fleet.world.catalog)
        joined = self._instances.snapshot()
        text = await asyncio.to_thread(self._write, page, joined)
        self._took_s = time.perf_counter() - began_s
        return text

    def _write(self, page: Page, instances: tuple[tuple[str, ...], ...]) -> bytes:
        for index, name in enumerate(NAMES):
            page.add_lines(name, (own[index] for own in instances if own[index]))
        return generate_latest(self._registry) + page.text().encode()

    def _add_calls(self, page: Page) -> None:
        methods = [own for own in self.methods if own.started]
        page.add(
            "grpc_server_started_total",
            [((own.service, own.method), own.started) for own in methods],
        )
        page.add(
            "grpc_server_handled_total",
            [
                ((own.service, own.method, code), count)
                for own in methods
                for code, count in own.codes.items()
            ],
        )
        page.add_latencies(
            "grpc_server_handling_seconds",
            {(own.service, own.method): own.latency for own in methods},
        )

    async def _add_fleet(self, page: Page, catalog: Catalog) -> None:
        operations = Counter((own.record.kind, own.record.state) for own in catalog.operations)
        page.add("fifo_operations", [((kind, state), n) for (kind, state), n in operations.items()])
        if self._steps is not None:
            page.add_latencies("fifo_operation_step_seconds", self._steps.latencies)
        page.add("fifo_cleanups_owed", [((), len(catalog.cleanups))])
        await self._add_placement(page)
        statistics = catalog.store.statistics()
        page.add("fifo_store_revision", [((), catalog.store.revision)])
        page.add("fifo_store_keys", [((), statistics.keys)])
        page.add("fifo_store_commits_total", [((), statistics.commits)])
        page.add("fifo_store_commits_waiting", [((), statistics.pending_txns)])
        page.add("fifo_store_changes_total", [((), statistics.changes)])
        for name, field in STORE_SIZES.items():
            page.add(f"fifo_store_{name}", [((), int(getattr(statistics, field)))])
        ids = {entry.record.uid: entry.record.id for entry in catalog.hosts}
        self._add_hosts(page, catalog, ids)
        self._add_driver_calls(page, ids)
        page.add(
            "fifo_agent_journal_dropped_total",
            [((ids.get(own.host, own.host),), own.journal.dropped) for own in self._parts.agents],
        )
        latest = await self._latest()
        _add_usage(page, ids, latest)
        await self._add_agent_stores(page, ids)
        self._instances.refresh(catalog, latest)

    def _add_driver_calls(self, page: Page, ids: Mapping[str, str]) -> None:
        agents = [(ids.get(agent.host, agent.host), agent.calls) for agent in self._parts.agents]
        page.add(
            "fifo_driver_calls_total",
            [
                ((host, verb, outcome), count)
                for host, calls in agents
                for (verb, outcome), count in calls.counts.items()
            ],
        )
        page.add_latencies(
            "fifo_driver_call_seconds",
            {
                (host, verb): latency
                for host, calls in agents
                for verb, latency in calls.latencies.items()
            },
        )

    async def _add_placement(self, page: Page) -> None:
        server = self._node.whereis(placement.NAME)
        if server is None:
            return
        counts = await server.call(placement.COUNTS)
        page.add("fifo_placements_total", [((), counts.decisions)])
        page.add(
            "fifo_placement_refusals_total",
            [((rule,), count) for rule, count in counts.refusals.items()],
        )

    def _add_hosts(self, page: Page, catalog: Catalog, ids: Mapping[str, str]) -> None:
        statuses = [entry.record for entry in catalog.host_statuses if entry.record.uid in ids]
        page.add(
            "fifo_hypervisor_ready",
            [((ids[own.uid],), int(own.condition == "ready")) for own in statuses],
        )
        page.add(
            "fifo_hypervisor_capacity",
            [
                ((ids[own.uid], part), getattr(own.probe.capacity, part))
                for own in statuses
                if own.probe is not None
                for part in PARTS
            ],
        )
        claimed = [own.record for own in catalog.allocations if own.record.host in ids]
        page.add(
            "fifo_hypervisor_claimed",
            [((ids[own.host], part), getattr(own.used, part)) for own in claimed for part in PARTS],
        )
        states = Counter(
            (ids.get(own.record.host, ""), own.record.state) for own in catalog.statuses
        )
        page.add("fifo_instances", [((host, state), n) for (host, state), n in states.items()])

    async def _add_agent_stores(self, page: Page, ids: Mapping[str, str]) -> None:
        """Tell of the agents' own stores; without those that are between two lives."""
        found: dict[str, StoreStatistics] = {}
        for agent in self._parts.agents:
            owner = self._node.whereis(names.store(agent.host))
            if owner is not None:
                with contextlib.suppress(SupervisorsError):
                    store = await owner.call(STORE)
                    found[ids.get(agent.host, agent.host)] = store.statistics()
        for name, field in STORE_SIZES.items():
            page.add(
                f"fifo_agent_store_{name}",
                [((host,), int(getattr(own, field))) for host, own in found.items()],
            )

    async def _latest(self) -> dict[str, Sample]:
        """Collect the latest samples by host; without hosts whose sampling is between two lives."""
        latest: dict[str, Sample] = {}
        for agent in self._parts.agents:
            sampling = self._node.whereis(names.sampling(agent.host))
            if sampling is not None:
                with contextlib.suppress(SupervisorsError):
                    latest[agent.host] = await sampling.call(LATEST)
        return latest


def _add_usage(page: Page, ids: Mapping[str, str], latest: Mapping[str, Sample]) -> None:
    """Write hosts' own figures as they were measured last; nothing of what a host cannot tell."""
    told = [
        (ids.get(host, host), sample.host)
        for host, sample in latest.items()
        if sample.host is not None
    ]
    page.add(
        "fifo_hypervisor_load",
        [
            ((host, minutes), load)
            for host, usage in told
            for minutes, load in zip(LOADS, usage.load, strict=False)
        ],
    )
    page.add(
        "fifo_hypervisor_cpu_seconds_total",
        [
            ((host, mode), seconds)
            for host, usage in told
            for mode, seconds in usage.cpu_seconds.items()
        ],
    )
    for size in SIZES:
        found = [((host,), getattr(usage, size)) for host, usage in told]
        page.add(f"fifo_hypervisor_{size}", [each for each in found if each[1] is not None])
