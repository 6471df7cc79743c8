"""The newest cloud kernel that the host's apt offers: downloaded and unpacked, never installed."""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING, Final, NamedTuple

from fifo.hypervisors.linux.guests import commands
from fifo.model.errors import NotReady

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from fifo.hypervisors.linux.guests.commands import Run

META_PACKAGE: Final = "linux-image-cloud-amd64"
"""Debian's name for the current kernel of its release; it depends on the one with the version."""
DOWNLOAD_DEADLINE_S: Final = 180.0
"""27 MB at 150 KB/s."""
UNPACK_DEADLINE_S: Final = 60.0
"""1.4 s here."""
DEPENDS: Final = re.compile(r"^\s*Depends: (linux-image-\S+-cloud-amd64)$", re.MULTILINE)
FIELD: Final = re.compile(r"^(Version|SHA256): (\S+)$", re.MULTILINE)


class KernelPackage(NamedTuple):
    """A package by name, version, and the SHA-256 that the archive's index says of it."""

    name: str
    version: str
    sha256: str


async def newest(run: Run, tools: Mapping[str, str]) -> KernelPackage:
    """Ask apt's lists, without the network; raises NotReady where they do not know the package."""
    plain = [tools["env"], "LC_ALL=C", tools["apt-cache"]]
    argv = [*plain, "depends", "--important", META_PACKAGE]
    # It ends with 100 for a package that the lists do not hold.
    depends = await run(argv, deadline_s=commands.DEADLINE_S)
    if not (found := DEPENDS.search(depends.stdout.decode())):
        raise _unknown()
    shown = await commands.output(run, [*plain, "show", "--no-all-versions", found[1]])
    fields = dict(FIELD.findall(shown))
    if fields.keys() != {"Version", "SHA256"}:
        raise _unknown()
    return KernelPackage(found[1], fields["Version"], fields["SHA256"])


def _unknown() -> NotReady:
    return NotReady(
        "apt does not know this package",
        META_PACKAGE,
        "as root: apt-get update; if that does not help, this is not Debian on amd64",
        details={"packages": META_PACKAGE},
    )


async def unpack(
    run: Run, tools: Mapping[str, str], package: KernelPackage, directory: Path
) -> Path:
    """Download the package into `directory` and unpack it there; return the root of its files.

    apt checks the signature of the index and the digest of the package. No root is needed.
    Raises DriverFailed with apt's own words, DeadlineExceeded.
    """
    wanted = f"{package.name}={package.version}"
    await commands.output(
        run,
        [tools["env"], f"--chdir={directory}", tools["apt-get"], "--quiet", "download", wanted],
        deadline_s=DOWNLOAD_DEADLINE_S,
    )
    (archive,) = await asyncio.to_thread(lambda: list(directory.glob("*.deb")))
    root = directory / "unpacked"
    await commands.output(
        run, [tools["dpkg-deb"], "-x", str(archive), str(root)], deadline_s=UNPACK_DEADLINE_S
    )
    return root
