"""The same virtual machine without FiFo: an overlay by qemu-img, QEMU, its serial line.

Run as `python -m benchmarks.programs.bare_vm COUNT`.
"""

from __future__ import annotations

import asyncio
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.programs.meter import emit
from fifo.hypervisors.linux.guests import spawning, vm_images

PROMPT = b"# "


def boot(disk: Path, backing: Path) -> float:
    """Boot a fresh overlay and give the seconds to its prompt."""
    began_s = time.perf_counter()
    subprocess.run(
        ("/usr/bin/env", "qemu-img", "create", "-q", "-f", "qcow2", "-F", "qcow2", "-b",
         str(backing), str(disk)),
        check=True,
    )  # fmt: skip
    command = (
        "/usr/bin/env qemu-system-x86_64 -M q35 -cpu qemu64 -m 128 -accel tcg,tb-size=64"
        " -nodefaults -display none -no-reboot -serial stdio -netdev user,id=n0"
        " -device virtio-net-pci,netdev=n0 -device virtio-blk-pci,drive=d0 -boot c"
    )
    with subprocess.Popen(
        (*command.split(), "-drive", f"if=none,id=d0,file={disk},format=qcow2"),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as machine:
        assert machine.stdout is not None
        seen = b""
        while PROMPT not in seen:
            byte = machine.stdout.read1(4_096)  # type: ignore[attr-defined]
            assert byte, "QEMU ended"
            seen += byte
        took_s = time.perf_counter() - began_s
        machine.kill()
    return took_s


def main() -> None:
    """Measure."""
    with tempfile.TemporaryDirectory() as directory:
        base = Path(directory)
        image = asyncio.run(vm_images.disk(spawning.run, base / "guests"))
        backing = image.path("disk")
        times = [boot(base / f"{number}.qcow2", backing) for number in range(int(sys.argv[1]))]
    emit("vm_to_prompt", statistics.median(times), "s")


if __name__ == "__main__":
    main()
