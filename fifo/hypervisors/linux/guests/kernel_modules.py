"""Kernel modules in the order in which they can be loaded.

A kernel package has no modules.dep: depmod writes it when the package is installed. What depmod
reads stands in each module: `depends=` in its section .modinfo (kernel: scripts/mod/modpost.c).
"""

from __future__ import annotations

import lzma
import struct
from typing import TYPE_CHECKING, Final

from fifo.model.errors import Unsupported

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

SUFFIXES: Final = (".ko", ".ko.xz")
"""Debian 12 leaves modules as they are, Debian 13 compresses them."""
SECTION_HEADER: Final = struct.Struct("<IIQQQQIIQQ")


def find(root: Path) -> dict[str, Path]:
    """Return the modules below a directory by name. Blocks on the disk."""
    return {
        _name(path.name.partition(".")[0]): path
        for path in sorted(root.rglob("*.ko*"))
        if path.name.endswith(SUFFIXES)
    }


def read(path: Path) -> bytes:
    """Return a module's ELF bytes, decompressed. Blocks on the disk."""
    data = path.read_bytes()
    return lzma.decompress(data) if path.suffix == ".xz" else data


def load_order(wanted: Iterable[str], available: Mapping[str, Path]) -> dict[str, bytes]:
    """Return the wanted modules and all they depend on, dependencies first, with their bytes.

    A wanted name that is no module is taken for built in and left out: a kernel may have it so. A
    dependency that is missing raises Unsupported. Blocks on the disk.
    """
    ordered: dict[str, bytes] = {}

    def add(name: str, needed_by: str) -> None:
        if name in ordered:
            return
        if name not in available:
            raise Unsupported(
                f"module {needed_by} needs {name}, which the package does not hold",
                "kernel modules",
                "build from Debian's linux-image-cloud-amd64",
            )
        module = read(available[name])
        for dependency in dependencies(module):
            add(dependency, name)
        ordered[name] = module

    for name in map(_name, wanted):
        if name in available:
            add(name, name)
    return ordered


def dependencies(module: bytes) -> tuple[str, ...]:
    """Return the names of the modules that an ELF module needs before it."""
    for field in _section(module, b".modinfo").split(b"\0"):
        if field.startswith(b"depends="):
            names = field.removeprefix(b"depends=").decode()
            return tuple(_name(name) for name in names.split(",") if name)
    return ()


def _section(module: bytes, wanted: bytes) -> bytes:
    """Return the bytes of a section of a 64-bit little-endian ELF file, empty if there is none."""
    (table,) = struct.unpack_from("<Q", module, 40)
    size, count, names_at = struct.unpack_from("<HHH", module, 58)
    headers = [SECTION_HEADER.unpack_from(module, table + size * index) for index in range(count)]
    names = _content(module, headers[names_at])
    for header in headers:
        if names[header[0] : names.index(b"\0", header[0])] == wanted:
            return _content(module, header)
    return b""


def _content(module: bytes, header: tuple[int, ...]) -> bytes:
    offset, length = header[4], header[5]
    return module[offset : offset + length]


def _name(name: str) -> str:
    # A dash and an underscore are the same in a module's name.
    return name.replace("-", "_")
