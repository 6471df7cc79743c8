"""A real VM: QEMU without KVM, its serial console on a socket pair, its monitor on a socket."""

from __future__ import annotations

import json
import re
import select
import socket
import subprocess
import time
from typing import TYPE_CHECKING, Any, Self

from fifo.hypervisors.linux.guests import vm
from tests.hypervisors.linux.guests.waiting import DEADLINE_S

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

    from fifo.hypervisors.linux.guests.image_cache import GuestImage

MAC = "52:54:00:ab:00:01"
ADDRESS = "10.77.0.5"
HOSTNAME = "vm1"
CIDATA = {
    "meta-data": f"instance-id: i-1\nlocal-hostname: {HOSTNAME}\n",
    "network-config": (
        "version: 2\nethernets:\n  eth0:\n"
        f'    match: {{macaddress: "{MAC.upper()}"}}\n'
        f"    addresses: [{ADDRESS}/24]\n    gateway4: 10.77.0.1\n"
    ),
    "user-data": "#!/bin/sh\necho from user-data >/run/told\n",
}
CURSOR_QUESTION = "\x1b[6n"
PROMPT = re.compile(re.escape(f"{vm.PROMPT}{HOSTNAME}]# "))


def boot_arguments(image: GuestImage) -> list[str]:
    """Return what QEMU is told to boot an image of either kind."""
    if image.manifest.boot == "disk":
        return ["-boot", "c"]
    kernel, initrd = str(image.path("kernel")), str(image.path("initrd"))
    direct = ["-bios", "qboot.rom", "-kernel", kernel, "-initrd", initrd]
    return [*direct, "-append", image.manifest.kernel_args]


def prepare(image: GuestImage, directory: Path) -> tuple[Path, Path]:
    """Make the disk of an instance, on the image's as its backing file, and its NoCloud disk."""
    disk, cidata = directory / "disk.qcow2", directory / "cidata"
    backing = ["-b", str(image.path("disk")), "-F", "qcow2", str(disk)]
    make = ["qemu-img", "create", "-q", "-f", "qcow2", *backing]
    subprocess.run(make, check=True, timeout=DEADLINE_S)
    cidata.mkdir()
    for name, text in CIDATA.items():
        (cidata / name).write_text(text, encoding="utf-8")
    iso = directory / "cidata.iso"
    options = ["-quiet", "-volid", "cidata", "-joliet", "-rock", "-o", str(iso), str(cidata)]
    argv = ["genisoimage", *options]
    subprocess.run(argv, check=True, timeout=DEADLINE_S)
    return disk, iso


class Machine:
    """A VM with 128 MiB; leaving the context ends it."""

    def __init__(self, image: GuestImage, directory: Path) -> None:
        self._monitor_path = directory / "qmp"
        self.disk, iso = prepare(image, directory)
        self._console, theirs = socket.socketpair()
        self._unread = ""
        network = f"user,id=n0,net=10.77.0.0/24,hostfwd=tcp:127.0.0.1:0-{ADDRESS}:80"
        devices = [
            f"if=none,id=d0,file={self.disk},format=qcow2",
            f"if=none,id=d1,file={iso},format=raw,readonly=on",
        ]
        argv = ["qemu-system-x86_64", "-M", "q35", "-cpu", "qemu64", "-m", "128"]
        argv += ["-accel", "tcg,tb-size=64", "-nodefaults", "-display", "none", "-no-reboot"]
        argv += ["-chardev", f"socket,id=s0,fd={theirs.fileno()}", "-serial", "chardev:s0"]
        argv += ["-qmp", f"unix:{self._monitor_path},server=on,wait=off"]
        argv += ["-netdev", network, "-device", f"virtio-net-pci,netdev=n0,mac={MAC}"]
        for number, drive in enumerate(devices):
            argv += ["-drive", drive, "-device", f"virtio-blk-pci,drive=d{number}"]
        argv += boot_arguments(image)
        self._qemu = subprocess.Popen(argv, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL)
        theirs.close()
        self._monitor: Any = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        where: TracebackType | None,
    ) -> None:
        self._qemu.kill()
        self._qemu.wait(DEADLINE_S)
        self._console.close()
        if self._monitor:
            self._monitor.close()

    def prompt(self) -> str:
        """Wait for the shell's prompt and return what the console showed before it."""
        end_s = time.monotonic() + DEADLINE_S
        while not (found := PROMPT.search(self._unread)):
            ready, _, _ = select.select([self._console], [], [], end_s - time.monotonic())
            data = self._console.recv(4096) if ready else b""
            assert data, f"no prompt, but: {self._unread!r}"
            self._unread = (self._unread + data.decode()).replace(CURSOR_QUESTION, "")
        text, self._unread = self._unread[: found.start()], self._unread[found.end() :]
        return text

    def type(self, command: str) -> str:
        """Run a short command at the prompt and return what it printed."""
        self._console.sendall(command.encode() + b"\n")
        echo, _, printed = self.prompt().partition("\r\n")
        assert echo == command, (echo, printed)
        return printed.replace("\r\n", "\n")

    def ask(self, command: str, **arguments: object) -> Any:
        """Send a monitor command and return its answer; events in between are dropped."""
        if self._monitor is None:
            connection = socket.socket(socket.AF_UNIX)
            connection.settimeout(DEADLINE_S)
            connection.connect(str(self._monitor_path))
            self._monitor = connection.makefile("rwb")
            connection.close()
            self._monitor.readline()
            self.ask("qmp_capabilities")
        request = {"execute": command, "arguments": arguments}
        self._monitor.write(json.dumps(request).encode() + b"\n")
        self._monitor.flush()
        while "return" not in (answer := json.loads(self._monitor.readline())):
            assert "event" in answer, answer
        return answer["return"]

    def forwarded_port(self) -> int:
        """Return the port of the host's loopback that leads to the guest's server."""
        told = self.ask("human-monitor-command", **{"command-line": "info usernet"})
        found = re.search(r"HOST_FORWARD\]\s+\d+\s+127\.0\.0\.1\s+(\d+)", told)
        assert found, told
        return int(found[1])

    def wait(self) -> int:
        """Wait for QEMU to end by itself and return its exit status."""
        return self._qemu.wait(DEADLINE_S)
