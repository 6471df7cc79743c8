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


REAL_DRIVER: Final = "linux"
"""The driver whose instances are on disk, and have to be there at the next start."""


class NodeIdentity(records.Record, frozen=True, tag="node_identity/1"):
    """Who the node is: its own id, a uid for each host that it manages, and their driver.

    `driver` is empty where a node wrote it that did not remember its driver yet, and `storage`, the
    mark of the storage of a real host, where one did that made none.
    """

    node_id: str
    hosts: tuple[str, ...]
    driver: str = ""
    storage: str = ""


class LastBackup(records.Record, frozen=True, tag="last_backup/1"):
    """When the store's last backup was sent whole, in UTC seconds."""

    at: float


class Directories:
    """A node's directories, made with their modes; raises NotReady where that cannot be.

    ```
    DATA/private/    store, certificates, tokens, audit: for the node's user alone
    DATA/instances/  images and instances, or wherever `storage_dir` says; `storage-id` marks it
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

        `driver` is remembered: what the agents know of one driver's hosts is false of another's. So
        is the mark of a real host's storage, which its first start makes.
        """
        known = self._known()
        uids = known.hosts if known is not None else ()
        more = tuple(str(uuid.uuid4()) for _ in range(hosts - len(uids)))
        made = NodeIdentity(
            node_id=known.node_id if known is not None else str(uuid.uuid4()),
            hosts=uids + more,
            driver=driver,
            storage=self._marked() if driver == REAL_DRIVER else "",
        )
        if made != known:
            private_files.write(self._identity_file, records.encode(made))
        return msgspec.structs.replace(made, hosts=made.hosts[:hosts])

    def require_storage(self) -> None:
        """Refuse a storage directory that is not the one in which the node has its instances.

        Called at a start, before anything is made there: with the disk not mounted, or another
        path, all instances would be missing. Raises NotReady, with what to do in either case.
        """
        known = self._known()
        if known is None or known.driver != REAL_DRIVER:
            return
        mark = self._mark()
        if mark == known.storage and mark:
            return
        if not known.storage and (mark or (self.instances / "instances").exists()):
            return  # It was used before storage was marked, and is marked now.
        has = f"the mark of another, {mark}" if mark else f"no {self._mark_file.name} in it"
        raise NotReady(
            f"it is not the storage that this node's instances are in: there is {has}",
            f"storage_dir {self.instances}",
            "mount it, or set storage_dir to where it is; only if it is lost and what was in it is"
            f" to be told as lost: echo {known.storage or uuid.uuid4()} > {self._mark_file}",
        )

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
    def _mark_file(self) -> Path:
        return self.instances / "storage-id"

    def _mark(self) -> str:
        """Read the storage's mark, empty if it has none; raises NotReady for a disk that fails."""
        try:
            return self._mark_file.read_text(encoding="utf-8", errors="replace").strip()
        except FileNotFoundError:
            return ""
        except OSError as error:
            raise NotReady(
                f"it cannot be read: {error.strerror}", str(self._mark_file), "repair its disk"
            ) from error

    def _marked(self) -> str:
        """Give the storage's mark, made if there is none."""
        mark = self._mark()
        if not mark:
            mark = str(uuid.uuid4())
            private_files.write(self._mark_file, f"{mark}\n".encode())
        return mark

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
        mark = self._mark()
        is_real = mark or (self.instances / "instances").exists()
        likely = NodeIdentity(
            node_id=str(uuid.uuid4()),
            hosts=tuple(hosts),
            driver=REAL_DRIVER if is_real else "simulated",
            storage=mark,
        )
        return records.encode(likely)


def host_name() -> str:
    """Give this machine's name."""
    return os.environ.get("HOSTNAME") or socket.gethostname() or "localhost"
