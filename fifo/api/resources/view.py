"""How a resource names others: by what a view has of them, the catalog or the tables of a watch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fifo.model import names

if TYPE_CHECKING:
    from fifo.store.catalog import View

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
