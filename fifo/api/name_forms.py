"""The forms of the names in requests, by what their fields are annotated to name (AIP-122).

So a name that is none is told with what else is wrong, whoever would look for the resource.
"""

from __future__ import annotations

import functools
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from google.api import resource_pb2

from fifo.model import names

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from google.protobuf.descriptor import Descriptor, FieldDescriptor

    Reads = Callable[[str], object]


def _of(collection: str) -> Reads:
    return functools.partial(names.parse, collection=collection)


_NAMES: Final[Mapping[str, Reads]] = MappingProxyType(
    {
        "fifo/Instance": _of(names.INSTANCES),
        "fifo/Hypervisor": _of(names.HYPERVISORS),
        "fifo/Image": _of(names.IMAGES),
        "fifo/Package": _of(names.PACKAGES),
        "fifo/Network": _of(names.NETWORKS),
        "fifo/Snapshot": names.parse_snapshot,
    }
)
_PARENTS: Final[Mapping[str, Reads]] = MappingProxyType(
    {
        "fifo/Instance": names.parse_org,
        "fifo/Snapshot": _of(names.INSTANCES),
        "fifo/Address": _of(names.NETWORKS),
    }
)
_REQUESTS: Final = "_service.proto"
"""How files of requests end; in resources names are looser, as vmadm's payloads have them."""
_OPERATIONS: Final = "google.longrunning.ListOperationsRequest"
"""Its `name` is the collection, where that of all others in its file is an operation."""


def of_field(field: FieldDescriptor) -> Reads | None:
    """Give what reads a name in a field of a request, and raises InvalidInput for what is none.

    None for a field that names nothing, or things of which the form is not known beforehand.
    """
    owner = field.containing_type
    assert owner is not None
    if owner.full_name.startswith("google.longrunning.") and field.name == "name":
        return None if owner.full_name == _OPERATIONS else names.parse_operation
    if not owner.file.name.endswith(_REQUESTS):
        return None
    extensions: Any = field.GetOptions().Extensions
    reference = extensions[resource_pb2.resource_reference]
    return _NAMES.get(reference.type) or _PARENTS.get(reference.child_type)


def of_resource(described: Descriptor) -> Reads | None:
    """Give what reads the name of a resource by its own type; None for what is no resource."""
    extensions: Any = described.GetOptions().Extensions
    return _NAMES.get(extensions[resource_pb2.resource].type)
