"""A package: a named size that an instance can be made with (Triton: package, clouds: flavour)."""

from __future__ import annotations

from fifo.model.records import Record


class Package(Record, frozen=True, tag="package/1"):
    """Sizes in vmadm's words and units: MiB of memory, GiB of quota, hundredths of a processor."""

    uid: str
    id: str
    create_time: float
    generation: int = 1
    alias: str = ""
    description: str = ""
    max_physical_memory: int = 256
    max_swap: int = 0
    max_lwps: int = 2000
    cpu_cap: int = 100
    vcpus: int = 1
    quota: int = 10
    zfs_io_priority: int = 100
    required_labels: dict[str, str] = {}
    """A host must carry all of these labels."""
    tags: dict[str, str] = {}
