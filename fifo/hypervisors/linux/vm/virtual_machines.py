"""VMs by QEMU: from an image in the cache to a machine on its network.

A start costs two processes of the host's (rules by nft, taps by ip), one that writes the disk about
the VM, and QEMU. What does not wait for another runs beside it. QEMU is the keeper's child: it goes
on without the node, which finds it again by its socket.
"""

from __future__ import annotations

import asyncio
import shutil
from typing import TYPE_CHECKING

import msgspec

from fifo.hypervisors.driver import Applied
from fifo.hypervisors.linux import addresses
from fifo.hypervisors.linux.changes import changed, only_guards, pending, with_leave
from fifo.hypervisors.linux.commands import disk_error
from fifo.hypervisors.linux.layout import Kept, starting
from fifo.hypervisors.linux.vm import changes, disks, images, made, measuring
from fifo.hypervisors.linux.vm.accelerator import NO_AGENT
from fifo.hypervisors.linux.vm.building import Builder, made_of, tidy
from fifo.hypervisors.linux.vm.console import SerialChannel
from fifo.hypervisors.linux.vm.running import Runner
from fifo.hypervisors.linux.vm.snapshots import Place, Snapshots
from fifo.hypervisors.linux.watch import alive
from fifo.hypervisors.linux.zone import effective
from fifo.model.errors import FifoError, Unsupported

if TYPE_CHECKING:
    from pathlib import Path

    from fifo.hypervisors.driver import Channel, Stats, Wanted
    from fifo.hypervisors.linux.host import Host
    from fifo.hypervisors.linux.vm.accelerator import Accelerators
    from fifo.model.image import Image
    from fifo.model.instance import Snapshot


