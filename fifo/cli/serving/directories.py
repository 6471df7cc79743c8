"""Where a node keeps its things, and who it is: made at its first start, read at each later one."""

from __future__ import annotations

import os
import socket
import uuid
from typing import TYPE_CHECKING, Final

import msgspec

from fifo.model import records
from fifo.model.errors import DataLoss, NotReady
from fifo.security import private_files

if TYPE_CHECKING:
    from pathlib import Path

    from fifo.cli.settings import Settings

PASSABLE: Final = 0o711
"""Zones' root users are ordinary users of the host, who must reach their root file systems."""


class NodeIdentity(records.Record, frozen=True, tag="node_identity/1"):
    """Who the node is: its own id, a uid for each host that it manages, and their driver.

    `driver` is empty where a node wrote it that did not remember its driver yet.
    """

    node_id: str
    hosts: tuple[str, ...]
    driver: str = ""


class LastBackup(records.Record, frozen=True, tag="last_backup/1"):
    """When the store's last backup was sent whole, in UTC seconds."""

    at: float


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

    def identity(self, hosts: int, driver: str) -> NodeIdentity:
        """Read who the node is, or decide it; further hosts get further uids.

        `driver` is remembered: what the agents know of one driver's hosts is false of another's.
        """
        known = self._known()
        uids = known.hosts if known is not None else ()
        more = tuple(str(uuid.uuid4()) for _ in range(hosts - len(uids)))
        made = NodeIdentity(
            node_id=known.node_id if known is not None else str(uuid.uuid4()),
            hosts=uids + more,
            driver=driver,
        )
        if made != known:
            private_files.write(self._identity_file, records.encode(made))
        return msgspec.structs.replace(made, hosts=made.hosts[:hosts])

    def used_driver(self) -> str:
        """Say which driver the node had the last time; empty where that is not known."""
        known = self._known()
        return known.driver if known is not None else ""

    def note_backup(self, at: float) -> None:
        """Remember when a backup was sent whole; blocks for the disk."""
        private_files.write(self._backup_file, records.encode(LastBackup(at=at)))

    def last_backup_time(self) -> float:
        """Say when the last backup was sent, 0 if none was.

        Raises DataLoss for other bytes, NotReady for a file that others could have written.
        """
        data = private_files.read(self._backup_file)
        return 0.0 if data is None else records.decode(LastBackup, data, str(self._backup_file)).at

    @property
    def _backup_file(self) -> Path:
        """Beside the store, not in it: a restored store's backups were another's."""
        return self.private / "last_backup.json"

    @property
    def _identity_file(self) -> Path:
        return self.private / "node.json"

    def _known(self) -> NodeIdentity | None:
        path = self._identity_file
        if not path.exists():
            return None
        try:
            return records.decode(NodeIdentity, path.read_bytes(), str(path))
        except DataLoss as error:
            raise DataLoss(
                error.what,
                str(path),
                f"put a copy of it back, or write it anew: {self._likely().decode()}",
            ) from error

    def _likely(self) -> bytes:
        """Give what the identity file most likely had, from what is beside it."""
        agents = self.private / "agents"
        hosts = sorted(path.name for path in agents.iterdir()) if agents.exists() else ()
        driver = "linux" if (self.instances / "instances").exists() else "simulated"
        return records.encode(NodeIdentity(str(uuid.uuid4()), tuple(hosts), driver))


def host_name() -> str:
    """Give this machine's name."""
    return os.environ.get("HOSTNAME") or socket.gethostname() or "localhost"
