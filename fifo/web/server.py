"""The HTTP server: Starlette under uvicorn, on the node's loop, a handful of read-only pages."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

import uvicorn
from starlette.applications import Starlette
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from fifo.model.errors import NotReady
from fifo.telemetry.exposition import CONTENT_TYPE

if TYPE_CHECKING:
    import socket
    from collections.abc import Awaitable, Callable, Iterator

    from starlette.requests import Request

    Targets = list[dict[str, object]]


class _Quiet(uvicorn.Server):
    """A server that leaves signals to the node."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Take none."""
        yield


class WebServer:
    """`/metrics` and `/discovery`; started and stopped by the node, on its loop."""

    def __init__(
        self,
        bound: socket.socket,
        metrics: Callable[[], Awaitable[bytes]],
        targets: Callable[[], Targets],
        healthy: Callable[[], bool],
    ) -> None:
        self._bound = bound
        self._metrics = metrics
        self._targets = targets
        self._healthy = healthy
        routes = [
            Route("/metrics", self._serve_metrics),
            Route("/discovery", self._serve_targets),
            Route("/healthz", self._serve_health),
        ]
        config = uvicorn.Config(
            Starlette(routes=routes),
            log_config=None,
            access_log=False,
            lifespan="off",
            limit_concurrency=64,
            timeout_keep_alive=75,
            h11_max_incomplete_event_size=16 * 1024,
            server_header=False,
        )
        self._server = _Quiet(config)
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Serve; raises NotReady when it cannot."""
        self._task = asyncio.create_task(self._server.serve(sockets=[self._bound]))
        while not self._server.started:
            if self._task.done():
                raise NotReady("the metrics server ended at once", "metrics_listen", "see the log")
            await asyncio.sleep(0.005)

    async def stop(self) -> None:
        """Finish what is being answered and let go of the port."""
        self._server.should_exit = True
        if self._task is not None:
            await self._task

    async def _serve_metrics(self, request: Request) -> Response:
        del request
        return Response(await self._metrics(), media_type=CONTENT_TYPE)

    async def _serve_targets(self, request: Request) -> Response:
        """The list that Prometheus' http_sd wants, whole each time."""
        del request
        return JSONResponse(self._targets())

    async def _serve_health(self, request: Request) -> Response:
        del request
        if self._healthy():
            return PlainTextResponse("ok\n")
        return PlainTextResponse("not healthy\n", status_code=503)
