"""A real zone: the small root file system under runc, in namespaces of its own."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING, Self

from tests.hypervisors.linux.guests.waiting import DEADLINE_S, eventually

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

    from fifo.hypervisors.linux.guests.image_cache import GuestImage

HOSTNAME = "web1"
ADDRESS = "10.66.0.5/24"
CAPABILITIES = ["CAP_KILL", "CAP_NET_BIND_SERVICE"]


class Zone:
    """A running zone; leaving the context removes it."""

    def __init__(self, image: GuestImage, directory: Path) -> None:
        self._image = image
        self._directory = directory
        # A name that no other test on this machine has.
        self._name = f"fifo-guest-{directory.parent.parent.name}-{directory.parent.name}"
        self._runc = ["runc", "--root", str(directory / "runc")]

    def __enter__(self) -> Self:
        rootfs = self._directory / "rootfs"
        rootfs.mkdir()
        unpack = ["tar", "-xf", str(self._image.path("rootfs")), "-C", str(rootfs)]
        subprocess.run(unpack, check=True, timeout=DEADLINE_S)
        config = specification(self._image.manifest.command)
        (self._directory / "config.json").write_text(json.dumps(config), encoding="utf-8")
        bundle = ["--bundle", str(self._directory), "--pid-file", str(self._directory / "pid")]
        self._first = subprocess.Popen(
            [*self._runc, "run", *bundle, self._name],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        # runc writes the pid when the zone may run already.
        eventually(lambda: (self._directory / "pid").exists() or None)
        eventually(lambda: self.run("true").returncode == 0 or None)
        address = ["ip", "address", "add", ADDRESS, "dev", "lo"]
        subprocess.run([*self._enter(), *address], check=True, timeout=DEADLINE_S)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        where: TracebackType | None,
    ) -> None:
        subprocess.run(
            [*self._runc, "delete", "--force", self._name],
            check=False,
            capture_output=True,
            timeout=DEADLINE_S,
        )
        self._first.wait(DEADLINE_S)

    def run(self, *argv: str) -> subprocess.CompletedProcess[str]:
        """Run a command in the zone."""
        return subprocess.run(
            [*self._runc, "exec", self._name, *argv],
            check=False,
            capture_output=True,
            text=True,
            timeout=DEADLINE_S,
        )

    def page(self) -> str | None:
        """Ask the zone's server for its page, from inside of its network namespace."""
        url = f"http://{ADDRESS.partition('/')[0]}/"
        argv = [*self._enter(), "/bin/busybox", "wget", "-q", "-O", "-", url]
        answer = subprocess.run(
            argv, check=False, capture_output=True, text=True, timeout=DEADLINE_S
        )
        return answer.stdout if answer.returncode == 0 else None

    def signal(self, name: str) -> None:
        """Send a signal to the first process."""
        argv = [*self._runc, "kill", self._name, name]
        subprocess.run(argv, check=True, timeout=DEADLINE_S)

    def exit_status(self) -> int:
        """Wait for the end of the first process, whose status runc takes over."""
        return self._first.wait(DEADLINE_S)

    def _enter(self) -> list[str]:
        pid = (self._directory / "pid").read_text(encoding="ascii")
        return ["nsenter", f"--net=/proc/{pid}/ns/net"]


def specification(command: tuple[str, ...]) -> dict[str, object]:
    """Return the least OCI configuration that the small zone runs with."""
    return {
        "ociVersion": "1.0.2",
        "hostname": HOSTNAME,
        "root": {"path": "rootfs"},
        "process": {
            "args": list(command),
            "cwd": "/",
            "env": ["PATH=/sbin:/bin:/usr/sbin:/usr/bin"],
            "user": {"uid": 0, "gid": 0},
            "capabilities": dict.fromkeys(("bounding", "effective", "permitted"), CAPABILITIES),
            "noNewPrivileges": True,
        },
        "mounts": [
            {"destination": "/proc", "type": "proc", "source": "proc"},
            {"destination": "/dev", "type": "tmpfs", "source": "tmpfs"},
        ],
        "linux": {
            "namespaces": [{"type": kind} for kind in ("pid", "network", "ipc", "uts", "mount")]
        },
    }
