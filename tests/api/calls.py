"""Calling methods by their rows in the table, and reading what comes back."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, NamedTuple

import grpc
import grpc.aio
from google.protobuf import descriptor_pool, message_factory
from google.rpc import code_pb2, error_details_pb2, status_pb2

from fifo.api.methods import METHODS
from fifo.v1 import operation_pb2

if TYPE_CHECKING:
    from collections.abc import Callable

    from google.longrunning import operations_pb2
    from google.protobuf.descriptor import MethodDescriptor
    from google.protobuf.message import Message

    from fifo.api.methods import Method

BY_NAME = {(method.service.rpartition(".")[2], method.name): method for method in METHODS}
DETAILS = (
    error_details_pb2.ErrorInfo,
    error_details_pb2.BadRequest,
    error_details_pb2.PreconditionFailure,
    error_details_pb2.ResourceInfo,
    error_details_pb2.QuotaFailure,
    error_details_pb2.RetryInfo,
    error_details_pb2.RequestInfo,
)


class Refusal(NamedTuple):
    """A status as a program reads it."""

    code: str
    message: str
    details: dict[str, Any]
    trailing: dict[str, Any]

    @property
    def reason(self) -> str:
        return str(self.details["ErrorInfo"].reason)

    @property
    def fields(self) -> list[str]:
        return [violation.field for violation in self.details["BadRequest"].field_violations]


def described(method: Method) -> MethodDescriptor:
    pool: Any = descriptor_pool.Default()
    found: MethodDescriptor = pool.FindServiceByName(method.service).methods_by_name[method.name]
    return found


def request_class(method: Method) -> type[Message]:
    return message_factory.GetMessageClass(described(method).input_type)


def callable_of(channel: grpc.aio.Channel, method: Method) -> Any:
    """Give gRPC's callable of a method."""
    own = described(method)
    kind = f"{_word(own.client_streaming)}_{_word(own.server_streaming)}"
    answer = message_factory.GetMessageClass(own.output_type)
    return getattr(channel, kind)(
        method.path,
        request_serializer=lambda message: message.SerializeToString(),
        response_deserializer=answer.FromString,
    )


def _word(streaming: bool) -> str:
    return "stream" if streaming else "unary"


async def call(channel: grpc.aio.Channel, path: str, request: Any = None, **fields: Any) -> Any:
    """Call `Service.Method` and give all that comes back."""
    service, _, name = path.partition(".")
    method = BY_NAME[service, name]
    own = described(method)
    if request is None:
        request = request_class(method)(**fields)
    given = iter([request]) if own.client_streaming else request
    started = callable_of(channel, method)(given)
    if own.server_streaming:
        return [answer async for answer in started]
    return await started


async def refused(awaitable: Any) -> Refusal:
    """Await a call that has to fail."""
    try:
        answer = await awaitable
    except grpc.aio.AioRpcError as error:
        return refusal_of(error)
    raise AssertionError(f"it was not refused: {answer}")


async def wrong_fields(channel: grpc.aio.Channel, path: str, fields: dict[str, Any]) -> list[str]:
    """Await a call whose request is wrong, and list the fields that it is told about."""
    told = await refused(call(channel, path, **fields))
    assert told.code == "INVALID_ARGUMENT", told
    return told.fields


def refusal_of(error: grpc.aio.AioRpcError) -> Refusal:
    trailing = dict(error.trailing_metadata() or ())
    details = read_details(trailing.get("grpc-status-details-bin", b""))
    return Refusal(error.code().name, error.details() or "", details, trailing)


def read_details(data: bytes) -> dict[str, Any]:
    status = status_pb2.Status.FromString(data)
    details: dict[str, Any] = {"code": code_pb2.Code.Name(status.code)}
    for packed in status.details:
        for kind in DETAILS:
            message: Any = kind()
            if packed.Unpack(message):
                assert kind.__name__ not in details, "each detail at most once (AIP-193)"
                details[kind.__name__] = message
    return details


def metadata_of(operation: operations_pb2.Operation) -> operation_pb2.OperationMetadata:
    metadata = operation_pb2.OperationMetadata()
    assert operation.metadata.Unpack(metadata)
    return metadata


async def ended(channel: grpc.aio.Channel, operation: operations_pb2.Operation) -> Any:
    """Wait for an operation's end."""
    while not operation.done:
        operation = await call(channel, "Operations.WaitOperation", name=operation.name)
    return operation


async def done(
    channel: grpc.aio.Channel, operation: operations_pb2.Operation, answer: Any = None
) -> Any:
    """Wait for the good end of an operation, and give its response."""
    operation = await ended(channel, operation)
    assert not operation.HasField("error"), operation.error
    if answer is not None:
        assert operation.response.Unpack(answer)
    return answer


async def end_of(
    stream: Any, seconds: float = 5.0, heard: Callable[[Any], None] = lambda _: None
) -> Refusal:
    """Read a stream to its end, which has to be an error; `heard` is told each message."""
    try:
        async with asyncio.timeout(seconds):
            while (message := await stream.read()) is not grpc.aio.EOF:
                heard(message)
            await stream
    except grpc.aio.AioRpcError as error:
        return refusal_of(error)
    raise AssertionError("the stream ended well")


def stream(channel: grpc.aio.Channel, path: str, requests: Any = None, **fields: Any) -> Any:
    """Open a stream and give gRPC's call."""
    service, _, name = path.partition(".")
    method = BY_NAME[service, name]
    given = request_class(method)(**fields) if requests is None else requests
    return callable_of(channel, method)(given)
