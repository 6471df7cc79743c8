"""What `fifo instance create` sends: vmadm payloads as they are, or an instance by options."""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING, Any, Final

import grpc

from fifo.cli.exits import in_words, report
from fifo.cli.fields import merge
from fifo.cli.files import read
from fifo.cli.finishing import finish
from fifo.cli.naming import name_of
from fifo.cli.options import fill
from fifo.v1 import instance_pb2, instance_service_pb2, instance_service_pb2_grpc

if TYPE_CHECKING:
    from collections.abc import Callable

    from fifo.cli.client import Client
    from fifo.cli.target import Target

Requests = instance_service_pb2
_PAYLOAD: Final = re.compile(
    r"\b(?:requests\[(?P<place>\d+)\](?:\.vmadm_json)?|vmadm_json)(?P<inside>\.)?"
)
"""How a node calls a payload of a request, and whether what follows is in it."""


def payload(file: str) -> bytes:
    """Read a vmadm payload; raises LocalFileError."""
    return sys.stdin.buffer.read() if file == "-" else read(file)


def _by_options(client: Client, target: Target, options: dict[str, Any]) -> instance_pb2.Instance:
    instance = instance_pb2.Instance()
    if options["settings"]:
        merge(instance, None, options["settings"])
    if options["brand"]:
        instance.brand = instance_pb2.Instance.Brand.Value(options["brand"].upper())
    for word in ("image", "package"):
        if options[word]:
            setattr(instance, word, name_of(client, target, word, options[word]))
    for network in options["networks"]:
        instance.nics.add(network=name_of(client, target, "network", network))
    if options["memory"] is not None:
        instance.max_physical_memory = options["memory"]
        instance.ram = options["memory"]
    if options["alias"]:
        instance.alias = options["alias"]
    return instance


def create_one(
    client: Client, target: Target, instance: str, files: tuple[str, ...], options: dict[str, Any]
) -> int:
    """Create one instance and wait for it; says what its host cannot honour."""
    request = Requests.CreateInstanceRequest(parent=target.parent(), instance_id=instance)
    fill(client, request, options)
    if files:
        request.vmadm_json = payload(files[0])
    else:
        request.instance.CopyFrom(_by_options(client, target, options))
    stub = instance_service_pb2_grpc.InstanceServiceStub(client.channel)
    status, operation = _ask(client, stub.CreateInstance, request, files)
    return status if operation is None else finish(client, target, operation, options)


def create_batch(
    client: Client, target: Target, files: tuple[str, ...], options: dict[str, Any]
) -> int:
    """Create an instance for each file in one call; tells of each that failed."""
    request = Requests.BatchCreateInstancesRequest(parent=target.parent())
    fill(client, request, options)
    for file in files:
        request.requests.add(parent=target.parent(), vmadm_json=payload(file))
    stub = instance_service_pb2_grpc.InstanceServiceStub(client.channel)
    status, operation = _ask(client, stub.BatchCreateInstances, request, files)
    return status if operation is None else finish(client, target, operation, options, files)


def _ask(
    client: Client, method: Callable[..., Any], request: Any, files: tuple[str, ...]
) -> tuple[int, Any]:
    """Make the call; a refusal is told with the files it is about, and gives None and its status.

    Raises what is no refusal.
    """

    def by_file(found: re.Match[str]) -> str:
        own = int(found["place"] or 0)
        return f"{files[own]}{': ' if found['inside'] else ''}" if own < len(files) else found[0]

    try:
        return 0, client.call(method, request)
    except grpc.RpcError as error:
        told = report(error, lambda text: _PAYLOAD.sub(by_file, in_words(text)))
        if told is None:
            raise
        return told, None
