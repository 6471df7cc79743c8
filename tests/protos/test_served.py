"""What is generated serves and calls over grpc.aio, and is typed on both sides."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import grpc
from google.longrunning import operations_pb2
from google.rpc import status_pb2

from fifo.v1 import console_service_pb2, operation_pb2, supervision_service_pb2
from fifo.v1.console_service_pb2_grpc import (
    ConsoleServiceServicer,
    ConsoleServiceStub,
    add_ConsoleServiceServicer_to_server,
)
from fifo.v1.supervision_service_pb2_grpc import (
    SupervisionServiceServicer,
    SupervisionServiceStub,
    add_SupervisionServiceServicer_to_server,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

Context = grpc.aio.ServicerContext


class Trees(SupervisionServiceServicer):
    async def GetTree(  # noqa: N802 - gRPC names the method
        self, request: supervision_service_pb2.GetTreeRequest, context: Context[Any, Any]
    ) -> supervision_service_pb2.Tree:
        return supervision_service_pb2.Tree(node=request.root)

    async def WatchTree(  # noqa: N802 - gRPC names the method
        self, request: supervision_service_pb2.WatchTreeRequest, context: Context[Any, Any]
    ) -> AsyncIterator[supervision_service_pb2.WatchTreeResponse]:
        tree = supervision_service_pb2.Tree(node=request.root)
        yield supervision_service_pb2.WatchTreeResponse(tree=tree)


class Echo(ConsoleServiceServicer):
    async def Attach(  # noqa: N802 - gRPC names the method
        self,
        request_iterator: AsyncIterator[console_service_pb2.AttachRequest],
        context: Context[Any, Any],
    ) -> AsyncIterator[console_service_pb2.AttachResponse]:
        async for frame in request_iterator:
            match frame.WhichOneof("frame"):
                case "open":
                    opened = console_service_pb2.AttachResponse.Opened(mode=frame.open.mode)
                    yield console_service_pb2.AttachResponse(opened=opened)
                case "data":
                    yield console_service_pb2.AttachResponse(data=frame.data.upper())
                case _:
                    return


async def served() -> tuple[str, list[str], list[str | None]]:
    server = grpc.aio.server()
    add_SupervisionServiceServicer_to_server(Trees(), server)
    add_ConsoleServiceServicer_to_server(Echo(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            trees = SupervisionServiceStub(channel)
            tree = await trees.GetTree(supervision_service_pb2.GetTreeRequest(root="fleet"))
            watched = trees.WatchTree(supervision_service_pb2.WatchTreeRequest(root="agent"))
            nodes = [frame.tree.node async for frame in watched]
            request = console_service_pb2.AttachRequest
            frames = (
                request(open=request.Open(name="orgs/default/instances/web")),
                request(data=b"hello"),
                request(detach=True),
            )
            attached = ConsoleServiceStub(channel).Attach(iter(frames))
            kinds: list[str | None] = [frame.WhichOneof("frame") async for frame in attached]
            return tree.node, nodes, kinds
    finally:
        await server.stop(None)


def test_unary_calls_and_streams_of_both_kinds_go_through() -> None:
    assert asyncio.run(served()) == ("fleet", ["agent"], ["opened", "data"])


def test_an_operation_carries_our_metadata() -> None:
    absent = status_pb2.Status(code=grpc.StatusCode.NOT_FOUND.value[0])
    operation = operations_pb2.Operation(name="operations/one")
    operation.metadata.Pack(operation_pb2.OperationMetadata(failed_requests={3: absent}))
    metadata = operation_pb2.OperationMetadata()
    assert operation.metadata.Unpack(metadata)
    assert metadata.failed_requests[3].code == absent.code
