"""`python -m fifo.hypervisors.linux.guests DIR`: build the small guests and say where they are."""

from __future__ import annotations

import argparse
import asyncio
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final, TextIO

from fifo.hypervisors.linux.guests import spawning, vm_images, zone_image
from fifo.model.errors import FifoError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fifo.hypervisors.linux.guests.image_cache import GuestImage

BUILDERS: Final = (zone_image.build, vm_images.direct)
"""What a person starts with; the disk for firmware is for tests."""


def main(arguments: Sequence[str], out: TextIO, complaints: TextIO) -> int:
    """Build both images, print paths and sizes to `out`, and return the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m fifo.hypervisors.linux.guests", description=__doc__
    )
    parser.add_argument(
        "directory", type=Path, metavar="DIR", help="where images are kept; made if needed"
    )
    directory: Path = parser.parse_args(arguments).directory
    try:
        asyncio.run(_build(directory, out))
    except (FifoError, OSError) as error:
        print(error, file=complaints)
        return 1
    return 0


async def _build(directory: Path, out: TextIO) -> None:
    for build in BUILDERS:
        show(await build(spawning.run, directory), out)


def show(image: GuestImage, out: TextIO) -> None:
    """Print an image: what it is, and each file with its size."""
    manifest = image.manifest
    print(f"{manifest.name} {manifest.version} ({manifest.brand}, {manifest.boot})", file=out)
    for file in manifest.files:
        print(f"  {file.size_bytes:>12,}  {image.directory / file.path}", file=out)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], sys.stdout, sys.stderr))
