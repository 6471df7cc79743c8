"""AdminService: a node's own affairs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fifo.api import limits
from fifo.api.affairs import BackupSummary
from fifo.api.resources.values import set_time
from fifo.api.resources.view import hypervisor_name
from fifo.model.errors import Unavailable
from fifo.v1 import admin_service_pb2

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from fifo.api.affairs import NodeAffairs
    from fifo.api.backend import Backend
    from fifo.api.calls import Call
    from fifo.api.identity import Identity
    from fifo.security.certificates import Certificates

_LOG_BYTES = 16 * 1024 * 1024


class AdminService:
    """GetNodeInfo, ResetAdminToken, GetStoreInfo, BackupStore and GetSupportBundle."""

    def __init__(
        self,
        backend: Backend,
        affairs: NodeAffairs,
        identity: Identity,
        certificates: Certificates,
    ) -> None:
        self._backend = backend
        self._affairs = affairs
        self._identity = identity
        self._certificates = certificates

    def get_node_info(
        self, request: admin_service_pb2.GetNodeInfoRequest, call: Call
    ) -> admin_service_pb2.NodeInfo:
        """Say what the node is."""
        del request, call
        facts = self._affairs.facts()
        made = admin_service_pb2.NodeInfo(
            node_id=facts.node_id,
            version=facts.version,
            hypervisor=hypervisor_name(self._backend.catalog, facts.hypervisor),
            listeners=facts.listeners,
            ca_sha256=self._certificates.ca_sha256,
            versions=dict(facts.versions),
            warnings=facts.warnings,
        )
        set_time(made.start_time, facts.start_time)
        set_time(made.certificate_expire_time, self._certificates.expire_time)
        if self._backend.store.statistics().alarm:
            made.warnings.append("the store is nearly full: delete, or give it more room")
        return made

    async def reset_admin_token(
        self, request: admin_service_pb2.ResetAdminTokenRequest, call: Call
    ) -> admin_service_pb2.ResetAdminTokenResponse:
        """Make a new admin token and forget the old one.

        A repetition makes another: the token is shown once and kept nowhere, so that there is no
        first answer to give again.
        """
        del call
        path = str(self._identity.token_file)
        if request.validate_only:
            return admin_service_pb2.ResetAdminTokenResponse(token_file=path)
        made = await self._identity.reset()
        return admin_service_pb2.ResetAdminTokenResponse(token=made.text, token_file=path)

    def get_store_info(
        self, request: admin_service_pb2.GetStoreInfoRequest, call: Call
    ) -> admin_service_pb2.StoreInfo:
        """Say how the store is."""
        del request, call
        store, facts = self._backend.store, self._affairs.store_facts()
        made = admin_service_pb2.StoreInfo(
            engine=facts.engine,
            incarnation=store.incarnation,
            revision=store.revision,
            oldest_watch_revision=store.compacted,
            size_bytes=store.statistics().size_bytes,
            record_version=facts.record_version,
            restored_revision=facts.restored_revision,
        )
        set_time(made.last_backup_time, facts.last_backup_time)
        set_time(made.restore_time, facts.restore_time)
        return made

    async def backup_store(self, request: admin_service_pb2.BackupStoreRequest, call: Call) -> None:
        """Send a verified copy of the store, then what to check it by."""
        del request
        summary: BackupSummary | None = None
        async for piece in self._affairs.backup():
            if isinstance(piece, BackupSummary):
                summary = piece
                continue
            async for data in _chunks(piece):
                await call.send(admin_service_pb2.BackupStoreResponse(data=data))
        if summary is None:
            raise Unavailable("the copy was not finished", "store")
        last = admin_service_pb2.BackupStoreResponse.Summary(**summary._asdict())
        await call.send(admin_service_pb2.BackupStoreResponse(summary=last))

    async def get_support_bundle(
        self, request: admin_service_pb2.GetSupportBundleRequest, call: Call
    ) -> None:
        """Send logs, settings, the tree, metrics and the state of the host, secrets removed."""
        most = request.max_log_bytes if request.HasField("max_log_bytes") else _LOG_BYTES
        async for piece in self._affairs.bundle(most):
            async for data in _chunks(piece):
                await call.send(admin_service_pb2.GetSupportBundleResponse(data=data))


async def _chunks(data: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(data), limits.CHUNK_BYTES):
        yield data[start : start + limits.CHUNK_BYTES]
