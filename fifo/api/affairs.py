"""A node's own affairs, as its program knows them and the API tells them."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


class NodeFacts(NamedTuple):
    """What a node is; times in UTC seconds. `hypervisor` is the uid of the host it manages."""

    node_id: str
    version: str
    start_time: float
    hypervisor: str = ""
    listeners: tuple[str, ...] = ()
    versions: tuple[tuple[str, str], ...] = ()
    warnings: tuple[str, ...] = ()


class StoreFacts(NamedTuple):
    """What the store's files say of it; times in UTC seconds, 0 for never."""

    engine: str
    record_version: int = 1
    last_backup_time: float = 0.0
    restore_time: float = 0.0
    restored_revision: int = 0


class BackupSummary(NamedTuple):
    """What to check a copy of the store by."""

    revision: int
    incarnation: str
    size_bytes: int
    sha256: str


class NodeAffairs(Protocol):
    """What the node's program does for the API; on the node's loop."""

    def facts(self) -> NodeFacts:
        """Say what the node is."""

    def store_facts(self) -> StoreFacts:
        """Say what is known of the store besides its counts."""

    def backup(self) -> AsyncIterator[bytes | BackupSummary]:
        """Give a verified copy of the store piece by piece, then what to check it by."""

    def bundle(self, max_log_bytes: int) -> AsyncIterator[bytes]:
        """Give logs, settings and state as a tar.gz, secrets removed."""
