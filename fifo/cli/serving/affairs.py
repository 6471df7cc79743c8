"""The node's own affairs for its API: facts, a copy of the store, a bundle for whoever helps."""

from __future__ import annotations

import asyncio
import dataclasses
import datetime as dt
import hashlib
import io
import platform
import re
import shutil
import sqlite3
import tarfile
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Final

import msgspec

from fifo.api.affairs import BackupSummary, NodeFacts, StoreFacts
from fifo.model import records
from fifo.store.backup import back_up
from fifo.store.owner import STORE

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from fifo.cli.serving.directories import Directories, NodeIdentity
    from fifo.cli.serving.tree import Parts
    from fifo.cli.settings import Settings
    from supervisors import Node

PIECE_BYTES: Final = 256 * 1024
"""Bytes of one message of a stream: small beside gRPC's bound, large beside its cost."""
SECRETS: Final = re.compile(rb"fpat_[A-Za-z0-9_-]+|-----BEGIN [A-Z ]*PRIVATE KEY-----[^-]*-----")
"""What must not leave the node, wherever it was written by mistake."""
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
        self._backed_up = directories.last_backup_time()
        self.listeners: tuple[str, ...] = ()
        self.warnings: tuple[str, ...] = ()

    def facts(self) -> NodeFacts:
        """Say what the node is."""
        return NodeFacts(
            node_id=self._identity.node_id,
            version=version("fifo"),
            start_time=self._started,
            hypervisor=self._identity.hosts[0],
            listeners=self.listeners,
            versions=(
                ("python", platform.python_version()),
                ("sqlite", sqlite3.sqlite_version),
                *((name, version(name)) for name in PACKAGES),
            ),
            warnings=self.warnings,
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
        with TemporaryDirectory(dir=self._directories.private) as scratch:
            target = Path(scratch) / "backup"
            manifest = await back_up(self._node, store, target, made_at=made_at)
            packed = Path(scratch) / "backup.tar"
            await asyncio.to_thread(_pack, target, packed)
            digest = hashlib.sha256()
            with packed.open("rb") as stream:
                while piece := await asyncio.to_thread(stream.read, PIECE_BYTES):
                    digest.update(piece)
                    yield piece
            size = packed.stat().st_size
        await asyncio.to_thread(self._directories.note_backup, now)
        self._backed_up = now
        yield BackupSummary(manifest.revision, manifest.incarnation, size, digest.hexdigest())

    async def bundle(self, max_log_bytes: int) -> AsyncIterator[bytes]:
        """Give logs, settings and state as a tar.gz; secrets are blotted out of every file."""
        snapshot = await self._node.observer.snapshot()
        files = {"tree.json": _json(snapshot.rows), **self._state()}
        with TemporaryDirectory(dir=self._directories.private) as scratch:
            packed = Path(scratch) / "bundle.tar.gz"
            await asyncio.to_thread(self._pack_bundle, packed, files, max_log_bytes)
            with packed.open("rb") as stream:
                while piece := await asyncio.to_thread(stream.read, PIECE_BYTES):
                    yield piece

    def _state(self) -> dict[str, bytes]:
        """Collect facts and records as JSON; metadata and tags of instances stay out."""
        fleet = self._parts.fleet
        state: dict[str, bytes] = {
            "settings.json": _json(dataclasses.asdict(self._settings)),
            "facts.json": _json(self.facts()._asdict()),
        }
        if fleet is not None:
            catalog = fleet.world.catalog
            state["hosts.json"] = _json([own.record for own in catalog.host_statuses])
            state["instances.json"] = _json(
                [
                    msgspec.structs.replace(
                        own.record, customer_metadata={}, internal_metadata={}, tags={}, extra={}
                    )
                    for own in catalog.specs
                ]
            )
            state["statuses.json"] = _json([own.record for own in catalog.statuses])
            state["operations.json"] = _json(
                [msgspec.structs.replace(own.record, input=None) for own in catalog.operations]
            )
        return state

    def _pack_bundle(self, target: Path, files: dict[str, bytes], max_log_bytes: int) -> None:
        room = max_log_bytes
        for log in sorted(self._directories.logs.glob("*.log*")):
            text = log.read_bytes()[-room:] if room > 0 else b""
            room -= len(text)
            files[f"logs/{log.name}"] = text
        with tarfile.open(target, "w:gz") as archive:
            for name, content in files.items():
                clean = SECRETS.sub(b"[removed]", content)
                entry = tarfile.TarInfo(f"fifo-support/{name}")
                entry.size = len(clean)
                entry.mode = 0o600
                archive.addfile(entry, io.BytesIO(clean))


def _json(value: Any) -> bytes:
    return msgspec.json.format(msgspec.json.encode(value, enc_hook=str))


def _pack(directory: Path, target: Path) -> None:
    with tarfile.open(target, "w") as archive:
        archive.add(directory, arcname="backup")
    shutil.rmtree(directory)
