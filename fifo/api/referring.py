"""What the fields of a wrong request refer to, looked up so that all that is wrong is told at once.

A request whose fields are in order is looked through by its service, which knows more of it. One
that is refused for its fields never comes there; a name in it that refers to nothing would only be
told when the rest is put right.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from google.api import field_behavior_pb2, resource_pb2

from fifo.model import names

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from google.protobuf.descriptor import FieldDescriptor
    from google.protobuf.message import Message

    from fifo.model.errors import Violation

    LookUp = Callable[[str, str, str, Callable[[Violation], None]], str]
    """`References.uid`."""

_COLLECTIONS: Final = {
    "fifo/Hypervisor": names.HYPERVISORS,
    "fifo/Image": names.IMAGES,
    "fifo/Network": names.NETWORKS,
    "fifo/Package": names.PACKAGES,
}
_WORD: Final = re.compile(r"[a-z_]+")


class Reference(NamedTuple):
    """A name in a request: what it is to be one of, and which field has it.

    `fixed` says that the field counts on creation alone.
    """

    collection: str
    name: str
    path: str
    fixed: bool


def collection_of(field: FieldDescriptor) -> str:
    """Give the collection that a resource's field refers to; '' if it is none of these.

    What a request itself names is what it is about: that is NOT_FOUND, and no violation.
    """
    containing = field.containing_type
    if containing is None or containing.name.endswith("Request"):
        return ""
    extensions: Any = field.GetOptions().Extensions
    return _COLLECTIONS.get(extensions[resource_pb2.resource_reference].type, "")


def is_fixed(field: FieldDescriptor) -> bool:
    """Tell whether a field counts on creation alone."""
    extensions: Any = field.GetOptions().Extensions
    return field_behavior_pb2.IMMUTABLE in extensions[field_behavior_pb2.field_behavior]


def look_up(
    message: Message,
    references: Iterable[Reference],
    find: LookUp,
    add: Callable[[Violation], None],
) -> None:
    """Note each name that refers to nothing, as the request's service would."""
    mask: Any = getattr(message, "update_mask", None)
    for reference in references:
        if mask is not None and not _is_changed(reference, mask.paths):
            continue
        find(reference.collection, reference.name, reference.path, add)


def _is_changed(reference: Reference, masked: Iterable[str]) -> bool:
    """Tell whether an update looks at a field; its path is like `instance.nics[0].network`."""
    tops = {path.partition(".")[0] for path in masked}
    own = _WORD.findall(reference.path)[1]
    return not reference.fixed and (not tops or not tops.isdisjoint({own, "*"}))
