"""Reading control groups of both versions, from files as the kernel writes them."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from fifo.hypervisors.driver import NicStats
from fifo.hypervisors.linux import cgroups, facts, measuring
from fifo.hypervisors.linux.cgroups import Usage

if TYPE_CHECKING:
    from pathlib import Path

OWN = "/fifo-ta/zone"


def write(root: Path, files: dict[str, str]) -> None:
    """Write files below a directory."""
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def test_version_one(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "memory/memory.memsw.limit_in_bytes": "1",
            "memory/fifo-ta/zone/memory.usage_in_bytes": "5000\n",
            "memory/fifo-ta/zone/memory.limit_in_bytes": "67108864\n",
            "memory/fifo-ta/zone/memory.stat": "cache 9\ntotal_inactive_file 1000\n",
            "memory/fifo-ta/zone/memory.oom_control": "under_oom 0\noom_kill 2\n",
            "cpuacct/fifo-ta/zone/cpuacct.usage": "1500000000\n",
            "pids/fifo-ta/zone/pids.current": "3\n",
            "blkio/fifo-ta/zone/blkio.throttle.io_service_bytes_recursive": (
                "8:0 Read 100\n8:0 Write 200\n8:16 Read 1\n8:16 Total 1\nTotal 301\n"
            ),
            "blkio/fifo-ta/zone/blkio.throttle.io_serviced_recursive": "8:0 Read 5\n8:0 Write 6\n",
        },
    )
    assert cgroups.version(tmp_path) == "v1"
    assert cgroups.counts_swap(tmp_path)
    assert not cgroups.has_io_weight(tmp_path)
    assert cgroups.usage(OWN, tmp_path) == Usage(1.5, 4000, 67108864, 3, 101, 200, 5, 6, 2)
    write(tmp_path, {"unified/cgroup.controllers": "hugetlb\n"})
    assert cgroups.version(tmp_path) == "hybrid"
    assert len(list(cgroups.paths(OWN, tmp_path))) == 4


def test_no_limit_of_version_one_is_a_large_number(tmp_path: Path) -> None:
    write(tmp_path, {"memory/fifo-ta/zone/memory.limit_in_bytes": "9223372036854771712\n"})
    assert cgroups.usage(OWN, tmp_path).memory_limit_bytes == 0


def test_version_two(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "cgroup.controllers": "cpuset cpu io memory pids\n",
            "system.slice/memory.swap.max": "max\n",
            "fifo-ta/zone/memory.current": "5000\n",
            "fifo-ta/zone/memory.max": "67108864\n",
            "fifo-ta/zone/memory.stat": "anon 9\ninactive_file 1000\n",
            "fifo-ta/zone/memory.events": "low 0\noom_kill 2\n",
            "fifo-ta/zone/cpu.stat": "usage_usec 1500000\nuser_usec 1\n",
            "fifo-ta/zone/pids.current": "3\n",
            "fifo-ta/zone/io.stat": (
                "8:0 rbytes=100 wbytes=200 rios=5 wios=6 dbytes=0 dios=0\n8:16 rbytes=1 wbytes=0\n"
            ),
        },
    )
    assert cgroups.version(tmp_path) == "v2"
    assert cgroups.counts_swap(tmp_path)
    assert not cgroups.has_io_weight(tmp_path)
    assert cgroups.usage(OWN, tmp_path) == Usage(1.5, 4000, 67108864, 3, 101, 200, 5, 6, 2)
    write(tmp_path, {"fifo-ta/zone/memory.max": "max\n"})
    assert cgroups.usage(OWN, tmp_path).memory_limit_bytes == 0
    assert list(cgroups.paths(OWN, tmp_path)) == [tmp_path / "fifo-ta" / "zone"]


def test_a_group_that_has_ended_uses_nothing(tmp_path: Path) -> None:
    assert cgroups.version(tmp_path) == "none"
    assert cgroups.usage(OWN, tmp_path) == Usage()


def test_only_an_empty_group_is_removed(tmp_path: Path) -> None:
    (tmp_path / "memory" / "fifo-ta" / "zone").mkdir(parents=True)
    cgroups.remove_empty("/fifo-ta", tmp_path)
    assert (tmp_path / "memory" / "fifo-ta").exists()
    cgroups.remove_empty(OWN, tmp_path)
    cgroups.remove_empty("/fifo-ta", tmp_path)
    assert not (tmp_path / "memory" / "fifo-ta").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root: only root gives files away")
@pytest.mark.parametrize("place", ["systemd", ""])
def test_a_group_is_delegated_and_its_limits_are_not(tmp_path: Path, place: str) -> None:
    group = tmp_path / place / "fifo-ta" / "zone"
    write(group, {"cgroup.procs": "", "memory.max": "max"})
    if not place:
        write(tmp_path, {"cgroup.controllers": "memory"})
    cgroups.delegate(OWN, 1_000_000, tmp_path)
    assert group.stat().st_uid == (group / "cgroup.procs").stat().st_uid == 1_000_000
    assert (group / "memory.max").stat().st_uid == 0
    assert group.parent.stat().st_uid == 0


NET_DEV = """\
Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop
    lo:       1       2    0    0    0     0          0         0        3       4    0    0
  eth0:    1000      10    0    0    0     0          0         0     2000      20    0    0
"""


def test_the_interfaces_of_a_zone_are_counted_from_its_side(tmp_path: Path) -> None:
    (tmp_path / "dev").write_text(NET_DEV)
    assert list(measuring.nics(tmp_path / "dev")) == [NicStats("eth0", 1000, 2000, 10, 20)]
    assert list(measuring.nics(tmp_path / "gone")) == []


def test_what_the_host_says_of_itself() -> None:
    assert facts.boot_time("cpu 1 2\nbtime 1700000000\n") == 1_700_000_000.0
    assert facts.memory_mib("MemTotal:  2048 kB\nMemFree: 1 kB\n") == 2
    assert facts.capacity(5 * 1024**3).disk == 5


def test_a_group_is_there_while_a_host_of_version_two_is_looked_at(tmp_path: Path) -> None:
    write(tmp_path, {"cgroup.controllers": "cpuset cpu io memory pids\n"})
    with cgroups.looked_into(tmp_path):
        assert [path for path in tmp_path.iterdir() if path.is_dir()] != []
    assert [path for path in tmp_path.iterdir() if path.is_dir()] == []
    assert (tmp_path / "cgroup.subtree_control").read_text() == "+memory +cpu +pids +io"


def test_a_host_that_lets_nobody_make_groups_is_looked_at_all_the_same(tmp_path: Path) -> None:
    # A directory is where the kernel's file would be, so that it cannot be written.
    write(tmp_path, {"cgroup.controllers": "memory\n", "cgroup.subtree_control/x": ""})
    with cgroups.looked_into(tmp_path):
        assert not cgroups.counts_swap(tmp_path)
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith("fifo")] == []
