"""What the Linux driver is told about its host: where it keeps things, and what it may take."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple

from fifo.model.errors import InvalidInput, Violation

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from fifo.model.image import Image

PREFIX: Final = re.compile(r"[a-z][a-z0-9]{1,4}")
"""Five characters leave ten of an interface's fifteen (IFNAMSIZ) for what is unique."""
UID_BASE: Final = 1_000_000
"""Root of every zone on the host; far above what people and services have."""
UIDS: Final = 65_536
"""Users and groups of a zone: what a Debian or Ubuntu system expects to have."""


class NicTag(NamedTuple):
    """What a nic tag means on this host.

    `bridge` is one the operator has made, for instance over a physical interface; without it each
    network with the tag gets a bridge of ours, which is there as long as it has ports. With
    `gateway` the host has the gateway addresses of such networks, and so reaches its instances.
    """

    bridge: str = ""
    gateway: bool = False


class ImageLimits(NamedTuple):
    """What an image may cost before it is given up; an image that declares less is held to that."""

    download_bytes: int = 32 * 1024**3
    unpacked_bytes: int = 64 * 1024**3
    entries: int = 2_000_000

    def download_of(self, image: Image) -> int:
        """Give what an image's file may have: what it declares, and never more than the host's."""
        return min(image.size_bytes or self.download_bytes, self.download_bytes)

    def unpacked_of(self, image: Image) -> int:
        """Give what an image may unpack to: what it declares, and never more than the host's."""
        return min(image.unpacked_bytes or self.unpacked_bytes, self.unpacked_bytes)


class Settings(NamedTuple):
    """One node's share of the host.

    `state_dir` outlives reboots, `run_dir` need not. Everything named on the host carries `prefix`,
    so that nodes side by side stay apart. `uid_base` 0 means zones without a user namespace, whose
    root is the host's. `runtime` forces runc or crun where the probe would choose.
    `private_sources` lets images come from loopback, link-local and private addresses.
    """

    state_dir: Path
    run_dir: Path
    prefix: str
    nic_tags: Mapping[str, NicTag]
    uid_base: int = UID_BASE
    runtime: str = ""
    image_limits: ImageLimits = ImageLimits()
    private_sources: bool = False

    @property
    def cgroup(self) -> str:
        """The control group that all our instances are below, from the hierarchy's root."""
        return f"/fifo-{self.prefix}"

    @property
    def table(self) -> str:
        """The nftables table of the bridge family that holds our rules."""
        return f"fifo_{self.prefix}"


def check(settings: Settings) -> None:
    """Refuse settings that could not work; raises InvalidInput with all of it."""
    wrong = []
    if not PREFIX.fullmatch(settings.prefix):
        wrong.append(Violation("prefix", f"like {PREFIX.pattern}"))
    if settings.runtime not in {"", "runc", "crun"}:
        wrong.append(Violation("runtime", "runc, crun, or nothing"))
    if settings.uid_base and settings.uid_base < UIDS:
        wrong.append(Violation("uid_base", f"0 or at least {UIDS}"))
    wrong += [
        Violation(f"{field}", "an absolute path")
        for field in ("state_dir", "run_dir")
        if not getattr(settings, field).is_absolute()
    ]
    if wrong:
        raise InvalidInput("settings of the Linux driver", tuple(wrong))
