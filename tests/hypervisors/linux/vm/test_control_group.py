"""A VM's limits, as they are written for either version of control groups."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from fifo.hypervisors.linux.host import Facts
from fifo.hypervisors.linux.vm.control_group import ControlGroups, memory_limit_mib, settings
from fifo.model.errors import DriverFailed
from fifo.model.instance import InstanceSpec

UID = "00000000-0000-4000-8000-000000000001"
MIB = 1024 * 1024
V1 = Facts(boot_id="b", cgroups="hybrid", swap=True, io_weight=True)
V2 = Facts(boot_id="b", cgroups="v2", swap=True, io_weight=True)


def spec(**fields: Any) -> InstanceSpec:
    return InstanceSpec(
        uid=UID, id="i", org="default", generation=1, wanted="running", brand="kvm",
        create_time=0.0, **{"ram": 512, "max_physical_memory": 1536, "max_swap": 2048, **fields},
    )  # fmt: skip


@pytest.mark.parametrize(
    ("ram", "max_physical_memory", "limit"),
    [(512, 1536, 1536), (512, 512, 768), (256, 0, 512), (1024, 1280, 1280)],
)
def test_qemu_has_what_it_needs_beside_the_guest(
    ram: int, max_physical_memory: int, limit: int
) -> None:
    assert memory_limit_mib(spec(ram=ram, max_physical_memory=max_physical_memory)) == limit


TABLE = {
    ("v1", 0): {
        "memory.limit_in_bytes": str(1536 * MIB), "memory.memsw.limit_in_bytes": str(2048 * MIB),
        "cpu.cfs_period_us": "100000", "cpu.cfs_quota_us": "-1", "cpu.shares": "100",
        "pids.max": "258", "blkio.weight": "100",
    },
    ("v1", 150): {"cpu.cfs_quota_us": "150000"},
    ("v2", 0): {
        "memory.max": str(1536 * MIB), "memory.swap.max": str(512 * MIB),
        "cpu.max": "max 100000", "cpu.weight": "4", "pids.max": "258", "io.bfq.weight": "100",
    },
    ("v2", 150): {"cpu.max": "150000 100000"},
}  # fmt: skip


@pytest.mark.parametrize(("version", "cap"), TABLE)
def test_limits_are_written_in_the_kernels_units(version: str, cap: int) -> None:
    facts = V2 if version == "v2" else V1
    written = {each.file: each.value for each in settings(spec(cpu_cap=cap, vcpus=2), facts)}
    expected = TABLE[version, cap]
    assert {name: written[name] for name in expected} == expected


@pytest.mark.parametrize("facts", [V1, V2])
def test_what_the_kernel_does_not_count_is_not_written(facts: Facts) -> None:
    written = {each.file for each in settings(spec(), facts._replace(swap=False, io_weight=False))}
    assert not {name for name in written if "sw" in name or "weight" in name} - {"cpu.weight"}


def hierarchies(root: Path, *names: str) -> None:
    for name in names:
        (root / name).mkdir()


def test_every_hierarchy_gets_a_group_and_the_file_to_join_it(tmp_path: Path) -> None:
    hierarchies(tmp_path, "memory", "cpu,cpuacct", "pids")
    for name in ("cpu", "cpuacct"):
        (tmp_path / name).symlink_to("cpu,cpuacct")
    groups = ControlGroups(V1, "/fifo-ab", tmp_path)
    joined = groups.make(spec(cpu_cap=50))
    assert set(joined) == {
        str(tmp_path / name / "fifo-ab" / UID / "cgroup.procs")
        for name in ("memory", "cpu,cpuacct", "pids")
    }
    group = tmp_path / "cpu,cpuacct" / "fifo-ab" / UID
    assert (group / "cpu.cfs_quota_us").read_text() == "50000"
    groups.apply(spec(cpu_cap=0))
    assert (group / "cpu.cfs_quota_us").read_text() == "-1"


def test_controllers_are_handed_down_level_by_level(tmp_path: Path) -> None:
    (tmp_path / "cgroup.controllers").write_text("cpuset cpu io memory pids")
    groups = ControlGroups(V2, "/fifo-ab", tmp_path)
    assert groups.make(spec()) == (str(tmp_path / "fifo-ab" / UID / "cgroup.procs"),)
    for level in (tmp_path, tmp_path / "fifo-ab"):
        assert (level / "cgroup.subtree_control").read_text() == "+memory +cpu +pids +io"
    assert (tmp_path / "fifo-ab" / UID / "pids.max").read_text() == "257"


def test_a_limit_that_waits_for_another_is_written_after_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hierarchies(tmp_path, "memory")
    order = []

    def write_text(path: Path, value: str, encoding: str) -> None:
        assert (value, encoding) != ("", "")
        if path.name == "memory.limit_in_bytes" and "memory.memsw.limit_in_bytes" not in order:
            raise OSError(22, "Invalid argument")
        order.append(path.name)

    monkeypatch.setattr(Path, "write_text", write_text)
    ControlGroups(V1, "/fifo-ab", tmp_path).apply(spec())
    assert order[-2:] == ["memory.memsw.limit_in_bytes", "memory.limit_in_bytes"]


def test_what_the_kernel_refuses_is_said(tmp_path: Path) -> None:
    hierarchies(tmp_path, "memory")
    groups = ControlGroups(V1, "/fifo-ab", tmp_path)
    with pytest.raises(DriverFailed, match=r"memory\.limit_in_bytes 1610612736"):
        groups.apply(spec())
