"""Where a command goes and how it prints: what the options before the command's name said."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from fifo.model.errors import NotReady

if TYPE_CHECKING:
    from fifo.cli.client import Client

SOCKETS: Final = (Path("/run/fifo/api/fifo.sock"),)
"""Where a node on this machine has its socket if nobody said otherwise."""


@dataclass(frozen=True, slots=True)
class Target:
    """Set once by `fifo.cli.main`, read by every command."""

    server: str | None
    ca_file: str | None
    token_file: str | None
    output: str
    org: str
    timeout_s: float

    def client(self) -> Client:
        """Connect; raises LocalFileError for files that cannot be read."""
        from fifo.cli.client import Client

        return Client(self)

    def address(self) -> str:
        """Give the address: what was named, else the local node's socket."""
        if self.server:
            return self.server
        for socket in SOCKETS:
            if socket.exists():
                return f"unix:{socket}"
        raise NotReady(
            "no node was named and none runs here",
            str(SOCKETS[0]),
            "name one with --server HOST:PORT or FIFO_SERVER, or start one with `fifo serve`",
        )

    def read(self, file: str) -> bytes:
        """Read a file that an option names; raises LocalFileError."""
        from fifo.cli.files import read

        return read(file)

    def instance(self, text: str) -> str:
        """Give the whole name of an instance that was named in short."""
        return text if "/" in text else f"orgs/{self.org}/instances/{text}"

    def parent(self) -> str:
        """Give the name of the organisation."""
        return f"orgs/{self.org}"
