"""Reading control groups, of version 1 and 2: what instances use and may use.

Limits are written by the OCI runtime, those of VMs by `vm.control_group`; here they are read. A
file that is not there counts as nothing: the group has ended, or the kernel has no such controller.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT: Final = Path("/sys/fs/cgroup")
UNLIMITED_BYTES: Final = 2**60
"""Version 1 writes "no limit" as a number near 2**63, rounded to pages."""
DELEGATED: Final = ("cgroup.procs", "cgroup.threads", "cgroup.subtree_control", "tasks")
"""The files of a group by which processes are moved."""
HANDED_DOWN: Final = ("memory", "cpu", "pids", "io")
"""Controllers of version 2 that limit or count what an instance uses."""
Version = Literal["v1", "hybrid", "v2", "none"]


class Usage(NamedTuple):
    """What a group uses: counters since it was made, and levels; a limit of 0 is none."""

    cpu_seconds: float = 0.0
    memory_bytes: int = 0
    memory_limit_bytes: int = 0
    processes: int = 0
    read_bytes: int = 0
    written_bytes: int = 0
    reads: int = 0
    writes: int = 0
    oom_kills: int = 0


def version(root: Path = ROOT) -> Version:
    """Tell what is mounted: `hybrid` is version 1 with an (almost) empty version 2 beside it."""
    if (root / "cgroup.controllers").exists():
        return "v2"
    if not (root / "memory").exists():
        return "none"
    return "hybrid" if (root / "unified" / "cgroup.controllers").exists() else "v1"


def hand_down(root: Path, *below: Path) -> None:
    """Let the groups in the root of version 2, then in those `below`, have what controllers it has.

    Raises OSError.
    """
    found = set((root / "cgroup.controllers").read_text(encoding="ascii").split())
    wanted = " ".join(f"+{name}" for name in HANDED_DOWN if name in found)
    for level in (root, *below):
        (level / "cgroup.subtree_control").write_text(wanted, encoding="ascii")


@contextlib.contextmanager
def looked_into(root: Path = ROOT) -> Iterator[None]:
    """Have a group below the root as long as somebody looks at what files groups have.

    The root of version 2 has none of them itself, and a host without systemd no group before the
    first instance; one with it hands down only what its own services use.
    """
    trial = root / f"fifo-trial-{os.getpid()}"
    made = False
    if version(root) == "v2":
        # Where that is not allowed no instance can have a group: the trial container says so.
        with contextlib.suppress(OSError):
            hand_down(root)
            trial.mkdir()
            made = True
    try:
        yield
    finally:
        if made:
            trial.rmdir()


def has_io_weight(root: Path = ROOT) -> bool:
    """Tell whether disks are shared by weight: only some schedulers of the kernel do that."""
    if version(root) == "v2":
        return any((group / "io.bfq.weight").exists() for group in root.glob("*/"))
    return any((root / "blkio" / name).exists() for name in ("blkio.weight", "blkio.bfq.weight"))


def counts_swap(root: Path = ROOT) -> bool:
    """Tell whether swap is counted with memory: some distributions switch that off."""
    if version(root) == "v2":
        return any((group / "memory.swap.max").exists() for group in root.glob("*/"))
    return (root / "memory" / "memory.memsw.limit_in_bytes").exists()


def paths(group: str, root: Path = ROOT) -> Iterator[Path]:
    """Yield where a group (`/fifo-ab/UID`) is there, in every hierarchy."""
    own = group.lstrip("/")
    if version(root) == "v2":
        candidates = [root / own]
    else:
        # cpu and cpu,cpuacct are one hierarchy under several names on most hosts.
        candidates = [path / own for path in sorted(root.iterdir()) if not path.is_symlink()]
    yield from (path for path in candidates if path.is_dir())


def remove_empty(group: str, root: Path = ROOT) -> None:
    """Remove a group where nothing is in it; one with processes or groups stays."""
    for path in paths(group, root):
        try:
            path.rmdir()
        except OSError:
            continue


def delegate(group: str, owner: int, root: Path = ROOT) -> None:
    """Let a user sort his processes into groups of his own below a group; limits stay the host's.

    An init that is a whole system needs that. Of version 1 it is the hierarchy without controllers
    that is named `systemd`; of version 2 the group itself (kernel: cgroup-v2, Delegation).
    """
    own = group.lstrip("/")
    place = root / own if version(root) == "v2" else root / "systemd" / own
    for path in (place, *(place / name for name in DELEGATED)):
        if path.exists():
            os.chown(path, owner, owner)


def usage(group: str, root: Path = ROOT) -> Usage:
    """Read what a group uses."""
    own = group.lstrip("/")
    return _usage_v2(root / own) if version(root) == "v2" else _usage_v1(root, own)


def _usage_v1(root: Path, own: str) -> Usage:
    memory, pids, disk = (root / name / own for name in ("memory", "pids", "blkio"))
    moved = _v1_totals(disk / "blkio.throttle.io_service_bytes_recursive")
    served = _v1_totals(disk / "blkio.throttle.io_serviced_recursive")
    limit = _number(memory / "memory.limit_in_bytes")
    return Usage(
        cpu_seconds=_number(root / "cpuacct" / own / "cpuacct.usage") / 1e9,
        memory_bytes=_used(
            _number(memory / "memory.usage_in_bytes"),
            _table(memory / "memory.stat").get("total_inactive_file", 0),
        ),
        memory_limit_bytes=0 if limit >= UNLIMITED_BYTES else limit,
        processes=_number(pids / "pids.current"),
        read_bytes=moved.get("Read", 0),
        written_bytes=moved.get("Write", 0),
        reads=served.get("Read", 0),
        writes=served.get("Write", 0),
        oom_kills=_table(memory / "memory.oom_control").get("oom_kill", 0),
    )


def _usage_v2(group: Path) -> Usage:
    moved: dict[str, int] = {}
    for line in _text(group / "io.stat").splitlines():
        for word in line.split()[1:]:
            name, _, value = word.partition("=")
            moved[name] = moved.get(name, 0) + int(value)
    limit = _text(group / "memory.max").strip()
    return Usage(
        cpu_seconds=_table(group / "cpu.stat").get("usage_usec", 0) / 1e6,
        memory_bytes=_used(
            _number(group / "memory.current"),
            _table(group / "memory.stat").get("inactive_file", 0),
        ),
        memory_limit_bytes=int(limit) if limit.isdecimal() else 0,
        processes=_number(group / "pids.current"),
        read_bytes=moved.get("rbytes", 0),
        written_bytes=moved.get("wbytes", 0),
        reads=moved.get("rios", 0),
        writes=moved.get("wios", 0),
        oom_kills=_table(group / "memory.events").get("oom_kill", 0),
    )


def _used(charged: int, inactive_file: int) -> int:
    """What could not be given back at once: the page cache nobody uses is not counted."""
    return max(0, charged - inactive_file)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii", errors="replace")
    except OSError:
        return ""


def _number(path: Path) -> int:
    text = _text(path).strip()
    return int(text) if text.isdecimal() else 0


def _table(path: Path) -> dict[str, int]:
    """Read lines like `oom_kill 0`."""
    found = (line.partition(" ") for line in _text(path).splitlines())
    return {name: int(value) for name, _, value in found if value.strip().isdecimal()}


def _v1_totals(path: Path) -> dict[str, int]:
    """Add up lines like `8:0 Read 4096` over the devices."""
    totals: dict[str, int] = {}
    for line in _text(path).splitlines():
        match line.split():
            case [_, kind, value] if value.isdecimal():
                totals[kind] = totals.get(kind, 0) + int(value)
            case _:
                pass
    return totals
