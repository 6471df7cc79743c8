"""Disk images: an ext4 file system made without mounting anything, as a qcow2 file.

The same input gives the same bytes: identifiers and times are fixed. Files are written by debugfs
and not by `mke2fs -d`, which copies owner and change time of the files it finds. Clones of an image
share its identifier, as clones of any image do.
"""

from __future__ import annotations

import asyncio
import stat
from typing import TYPE_CHECKING, Final

from fifo.hypervisors.linux.guests import commands, file_tree
from fifo.model.errors import DriverFailed

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from fifo.hypervisors.linux.guests.commands import Run
    from fifo.hypervisors.linux.guests.file_tree import Entry

MIB: Final = 1024 * 1024
UUID: Final = "f1f00000-0000-4000-8000-000000000001"
HASH_SEED: Final = "f1f00000-0000-4000-8000-000000000002"
FAKE_TIME: Final = "E2FSPROGS_FAKE_TIME=1"
"""One second after the epoch; 0 would mean the present."""


async def ext4(
    run: Run,
    tools: Mapping[str, str],
    image: Path,
    *,
    size_mib: int,
    label: str,
    files: Mapping[str, Entry],
) -> None:
    """Make a raw image of `size_mib` MiB at `image` with regular files and their directories in it.

    Raises DriverFailed with what mke2fs or debugfs complained about.
    """
    extended = f"root_owner=0:0,hash_seed={HASH_SEED}"
    fixed = [tools["env"], FAKE_TIME, tools["mke2fs"], "-q", "-t", "ext4"]
    wanted = ["-L", label, "-U", UUID, "-E", extended, str(image), f"{size_mib}M"]
    await commands.output(run, [*fixed, *wanted])
    if not files:
        return
    work = image.with_suffix(".files")
    script = await asyncio.to_thread(_stage, work, files)
    there = [tools["env"], f"--chdir={work}", FAKE_TIME]
    argv = [*there, tools["debugfs"], "-w", "-f", str(script), str(image)]
    done = await run(argv, deadline_s=commands.DEADLINE_S)
    # It tells its version there, and ends with 0 whatever went wrong.
    complaints = [line for line in done.stderr.decode().splitlines() if "debugfs 1." not in line]
    if complaints or done.status != 0:
        raise DriverFailed(
            f"could not write into the image: {'; '.join(complaints)}",
            str(image),
            "look for room on the disk",
        )


def _stage(work: Path, files: Mapping[str, Entry]) -> Path:
    """Write each file under a number, and the script that copies them under their names."""
    work.mkdir()
    lines = []
    for number, (path, entry) in enumerate(file_tree.complete(files).items()):
        if stat.S_ISDIR(entry.mode):
            lines.append(f"mkdir /{path}\n")
        else:
            (work / str(number)).write_bytes(entry.content)
            lines.append(f"write {number} /{path}\n")
    script = work / "script"
    script.write_text("".join(lines), encoding="utf-8")
    return script


async def qcow2(run: Run, tools: Mapping[str, str], raw: Path, image: Path) -> None:
    """Convert a raw image, and drop the raw one."""
    argv = [tools["qemu-img"], "convert", "-f", "raw", "-O", "qcow2", str(raw), str(image)]
    await commands.output(run, argv)
    await asyncio.to_thread(raw.unlink)
