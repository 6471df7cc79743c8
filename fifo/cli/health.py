"""What a node says of its services: by the standard health service, and by reflection."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from fifo.cli.text import safe

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fifo.cli.client import Client


def _word(answer: Any) -> str:
    return str(health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status)).lower()


def check(client: Client, service: str) -> dict[str, str]:
    """Give the status of a service, or of the node and each of its services."""
    stub = health_pb2_grpc.HealthStub(client.channel)
    request = health_pb2.HealthCheckRequest(service=service)
    told = {service or "node": _word(client.call(stub.Check, request))}
    if not service:
        listed = client.call(stub.List, health_pb2.HealthListRequest())
        told |= {name: _word(one) for name, one in sorted(listed.statuses.items()) if name}
    return {safe(name): status for name, status in told.items()}


def follow(client: Client, service: str) -> Iterator[str]:
    """Give a service's status, then each change of it."""
    stub = health_pb2_grpc.HealthStub(client.channel)
    request = health_pb2.HealthCheckRequest(service=service)
    for answer in client.stream(stub.Watch, request):
        yield _word(answer)


def services(client: Client) -> list[str]:
    """List the services that a node serves."""
    stub = reflection_pb2_grpc.ServerReflectionStub(client.channel)
    request = reflection_pb2.ServerReflectionRequest(list_services="*")
    answers = stub.ServerReflectionInfo(
        iter([request]), timeout=client.timeout_s, metadata=client.metadata
    )
    found: list[str] = []
    for answer in answers:
        found += [safe(own.name) for own in answer.list_services_response.service]
    return sorted(found)
