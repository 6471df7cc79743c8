"""What a change of an instance changes; which of it holds at once is its host's driver to tell."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from fifo.model.instance import InstanceSpec

_COUNTERS: Final = frozenset({"generation", "boot_generation", "deleting", "unasked"})


def changed(before: InstanceSpec, after: InstanceSpec) -> tuple[str, ...]:
    """Name the fields that differ, the counters of changes not among them."""
    return tuple(
        name
        for name in before.__struct_fields__
        if name not in _COUNTERS and getattr(before, name) != getattr(after, name)
    )
