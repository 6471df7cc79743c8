"""What `fifo instance create` sends: vmadm payloads as they are, or an instance by options."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from google.protobuf import json_format

from fifo.cli.finishing import finish
from fifo.model.errors import InvalidInput, NotReady, Violation
from fifo.v1 import instance_pb2, instance_service_pb2, instance_service_pb2_grpc

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fifo.cli.client import Client
    from fifo.cli.target import Target

Requests = instance_service_pb2


def payload(file: str) -> bytes:
    """Read a vmadm payload; raises NotReady."""
    if file == "-":
        return sys.stdin.buffer.read()
    try:
        return Path(file).read_bytes()
    except OSError as error:
        raise NotReady(f"it cannot be read: {error.strerror}", file, "check it") from error


def instance_from(settings: Sequence[str]) -> tuple[instance_pb2.Instance, list[str]]:
    """Make an instance of `field=value` pairs, and list the fields; raises InvalidInput.

    A value is JSON; what is no JSON is taken as text.
    """
    wanted: dict[str, Any] = {}
    for setting in settings:
        field, equals, text = setting.partition("=")
        if not equals:
            raise InvalidInput(setting, (Violation("setting", "FIELD=VALUE"),))
        try:
            wanted[field] = json.loads(text)
        except json.JSONDecodeError:
            wanted[field] = text
    try:
        return json_format.ParseDict(wanted, instance_pb2.Instance()), list(wanted)
    except json_format.ParseError as error:
        raise InvalidInput("instance", (Violation(", ".join(wanted), str(error)),)) from error


def _by_options(options: dict[str, Any]) -> instance_pb2.Instance:
    instance, _ = instance_from(options["settings"])
    if options["brand"]:
        instance.brand = instance_pb2.Instance.Brand.Value(options["brand"].upper())
    for field, collection in (("image", "images"), ("package", "packages")):
        if options[field]:
            setattr(instance, field, _full(options[field], collection))
    for network in options["networks"]:
        instance.nics.add(network=_full(network, "networks"))
    if options["memory"] is not None:
        instance.max_physical_memory = options["memory"]
        instance.ram = options["memory"]
    if options["alias"]:
        instance.alias = options["alias"]
    return instance


def _full(text: str, collection: str) -> str:
    return text if "/" in text else f"{collection}/{text}"


def create_one(
    client: Client, target: Target, instance: str, files: tuple[str, ...], options: dict[str, Any]
) -> int:
    """Create one instance and wait for it; says what its host cannot honour."""
    request = Requests.CreateInstanceRequest(
        parent=target.parent(),
        instance_id=instance,
        request_id=options["request_id"] or client.request_id(),
        validate_only=options["validate_only"],
    )
    if files:
        request.vmadm_json = payload(files[0])
    else:
        request.instance.CopyFrom(_by_options(options))
    stub = instance_service_pb2_grpc.InstanceServiceStub(client.channel)
    operation = client.call(stub.CreateInstance, request)
    wait = options["wait"] and not options["validate_only"]
    return finish(client, target, operation, wait=wait, quiet=options["quiet"])


def create_batch(
    client: Client, target: Target, files: tuple[str, ...], options: dict[str, Any]
) -> int:
    """Create an instance for each file in one call; tells of each that failed."""
    request = Requests.BatchCreateInstancesRequest(
        parent=target.parent(),
        request_id=options["request_id"] or client.request_id(),
        validate_only=options["validate_only"],
    )
    for file in files:
        request.requests.add(parent=target.parent(), vmadm_json=payload(file))
    stub = instance_service_pb2_grpc.InstanceServiceStub(client.channel)
    operation = client.call(stub.BatchCreateInstances, request)
    wait = options["wait"] and not options["validate_only"]
    return finish(client, target, operation, wait=wait, quiet=options["quiet"])
