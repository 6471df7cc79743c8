"""Server reflection: grpc's own servicer behind our door."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from grpc_reflection.v1alpha.reflection import SERVICE_NAME, aio

from fifo.api.methods import METHODS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from fifo.api.calls import Call


class Reflection:
    """Tells clients what is served."""

    def __init__(self) -> None:
        names = dict.fromkeys((*(method.service for method in METHODS), SERVICE_NAME))
        self._servicer = aio.ReflectionServicer(tuple(names))

    async def server_reflection_info(self, requests: AsyncIterator[Any], call: Call) -> None:
        """Answer each question in turn."""
        async for answer in self._servicer.ServerReflectionInfo(requests, None):
            await call.send(answer)
