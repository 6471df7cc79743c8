"""Gathering an object's values by the rows of a table: read, dropped, or noted as not honoured."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from fifo.model.vmadm import values
from fifo.model.vmadm.properties import READ_ONLY
from fifo.model.vmadm.property import LINUX
from fifo.model.vmadm.texts import shown

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fifo.model.vmadm.findings import Findings
    from fifo.model.vmadm.property import Property


class Asked(NamedTuple):
    """For whom an object is read: the brand, and the letter of the action (see Property)."""

    brand: str
    action: str


def gather(
    table: Mapping[str, Property],
    given: Mapping[str, Any],
    path: str,
    asked: Asked,
    found: Findings,
) -> dict[str, Any]:
    """Read what is given of a table's properties, by their names; None is an unset one.

    `path` stands before each name that is told: "nics[0]." for one. What the table does not know,
    or not for this brand and action, is dropped as vmadm does, but named.
    """
    read: dict[str, Any] = {}
    for name, value in given.items():
        where = path + shown(name)
        row = table.get(name)
        if row is None or asked.brand not in row.brands or asked.action not in row.actions:
            # What another host tells of its own instance says nothing about this one.
            told = name not in READ_ONLY and (row is None or row.becomes != "void")
            found.drop(where, told=told)
            continue
        own = read[name] = values.read(row, value, where, found)
        if row.becomes in {"unhonoured", "secret"} and asked.brand in LINUX and says(row, own):
            found.unhonoured.add(where)
    return read


def says(row: Property, value: Any) -> bool:
    """Tell whether a value says anything: none, an empty one and vmadm's own default do not."""
    return value is not None and value not in (row.default, (), "") and value is not False
