"""Every kind of resource that can be watched: how it is found, named and made."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from fifo.api.resources import (
    events,
    hypervisors,
    images,
    instances,
    networks,
    operations,
    packages,
    snapshots,
)
from fifo.model import keys

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from google.protobuf.descriptor import Descriptor

    from fifo.store.catalog import View
    from fifo.store.contract import KeyValue


class EventParts(NamedTuple):
    """The record that an event is seen from."""

    stored: KeyValue


class Kind(NamedTuple):
    """One kind. `capture` takes its records now; `message` makes of them what callers see.

    `filtered` gives what filters look at, of the type `described`.
    """

    type: str
    capture: Callable[[View, str], Any]
    name: Callable[[View, Any], str]
    uid: Callable[[Any], str]
    message: Callable[[View, Any], Any]
    described: Descriptor
    filtered: Callable[[View, Any], Any]


def _plain(resource: Any, uid: Callable[[Any], str]) -> Kind:
    """Make the kind of a resource whose module has the usual functions."""
    return Kind(
        resource.TYPE,
        resource.capture,
        lambda view, parts: resource.name_of(parts),  # noqa: ARG005 - others look names up
        uid,
        resource.message,
        resource.Message.DESCRIPTOR,
        resource.message,
    )


KINDS: Final[Mapping[str, Kind]] = MappingProxyType(
    {
        kind.type: kind
        for kind in (
            _plain(instances, lambda parts: str(parts.spec.record.uid)),
            _plain(hypervisors, lambda parts: str(parts.spec.record.uid)),
            _plain(images, lambda parts: str(parts.image.record.uid)),
            _plain(packages, lambda parts: str(parts.package.record.uid)),
            _plain(networks, lambda parts: str(parts.network.record.uid)),
            Kind(
                networks.ADDRESS_TYPE,
                networks.capture_address,
                lambda view, parts: networks.address_name(parts),  # noqa: ARG005 - as above
                lambda parts: "",  # noqa: ARG005 - an address is only a name
                networks.address_message,
                networks.Address.DESCRIPTOR,
                networks.address_message,
            ),
            # A snapshot is only a name, too.
            _plain(snapshots, lambda parts: ""),  # noqa: ARG005 - as above
            _plain(operations, lambda parts: str(parts.operation.record.id))._replace(
                described=operations.Metadata.DESCRIPTOR,
                filtered=lambda view, parts: operations.metadata(view, parts.operation.record),
            ),
            Kind(
                events.TYPE,
                lambda view, key: None,  # noqa: ARG005 - an event only ever comes to be
                lambda view, parts: events.name_of(parts.stored.key),  # noqa: ARG005 - as above
                lambda parts: "",  # noqa: ARG005 - an event is only a name
                lambda view, parts: events.message(view, parts.stored),
                events.Message.DESCRIPTOR,
                lambda view, parts: events.message(view, parts.stored),
            ),
        )
    }
)

TOUCHES: Final = (
    (keys.INSTANCE_SPEC, instances.TYPE),
    (keys.INSTANCE_STATUS, instances.TYPE),
    (keys.CLAIM, instances.TYPE),
    (keys.HYPERVISOR_SPEC, hypervisors.TYPE),
    (keys.HYPERVISOR_STATUS, hypervisors.TYPE),
    (keys.ALLOCATION, hypervisors.TYPE),
    (keys.CLEANUP, hypervisors.TYPE),
    (keys.IMAGE, images.TYPE),
    (keys.PACKAGE, packages.TYPE),
    (keys.NETWORK, networks.TYPE),
    (keys.ADDRESS, networks.ADDRESS_TYPE),
    (keys.OPERATION, operations.TYPE),
)
"""Which kind of resource a record is part of; what stands behind the prefix says which one."""


def touched(key: bytes) -> tuple[str, str] | None:
    """Tell which resource a key is part of: its type, and its uid or path; None for none."""
    for prefix, kind in TOUCHES:
        if key.startswith(prefix):
            own = key[len(prefix) :].decode()
            return kind, own.partition("/")[0] if prefix == keys.CLEANUP else own
    return None
