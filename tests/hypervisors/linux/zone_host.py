"""A share of this very host for a test: its own directories, prefix, keeper and driver."""

from __future__ import annotations

import asyncio
import atexit
import functools
import ipaddress
import itertools
import os
import secrets
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from fifo.hypervisors.driver import Wanted
from fifo.hypervisors.linux.guests import spawning, zone, zone_image
from fifo.hypervisors.linux.images.cache import Cache
from fifo.hypervisors.linux.keeper_client import KeeperClient, start_keeper
from fifo.hypervisors.linux.layout import PASSABLE
from fifo.hypervisors.linux.leftovers import Leftovers, leftovers
from fifo.hypervisors.linux.opening import open_driver
from fifo.hypervisors.linux.settings import NicTag, Settings
from fifo.hypervisors.linux.storage import btrfs
from fifo.hypervisors.linux.storage.overlay import OverlayStorage
from fifo.hypervisors.linux.storage.pool import remove_tree
from fifo.model.image import Image
from fifo.model.instance import Claim, InstanceSpec, Nic, Shares
from fifo.model.network import AddressPool, Network
from tests.hypervisors.linux import runner
from tests.hypervisors.linux.keeper.keeper_host import KeeperHost

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fifo.hypervisors.linux.commands import Run
    from fifo.hypervisors.linux.driver import LinuxDriver
    from fifo.hypervisors.linux.layout import Kept

IMAGE_UID: Final = "00000000-0000-4000-9000-0000000000aa"
NETWORK_UID: Final = "00000000-0000-4000-a000-000000000001"
TAG: Final = "test"
RUNTIME: Final = "FIFO_TEST_RUNTIME"
"""Names another OCI runtime for all tests of zones: `crun`."""
NEEDED: Final = (os.environ.get(RUNTIME, "runc"), "ip", "nft", "busybox")


def why_not() -> str:
    """Say why this machine cannot run zones; nothing if it can."""
    if os.geteuid() != 0:
        return "needs root: zones are namespaces, mounts and control groups"
    missing = [name for name in NEEDED if shutil.which(name) is None]
    return f"not installed: {', '.join(missing)}" if missing else ""


def network(first: int, second: int) -> Network:
    """Describe a network with both families, and this host as its gateway."""
    four, six = f"10.{first}.{second}", f"fd{first:02x}:{second:x}::"
    return Network(
        uid=NETWORK_UID, id="test", create_time=0.0, nic_tag=TAG, resolvers=(f"{four}.1",),
        pools=(
            AddressPool(
                subnet=f"{four}.0/24", first=f"{four}.10", last=f"{four}.250", gateway=f"{four}.1"
            ),
            AddressPool(subnet=f"{six}/64", first=f"{six}10", last=f"{six}ff", gateway=f"{six}1"),
        ),
    )  # fmt: skip


