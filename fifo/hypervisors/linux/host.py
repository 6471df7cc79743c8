"""What all kinds of instances on a Linux host share."""

from __future__ import annotations

import platform
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

    from fifo.hypervisors.linux.commands import Run
    from fifo.hypervisors.linux.images.cache import Cache
    from fifo.hypervisors.linux.keeper_client import KeeperClient
    from fifo.hypervisors.linux.layout import Layout
    from fifo.hypervisors.linux.network import Networking
    from fifo.hypervisors.linux.settings import Settings
    from fifo.hypervisors.linux.storage.pool import ZoneStorage
    from fifo.hypervisors.linux.watch import Watch


class Facts(NamedTuple):
    """What was found out about the kernel, once: `swap` and `io_weight` are whether it can."""

    boot_id: str
    cgroups: str
    swap: bool
    io_weight: bool
    machine: str = platform.machine()


class Host(NamedTuple):
    """The parts, made by `fifo.hypervisors.linux.driver.LinuxDriver.open`."""

    settings: Settings
    facts: Facts
    run: Run
    keeper: KeeperClient
    layout: Layout
    storage: ZoneStorage
    cache: Cache
    networking: Networking
    watch: Watch
    wall: Callable[[], float]
