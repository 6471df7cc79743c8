"""The memory of an instance: what is absent follows from what is given (vmadm's VM.js).

All in MiB. A VM needs room for its QEMU beside its memory; a zone's memory is what it may take.
"""

from __future__ import annotations

from typing import Final, NamedTuple

DEFAULT: Final = 256
"""Memory of an instance that says nothing."""
SWAP_LEAST: Final = 256
VM_OVERHEAD: Final = 1024
"""What a VM takes beside its memory where nobody says (vmadm: kvm)."""
VM_OVERHEAD_LEAST: Final = 256
"""The least that a VM is left beside its memory."""


class Memory(NamedTuple):
    """The five numbers as they are kept."""

    ram: int
    max_physical_memory: int
    max_locked_memory: int
    max_swap: int
    tmpfs: int


class Given(NamedTuple):
    """The five numbers as they are given; None is absent."""

    ram: int | None = None
    max_physical_memory: int | None = None
    max_locked_memory: int | None = None
    max_swap: int | None = None
    tmpfs: int | None = None


def complete(given: Given, *, is_vm: bool) -> Memory:
    """Fill in what is absent and keep what is given within what it must be."""
    physical = given.max_physical_memory
    if is_vm:
        ram = given.ram if given.ram is not None else DEFAULT
        least = ram + VM_OVERHEAD_LEAST
        physical = max(least, physical if physical is not None else ram + VM_OVERHEAD)
    else:
        # A zone's `ram` is only another word for its memory.
        if physical is None:
            physical = given.ram if given.ram is not None else DEFAULT
        ram, least = physical, 0
    locked = given.max_locked_memory if given.max_locked_memory is not None else physical
    swap = given.max_swap if given.max_swap is not None else physical
    tmpfs = given.tmpfs if given.tmpfs is not None else (0 if is_vm else physical)
    return Memory(
        ram=ram,
        max_physical_memory=physical,
        max_locked_memory=max(least, min(locked, physical)),
        max_swap=max(SWAP_LEAST, physical, swap),
        tmpfs=min(tmpfs, physical),
    )


def follow(before: Memory, given: Given, *, is_vm: bool) -> Memory:
    """Give the numbers after an update that gives some of them.

    What was beyond the memory by some amount stays so, and the share of tmpfs is kept (vmadm).
    """
    if is_vm:
        ram = given.ram if given.ram is not None else before.ram
        overhead = before.max_physical_memory - before.ram
        physical = given.max_physical_memory
        if physical is None:
            physical = ram + overhead if given.ram is not None else before.max_physical_memory
    else:
        ram = None
        physical = given.max_physical_memory
        if physical is None:
            physical = given.ram if given.ram is not None else before.max_physical_memory
    grown = physical - before.max_physical_memory
    tmpfs = before.tmpfs * physical // max(1, before.max_physical_memory)
    return complete(
        Given(
            ram=ram,
            max_physical_memory=physical,
            max_locked_memory=_or(given.max_locked_memory, before.max_locked_memory + grown),
            max_swap=_or(given.max_swap, before.max_swap + grown),
            tmpfs=_or(given.tmpfs, tmpfs),
        ),
        is_vm=is_vm,
    )


def _or(given: int | None, otherwise: int) -> int:
    return otherwise if given is None else given
