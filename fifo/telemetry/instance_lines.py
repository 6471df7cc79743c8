"""The lines of instances: prepared when an instance was measured, joined when somebody scrapes.

A host of a thousand instances has thirty thousand series. Their text is made once a sampling
interval, a few microseconds each; a scrape only joins it.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from fifo.telemetry.exposition import escape


class Measured(NamedTuple):
    """What is told of one instance: the driver's numbers with the catalog's facts."""

    uid: str
    brand: str
    hypervisor: str
    running: bool
    restarts: int
    cpu_seconds: float = 0.0
    memory_bytes: int = 0
    memory_limit_bytes: int = 0
    processes: int = 0
    nics: tuple[tuple[str, int, int], ...] = ()
    """Name, bytes in, bytes out."""
    disks: tuple[tuple[str, int, int], ...] = ()
    """Name, bytes read, bytes written."""
    filesystem_used_bytes: int | None = None
    """None where the host does not count it; nothing is written then."""


PLAIN: Final = (
    ("fifo_instance_running", "running"),
    ("fifo_instance_restarts_total", "restarts"),
    ("fifo_instance_cpu_seconds_total", "cpu_seconds"),
    ("fifo_instance_memory_bytes", "memory_bytes"),
    ("fifo_instance_memory_limit_bytes", "memory_limit_bytes"),
    ("fifo_instance_processes", "processes"),
    ("fifo_instance_filesystem_used_bytes", "filesystem_used_bytes"),
)
NICS: Final = (
    ("fifo_instance_network_receive_bytes_total", 1),
    ("fifo_instance_network_transmit_bytes_total", 2),
)
DISKS: Final = (
    ("fifo_instance_disk_read_bytes_total", 1),
    ("fifo_instance_disk_written_bytes_total", 2),
)
INFO: Final = "fifo_instance_info"
NAMES: Final = (
    INFO,
    *(name for name, _ in PLAIN),
    *(name for name, _ in NICS),
    *(name for name, _ in DISKS),
)


class InstanceLines:
    """The prepared text of each instance, by metric; owned by the node's thread."""

    def __init__(self) -> None:
        self._lines: dict[str, tuple[str, ...]] = {}

    def __len__(self) -> int:
        return len(self._lines)

    def put(self, measured: Measured) -> None:
        """Prepare an instance's lines anew."""
        self._lines[measured.uid] = _prepare(measured)

    def drop(self, uid: str) -> None:
        """Forget an instance that is gone."""
        self._lines.pop(uid, None)

    def snapshot(self) -> tuple[tuple[str, ...], ...]:
        """Give the present lines, to be joined on any thread; each in the order of `NAMES`."""
        return tuple(self._lines.values())


def _prepare(measured: Measured) -> tuple[str, ...]:
    label = f'instance="{measured.uid}"'
    info = (
        f'{INFO}{{{label},brand="{escape(measured.brand)}",'
        f'hypervisor="{escape(measured.hypervisor)}"}} 1'
    )
    numbers = ((name, getattr(measured, field)) for name, field in PLAIN)
    plain = (
        f"{name}{{{label}}} {number:.6f}" if isinstance(number, float)
        else f"{name}{{{label}}} {number:d}" if number is not None
        else ""
        for name, number in numbers
    )  # fmt: skip
    return (
        info,
        *plain,
        *(_each(name, label, "nic", measured.nics, at) for name, at in NICS),
        *(_each(name, label, "disk", measured.disks, at) for name, at in DISKS),
    )


def _each(name: str, label: str, kind: str, rows: tuple[tuple[str, int, int], ...], at: int) -> str:
    return "\n".join(f'{name}{{{label},{kind}="{escape(row[0])}"}} {row[at]}' for row in rows)
