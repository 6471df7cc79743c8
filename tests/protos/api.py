"""The public API as its descriptors have it: what the checks of this directory walk over."""

from __future__ import annotations

import importlib
import pkgutil
from typing import TYPE_CHECKING, Any, Final

from google.api import annotations_pb2, client_pb2, field_behavior_pb2, resource_pb2
from google.longrunning import operations_pb2
from google.protobuf import descriptor_pb2

import fifo.v1

if TYPE_CHECKING:
    from collections.abc import Iterator

    from google.api.http_pb2 import HttpRule
    from google.api.resource_pb2 import ResourceDescriptor, ResourceReference
    from google.protobuf.descriptor import (
        Descriptor,
        FieldDescriptor,
        FileDescriptor,
        MethodDescriptor,
    )

    Described = Descriptor | FieldDescriptor | MethodDescriptor

OPERATION: Final = "google.longrunning.Operation"
EMPTY: Final = "google.protobuf.Empty"
STANDARD: Final = ("Get", "List", "Create", "Update", "Delete")


def _files() -> Iterator[FileDescriptor]:
    for module in pkgutil.iter_modules(fifo.v1.__path__):
        if module.name.endswith("_pb2"):
            yield importlib.import_module(f"fifo.v1.{module.name}").DESCRIPTOR


def _with_nested(message: Descriptor) -> Iterator[Descriptor]:
    yield message
    for nested in message.nested_types:
        if not nested.GetOptions().map_entry:
            yield from _with_nested(nested)


FILES: Final = tuple(_files())
MESSAGES: Final = tuple(
    message
    for file in FILES
    for top in file.message_types_by_name.values()
    for message in _with_nested(top)
)
METHODS: Final = tuple(
    method
    for file in FILES
    for service in file.services_by_name.values()
    for method in service.methods
)


def option(described: Described, extension: Any) -> Any:
    """Give an option that Google's protos add; their stubs do not say which type it has."""
    extensions: Any = described.GetOptions().Extensions
    return extensions[extension]


def message_of(field: FieldDescriptor) -> Descriptor:
    """Give the message type of a field that has one."""
    assert field.message_type is not None, field.full_name
    return field.message_type


def http(method: MethodDescriptor) -> HttpRule:
    """Give the rule by which a call is made over HTTP; an empty one where there is none."""
    rule: HttpRule = option(method, annotations_pb2.http)
    return rule


def verb_and_path(method: MethodDescriptor) -> tuple[str, str]:
    """Give the HTTP verb and path of a method, empty where there is no rule."""
    rule = http(method)
    verb = rule.WhichOneof("pattern") or ""
    return verb, getattr(rule, verb, "")


def signatures(method: MethodDescriptor) -> list[str]:
    """Give the argument lists that generated clients offer."""
    return list(option(method, client_pb2.method_signature))


def operation_info(method: MethodDescriptor) -> operations_pb2.OperationInfo:
    """Give what an operation ends with, and what its metadata is."""
    info: operations_pb2.OperationInfo = option(method, operations_pb2.operation_info)
    return info


def reads_only(method: MethodDescriptor) -> bool:
    """Tell whether a method says of itself that it changes nothing."""
    options = descriptor_pb2.MethodOptions
    return method.GetOptions().idempotency_level == options.NO_SIDE_EFFECTS


def streams(method: MethodDescriptor) -> bool:
    """Tell whether either side sends more than one message."""
    return method.client_streaming or method.server_streaming


def behaviors(field: FieldDescriptor) -> set[str]:
    """Give what a field is for: REQUIRED, OUTPUT_ONLY and the like (AIP-203)."""
    names = field_behavior_pb2.FieldBehavior
    return {names.Name(value) for value in option(field, field_behavior_pb2.field_behavior)}


def reference(field: FieldDescriptor) -> ResourceReference:
    """Give the type of resource that a field names; an empty one where it names none."""
    found: ResourceReference = option(field, resource_pb2.resource_reference)
    return found


def resource(message: Descriptor) -> ResourceDescriptor:
    """Give what makes a message a resource; an empty one where it is none."""
    found: ResourceDescriptor = option(message, resource_pb2.resource)
    return found


RESOURCES: Final = tuple(message for message in MESSAGES if resource(message).type)


def standard(method: MethodDescriptor) -> tuple[str, str]:
    """Take a standard method's name apart: its verb, and the resource; empty if it is custom.

    List names the plural, all others the singular of a resource (AIP-130).
    """
    for verb in STANDARD:
        noun = method.name.removeprefix(verb)
        if noun == method.name:
            continue
        for message in RESOURCES:
            plural = resource(message).plural
            wanted = plural[0].upper() + plural[1:] if verb == "List" else message.name
            if noun == wanted:
                return verb, message.name
    return "", ""
