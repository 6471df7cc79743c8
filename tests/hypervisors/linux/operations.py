"""What a driver is asked for, one after the other, each from a state that can be brought about."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec

from fifo.model.image import Image
from fifo.model.instance import Disk
from tests.hypervisors.linux.vm.vm_host import VmHost
from tests.hypervisors.linux.zone_host import zone_image_record

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from fifo.hypervisors.driver import Wanted
    from tests.hypervisors.linux.zone_host import ZoneHost

UID: Final = "00000000-0000-4000-8000-000000000001"
FETCHED_UID: Final = "00000000-0000-4000-9000-000000000f01"
CAPTURED_UID: Final = "00000000-0000-4000-9000-000000000f02"
PATIENCE_S: Final = 60.0
"""For a VM that boots first, on a machine that has much else to do."""


class Subject:
    """One instance of a host, always the same, and the images that come and go beside it."""

    def __init__(self, host: ZoneHost, source: str) -> None:
        """Take an image's source to import: a file, a directory, a URL or a registry's name."""
        self.host = host
        self.source = source
        made = host.wanted(nics=2, alias="a")
        self.wanted: Wanted = made._replace(
            spec=msgspec.structs.replace(made.spec, uid=UID),
            claim=msgspec.structs.replace(made.claim, uid=UID),
        )

    def changed(self, **fields: Any) -> Wanted:
        """Give what is wanted with some properties of another value."""
        return self.wanted._replace(spec=msgspec.structs.replace(self.wanted.spec, **fields))

    # -- states to begin with ------------------------------------------------------------------

    async def absent(self) -> None:
        """Have no instance."""
        await self.host.driver.delete(UID)

    async def stopped(self) -> None:
        """Have an instance as it was created, and stopped."""
        await self.host.driver.create(self.wanted)
        await self.host.driver.stop(UID, 0.0)
        await self.host.driver.update(self.wanted)

    async def running(self) -> None:
        """Have an instance that runs as it was created."""
        await self.host.driver.create(self.wanted)
        await self.start()
        await self.host.driver.update(self.wanted)

    async def made_anew(self) -> None:
        """Have an instance as it was created."""
        await self.absent()
        await self.create()

    async def started_anew(self) -> None:
        """Have an instance that runs and waits for nothing."""
        await self.absent()
        await self.running()

    async def booted(self) -> None:
        """Have a VM that listens to its power button."""
        await self.started_anew()
        assert isinstance(self.host, VmHost)
        await (await self.host.terminal(self.wanted)).close()

    async def without_snapshots(self) -> None:
        """Have a stopped instance, and no snapshot of it."""
        await self.stopped()
        for each in await self.host.driver.snapshots(UID):
            await self.host.driver.delete_snapshot(UID, each.name)

    async def with_snapshots(self) -> None:
        """Have a stopped instance and three snapshots of it."""
        await self.stopped()
        for name in ("a", "b", "c"):
            await self.host.driver.snapshot(UID, name)

    async def running_without_snapshots(self) -> None:
        """Have an instance that runs, and no snapshot of it."""
        await self.running()
        for each in await self.host.driver.snapshots(UID):
            await self.host.driver.delete_snapshot(UID, each.name)

    async def running_with_snapshots(self) -> None:
        """Have an instance that runs, and a snapshot of it."""
        await self.running()
        await self.host.driver.snapshot(UID, "a")

    async def without_images(self) -> None:
        """Have neither of the images that operations make."""
        for uid in (FETCHED_UID, CAPTURED_UID):
            await self.host.driver.delete_image(uid)

    async def with_image(self) -> None:
        """Have the image that is imported."""
        await self.fetch()

    async def to_capture(self) -> None:
        """Have a stopped instance and no image of it."""
        await self.stopped()
        await self.without_images()

    # -- what is done --------------------------------------------------------------------------

    async def create(self) -> None:
        """Create it."""
        await self.host.driver.create(self.wanted)

    async def start(self) -> None:
        """Start it, by a number that no start had."""
        seen = await self.host.driver.inspect(UID)
        assert seen is not None
        await self.host.driver.start(self.wanted, seen.start_id + 1)

    async def stop(self) -> None:
        """Stop it by force."""
        await self.host.driver.stop(UID, 0.0)

    async def stop_in_order(self) -> None:
        """Ask it to stop, and wait until it has."""
        await self.host.driver.stop(UID, PATIENCE_S)
        seen = await self.host.driver.inspect(UID)
        assert seen is not None
        assert seen.exit is not None
        assert (seen.exit.code, seen.exit.forced) == (0, False)
        # Of what ended while there was no node, the next one has had it forgotten.
        await self.host.keeper.forget(UID)

    async def reboot(self) -> None:
        """Stop it and start it, as the agent does."""
        await self.stop()
        await self.start()

    async def update(self) -> None:
        """Change what counts at once, and what waits for the next start."""
        first, second = self.wanted.spec.nics
        free = msgspec.structs.replace(first, allow_ip_spoofing=True)
        limits = {"max_physical_memory": 400, "max_swap": 400, "cpu_cap": 50}
        await self.host.driver.update(self.changed(**limits, alias="b", nics=(free, second)))
        await self.host.driver.update(
            self.changed(**limits, alias="b", hostname="other", nics=(free,))
        )

    async def grow(self) -> None:
        """Have one disk larger and another more of a VM; of a zone, a larger quota."""
        if self.wanted.spec.brand == "lx":
            await self.host.driver.update(self.changed(quota=2, alias="b"))
            return
        (first,) = self.wanted.spec.disks
        grown = msgspec.structs.replace(first, size=96)
        await self.host.driver.update(self.changed(disks=(grown, Disk(path="more", size=2))))

    async def snapshot(self) -> None:
        """Take one."""
        await self.host.driver.snapshot(UID, "a")

    async def roll_back(self) -> None:
        """Go back behind a newer one."""
        await self.host.driver.roll_back(UID, "a")

    async def delete_snapshot(self) -> None:
        """Drop one."""
        await self.host.driver.delete_snapshot(UID, "a")

    async def fetch(self) -> None:
        """Import an image."""
        await self.host.driver.fetch_image(self._image(FETCHED_UID), lambda *_: None)

    async def capture(self) -> None:
        """Make an image of it."""
        await self.host.driver.capture_image(UID, self._image(CAPTURED_UID))

    async def delete_image(self) -> None:
        """Drop the image that was imported."""
        await self.host.driver.delete_image(FETCHED_UID)

    def _image(self, uid: str) -> Image:
        if self.wanted.spec.brand == "lx":
            image = zone_image_record(Path(self.source))
            layout = self.source.startswith("docker:") or Path(self.source).is_dir()
            return msgspec.structs.replace(
                image, uid=uid, id=uid, source=self.source,
                format="oci_layout" if layout else "rootfs_tar",
            )  # fmt: skip
        return Image(
            uid=uid, id=uid, create_time=0.0, source=self.source, boot="disk",
            brands=("kvm",), format="raw" if self.source.endswith(".raw") else "qcow2",
        )  # fmt: skip


class Operation(NamedTuple):
    """What is done, and the state that it is done in; both can be repeated from anywhere."""

    before: Callable[[Subject], Awaitable[None]]
    act: Callable[[Subject], Awaitable[None]]


OPERATIONS: Final = {
    "create": Operation(Subject.absent, Subject.create),
    "start": Operation(Subject.stopped, Subject.start),
    "stop": Operation(Subject.running, Subject.stop),
    "stop in order": Operation(Subject.started_anew, Subject.stop_in_order),
    "stop a booted one": Operation(Subject.booted, Subject.stop_in_order),
    "reboot": Operation(Subject.running, Subject.reboot),
    "update a stopped one": Operation(Subject.stopped, Subject.update),
    "update a running one": Operation(Subject.started_anew, Subject.update),
    "grow": Operation(Subject.made_anew, Subject.grow),
    "delete": Operation(Subject.running, Subject.absent),
    "snapshot": Operation(Subject.without_snapshots, Subject.snapshot),
    "snapshot of a running one": Operation(Subject.running_without_snapshots, Subject.snapshot),
    "roll back": Operation(Subject.with_snapshots, Subject.roll_back),
    "delete a snapshot": Operation(Subject.with_snapshots, Subject.delete_snapshot),
    "delete a snapshot of a running one": Operation(
        Subject.running_with_snapshots, Subject.delete_snapshot
    ),
    "import": Operation(Subject.without_images, Subject.fetch),
    "capture": Operation(Subject.to_capture, Subject.capture),
    "delete an image": Operation(Subject.with_image, Subject.delete_image),
}
