"""What the API server is told: where it listens, where it keeps its files, what it admits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from fifo.api import limits

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class ApiSettings:
    """`directory` is the node's data directory, `socket` a path in a directory of the node's own.

    `listen` is `address:port`, port 0 for a free one. Image files are read below
    `import_directories` alone. The bounds below the blank line are for tests to make small.
    """

    directory: Path
    socket: Path
    listen: str = "127.0.0.1:0"
    hostname: str = ""
    import_directories: tuple[Path, ...] = ()
    private_sources: bool = False
    drain_s: float = limits.DRAIN_S

    reads: int = limits.READS
    writes: int = limits.WRITES
    watches: int = limits.WATCHES
    waits: int = limits.WAITS
    connections: int = limits.CONNECTIONS
    handshake_s: float = limits.HANDSHAKE_S
    changes_kept: int = limits.CHANGES_KEPT
    watch_lag: int = limits.WATCH_LAG
    watch_delay_s: float = limits.WATCH_DELAY_S
    heartbeat_s: float = limits.HEARTBEAT_S
