"""GetInstance over TLS with 16 calls in flight.

Run as `python -m benchmarks.programs.unary_get CALLS`; `raw_echo` is its peer.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import grpc.aio
import uvloop

from benchmarks.programs import fifo_stage
from benchmarks.programs.in_flight import rate
from benchmarks.programs.meter import emit
from fifo.v1 import instance_service_pb2_grpc

if TYPE_CHECKING:
    from tests.system.node_process import NodeProcess


async def measure(running: NodeProcess, calls: int) -> None:
    """Read one instance again and again."""
    await fifo_stage.AioClient(running).create("read")
    credentials = grpc.ssl_channel_credentials(running.ca_file.read_bytes())
    address = running.address.replace("127.0.0.1", "localhost")
    token = running.token_file.read_text().strip()
    metadata = (("authorization", f"Bearer {token}"),)
    async with grpc.aio.secure_channel(address, credentials) as channel:
        stub = instance_service_pb2_grpc.InstanceServiceStub(channel)
        request = fifo_stage.MESSAGES.GetInstanceRequest(name="orgs/default/instances/read")

        async def call() -> None:
            await stub.GetInstance(request, metadata=metadata)

        emit("unary_get", await rate(call, calls), "calls/s")


def main() -> None:
    """Measure on a fresh node."""
    with fifo_stage.node() as running:
        uvloop.run(measure(running, int(sys.argv[1])))


if __name__ == "__main__":
    main()
