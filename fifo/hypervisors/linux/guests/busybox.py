"""The one program of the small guests: Debian's static busybox and its links."""

from __future__ import annotations

import asyncio
import hashlib
import struct
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from fifo.hypervisors.linux.guests import commands, file_tree
from fifo.model.errors import Unsupported

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fifo.hypervisors.linux.guests.commands import Run
    from fifo.hypervisors.linux.guests.file_tree import Tree
    from fifo.model.image_manifest import Architecture

PROGRAM_INTERPRETER: Final = 3
"""PT_INTERP: the segment that names a dynamic loader (elf(5))."""
MACHINES: Final[Mapping[int, Architecture]] = {62: "amd64", 183: "arm64"}
"""EM_X86_64 and EM_AARCH64."""
HEAD_BYTES: Final = 64 * 1024
"""The ELF header and program headers stand at the beginning."""
OWN_INIT: Final = frozenset({"sbin/init", "linuxrc"})
"""Applets that are not linked: each guest brings its own first process."""


class Busybox(NamedTuple):
    """The program's bytes and the paths of its links, from the root."""

    program: bytes
    links: tuple[str, ...]

    @property
    def sha256(self) -> str:
        """The digest that stands for its version."""
        return hashlib.sha256(self.program).hexdigest()

    @property
    def architecture(self) -> Architecture:
        """What it runs on, as its ELF header says; raises Unsupported for what Debian is not."""
        (machine,) = struct.unpack_from("<H", self.program, 18)
        if machine not in MACHINES:
            raise Unsupported(
                f"is built for machine {machine}", "busybox", "use a host with amd64 or arm64"
            )
        return MACHINES[machine]

    def tree(self) -> Tree:
        """Return the program and its links as part of a root file system."""
        tree = {path: file_tree.link("/bin/busybox") for path in self.links}
        return {**tree, "bin/busybox": file_tree.file(self.program, 0o755)}


async def read(run: Run, path: str) -> Busybox:
    """Read the program at `path` and ask it for its applets; raises DriverFailed."""
    listed = await commands.output(run, [path, "--list-full"])
    links = sorted(set(listed.split()) - OWN_INIT - {"bin/busybox"})
    return Busybox(await asyncio.to_thread(Path(path).read_bytes), tuple(links))


def is_static(path: Path) -> bool:
    """Tell whether the file is an ELF program that needs no loader (64 bits, little endian)."""
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
    if not head.startswith(b"\x7fELF\x02\x01"):
        return False
    offset, size, count = (
        struct.unpack_from(form, head, at)[0] for form, at in (("<Q", 32), ("<H", 54), ("<H", 56))
    )
    kinds = [struct.unpack_from("<I", head, offset + size * index)[0] for index in range(count)]
    return PROGRAM_INTERPRETER not in kinds
