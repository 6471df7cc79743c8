"""Which Debian packages the builders need, and what is said when one is not there."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

from fifo.hypervisors.linux.guests.busybox import is_static
from fifo.model.errors import NotReady

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

PACKAGES: Final[Mapping[str, str]] = {
    "apt-cache": "apt",
    "apt-get": "apt",
    "busybox": "busybox-static",
    "debugfs": "e2fsprogs",
    "dpkg-deb": "dpkg",
    "env": "coreutils",
    "grub-mkimage": "grub-pc-bin",
    "mke2fs": "e2fsprogs",
    "qemu-img": "qemu-utils",
}
"""The package of each command. A busybox that needs libraries is as good as none."""
DIRECTORIES: Final = tuple(map(Path, ("/usr/sbin", "/usr/bin", "/sbin", "/bin")))
"""Where commands are looked for; a user's PATH often leaves the sbin directories out."""


def locate(names: Iterable[str], directories: Sequence[Path] = DIRECTORIES) -> dict[str, str]:
    """Return the absolute path of each command.

    Raises NotReady with the packages that carry what is missing, all of them at once; they stand
    in `details["packages"]` too, separated by spaces.
    """
    found = {name: _which(name, directories) for name in names}
    if missing := sorted({PACKAGES[name] for name, path in found.items() if path is None}):
        packages = " ".join(missing)
        raise NotReady(
            f"needs Debian packages that are not installed: {packages}",
            "guest image",
            f"as root: apt-get install -y --no-install-recommends {packages}",
            details={"packages": packages},
        )
    return {name: str(path) for name, path in found.items()}


def _which(name: str, directories: Sequence[Path]) -> Path | None:
    paths = [directory / name for directory in directories]
    fit = (path for path in paths if os.access(path, os.X_OK))
    return next((path for path in fit if name != "busybox" or is_static(path)), None)