class VirtualMachines:
    """The VMs of a host: `fifo.hypervisors.linux.kind.Kind`. Used on the node's loop."""

    brands: tuple[str, ...] = ("kvm",)

    def __init__(self, host: Host, accelerators: Accelerators) -> None:
        self._host = host
        self._builder = Builder(host)
        self._runner = Runner(host, accelerators, self._builder)
        self._snapshots = Snapshots(self._builder.disks)

    # -- life ----------------------------------------------------------------------------------

    async def create(self, wanted: Wanted) -> None:
        """Make its directory with its disks."""
        await self._builder.create(wanted)

    async def start(self, kept: Kept, wanted: Wanted, start_id: int) -> Kept:
        """Start it; when that fails, what was done of it is taken back."""
        await self._clear(kept)
        begun = Kept(
            spec=made_of(wanted.spec, kept.spec),
            claim=wanted.claim,
            networks=wanted.networks,
            start_id=start_id,
            boot_id=self._host.facts.boot_id,
            started=starting(wanted.spec, wanted.claim, wanted.networks),
        )
        where = self._host.layout
        attachments = addresses.attachments(wanted)
        await self._builder.fit(kept.uid, begun.spec)
        where.write(begun)
        try:
            return await self._runner.start(
                begun, effective(wanted._replace(spec=begun.spec)), attachments
            )
        except (FifoError, OSError) as error:
            await self._runner.take_back(begun)
            where.write(kept)
            raise disk_error(error, kept.uid) if isinstance(error, OSError) else error from None

    async def _clear(self, kept: Kept) -> None:
        """Take back what there is of a VM that does not run, a start by half too."""
        await (self._runner.take_back(kept) if kept.is_open else self._runner.release(kept))

    async def ask_to_stop(self, kept: Kept) -> None:
        """Press its power button until it has powered down."""
        self._runner.press(kept.uid)

    async def kill(self, kept: Kept) -> None:
        """Have QEMU close its disks and end; kill it if it does not."""
        await self._runner.kill(kept)

    async def release(self, kept: Kept) -> None:
        """Remove its taps, rules, control group and sockets; what is not there costs nothing."""
        await self._runner.release(kept)

    async def sweep(self, running: tuple[Kept, ...]) -> tuple[str, ...]:
        """Count what runs as ours, and remove what a node that was killed left of others."""
        networking = self._host.networking
        uids = {kept.uid for kept in running}
        ports: list[str] = []
        for kept in running:
            ports += networking.ports(kept.uid, kept.runs_with.nics)
            networking.held(kept.uid, addresses.of_running(kept))
        for uid in self._host.layout.uids():
            kept_ = self._host.layout.find(uid)
            # One whose end is not written down yet was started whole, and is cleared as it ends.
            owed = self._host.watch.ends.owes(kept_)
            if kept_.spec.brand in self.brands and uid not in uids and not owed:
                await self._clear(kept_)
                tidy(self._host.layout.instance(uid))
        for path in list(self._runner.directories()):
            if path.name not in uids:
                await asyncio.to_thread(shutil.rmtree, path)
        return tuple(ports)

    async def close(self) -> None:
        """Let every QEMU go; they run on."""
        await self._runner.close()

    # -- looking inside ------------------------------------------------------------------------

    async def console(self, kept: Kept) -> Channel:
        """Attach to its serial line; who wrote there before only watches from now on."""
        return SerialChannel(await self._host.keeper.attach(kept.uid, write=True, take=True))

    async def execute(
        self, kept: Kept, command: tuple[str, ...], environment: dict[str, str], *, terminal: bool
    ) -> Channel:
        """Refuse it."""
        del command, environment, terminal
        raise Unsupported(NO_AGENT, kept.uid, "use its console, or reach it over its network")

    async def stats(self, running: tuple[Kept, ...]) -> tuple[Stats, ...]:
        """Measure what runs."""
        found = tuple(measuring.Running(kept, self._runner.monitor(kept.uid)) for kept in running)
        return await measuring.measure(self._host, found)

    # -- changing ------------------------------------------------------------------------------

    async def update(self, kept: Kept, wanted: Wanted, *, running: bool) -> Applied:
        """Bring limits and rules to what is wanted; the rest waits for the next start."""
        old, new = kept.spec, made_of(wanted.spec, kept.spec)
        attachments = addresses.attachments(wanted)
        live = list(changed(old, new, changes.LIVE))
        later = list(changed(old, new, changes.AT_START))
        started = kept.started
        if running:
            if changed(old, new, changes.LIMITS):
                self._runner.limit(new)
            if "nics" in later and only_guards(addresses.of_running(kept), attachments):
                await self._host.networking.guard(kept.uid, attachments)
                started = with_leave(kept.runs_with, wanted)
                later.remove("nics")
                live.append("nics")
        else:
            await self._builder.fit(kept.uid, new)
            live, later = [*live, *later], []
        waiting = pending(kept.pending, later, live) if running else ()
        kept = self._host.layout.find(kept.uid)
        self._host.layout.write(
            msgspec.structs.replace(
                kept,
                spec=new,
                claim=wanted.claim,
                networks=wanted.networks,
                pending=waiting,
                started=started,
            )
        )
        return Applied(tuple(live), waiting)

    # -- snapshots and images ------------------------------------------------------------------

    async def snapshots(self, kept: Kept) -> tuple[Snapshot, ...]:
        """List them, oldest first."""
        return self._snapshots.of(self._directory(kept))

    async def snapshot(self, kept: Kept, name: str) -> Snapshot:
        """Take one of all its disks; one that is there is given."""
        return await self._snapshots.take(self._place(kept), name, self._host.wall())

    async def roll_back(self, kept: Kept, name: str) -> None:
        """Put its disks back."""
        await self._snapshots.roll_back(self._place(kept), name)

    async def delete_snapshot(self, kept: Kept, name: str) -> None:
        """Drop one."""
        await self._snapshots.delete(self._place(kept), name)

    async def capture_image(self, kept: Kept, image: Image) -> Image:
        """Make an image of its first disk, and of its kernel if it boots by one."""
        directory = self._directory(kept)
        found = made.read(directory)
        if not found.own:
            raise Unsupported("it has no disk to make an image of", kept.uid, "add a disk to it")
        cache = self._host.cache
        base = cache.find(found.boot_image) if found.boot_image else None

        async def fill(place: Path) -> Image:
            work = place / images.WORK
            disks.make_private(work, found.user)
            await self._builder.disks.flatten(directory, found, found.own[0], work / images.DISK)
            images.publish(work / images.DISK, place / images.DISK)
            work.rmdir()
            if base is not None and base.boot == "direct":
                images.copy_kernel(cache.place(base.uid), place)
            size_bytes, digest = await asyncio.to_thread(images.digest, place / images.DISK)
            return msgspec.structs.replace(
                image, state="ready", from_instance=kept.uid, size_bytes=size_bytes,
                sha256=digest, unpacked_bytes=found.own[0].size_bytes, format="qcow2",
                boot="direct" if base is not None and base.boot == "direct" else "disk",
            )  # fmt: skip

        return await cache.add(image, fill)

    def _directory(self, kept: Kept) -> Path:
        return self._host.layout.instance(kept.uid)

    def _place(self, kept: Kept) -> Place:
        runs = kept.exit is None and alive(kept, self._host.facts.boot_id)
        return Place(self._directory(kept), self._runner.monitor(kept.uid) if runs else None)
