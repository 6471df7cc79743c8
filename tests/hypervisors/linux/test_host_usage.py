"""A host's own figures, as its kernel writes them."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from fifo.hypervisors.linux import host_usage

if TYPE_CHECKING:
    from pathlib import Path

STAT = "cpu  100 1 200 3000 40 0 5 6 7 8\ncpu0 50 1 100 1500 20 0 2 3 3 4\nbtime 1700000000\n"
MEMINFO = "MemTotal: 1000 kB\nMemFree: 10 kB\nMemAvailable: 600 kB\nHugePages_Total: 3\n"


@pytest.fixture
def proc(tmp_path: Path) -> Path:
    (tmp_path / "stat").write_text(STAT)
    (tmp_path / "meminfo").write_text(MEMINFO)
    (tmp_path / "loadavg").write_text("0.50 1.25 2.00 3/300 4711\n")
    return tmp_path


def test_load_processors_memory_and_storage_are_told_in_base_units(proc: Path) -> None:
    usage = host_usage.read(proc, proc)
    ticks = os.sysconf("SC_CLK_TCK")
    assert usage.load == (0.5, 1.25, 2.0)
    assert usage.cpu_seconds["idle"] == 3000 / ticks
    assert usage.cpu_seconds["steal"] == 6 / ticks
    assert list(usage.cpu_seconds) == list(host_usage.MODES)
    assert (usage.memory_bytes, usage.memory_available_bytes) == (1000 * 1024, 600 * 1024)
    assert 0 < (usage.storage_available_bytes or 0) <= (usage.storage_bytes or 0)


def test_what_a_kernel_does_not_tell_is_not_told_of(proc: Path) -> None:
    (proc / "meminfo").write_text("MemTotal: 1000 kB\n")
    (proc / "stat").write_text("cpu  100 1 200\n")
    usage = host_usage.read(proc, proc)
    assert usage.memory_available_bytes is None
    assert list(usage.cpu_seconds) == ["user", "nice", "system"]


@pytest.mark.parametrize("hidden", ["stat", "meminfo", "loadavg"])
def test_a_file_that_is_hidden_takes_nothing_else_away(proc: Path, hidden: str) -> None:
    (proc / hidden).unlink()
    usage = host_usage.read(proc, proc)
    told = {
        "stat": bool(usage.cpu_seconds),
        "meminfo": usage.memory_bytes is not None,
        "loadavg": bool(usage.load),
    }
    assert [name for name, is_told in told.items() if not is_told] == [hidden]
    assert usage.storage_bytes is not None


def test_a_storage_that_does_not_answer_has_no_room_to_tell_of(proc: Path) -> None:
    usage = host_usage.read(proc / "gone", proc)
    assert (usage.storage_bytes, usage.storage_available_bytes) == (None, None)
    assert usage.load == (0.5, 1.25, 2.0)


def test_processors_whose_time_nobody_counts_are_not_told_as_idle(proc: Path) -> None:
    (proc / "stat").write_text("cpu  0 0 0 0 0 0 0 0 0 0\n")
    assert host_usage.read(proc, proc).cpu_seconds == {}
