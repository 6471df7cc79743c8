"""The instances on the metrics page: figures as last measured, states as they are now."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fifo.telemetry.instance_lines import InstanceLines, Measured

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fifo.agent.sampling import Sample
    from fifo.hypervisors.driver import Stats
    from fifo.model.instance import InstanceStatus
    from fifo.store.catalog import View


class InstancePage:
    """Keeps the lines of this node's instances; on its thread.

    A scrape makes text anew for what changed since the one before: that of a host that was
    measured, and that of single instances whose status is another one.
    """

    def __init__(self) -> None:
        self._lines = InstanceLines()
        self._samples: dict[str, Sample] = {}
        self._shown: dict[str, int] = {}
        """The revision of the status that an instance's lines tell of."""

    def refresh(self, view: View, latest: Mapping[str, Sample]) -> None:
        """Bring the lines up to date; a host without a latest sample keeps the one before."""
        anew = {host for host, sample in latest.items() if self._is_newer(host, sample)}
        self._samples |= {host: latest[host] for host in anew}
        ids = {entry.record.uid: entry.record.id for entry in view.hosts}
        # All of them, each time: measurements may fail for long, and states go on without them.
        for uid, entry in view.statuses.entries.items():
            status = entry.record
            host = status.host
            sample = self._samples.get(host)
            if sample is None:
                self._drop(uid)
            elif host in anew or self._shown.get(uid) != entry.revision:
                spec = view.specs.record(uid)
                if spec is not None:
                    stats = sample.by_uid.get(uid)
                    self._lines.put(_measured(status, spec.brand, ids.get(host, host), stats))
                    self._shown[uid] = entry.revision
        for uid in self._shown.keys() - view.statuses.entries.keys():
            self._drop(uid)

    def snapshot(self) -> tuple[tuple[str, ...], ...]:
        """Give the present lines, as `InstanceLines` does."""
        return self._lines.snapshot()

    def _is_newer(self, host: str, sample: Sample) -> bool:
        known = self._samples.get(host)
        # Zero is a sampling that has just begun another life and measured nothing yet.
        return known is None or sample.at not in (0.0, known.at)

    def _drop(self, uid: str) -> None:
        if self._shown.pop(uid, None) is not None:
            self._lines.drop(uid)


def _measured(status: InstanceStatus, brand: str, host: str, stats: Stats | None) -> Measured:
    plain = Measured(
        status.uid, brand, host, running=status.state == "running", restarts=status.restarts
    )
    if stats is None:
        return plain
    return plain._replace(
        cpu_seconds=stats.cpu_seconds,
        memory_bytes=stats.memory_bytes,
        memory_limit_bytes=stats.memory_limit_bytes,
        processes=stats.processes,
        nics=tuple((nic.interface, nic.received_bytes, nic.sent_bytes) for nic in stats.nics),
        disks=tuple((disk.name, disk.read_bytes, disk.written_bytes) for disk in stats.disks),
        # A host that counts what a file system holds knows its size too.
        filesystem_used_bytes=stats.filesystem_used_bytes if stats.filesystem_size_bytes else None,
    )
