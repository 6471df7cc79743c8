"""The standard health check: whether this node takes calls, and its end when it stops to."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, TypeAlias

from grpc_health.v1 import health_pb2

from fifo.api.methods import METHODS
from fifo.model.errors import NotFound

if TYPE_CHECKING:
    from fifo.api.calls import Call

SERVICE: Final = "grpc.health.v1.Health"
Response: TypeAlias = health_pb2.HealthCheckResponse


class Health:
    """One state for the whole node and each of its services; on the node's loop."""

    def __init__(self) -> None:
        self.serving = True
        self._changed = asyncio.Event()
        self._services = frozenset(("", *(method.service for method in METHODS)))

    def drain(self) -> None:
        """Tell everybody that the node is going."""
        self.serving = False
        self._changed.set()

    def check(self, request: health_pb2.HealthCheckRequest, call: Call) -> Response:
        """Say whether a service is served."""
        del call
        if request.service not in self._services:
            raise NotFound("no such service", request.service)
        return self._now()

    def list(
        self, request: health_pb2.HealthListRequest, call: Call
    ) -> health_pb2.HealthListResponse:
        """Say it of all services."""
        del request, call
        now = self._now()
        return health_pb2.HealthListResponse(statuses=dict.fromkeys(self._services, now))

    async def watch(self, request: health_pb2.HealthCheckRequest, call: Call) -> None:
        """Say it now, and again when it changes; a service that is not known may come to be."""
        if request.service not in self._services:
            await call.send(Response(status=Response.SERVICE_UNKNOWN))
        else:
            await call.send(self._now())
        await self._changed.wait()
        await call.send(self._now())

    def _now(self) -> Response:
        return Response(status=Response.SERVING if self.serving else Response.NOT_SERVING)
