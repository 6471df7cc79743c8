"""After the host has booted anew: what the last boot left on disk about things that are gone.

Control groups, namespaces, mounts and rules ended with the kernel that had them; what a runtime and
the node wrote about them may still lie in the run directory, if that outlives a boot, and would be
taken for the truth.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fifo.hypervisors.linux import cgroups, limits, mounting
from fifo.hypervisors.linux.layout import replace
from fifo.hypervisors.linux.storage.pool import remove_tree

if TYPE_CHECKING:
    from pathlib import Path

    from fifo.hypervisors.linux.commands import Run
    from fifo.hypervisors.linux.layout import Layout

MARK = "boot_id"
"""The file in the run directory that says which boot its contents are of."""


async def clear_stale(run: Run, layout: Layout, boot_id: str, cgroup: str) -> bool:
    """Clear what is of another boot; tell whether anything was. Raises OSError, DriverFailed."""
    mark = layout.run_dir / MARK
    written = mark.read_text(encoding="ascii") if mark.exists() else ""
    if written == boot_id:
        return False
    for path in stale(layout):
        await remove_tree(run, path, limits.COMMAND_S)
    for path in mounting.mounted_below(layout.instances):
        mounting.unmount(path)
    for group in below(cgroup):
        cgroups.remove_empty(group)
    replace(mark, boot_id.encode())
    return bool(written)


def stale(layout: Layout) -> list[Path]:
    """List what is in the run directory of ours: containers' states and pid files."""
    return [*layout.runtime.iterdir(), *layout.run_dir.glob("*.pid")]


def below(cgroup: str) -> list[str]:
    """List the groups within ours, and ours last."""
    inner = {f"{cgroup}/{path.name}" for group in cgroups.paths(cgroup) for path in children(group)}
    return [*sorted(inner), cgroup]


def children(group: Path) -> list[Path]:
    """List the groups directly within a group."""
    return [path for path in group.iterdir() if path.is_dir()]
