"""Control groups of version 2 by a kernel that has no others: what was read of files, for real.

They run where such a kernel is: in the machine that `test_machine` boots, or on a host like it.
"""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import pytest

from fifo.hypervisors.linux import cgroups, facts
from fifo.hypervisors.linux.vm.control_group import ControlGroups, memory_limit_mib
from fifo.model.instance import InstanceSpec
from tests.hypervisors.linux.test_limits import GREEDY
from tests.hypervisors.linux.zone_host import RUNTIME

if TYPE_CHECKING:
    from tests.hypervisors.linux.zone_host import ZoneHost

pytestmark = pytest.mark.skipif(
    cgroups.version() != "v2" or os.geteuid() != 0, reason="no host of control groups v2 alone"
)
MIB = 1024 * 1024


async def test_the_driver_finds_what_this_host_has(zones: ZoneHost) -> None:
    await zones.open()
    found = await zones.driver.probe()
    assert (found.cgroups, found.runtime) == ("v2", os.environ.get(RUNTIME, "runc"))
    assert "lx" in found.brands
    # No group is there that could tell: the driver makes one and looks.
    known = facts.gather()
    assert (known.swap, known.io_weight) == (True, True)
    assert list(cgroups.ROOT.glob("fifo-trial-*")) == []


async def test_what_a_zone_uses_is_read_and_its_group_goes_with_it(zones: ZoneHost) -> None:
    await zones.open()
    wanted = await zones.running(script="while :; do :; done", cpu_cap=50)
    group = f"{zones.settings.cgroup}/{wanted.spec.uid}"
    (path,) = cgroups.paths(group)
    before = cgroups.usage(group)
    code, _ = await zones.execute(wanted, "sh", "-c", "ls -l /bin")
    assert code == 0
    (stats,) = await zones.driver.stats()
    assert stats.cpu_seconds > before.cpu_seconds
    assert stats.memory_limit_bytes == wanted.spec.max_physical_memory * MIB
    assert stats.memory_bytes > 0
    assert stats.processes >= 1
    await zones.driver.stop(wanted.spec.uid, 0.0)
    await zones.driver.delete(wanted.spec.uid)
    assert not path.exists()


def test_a_vm_s_process_is_held_by_its_group_which_counts_its_kill_and_is_removed() -> None:
    known = facts.gather()
    parent = f"/fifo-t{secrets.token_hex(2)}"
    groups = ControlGroups(known, parent)
    spec = InstanceSpec(
        uid="00000000-0000-4000-8000-00000000000a", id="vm", org="default", generation=1,
        wanted="running", brand="kvm", create_time=0.0, ram=64, max_physical_memory=64,
        max_swap=64, vcpus=1, cpu_cap=50,
    )  # fmt: skip
    (joined,) = set(groups.make(spec))
    place = Path(joined).parent
    try:
        limit = str(memory_limit_mib(spec) * MIB)
        assert (place / "memory.max").read_text().strip() == limit
        assert (place / "cpu.max").read_text().split()[0] != "max"
        with subprocess.Popen(["/bin/busybox", "sleep", "1000"]) as held:
            Path(joined).write_text(str(held.pid))
            assert cgroups.usage(f"{parent}/{spec.uid}").processes == 1
            groups.apply(msgspec.structs.replace(spec, cpu_cap=0))
            assert (place / "cpu.max").read_text().split()[0] == "max"
            (place / "memory.max").write_text(str(8 * MIB))
            greedy = ["/bin/busybox", "sh", "-c", f"echo $$ >{joined}; {GREEDY}"]
            assert subprocess.run(greedy, check=False).returncode == -signal.SIGKILL
            used = cgroups.usage(f"{parent}/{spec.uid}")
            assert (used.oom_kills, used.memory_limit_bytes) == (1, 8 * MIB)
            (place / "cgroup.kill").write_text("1")
            assert held.wait(10) == -signal.SIGKILL
    finally:
        groups.remove(spec.uid)
        cgroups.remove_empty(parent)
    assert not place.exists()
    assert not place.parent.exists()
