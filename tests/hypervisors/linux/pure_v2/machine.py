"""A machine whose control groups are of version 2 alone, as a QEMU process without KVM."""

from __future__ import annotations

import asyncio
import re
import shlex
import subprocess
import sys
from typing import TYPE_CHECKING, Final, NamedTuple

from fifo.hypervisors.linux.guests import (
    busybox,
    file_tree,
    kernel_modules,
    kernel_package,
    requirements,
    spawning,
    vmlinux,
)
from tests.house.source import ROOT
from tests.hypervisors.linux.pure_v2 import disk

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from fifo.hypervisors.linux.guests.file_tree import Tree

MODULES: Final = (
    "virtio_pci", "virtio_blk", "overlay", "bridge", "veth", "tun", "bfq", "nf_tables",
    "nft_meta_bridge", "nft_limit", "nft_log", "nft_ct", "nft_reject_bridge", "nft_compat",
)  # fmt: skip
"""What zones take of a kernel that has few things built in."""
MEMORY_MIB: Final = 1_024
PROCESSORS: Final = 2
ARGUMENTS: Final = (
    "console=ttyS0 quiet nokaslr mitigations=off no_timer_check panic=-1"
    " tsc=unstable clocksource=hpet"
)
"""The kernel measures its TSC at the start: where this machine is busy then, it takes it for far
slower than it is, and all deadlines are over in no time."""
FIRST: Final = """\
#!/bin/sh
export PATH=/bin:/sbin:/usr/bin:/usr/sbin
mount -t proc proc /proc
mount -t devtmpfs dev /dev
while read -r module; do insmod "/lib/modules/$module.ko"; done </lib/modules/order
mount -t ext4 /dev/vda /new
cp /command /new/command
exec switch_root /new {init}
"""
SECOND: Final = """\
#!/bin/busybox sh
export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root TERM=dumb LANG=C.UTF-8
mount -t proc proc /proc
mount -t sysfs sysfs /sys
[ -e /dev/null ] || mount -t devtmpfs dev /dev
mkdir -p /dev/pts /dev/shm
mount -t devpts devpts /dev/pts
mount -t tmpfs tmpfs /dev/shm
mount -t tmpfs tmpfs /run
mount -t cgroup2 cgroup2 /sys/fs/cgroup
echo bfq >/sys/block/vda/queue/scheduler
ip link set lo up
hostname pure-v2
sh /command 2>&1
echo "status: $?"
poweroff -f
"""
STATUS: Final = re.compile(r"^status: (\d+)\s*$", re.MULTILINE)


class Ran(NamedTuple):
    """What a command in the machine wrote and ended with; None if it never did."""

    said: str
    status: int | None


class Machine(NamedTuple):
    """What it boots from; the disk stays as it is, whatever a command does to it."""

    kernel: Path
    modules: dict[str, bytes]
    box: busybox.Busybox
    disk: Path


def make(scratch: Path) -> Machine:
    """Take the kernel of Debian's package, and write the disk; 20 s."""
    return asyncio.run(_make(scratch))


async def _make(scratch: Path) -> Machine:
    tools = requirements.locate(("env", "apt-cache", "apt-get", "busybox", "dpkg-deb", "mke2fs"))
    package = await kernel_package.newest(spawning.run, tools)
    root = await kernel_package.unpack(spawning.run, tools, package, scratch)
    (packed,) = (root / "boot").glob("vmlinuz-*")
    kernel = scratch / "vmlinux"
    kernel.write_bytes(vmlinux.extract(packed.read_bytes()))
    return Machine(
        kernel,
        kernel_modules.load_order(MODULES, kernel_modules.find(root)),
        await busybox.read(spawning.run, tools["busybox"]),
        disk.write(scratch, tools["mke2fs"], SECOND),
    )


def run(
    machine: Machine, scratch: Path, arguments: Sequence[str], limit_s: float, **environment: str
) -> Ran:
    """Boot it, run this project's Python there, and give what that said until the power was off."""
    words = ["env", *(f"{name}={value}" for name, value in environment.items())]
    command = shlex.join([*words, sys.executable, *arguments])
    initrd = scratch / "initrd"
    text = f"cd {shlex.quote(str(ROOT))} && {command}\n"
    initrd.write_bytes(file_tree.newc(_first_files(machine, text)))
    qemu = [
        "qemu-system-x86_64", "-machine", "q35", "-accel", "tcg,thread=multi", "-cpu", "max",
        "-smp", str(PROCESSORS), "-m", str(MEMORY_MIB), "-bios", "qboot.rom", "-no-reboot",
        "-nodefaults", "-display", "none", "-serial", "stdio", "-kernel", str(machine.kernel),
        "-initrd", str(initrd), "-append", ARGUMENTS,
        "-drive", f"file={machine.disk},format=raw,if=virtio,snapshot=on",
    ]  # fmt: skip
    try:
        done = subprocess.run(
            qemu, check=False, stdin=subprocess.DEVNULL, capture_output=True, timeout=limit_s
        )
        said = done.stdout + done.stderr
    except subprocess.TimeoutExpired as late:
        said = (late.stdout or b"") + b"\nit was killed: it took too long"
    told = said.decode(errors="replace").replace("\r\n", "\n")
    status = STATUS.search(told)
    return Ran(told, int(status[1]) if status else None)


def _first_files(machine: Machine, command: str) -> Tree:
    """Make the first root file system, with the command in it."""
    modules = machine.modules
    return {
        **machine.box.tree(),
        **dict.fromkeys(("proc", "sys", "dev", "new"), file_tree.DIRECTORY),
        **{f"lib/modules/{name}.ko": file_tree.file(data) for name, data in modules.items()},
        "lib/modules/order": file_tree.file("".join(f"{name}\n" for name in modules)),
        "command": file_tree.file(command),
        "init": file_tree.script(FIRST.format(init=f"/{disk.INIT}")),
    }
