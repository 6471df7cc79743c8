"""What a demo has left on this machine, however it came to its end: found, and removed.

Whose a process is, is told by the demo's directory in its command line, or in the mount that is its
root: names on the host alone prove nothing, another node could have them.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
import stat
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from fifo.cli.serving.directories import PASSABLE
from fifo.hypervisors.linux import cgroups, mounting
from fifo.hypervisors.linux.guests import spawning
from fifo.hypervisors.linux.keeper_client import KeeperClient, start_keeper
from fifo.hypervisors.linux.layout import GONE, NEW
from fifo.hypervisors.linux.leftovers import Leftovers, leftovers
from fifo.hypervisors.linux.opening import open_driver
from fifo.hypervisors.linux.process_end import ended
from fifo.hypervisors.linux.settings import NicTag, Settings
from fifo.hypervisors.linux.storage.btrfs import is_btrfs
from fifo.hypervisors.linux.storage.pool import remove_tree
from fifo.model.errors import DriverFailed, FifoError, NotReady, Unavailable

if TYPE_CHECKING:
    from collections.abc import Iterator

PREFIX: Final = "demo"
DIRECTORY: Final = "fifo-real-demo-"
"""What the directory of a demo with real zones begins with."""
NOBODY: Final = "00000000-0000-4000-8000-000000000000"
"""No instance's uid: when it is deleted the driver removes what instances had shared."""
END_S: Final = 10.0
"""For processes that were killed: more than the kernel takes for the memory of a VM."""
KEEPER_S: Final = 1.0
"""For a keeper that is there to answer."""
REMOVE_S: Final = 60.0
_NAME: Final = re.compile(rf"/({DIRECTORY}\w+)")
_PATH: Final = re.compile(rf"(/[^\0\s,:=]*/{DIRECTORY}\w+)")
_PROC: Final = Path("/proc")
_KEEPER: Final = "fifo.hypervisors.linux.keeper"


def make() -> Path:
    """Make a demo's directory; zones' users, who are none of the host's, may enter it."""
    base = Path(tempfile.mkdtemp(prefix=DIRECTORY))
    base.chmod(PASSABLE)
    return base


async def look(base: Path) -> Leftovers:
    """Look for what is on the host with the demo's prefix, or below its directory."""
    return await leftovers(spawning_with_netns, _settings(base))


def told(left: Leftovers) -> str:
    """List what is left in words."""
    found = left._asdict().items()
    return "; ".join(f"{kind} {', '.join(names)}" for kind, names in found if names)


async def clear_earlier(base: Path) -> list[str]:
    """Clear away what earlier demos have left; gives their directories.

    Called under the lock, before a demo's node is started in `base`. Raises NotReady where
    something has the demo's prefix that is no demo's, or where something cannot be removed.
    """
    strangers = sorted(pid for pid in _members() if not _demo_of(pid))
    if strangers:
        pids = " ".join(map(str, strangers))
        raise NotReady(
            f"processes of zones or VMs with the prefix {PREFIX!r} run here and are no demo's"
            f" ({pids})", "this machine",
            f"stop the node with that prefix; if there is none: kill -9 {pids}",
        )  # fmt: skip
    found = sorted(_earlier() - {base})
    for each in found:
        await clear(each)
        await remove(each)
    if not (await look(base)).none:
        # What nothing names a directory of, such as links; the driver knows them by the prefix.
        await clear(base)
    left = await look(base)
    if not left.none:
        raise NotReady(f"an earlier demo left this: {told(left)}", "this machine", "remove it")
    return [str(each) for each in found]


def directories(beginning: str) -> Iterator[Path]:
    """Yield the directories of this user's demos whose names begin so."""
    for path in Path(tempfile.gettempdir()).glob(f"{beginning}*"):
        try:
            found = path.lstat()
        except FileNotFoundError:
            continue  # Its demo has just ended.
        if stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid():
            yield path


def _earlier() -> set[Path]:
    """Find the directories of earlier demos, those that only their processes still name, too."""
    found = {path.name: path for path in directories(DIRECTORY)}
    # Keepers first: their command lines have the whole path, which a zone's root may not have.
    for pid in (*_keepers(), *_members()):
        name, path = _demo_of(pid), _PATH.search(_read(pid, "cmdline"))
        if name and name not in found:
            found[name] = Path(path[1]) if path else Path(tempfile.gettempdir(), name)
    return set(found.values())


async def clear(base: Path) -> None:
    """Remove all instances of a demo, and end its keeper: by the driver, and by force what stays.

    Called when its node has ended. It raises nothing for what cannot be removed: `look` tells.
    """
    with contextlib.suppress(FifoError, OSError):
        await _delete_instances(base)
    await end_keeper(base)
    await _kill_all(base)
    _remove_groups()
    for path in mounting.mounted_below(base):
        with contextlib.suppress(OSError):
            mounting.unmount(path)


