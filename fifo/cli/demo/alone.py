"""One demo at a time: its names on the host and its addresses are the same for every run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from fifo.cli.serving import locks
from fifo.model.errors import NotReady

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

NAME: Final = "fifo/demo"


def alone(name: str = NAME) -> AbstractContextManager[None]:
    """Be the only demo; raises NotReady with the pid of the other one. Called by `program.main`."""
    return locks.of_name(
        name,
        lambda pid: NotReady(
            f"a demo runs already, pid {pid}: stop it first", remedy="end it with Ctrl-C"
        ),
    )
