"""The drivers on trial: each by a name and a context manager that gives its stage.

A stage that this machine cannot set up calls `pytest.skip` with the reason.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from tests.hypervisors.conformance.linux_stage import LinuxStage
from tests.hypervisors.conformance.simulated_stage import SimulatedStage
from tests.hypervisors.conformance.vm_stage import shared
from tests.hypervisors.linux import btrfs_disk
from tests.hypervisors.linux.vm import vm_host
from tests.hypervisors.linux.zone_host import small_zone, why_not

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from tests.hypervisors.conformance.stage import Stage


@contextmanager
def simulated() -> Iterator[Stage]:
    """Give a simulated host that can do everything."""
    yield SimulatedStage()


@contextmanager
def simulated_plain() -> Iterator[Stage]:
    """Give a simulated host that can do no more than it must."""
    reason = "a plain directory"
    refused = ("snapshot", "capture_image", "console", "exec")
    yield SimulatedStage(unsupported=dict.fromkeys(refused, reason))


@contextmanager
def linux_zones() -> Iterator[Stage]:
    """Give zones on this very host, on a plain directory with overlays."""
    if reason := why_not():
        pytest.skip(reason)
    stage = LinuxStage(*small_zone())
    try:
        yield stage
    finally:
        stage.close()


@contextmanager
def linux_zones_on_btrfs() -> Iterator[Stage]:
    """Give zones on this very host, on a file system with snapshots and quotas."""
    if reason := why_not() or btrfs_disk.why_not():
        pytest.skip(reason)
    images, rootfs = small_zone()
    with btrfs_disk.mounted() as disk:
        stage = LinuxStage(images, rootfs, disk)
        try:
            yield stage
        finally:
            stage.close()


@contextmanager
def linux_vms() -> Iterator[Stage]:
    """Give VMs on this very host: one share of it for all tests, each of which leaves nothing."""
    if reason := vm_host.why_not():
        pytest.skip(reason)
    stage = shared()
    try:
        yield stage
    finally:
        stage.empty()


STAGES: dict[str, Callable[[], AbstractContextManager[Stage]]] = {
    "linux-vms": linux_vms,
    "linux-zones": linux_zones,
    "linux-zones-btrfs": linux_zones_on_btrfs,
    "simulated": simulated,
    "simulated-plain": simulated_plain,
}
