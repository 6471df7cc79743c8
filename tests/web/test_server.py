"""The HTTP edge answers Prometheus over a real socket, and stops when it is told."""

from __future__ import annotations

import asyncio
import json
import socket
import urllib.error
import urllib.request

from fifo.web.server import WebServer


async def metrics() -> bytes:
    return b"fifo_placements_total 1\n"


def get(port: int, path: str) -> tuple[int, str, str]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
            return answer.status, answer.headers["content-type"], answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.headers["content-type"], error.read().decode()


def test_it_serves_metrics_discovery_and_health() -> None:
    async def main() -> None:
        bound = socket.create_server(("127.0.0.1", 0))
        port = bound.getsockname()[1]
        health = [True]
        server = WebServer(bound, metrics, lambda: [{"targets": ["a:1"]}], lambda: health[0])
        await server.start()
        status, kind, text = await asyncio.to_thread(get, port, "/metrics")
        assert (status, text) == (200, "fifo_placements_total 1\n")
        assert kind.startswith("text/plain; version=0.0.4")
        assert json.loads((await asyncio.to_thread(get, port, "/discovery"))[2]) == [
            {"targets": ["a:1"]}
        ]
        assert (await asyncio.to_thread(get, port, "/healthz"))[0] == 200
        health[0] = False
        assert (await asyncio.to_thread(get, port, "/healthz"))[0] == 503
        assert (await asyncio.to_thread(get, port, "/etc/passwd"))[0] == 404
        await server.stop()

    asyncio.run(main())
