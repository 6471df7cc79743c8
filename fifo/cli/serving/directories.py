"""Where a node keeps its things, and who it is: made at its first start, read at each later one."""

from __future__ import annotations

import os
import socket
import uuid
from typing import TYPE_CHECKING, Final

from fifo.model import records
from fifo.model.errors import NotReady
from fifo.security import private_files

if TYPE_CHECKING:
    from fifo.cli.settings import Settings

PASSABLE: Final = 0o711
"""Zones' root users are ordinary users of the host, who must reach their root file systems."""


class NodeIdentity(records.Record, frozen=True, tag="node_identity/1"):
    """Who the node is: its own id, and a uid for each host that it manages."""

    node_id: str
    hosts: tuple[str, ...]


class Directories:
    """A node's directories, made with their modes; raises NotReady where that cannot be.

    ```
    DATA/private/    store, certificates, tokens, audit: for the node's user alone
    DATA/instances/  images and instances, or wherever `storage_dir` says
    DATA/logs/
    RUN/api/         the local socket, for the node's user alone
    RUN/keeper/      the keeper's, likewise
    RUN/linux/       the OCI runtime's
    ```
    """

    def __init__(self, settings: Settings) -> None:
        self.data = settings.data_dir
        self.private = settings.data_dir / "private"
        self.instances = settings.storage_dir or settings.data_dir / "instances"
        self.logs = settings.data_dir / "logs"
        self.run = settings.run_dir
        self.keeper = settings.run_dir / "keeper"
        self.linux_run = settings.run_dir / "linux"
        self.socket = settings.run_dir / "api" / "fifo.sock"
        try:
            for directory in (self.data, self.instances, self.run):
                directory.mkdir(parents=True, exist_ok=True)
                directory.chmod(directory.stat().st_mode | PASSABLE)
            for directory in (self.private, self.logs, self.socket.parent, self.keeper):
                private_files.make_directory(directory)
        except OSError as error:
            raise NotReady(
                f"the directory cannot be made: {error.strerror}",
                str(error.filename),
                "choose others with data_dir and run_dir, or run as their owner",
            ) from error

    def identity(self, hosts: int) -> NodeIdentity:
        """Read who the node is, or decide it; further hosts get further uids."""
        path = self.private / "node.json"
        known = (
            records.decode(NodeIdentity, path.read_bytes(), str(path)) if path.exists() else None
        )
        uids = known.hosts if known is not None else ()
        if known is not None and len(uids) >= hosts:
            return NodeIdentity(node_id=known.node_id, hosts=uids[:hosts])
        more = tuple(str(uuid.uuid4()) for _ in range(hosts - len(uids)))
        made = NodeIdentity(
            node_id=known.node_id if known is not None else str(uuid.uuid4()), hosts=uids + more
        )
        private_files.write(path, records.encode(made))
        return made


def host_name() -> str:
    """Give this machine's name."""
    return os.environ.get("HOSTNAME") or socket.gethostname() or "localhost"
