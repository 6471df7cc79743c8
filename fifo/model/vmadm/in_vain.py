"""What a payload may ask for and no Linux host does anything about; a SmartOS host does all of it.

Such a property is kept and returned, and told as not honoured by whoever it was asked of.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Final

import msgspec

from fifo.model.instance import InstanceSpec

if TYPE_CHECKING:
    from collections.abc import Mapping

_ALL: Final = frozenset({"firewall_enabled", "max_locked_memory"})
"""Rules of a firewall are a later capability; locked memory is a limit of each process on Linux,
and no sum of a zone's as on illumos."""
IN_VAIN: Final[Mapping[str, frozenset[str]]] = MappingProxyType({
    # A container has its host's kernel, and tells of it.
    "lx": _ALL | {"kernel_version"},
    # QEMU's own threads are bounded by what it needs; its disks have sizes of their own.
    "kvm": _ALL | {"max_lwps", "quota"},
})  # fmt: skip
"""Fields of InstanceSpec by brand."""
_USUAL: Final = MappingProxyType(
    {own.name: own.default for own in msgspec.structs.fields(InstanceSpec)}
)


def in_vain(spec: InstanceSpec) -> tuple[str, ...]:
    """List what a spec asks for in vain; what everybody gets who asks for nothing is not wanted."""
    names = sorted(IN_VAIN.get(spec.brand, frozenset()))
    return tuple(name for name in names if getattr(spec, name) not in _usual(spec, name))


def _usual(spec: InstanceSpec, name: str) -> tuple[object, ...]:
    if name == "max_locked_memory":
        # vmadm: all of the memory may be locked, unless somebody says less.
        return (0, spec.max_physical_memory)
    return (_USUAL[name],)
