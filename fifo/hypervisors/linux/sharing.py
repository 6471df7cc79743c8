"""What all instances of a node share on the host, removed when there is none."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fifo.hypervisors.linux import cgroups, reboot

if TYPE_CHECKING:
    from fifo.hypervisors.linux.host import Host


async def remove_shared(host: Host) -> None:
    """Remove the table of rules and the control group above all; called with no instance left."""
    await host.networking.clear()
    for group in reboot.below(host.settings.cgroup):
        cgroups.remove_empty(group)