class ZoneHost:
    """One node's share of the host; all of it carries a prefix, so that tests run side by side."""

    def __init__(self, directory: Path, prefix: str, network_: Network) -> None:
        """Take a directory with `state` in it; `make` makes one."""
        self.directory = directory
        self.settings = Settings(
            state_dir=directory / "state",
            run_dir=directory / "run",
            prefix=prefix,
            nic_tags={TAG: NicTag(gateway=True)},
            runtime=os.environ.get(RUNTIME, "runc"),
            private_sources=True,
        )
        self.keeper_host = KeeperHost(directory / "k")
        self.network = network_
        self._numbers = itertools.count(1)
        self._opened = False
        self.keeper: KeeperClient
        self.driver: LinuxDriver

    @classmethod
    def make(cls, images: Path | None = None, directory: Path | None = None) -> ZoneHost:
        """Make another one, with a network of its own; `images` is a cache to begin with."""
        directory = directory or Path(tempfile.mkdtemp(prefix="fz"))
        directory.chmod(PASSABLE)
        state = directory / "state"
        state.mkdir(exist_ok=True)
        if images is not None:
            subprocess.run(["/bin/cp", "-al", images, state / "images"], check=True)
        # Of its own, or the host would not know which test's bridge to answer on.
        own = network(64 + secrets.randbelow(64), secrets.randbelow(256))
        return cls(directory, f"t{secrets.token_hex(2)}", own)

    def arguments(self) -> tuple[str, str, str, str]:
        """Give what `node_process` takes to be a node on this share."""
        octets = self.network.pools[0].subnet.split(".")
        return (str(self.directory), self.settings.prefix, octets[1], octets[2])

    async def client(self) -> KeeperClient:
        """Give another client of the keeper; `close` closes it."""
        self._opened = True
        self.keeper = await KeeperClient.connect(self.keeper_host.directory)
        return self.keeper

    async def open(self, run: Run | None = None) -> LinuxDriver:
        """Start what is not there and open the driver."""
        await start_keeper(self.keeper_host.directory)
        self._opened = True
        self.keeper = await KeeperClient.connect(self.keeper_host.directory)
        self.driver = await open_driver(
            self.settings, self.keeper, self.keeper_host.directory, run=run
        )
        return self.driver

    async def close(self) -> None:
        """Let the driver and the keeper's client go; what runs goes on."""
        if self._opened:
            self._opened = False
            await self.driver.close()
            await self.keeper.close()

    async def remove_all(self) -> Leftovers:
        """Delete every instance; gives what is left of ours then."""
        for path in list(_inside(self.settings.state_dir / "instances")):
            await self.driver.delete(path.name.removeprefix(".new-").removeprefix(".gone-"))
        return await self.leftovers()

    def clear(self) -> None:
        """Kill the keeper and remove what is left, also after a test that failed."""
        if not asyncio.run(self.leftovers()).none:
            asyncio.run(self._reopen_and_remove())
        self.keeper_host.clear()
        asyncio.run(self._remove_directory())
        if not self.directory.is_mount():
            self.directory.rmdir()

    async def _remove_directory(self) -> None:
        """Remove it as far as it is ours: the root of a disk stays, and subvolumes go first."""
        if btrfs.is_btrfs(self.directory):
            storage = btrfs.BtrfsStorage(runner.run, self.settings.state_dir)
            for image in list(_inside(self.settings.state_dir / "images")):
                await storage.destroy(image)
        for path in list(_inside(self.directory)):
            await remove_tree(runner.run, path, 10.0)

    async def _reopen_and_remove(self) -> None:
        await self.open()
        await self.remove_all()
        await self.close()

    async def leftovers(self) -> Leftovers:
        """Look for what is ours on the host."""
        return await leftovers(runner.run, self.settings)

    @staticmethod
    def as_wanted(kept: Kept) -> Wanted:
        """Describe what is kept of an instance."""
        return Wanted(kept.spec, kept.claim, kept.networks)

    def wanted(self, *, nics: int = 1, script: str = "", **spec: Any) -> Wanted:
        """Describe another zone; `script` replaces its init."""
        number = next(self._numbers)
        uid = f"00000000-0000-4000-8000-{secrets.token_hex(4)}{number:04x}"
        if script:
            spec["init"] = ("/bin/sh", "-c", script)
        made = InstanceSpec(
            uid=uid, id=f"i-{number}", org="default", generation=1, wanted="running", brand="lx",
            create_time=0.0, image=IMAGE_UID, hostname=f"zone-{number}",
            nics=tuple(
                Nic(
                    interface=f"eth{index}",
                    mac=f"02:00:00:00:{number:02x}:{index:02x}",
                    network=NETWORK_UID,
                    primary=index == 0,
                )
                for index in range(nics)
            ),
            **{"max_physical_memory": 64, "max_swap": 64, **spec},
        )  # fmt: skip
        return self.claimed(made, number)

    def claimed(self, spec: InstanceSpec, number: int) -> Wanted:
        """Give what is wanted with two addresses for each interface; `number` is the instance's."""
        claim = Claim(
            uid=spec.uid, host="here", shares=Shares(),
            addresses={
                nic.mac: tuple(self.address(family, 8 + 2 * number + index) for family in (0, 1))
                for index, nic in enumerate(spec.nics)
            },
        )  # fmt: skip
        return Wanted(spec, claim, (self.network,))

    def address(self, family: int, number: int, *, bare: bool = False) -> str:
        """Give an address of the test's network, of IPv4 (0) or IPv6 (1)."""
        subnet = ipaddress.ip_network(self.network.pools[family].subnet)
        return str(subnet[number]) if bare else f"{subnet[number]}/{subnet.prefixlen}"

    async def running(self, **spec: Any) -> Wanted:
        """Create and start another zone."""
        wanted = self.wanted(**spec)
        await self.driver.create(wanted)
        await self.driver.start(wanted, 1)
        return wanted

    async def execute(self, wanted: Wanted, *command: str) -> tuple[int, str]:
        """Run a command in a zone; gives its exit code and all it wrote."""
        channel = await self.driver.execute(
            wanted.spec.uid, command, terminal=False, environment={}
        )
        said = b""
        while (part := await channel.read()) is not None:
            said += part[1]
        assert channel.exit_code is not None
        return channel.exit_code, said.decode()


def _inside(directory: Path) -> Iterator[Path]:
    return directory.iterdir()


def zone_image_record(source: Path) -> Image:
    """Describe the small zone's image."""
    return Image(
        uid=IMAGE_UID, id="zone", create_time=0.0, format="rootfs_tar", source=str(source),
        command=zone.COMMAND,
    )  # fmt: skip


@functools.cache
def small_zone() -> tuple[Path, Path]:
    """Build the small zone, once: a cache of images that has it, and its archive."""
    directory = Path(tempfile.mkdtemp(prefix="fzi"))
    atexit.register(shutil.rmtree, directory)
    directory.chmod(PASSABLE)
    return asyncio.run(_prepare_images(directory))


async def _prepare_images(directory: Path) -> tuple[Path, Path]:
    built = await zone_image.build(spawning.run, directory / "guests")
    settings = Settings(directory, directory, "ta", {})
    images = directory / "images"
    images.mkdir(mode=PASSABLE)
    cache = Cache(runner.run, settings, images, OverlayStorage(runner.run, directory), {})
    await cache.fetch(zone_image_record(built.path("rootfs")), lambda *_: None)
    return images, built.path("rootfs")
