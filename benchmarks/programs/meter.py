"""CPU time and memory of this process as the kernel counts them, and the line a figure is."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


def now_cpu_s() -> float:
    """CPU seconds, user and system of all threads, spent so far by this process."""
    return time.process_time()


def cpu_s(work: Callable[[], object]) -> float:
    """CPU seconds, user and system of all threads, that `work` took; called by every program."""
    before = time.process_time()
    work()
    return time.process_time() - before


def rss_bytes() -> int:
    """Resident memory of this process in bytes, from /proc; called by the memory programs."""
    resident_pages = int(Path("/proc/self/statm").read_text().split()[1])
    return resident_pages * os.sysconf("SC_PAGE_SIZE")


def emit(name: str, value: float, unit: str) -> None:
    """Print one figure as the JSON line that `benchmarks.harness` reads."""
    print(json.dumps({"name": name, "value": value, "unit": unit}), flush=True)
