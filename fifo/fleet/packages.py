"""Packages: made, changed and deleted, each in one commit."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fifo.fleet.commits import Plan
from fifo.model import keys, names, records
from fifo.model.errors import AlreadyExists, WrongState
from fifo.store.contract import Delete, Put, absent, unchanged

if TYPE_CHECKING:
    from fifo.model.package import Package
    from fifo.store.catalog import Catalog, Entry


def create(catalog: Catalog, package: Package) -> Plan:
    """Plan a new package; raises AlreadyExists."""
    index = keys.index(names.PACKAGES, "", package.id)
    if index in catalog.ids:
        raise AlreadyExists("a package has this name already", _name(package), "choose another")
    key = keys.by_uid(keys.PACKAGE, package.uid)
    return Plan(
        package.uid,
        [absent(key), absent(index)],
        [Put(key, records.encode(package)), Put(index, package.uid.encode())],
    )


def delete(catalog: Catalog, entry: Entry[Package]) -> Plan:
    """Plan a package's end; raises WrongState while instances have it."""
    package = entry.record
    users = [own.record for own in catalog.specs if own.record.package == package.uid]
    if users:
        shown = ", ".join(names.instance_name(user.id, user.org) for user in users[:3])
        raise WrongState(
            f"{len(users)} instances have it: {shown}",
            _name(package),
            "delete these, or give them another package, first",
            reason="PACKAGE_IN_USE",
        )
    index = keys.index(names.PACKAGES, "", package.id)
    return Plan(
        package.uid, [unchanged(entry.key, entry.revision)], [Delete(entry.key), Delete(index)]
    )


def _name(package: Package) -> str:
    return f"{names.PACKAGES}/{package.id}"
