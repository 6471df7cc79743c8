"""A node as a process of its own, and the `fifo` command beside it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any, Self

from tests.house.source import ROOT

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

START_S = 60.0
COMMAND_S = 60.0


class NodeProcess:
    """`fifo serve` in a directory; killed at the end of the test at the latest."""

    def __init__(self, base: Path, *arguments: str, driver: str = "simulated") -> None:
        self.base = base
        self.socket = base / "run" / "api" / "fifo.sock"
        self.token_file = base / "data" / "private" / "admin.token"
        self.ca_file = base / "data" / "private" / "tls" / "ca.crt"
        self.arguments = (
            "--data-dir", str(base / "data"), "--run-dir", str(base / "run"),
            "--listen", "127.0.0.1:0", "--metrics-listen", "127.0.0.1:0",
            "--driver", driver, "--drain-s", "1", "--import-dirs", str(base), *arguments,
        )  # fmt: skip
        self.before: tuple[str, ...] = ()
        """A command that executes the node, such as one for a namespace of its own."""
        self.process: subprocess.Popen[str] | None = None
        self.said: list[str] = []

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.kill()

    def start(self) -> None:
        """Start and wait until it serves."""
        self.process = subprocess.Popen(
            [*self.before, sys.executable, "-m", "fifo", "serve", *self.arguments],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=self.environment(),
        )
        assert self.process.stdout is not None
        self.said = [self.process.stdout.readline() for _ in range(3)]
        assert self.said[0].startswith("FiFo serves on"), (
            "".join(self.said) + self.process.stdout.read()
        )

    @staticmethod
    def environment() -> dict[str, str]:
        return {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/root")}

    @property
    def address(self) -> str:
        """Where it serves over TLS."""
        return self.said[0].split()[3]

    @property
    def metrics_url(self) -> str:
        return self.said[1].split()[2]

    def kill(self) -> None:
        """End it as by kill -9."""
        self.end(signal.SIGKILL)

    def stop(self) -> int:
        """End it in order and give its exit status."""
        return self.end(signal.SIGTERM)

    def end(self, number: int) -> int:
        if self.process is None:
            return 0
        self.process.send_signal(number)
        status = self.process.wait(START_S)
        assert self.process.stdout is not None
        self.process.stdout.close()
        self.process = None
        return status

    def await_foreign(self, count: int) -> tuple[str, set[str]]:
        """Wait until its host has been met and has so many strangers; gives its id and their uids.

        After a start that takes until the agent has looked at the host.
        """
        until_s = time.monotonic() + START_S
        while time.monotonic() < until_s:
            (host,) = rows(self.fifo("hypervisor", "list", "-o", "json"))
            found = set(host.get("foreign_instances", ()))
            if host["state"] == "READY" and len(found) == count:
                return host["name"].rpartition("/")[2], found
        raise AssertionError(f"it never had {count} foreign instances")

    def fifo(self, *arguments: str, told: str = "") -> subprocess.CompletedProcess[str]:
        """Run the `fifo` command against its local socket."""
        return fifo("--server", f"unix:{self.socket}", *arguments, told=told)

    def begin(self, *arguments: str) -> subprocess.Popen[bytes]:
        """Start a `fifo` command against its local socket, for whoever waits for it."""
        return subprocess.Popen(
            [sys.executable, "-m", "fifo", "--server", f"unix:{self.socket}", *arguments],
            cwd=ROOT,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=self.environment(),
        )


def fifo(*arguments: str, told: str = "") -> subprocess.CompletedProcess[str]:
    """Run the `fifo` command."""
    return subprocess.run(
        [sys.executable, "-m", "fifo", *arguments],
        cwd=ROOT,
        input=told,
        capture_output=True,
        text=True,
        timeout=COMMAND_S,
        env=NodeProcess.environment(),
        check=False,
    )


def rows(done: subprocess.CompletedProcess[str]) -> Any:
    """Read a command's JSON."""
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)
