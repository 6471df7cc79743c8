"""A bare grpc.aio echo in a process of its own, over TLS with answers of a given size.

Run as `python -m benchmarks.programs.raw_echo CALLS BYTES`; with `serve` it is the server.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import uvloop

from benchmarks.programs.in_flight import rate
from benchmarks.programs.meter import emit
from fifo.security.certificates import Certificates

METHOD = "/bench.Echo/Get"
REQUEST_BYTES = 30


async def serve(directory: Path, size_bytes: int) -> None:
    """Answer every call with so many bytes, until killed."""
    answer = bytes(size_bytes)

    async def get(_: bytes, __: grpc.aio.ServicerContext[bytes, bytes]) -> bytes:
        return answer

    certificates = Certificates(directory, "localhost", time.time)
    certificates.load()
    server = grpc.aio.server()
    handler: Any = grpc.unary_unary_rpc_method_handler(get)
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler("bench.Echo", {"Get": handler}),)
    )
    credentials = grpc.ssl_server_credentials([(certificates.server.key, certificates.chain)])
    print(server.add_secure_port("127.0.0.1:0", credentials), flush=True)
    await server.start()
    await server.wait_for_termination()


async def measure(port: int, roots: bytes, calls: int) -> None:
    """Call the echo."""
    credentials = grpc.ssl_channel_credentials(roots)
    async with grpc.aio.secure_channel(f"localhost:{port}", credentials) as channel:
        echo: Any = channel.unary_unary(METHOD)
        request = bytes(REQUEST_BYTES)

        async def call() -> None:
            await echo(request)

        emit("unary_get", await rate(call, calls), "calls/s")


def main() -> None:
    """Start the server and measure it."""
    if sys.argv[1] == "serve":
        uvloop.run(serve(Path(sys.argv[2]), int(sys.argv[3])))
        return
    calls, size_bytes = map(int, sys.argv[1:])
    with tempfile.TemporaryDirectory() as directory:
        server = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.programs.raw_echo", "serve", directory,
             str(size_bytes)],
            stdout=subprocess.PIPE,
            text=True,
        )  # fmt: skip
        try:
            assert server.stdout is not None
            port = int(server.stdout.readline())
            roots = (Path(directory) / "ca.pem").read_bytes()
            uvloop.run(measure(port, roots, calls))
        finally:
            server.kill()
            server.wait()


if __name__ == "__main__":
    main()