async def _kill_all(base: Path) -> None:
    """Kill what is of a demo, and wait until it has ended."""
    with contextlib.ExitStack() as stack:
        killed: list[int] = []
        for pid in (*_members(), *_keepers()):
            try:
                process = os.pidfd_open(pid)
            except ProcessLookupError:
                continue
            stack.callback(os.close, process)
            # Held before it is looked at: nobody else gets its number meanwhile.
            if _demo_of(pid) == base.name:
                with contextlib.suppress(ProcessLookupError):
                    signal.pidfd_send_signal(process, signal.SIGKILL)
                killed.append(process)
        await asyncio.gather(*(ended(process, END_S) for process in killed))


async def end_keeper(base: Path) -> None:
    """End a demo's keeper, if there is one."""
    with contextlib.suppress(Unavailable):
        keeper = await KeeperClient.connect(_keeper(base), patience_s=KEEPER_S)
        await keeper.shutdown(force=True)
        await keeper.close()


async def remove(base: Path) -> None:
    """Remove a demo's directory, but never through a mount; raises DriverFailed if there is one."""
    mounts = [str(path) for path in mounting.mounted_below(base)]
    if mounts:
        raise DriverFailed(
            f"something is mounted in it still: {', '.join(mounts)}", str(base),
            "unmount that, and remove the directory",
        )  # fmt: skip
    await remove_tree(spawning_with_netns, base, REMOVE_S)


async def leave(base: Path) -> Leftovers:
    """Remove what is there of a demo; gives what could not be removed.

    Called when its node has ended, on the node's loop.
    """
    await _stop_following()
    # On btrfs images are subvolumes, which do not go with their directory.
    if (await look(base)).none and not is_btrfs(base):
        await end_keeper(base)
        await _kill_all(base)
    else:
        await clear(base)
    return await look(base)


async def _stop_following() -> None:
    """End the node's own tasks: its driver would start another keeper for one that ends."""
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    if others:
        await asyncio.wait(others, timeout=END_S)


async def _delete_instances(base: Path) -> None:
    """Have a driver delete all that is in the directory; one after the other."""
    await start_keeper(_keeper(base))
    keeper = await KeeperClient.connect(_keeper(base), patience_s=KEEPER_S)
    settings = _settings(base)
    try:
        driver = await open_driver(settings, keeper, _keeper(base))
        try:
            for path in sorted((settings.state_dir / "instances").iterdir()):
                await driver.delete(path.name.removeprefix(NEW).removeprefix(GONE))
            for uid in await driver.images():
                await driver.delete_image(uid)
            await driver.delete(NOBODY)
        finally:
            await driver.close()
    finally:
        await keeper.close()


def _settings(base: Path) -> Settings:
    return Settings(
        state_dir=base / "data" / "instances",
        run_dir=base / "run" / "linux",
        prefix=PREFIX,
        nic_tags={"lan": NicTag(gateway=True)},
    )


def _keeper(base: Path) -> Path:
    return base / "run" / "keeper"


def _groups() -> Iterator[Path]:
    """Yield the control groups of the demo's instances, the deepest first."""
    for group in cgroups.paths(_settings(Path("/")).cgroup):
        yield from sorted((path for path in group.rglob("*") if path.is_dir()), reverse=True)
        yield group


def _members() -> set[int]:
    """Find the processes in those groups: zones' and VMs'."""
    found: set[int] = set()
    for group in _groups():
        with contextlib.suppress(OSError):
            found.update(map(int, (group / "cgroup.procs").read_text(encoding="ascii").split()))
    return found


def _remove_groups() -> None:
    for group in _groups():
        with contextlib.suppress(OSError):
            group.rmdir()


def _keepers() -> set[int]:
    """Find the keepers and holders of demos."""
    lines = {int(path.name): _read(int(path.name), "cmdline") for path in _PROC.glob("[0-9]*")}
    return {pid for pid, line in lines.items() if _KEEPER in line and _NAME.search(line)}


def _demo_of(pid: int) -> str:
    """Tell by the name of its directory of which demo a process is, empty if of none."""
    found = _NAME.search(_read(pid, "cmdline"))
    if found is None:
        # proc(5): the fourth field is the root on its disk, as of btrfs' subvolumes, the fifth
        # where it is mounted; the last are an overlay's directories.
        mounts = _read(pid, "mountinfo").splitlines()
        root = next((line for line in mounts if line.split()[4] == "/"), "")
        found = _NAME.search(root)
    return found[1] if found else ""


def _read(pid: int, name: str) -> str:
    try:
        return (_PROC / str(pid) / name).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


async def spawning_with_netns(
    argv: Any, *, stdin: bytes = b"", deadline_s: float, netns: str | None = None
) -> Any:
    """Run a command as the driver's runner does; nothing here asks for another namespace."""
    assert netns is None
    return await spawning.run(argv, stdin=stdin, deadline_s=deadline_s)
