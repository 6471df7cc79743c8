"""A disk that a BIOS boots: GRUB in the gap before the only partition, kernel and initrd inside it.

Layout, as GRUB expects it of a disk with a DOS partition table: its boot sector, which loads the
sector after it; its core image from there; the partition at 1 MiB. The core image holds the
commands that start the kernel, so there is no menu and no configuration to find. Source: GRUB's
manual, "BIOS installation" and "Images".
"""

from __future__ import annotations

import asyncio
import struct
from pathlib import Path
from typing import TYPE_CHECKING, Final

from fifo.hypervisors.linux.guests import commands, disks
from fifo.model.errors import Unsupported

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fifo.hypervisors.linux.guests.commands import Run
    from fifo.hypervisors.linux.guests.file_tree import Entry

SECTOR_BYTES: Final = 512
GAP_BYTES: Final = disks.MIB
"""Before the partition; where every partitioning tool begins it today."""
GRUB_DIRECTORY: Final = Path("/usr/lib/grub/i386-pc")
GRUB_MODULES: Final = ("biosdisk", "part_msdos", "ext2", "linux")
SIGNATURE: Final = b"fifo"
SIGNATURE_AT: Final = 440
PARTITIONS_AT: Final = 446
PARTITIONS: Final = 4
BOOTABLE: Final = 0x80
LINUX: Final = 0x83
NO_CYLINDERS: Final = b"\xfe\xff\xff"
"""Cylinder, head and sector of a partition that is addressed by its sector number."""
PARTITION: Final = struct.Struct("<B3sB3sII")
CONFIG: Final = """\
set root=(hd0,msdos1)
linux /boot/vmlinuz {kernel_args}
initrd /boot/initrd
boot
"""


async def write(
    run: Run,
    tools: Mapping[str, str],
    directory: Path,
    *,
    size_mib: int,
    label: str,
    files: Mapping[str, Entry],
    kernel_args: str,
) -> Path:
    """Make a raw disk of `size_mib` MiB in `directory` and return its path.

    `files` holds at least boot/vmlinuz and boot/initrd. Raises DriverFailed, Unsupported.
    """
    partition = directory / "partition.raw"
    inside_mib = size_mib - GAP_BYTES // disks.MIB
    await disks.ext4(run, tools, partition, size_mib=inside_mib, label=label, files=files)
    config, core = directory / "early.cfg", directory / "core.img"
    text = CONFIG.format(kernel_args=kernel_args)
    await asyncio.to_thread(config.write_text, text, encoding="utf-8")
    make = [tools["grub-mkimage"], "-O", "i386-pc", "-p", "/boot", "-d", str(GRUB_DIRECTORY)]
    made = ["-o", str(core), "-c", str(config), *GRUB_MODULES]
    await commands.output(run, [*make, *made])
    disk = directory / "disk.raw"
    await asyncio.to_thread(_assemble, disk, core, partition)
    return disk


def _assemble(disk: Path, core: Path, partition: Path) -> None:
    boot = (GRUB_DIRECTORY / "boot.img").read_bytes()
    head = boot_sector(boot, partition.stat().st_size) + core.read_bytes()
    if len(head) > GAP_BYTES:
        raise Unsupported("does not fit before the partition", str(core), "use fewer modules")
    with disk.open("wb") as target, partition.open("rb") as source:
        target.write(head)
        target.seek(GAP_BYTES)
        while chunk := source.read(disks.MIB):
            # Zeros stay holes.
            if any(chunk):
                target.write(chunk)
            else:
                target.seek(len(chunk), 1)
        target.truncate(target.tell())


def boot_sector(boot: bytes, partition_bytes: int) -> bytes:
    """Return GRUB's boot sector with a table of one bootable Linux partition behind the gap."""
    first, count = GAP_BYTES // SECTOR_BYTES, partition_bytes // SECTOR_BYTES
    entry = PARTITION.pack(BOOTABLE, NO_CYLINDERS, LINUX, NO_CYLINDERS, first, count)
    table = entry + bytes(PARTITION.size * (PARTITIONS - 1))
    sector = bytearray(boot)
    sector[SIGNATURE_AT : SIGNATURE_AT + len(SIGNATURE)] = SIGNATURE
    sector[PARTITIONS_AT : PARTITIONS_AT + len(table)] = table
    return bytes(sector)
