"""What to type next, where a demo's node stays: commands that work as they are printed."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

VM_DISK: Final = """--set 'disks=[{"image":"images/vm","boot":true}]'"""
COMMANDS: Final = (
    "instance create web-1 --brand lx --image zone --network lan --memory 64",
    f"instance create vm-1 --brand kvm --network lan --memory 128 {VM_DISK}",
    "instance list",
    "instance console vm-1   # Ctrl-] detaches",
)
"""With what `steps.prepare` makes."""


def commands(socket: Path) -> Iterator[str]:
    """Yield lines for a shell: where the node is, then what can be asked of it."""
    yield f"export FIFO_SERVER={shlex.quote(f'unix:{socket}')}"
    for command in COMMANDS:
        yield f"{_program()} {command}"


def _program() -> str:
    """Say how this very program is called, from whatever directory."""
    called = Path(sys.argv[0])
    program = called if called.name == "fifo" else Path(sys.executable).with_name("fifo")
    if program.exists():
        return shlex.quote(str(program.absolute()))
    return f"{shlex.quote(sys.executable)} -m fifo"
