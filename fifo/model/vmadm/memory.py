"""The arithmetic of an instance's memory: vmadm's own (VM.js, fixPayloadMemory).

All in MiB. What is not given follows from what is; what is given is moved inside the bounds that
hold between the five: a VM needs room for its QEMU beside its memory, locked memory is part of
physical memory, and swap counts both.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from fifo.model.errors import Violation
from fifo.model.instance import VM_BRANDS
from fifo.model.vmadm.limits import SWAP_LEAST_MIB

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from collections.abc import Set as AbstractSet

RAM_DEFAULT: Final = 256
OVERHEAD_DEFAULT: Final[Mapping[str, int]] = {"kvm": 1_024, "bhyve": 1_024 + 256}
"""What a VM's own process gets where nobody says."""
OVERHEAD_LEAST: Final = 256
"""The least that it gets, whoever says otherwise."""


class Memory(NamedTuple):
    """The five numbers as they hold; of a zone `ram` is its physical memory by another name."""

    ram: int
    max_physical_memory: int
    max_locked_memory: int
    max_swap: int
    tmpfs: int


class Given(NamedTuple):
    """The five numbers as they were given; None is absent."""

    ram: int | None = None
    max_physical_memory: int | None = None
    max_locked_memory: int | None = None
    max_swap: int | None = None
    tmpfs: int | None = None


def create(given: Given, brand: str) -> Memory:
    """Give the numbers of a new instance."""
    ram = given.ram if given.ram is not None else RAM_DEFAULT
    physical = given.max_physical_memory
    if physical is None:
        physical = ram + OVERHEAD_DEFAULT.get(brand, 0)
    return _bounded(
        brand,
        Memory(
            ram,
            physical,
            given.max_locked_memory if given.max_locked_memory is not None else physical,
            given.max_swap if given.max_swap is not None else max(SWAP_LEAST_MIB, physical),
            given.tmpfs if given.tmpfs is not None else physical,
        ),
    )


def update(before: Memory, given: Given, brand: str) -> Memory:
    """Give the numbers after an update; locked memory and swap keep their distance, tmpfs its part.

    Memory that was swap's floor of 256 MiB was no distance: then swap follows memory itself.
    """
    ram = given.ram if given.ram is not None else before.ram
    physical = given.max_physical_memory
    if physical is None and given.ram is not None:
        physical = ram + OVERHEAD_DEFAULT.get(brand, 0)
    locked, swap, tmpfs = given.max_locked_memory, given.max_swap, given.tmpfs
    if physical is not None:
        if locked is None:
            locked = physical - (before.max_physical_memory - before.max_locked_memory)
        if swap is None:
            swap = max(SWAP_LEAST_MIB, _swap(before, physical))
        if tmpfs is None:
            tmpfs = _share(before.tmpfs, before.max_physical_memory, physical)
    return _bounded(
        brand,
        Memory(
            ram,
            physical if physical is not None else before.max_physical_memory,
            locked if locked is not None else before.max_locked_memory,
            swap if swap is not None else before.max_swap,
            tmpfs if tmpfs is not None else before.tmpfs,
        ),
    )


def reset(before: Memory, given: Given, gone: AbstractSet[str], usual: Given, brand: str) -> Given:
    """Give what an update asks for with the defaults of the numbers that it takes away, `gone`.

    `usual` has those that a package says. What follows from other numbers is made of these as they
    will be.
    """
    made = given._asdict()
    base = usual.ram if usual.ram is not None else RAM_DEFAULT
    if brand in VM_BRANDS:
        if "ram" in gone:
            made["ram"] = base
    elif {"ram", "max_physical_memory"} <= gone:
        made["ram"] = made["max_physical_memory"] = base
    if "max_physical_memory" in gone and made["max_physical_memory"] is None:
        ram = made["ram"] if made["ram"] is not None else before.ram
        made["max_physical_memory"] = ram + OVERHEAD_DEFAULT.get(brand, 0)
    physical = update(before, Given(**made), brand).max_physical_memory
    if "max_locked_memory" in gone:
        made["max_locked_memory"] = physical
    if "max_swap" in gone:
        made["max_swap"] = usual.max_swap if usual.max_swap is not None else physical
        made["max_swap"] = max(SWAP_LEAST_MIB, made["max_swap"])
    if "tmpfs" in gone:
        made["tmpfs"] = physical
    return Given(**made)


def violations(before: Memory, given: Given, brand: str) -> Iterator[Violation]:
    """Say what an update of a VM may not ask for: any of the limits below its memory."""
    if brand not in VM_BRANDS:
        return
    ram = given.ram if given.ram is not None else before.ram
    for name in ("max_physical_memory", "max_locked_memory", "max_swap"):
        own = getattr(given, name)
        if own is not None and own < ram:
            yield Violation(name, f"at least {ram}, the ram")


def _bounded(brand: str, wanted: Memory) -> Memory:
    """Move the numbers to where they may be together."""
    ram, physical, locked, swap, tmpfs = wanted
    if brand in VM_BRANDS:
        physical = max(physical, ram + OVERHEAD_LEAST)
        locked = max(locked, ram + OVERHEAD_LEAST)
        tmpfs = 0
    else:
        ram = physical
    return Memory(
        ram=ram,
        max_physical_memory=physical,
        max_locked_memory=max(0, min(locked, physical)),
        max_swap=max(swap, physical),
        tmpfs=min(tmpfs, physical),
    )


def _swap(before: Memory, physical: int) -> int:
    if before.max_swap == SWAP_LEAST_MIB <= physical:
        return physical
    return physical + before.max_swap - before.max_physical_memory


def _share(part: int, whole: int, now: int) -> int:
    """Give the same share of another whole, halves rounded up."""
    return (2 * part * now + whole) // (2 * whole) if whole else now
