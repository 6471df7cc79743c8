"""The node's own affairs for its API: facts, a copy of the store, a bundle for whoever helps."""

from __future__ import annotations

import asyncio
import dataclasses
import datetime as dt
import hashlib
import logging
import platform
import shutil
import sqlite3
import tarfile
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Final

from fifo.api.affairs import BackupSummary, NodeFacts, StoreFacts
from fifo.cli.serving.support_bundle import as_json, logs_of, pack, records_of
from fifo.model import records
from fifo.model.errors import FifoError, NoRoom, StoreFull
from fifo.store.backup import back_up
from fifo.store.owner import STORE
from fifo.store.reserve import NO_ROOM
from supervisors import SupervisorsError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from fifo.cli.serving.directories import Directories, NodeIdentity
    from fifo.cli.serving.metrics_page import MetricsPage
    from fifo.cli.serving.tree import Parts
    from fifo.cli.settings import Settings
    from supervisors import Node

logger = logging.getLogger("fifo")

PIECE_BYTES: Final = 256 * 1024
"""Bytes of one message of a stream: small beside gRPC's bound, large beside its cost."""
PACKAGES: Final = ("fifo", "grpcio", "protobuf", "pykka", "msgspec", "numpy")


class Affairs:
    """`fifo.api.affairs.NodeAffairs`; on the node's loop."""

    def __init__(
        self,
        node: Node,
        parts: Parts,
        settings: Settings,
        directories: Directories,
        identity: NodeIdentity,
    ) -> None:
        self._node = node
        self._parts = parts
        self._settings = settings
        self._directories = directories
        self._identity = identity
        self._started = parts.utc()
        self._backed_up, self._doubts = _last_backup(directories)
        self.listeners: Callable[[], tuple[str, ...]] = tuple
        self.warnings: tuple[str, ...] = ()
        self.page: Callable[[], MetricsPage | None] = lambda: None

    def facts(self) -> NodeFacts:
        """Say what the node is."""
        return NodeFacts(
            node_id=self._identity.node_id,
            version=version("fifo"),
            start_time=self._started,
            hypervisor=self._identity.hosts[0],
            listeners=self.listeners(),
            versions=(
                ("python", platform.python_version()),
                ("sqlite", sqlite3.sqlite_version),
                *((name, version(name)) for name in PACKAGES),
            ),
            warnings=(*self.warnings, *self._doubts),
        )

    def store_facts(self) -> StoreFacts:
        """Say what is known of the store besides its counts."""
        assert self._parts.fleet is not None, "it is asked by the API, which the fleet is before"
        catalog = self._parts.fleet.world.catalog
        restored = catalog.store.statistics().restored
        return StoreFacts(
            engine="sqlite",
            record_version=max(records.version_of(table.kind) for table in catalog.tables),
            last_backup_time=self._backed_up,
            restore_time=restored.at,
            restored_revision=restored.revision,
        )

    async def backup(self) -> AsyncIterator[bytes | BackupSummary]:
        """Give a verified copy of the store as a tar, then what to check it by."""
        now = self._parts.utc()
        made_at = dt.datetime.fromtimestamp(now, dt.UTC).isoformat()
        store = await self._node.address("store").call(STORE)
        with _scratch(self._directories.private, "a backup") as scratch:
            target = scratch / "backup"
            manifest = await back_up(self._node, store, target, made_at=made_at)
            packed = scratch / "backup.tar"
            await asyncio.to_thread(_pack, target, packed)
            digest = hashlib.sha256()
            with packed.open("rb") as stream:
                while piece := await asyncio.to_thread(stream.read, PIECE_BYTES):
                    digest.update(piece)
                    yield piece
            size = packed.stat().st_size
        await asyncio.to_thread(self._directories.note_backup, now)
        self._backed_up, self._doubts = now, ()
        yield BackupSummary(manifest.revision, manifest.incarnation, size, digest.hexdigest())

    async def bundle(self, max_log_bytes: int) -> AsyncIterator[bytes]:
        """Give logs, settings, state and metrics as a tar.gz; secrets are blotted out of it."""
        snapshot = await self._node.observer.snapshot()
        files = {
            "tree.json": as_json(snapshot.rows),
            "settings.json": as_json(dataclasses.asdict(self._settings)),
            "facts.json": as_json(self.facts()._asdict()),
            "metrics.txt": await self._metrics(),
        }
        if self._parts.fleet is not None:
            files |= records_of(self._parts.fleet.world.catalog)
        logs = (self._directories.logs, self._directories.keeper)
        with _scratch(self._directories.private, "a support bundle") as scratch:
            packed = scratch / "bundle.tar.gz"

            def write() -> None:
                pack(packed, files, logs_of(logs, max_log_bytes))

            await asyncio.to_thread(write)
            with packed.open("rb") as stream:
                while piece := await asyncio.to_thread(stream.read, PIECE_BYTES):
                    yield piece

    async def _metrics(self) -> bytes:
        """Give the page of `/metrics`, or why there is none: a bundle is wanted all the same."""
        page = self.page()
        if page is None:
            return b"# the metrics are not served now\n"
        try:
            return await page.render()
        except (FifoError, SupervisorsError) as error:
            return f"# the metrics cannot be told: {error}\n".encode()


def _last_backup(directories: Directories) -> tuple[float, tuple[str, ...]]:
    """Say when the last backup was, or warn that it is not known: no reason not to start."""
    try:
        return directories.last_backup_time(), ()
    except (FifoError, OSError) as error:
        told = f"it is not known when the last backup was, so take one: {error}"
        logger.warning("%s", told)
        return 0.0, (told,)


@contextmanager
def _scratch(directory: Path, what: str) -> Iterator[Path]:
    """Give a directory to make something in that is sent; raises NoRoom where the disk has none."""
    try:
        with TemporaryDirectory(dir=directory) as scratch:
            yield Path(scratch)
    except (OSError, StoreFull) as error:
        if isinstance(error, OSError) and error.errno not in NO_ROOM:
            raise
        raise NoRoom(
            f"there is no room for {what}, which is made there before it is sent",
            str(directory),
            "make room on its disk, then ask again",
        ) from error


def _pack(directory: Path, target: Path) -> None:
    with tarfile.open(target, "w") as archive:
        archive.add(directory, arcname="backup")
    shutil.rmtree(directory)
