"""The OCI runtime's command line: runc or crun, which take the same words.

A container's id is its instance's uid. What a runtime keeps about containers is below one directory
of ours, so that `there` needs no process to tell.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

from fifo.hypervisors.linux.commands import succeed
from fifo.hypervisors.linux.layout import replace
from fifo.model.errors import DriverFailed

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from fifo.hypervisors.linux.commands import Run

NAMES: Final = ("crun", "runc")
"""In the order they are tried: crun needs half the time and a tenth of the memory."""
CONFIG: Final = "config.json"


class Runtime:
    """One runtime and the directory of its state. Used on the node's loop."""

    def __init__(self, run: Run, name: str, directory: Path) -> None:
        self.name = name
        self._run = run
        self._directory = directory

    def there(self, uid: str) -> bool:
        """Tell whether the runtime keeps anything about a container."""
        return (self._directory / uid).exists()

    def containers(self) -> Iterator[str]:
        """Yield the ids of all that it keeps."""
        yield from (path.name for path in sorted(self._directory.iterdir()))

    async def create(self, uid: str, bundle: Path, console_socket: Path) -> int:
        """Make a container whose process waits to be started, and give its pid; DriverFailed."""
        pid_file = bundle / "pid"
        await self._do(
            uid, "create", "--bundle", str(bundle), "--pid-file", str(pid_file),
            "--console-socket", str(console_socket), uid,
        )  # fmt: skip
        text = _text(pid_file)
        if not text.isdecimal():
            raise DriverFailed(f"{self.name} wrote no pid", uid, "see the host's own words")
        return int(text)

    async def start(self, uid: str) -> None:
        """Let the process of a created container go."""
        await self._do(uid, "start", uid)

    async def delete(self, uid: str) -> None:
        """Kill what is left of a container and remove its control group; nothing if it is gone."""
        if not self.there(uid):
            return
        try:
            await self._do(uid, "delete", "--force", uid)
        except DriverFailed:
            # crun fails where another deletion was faster, such as one of a node that was killed.
            if self.there(uid):
                raise

    async def update(self, uid: str, bundle: Path, resources: dict[str, Any]) -> None:
        """Change the limits of a running container."""
        path = bundle / "resources.json"
        replace(path, msgspec.json.encode(resources))
        await self._do(uid, "update", "--resources", str(path), uid)

    def exec_argv(
        self,
        uid: str,
        command: tuple[str, ...],
        environment: dict[str, str],
        *,
        pid_file: Path,
        terminal: bool,
    ) -> list[str]:
        """Give the command that runs another one inside a container, in the foreground."""
        variables = [f"--env={name}={value}" for name, value in environment.items()]
        tty = ["--tty"] if terminal else []
        return [
            *self._argv("exec", f"--pid-file={pid_file}", *tty, *variables, uid),
            *command,
        ]

    def run_argv(self, uid: str, bundle: Path) -> list[str]:
        """Give the command that runs a container to its end, in the foreground."""
        return self._argv("run", "--bundle", str(bundle), uid)

    def _argv(self, verb: str, *arguments: str) -> list[str]:
        return [self.name, "--root", str(self._directory), verb, *arguments]

    async def _do(self, uid: str, verb: str, *arguments: str) -> None:
        await succeed(self._run, self._argv(verb, *arguments), subject=uid)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii").strip()
    except (FileNotFoundError, UnicodeDecodeError):
        return ""
