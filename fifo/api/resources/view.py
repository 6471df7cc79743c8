"""What a resource is made from: the tables of the catalog, or those of a watch at some revision."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from fifo.model import names

if TYPE_CHECKING:
    from fifo.model.hypervisor import Allocation, HypervisorSpec, HypervisorStatus
    from fifo.model.image import Image
    from fifo.model.instance import Claim, Cleanup, InstanceSpec, InstanceStatus
    from fifo.model.network import AddressClaim, Network
    from fifo.model.operation import Operation
    from fifo.model.package import Package
    from fifo.store.catalog import Table


class View(Protocol):
    """Every record as of one revision; `fifo.store.catalog.Catalog` is one."""

    specs: Table[InstanceSpec]
    statuses: Table[InstanceStatus]
    claims: Table[Claim]
    cleanups: Table[Cleanup]
    hosts: Table[HypervisorSpec]
    host_statuses: Table[HypervisorStatus]
    allocations: Table[Allocation]
    images: Table[Image]
    packages: Table[Package]
    networks: Table[Network]
    addresses: Table[AddressClaim]
    operations: Table[Operation]


# References are written as names. What is gone has no id any more: its uid stands in, which a Get
# takes as well.


def instance_name(view: View, uid: str) -> str:
    """Name an instance."""
    spec = view.specs.record(uid)
    return names.instance_name(spec.id, spec.org) if spec is not None else names.instance_name(uid)


def image_name(view: View, uid: str) -> str:
    """Name an image; nothing for none."""
    record = view.images.record(uid)
    return f"{names.IMAGES}/{record.id if record is not None else uid}" if uid else ""


def package_name(view: View, uid: str) -> str:
    """Name a package; nothing for none."""
    record = view.packages.record(uid)
    return f"{names.PACKAGES}/{record.id if record is not None else uid}" if uid else ""


def network_name(view: View, uid: str) -> str:
    """Name a network; nothing for none."""
    record = view.networks.record(uid)
    return f"{names.NETWORKS}/{record.id if record is not None else uid}" if uid else ""


def hypervisor_name(view: View, uid: str) -> str:
    """Name a host; nothing for none."""
    record = view.hosts.record(uid)
    return f"{names.HYPERVISORS}/{record.id if record is not None else uid}" if uid else ""
