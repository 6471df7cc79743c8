"""The simulated driver: `fifo.hypervisors.driver` over a host in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from fifo.hypervisors.driver import Applied
from fifo.hypervisors.simulated import shell
from fifo.hypervisors.simulated.faults import error_of
from fifo.hypervisors.simulated.limits import PROGRESS_STEPS
from fifo.hypervisors.simulated.terminal import Command, Terminal
from fifo.hypervisors.simulated.usage import host_usage, snapshot_bytes, usage
from fifo.model import limits as shared
from fifo.model.errors import NoRoom, NotFound, Unsupported, WrongState
from fifo.model.hypervisor import Pool, Probe
from fifo.model.instance import Exit, Snapshot

if TYPE_CHECKING:
    from collections.abc import Callable

    from fifo.hypervisors.driver import (
        Channel,
        Event,
        HostUsage,
        Observed,
        Stats,
        Subscription,
        Wanted,
    )
    from fifo.hypervisors.simulated.faults import Fault
    from fifo.hypervisors.simulated.guest import Guest
    from fifo.hypervisors.simulated.host import SimulatedHost
    from fifo.model.image import Image

DEFAULT_IMAGE_BYTES: Final = 10_000_000
"""Size of an image whose record tells none."""
AT_START: Final = ("hostname", "ram", "vcpus", "kernel_version", "init", "disks", "filesystems")
"""Properties that a running guest takes over when it starts next."""
LIVE: Final = (
    "max_physical_memory", "max_swap", "max_lwps", "cpu_cap", "cpu_shares", "quota", "nics",
    "resolvers", "customer_metadata", "internal_metadata", "routes", "tags", "alias",
)  # fmt: skip
"""Properties that it takes over at once."""
SNAPSHOT: Final = "snapshot"
"""The verb that stands for all of snapshots in `unsupported`."""
AFTERWARDS: Final = frozenset({"lost_reply", "half", "deaf"})
"""Faults that do not keep a verb from its work."""
SHELLS: Final = frozenset(
    (shell, *login) for shell in ("sh", "/bin/sh", "bash", "/bin/bash") for login in ((), ("-l",))
)


class SimulatedDriver:
    """A driver of one simulated host; several may look at the same one."""

    def __init__(self, host: SimulatedHost) -> None:
        self.host = host

    # -- faults and latency ------------------------------------------------------------------

    async def _meet(self, verb: str, uid: str = "", image: str = "") -> Fault | None:
        """Take the verb's time and go wrong where that is due; gives a fault for its end."""
        host = self.host
        latency = host.settings.latency_s.get(verb)
        if latency is not None:
            least_s, most_s = latency
            wait_s = least_s + (most_s - least_s) * host.clockwork.random()
            await host.clockwork.sleep(wait_s)
        fault = host.faults.strike(verb, uid, image)
        if fault is None or fault.kind in AFTERWARDS:
            return fault
        if fault.kind == "hang":
            await host.clockwork.future()
        raise error_of(fault, uid or host.settings.name)

    def _supports(self, verb: str, uid: str) -> None:
        reason = self.host.settings.unsupported.get(verb)
        if reason is not None:
            raise Unsupported(f"this host cannot {verb}: {reason}", uid, "use another host")

    def _running(self, uid: str, verb: str) -> Guest:
        guest = self.host.find(uid)
        if not guest.running:
            raise WrongState(f"cannot {verb} in state stopped", uid, "start it first")
        return guest

    def _stopped(self, uid: str, verb: str) -> Guest:
        guest = self.host.find(uid)
        if guest.running:
            raise WrongState(f"cannot {verb} in state running", uid, "stop it first")
        return guest

    # -- looking -----------------------------------------------------------------------------

    async def probe(self) -> Probe:
        """Tell what the host is like."""
        await self._meet("probe")
        host, settings = self.host, self.host.settings
        return Probe(
            driver="simulated",
            brands=settings.brands,
            capacity=settings.capacity,
            runtime="memory",
            boot_id=host.boot_id,
            boot_time=host.boot_time,
            hostname=settings.name,
            pools=(
                Pool(
                    name="memory",
                    kind="memory",
                    size_bytes=settings.capacity.disk * 1024**3,
                    snapshots=SNAPSHOT not in settings.unsupported,
                    quota=True,
                ),
            ),
            nic_tags=self.host.settings.nic_tags,
            missing=dict(settings.unsupported),
        )

    async def inventory(self) -> tuple[Observed, ...]:
        """List what is there."""
        await self._meet("inventory")
        return self.host.inventory()

    async def inspect(self, uid: str) -> Observed | None:
        """Look at one."""
        await self._meet("inspect", uid)
        guest = self.host.guests.get(uid)
        return guest.observed() if guest is not None and guest.whole else None

    def subscribe(self, deliver: Callable[[Event], None]) -> Subscription:
        """Deliver the inventory now and events from now on."""
        return self.host.watch(deliver)

    # -- life --------------------------------------------------------------------------------

    async def create(self, wanted: Wanted) -> None:
        """Make a guest of what is wanted; its image has to be in the cache."""
        spec = wanted.spec
        fault = await self._meet("create", spec.uid, spec.image)
        host = self.host
        if wanted.image is not None and wanted.image.uid not in host.images:
            raise NotFound("its image is not in this host's cache", spec.uid, "fetch the image")
        if spec.brand not in host.settings.brands:
            raise Unsupported(f"this host has no {spec.brand}", spec.uid, "use another host")
        guest = host.make(wanted)
        if fault is not None and fault.kind == "half":
            raise error_of(fault, spec.uid)
        guest.whole = True
        if fault is not None:
            raise error_of(fault, spec.uid)

    async def start(self, wanted: Wanted, start_id: int) -> Observed:
        """Let it run."""
        spec = wanted.spec
        fault = await self._meet("start", spec.uid, spec.image)
        guest = self.host.find(spec.uid)
        if not guest.running:
            if wanted is not guest.wanted:
                self.host.change(guest, wanted)
            self.host.boot(guest, start_id)
        if fault is not None:
            raise error_of(fault, spec.uid)
        return guest.observed()

    async def stop(self, uid: str, patience_s: float) -> Exit | None:
        """Let it end by itself, or by force when patience is over."""
        fault = await self._meet("stop", uid)
        guest = self.host.guests.get(uid)
        if guest is None or not guest.running:
            return None
        start_id, forced = guest.start_id, patience_s <= 0
        if fault is not None and fault.kind == "deaf":
            if not forced:
                await self._endure(guest, patience_s)
            fault, forced = None, True
        if _runs(guest, start_id):
            at = self.host.clockwork.utc()
            end = Exit(at=at, signal=9, forced=True) if forced else Exit(at=at, code=0)
            self.host.finish(guest, end)
        if fault is not None:
            raise error_of(fault, uid)
        return guest.exit

    async def _endure(self, guest: Guest, patience_s: float) -> None:
        """Wait until a guest ends by itself, or patience does."""
        ended = self.host.when_ended(guest)
        alarm = self.host.clockwork.after(patience_s, lambda: ended.reply(None))
        await ended
        alarm.cancel()

    async def update(self, wanted: Wanted) -> Applied:
        """Take another specification over; what is in `AT_START` counts from the next start."""
        spec = wanted.spec
        fault = await self._meet("update", spec.uid, spec.image)
        guest = self.host.find(spec.uid)
        old = guest.wanted.spec
        self.host.change(guest, wanted)
        if fault is not None:
            raise error_of(fault, spec.uid)
        later = _changed(old, spec, AT_START) if guest.running else ()
        return Applied(_changed(old, spec, LIVE), later)

    async def delete(self, uid: str) -> None:
        """Remove it, whole or half."""
        fault = await self._meet("delete", uid)
        guest = self.host.guests.get(uid)
        if guest is not None:
            self.host.drop(guest)
        if fault is not None:
            raise error_of(fault, uid)

    # -- snapshots ---------------------------------------------------------------------------

    async def snapshots(self, uid: str) -> tuple[Snapshot, ...]:
        """List them."""
        await self._meet("snapshots", uid)
        return self.host.find(uid).snapshots

    async def snapshot(self, uid: str, name: str) -> Snapshot:
        """Take one, or find it."""
        self._supports(SNAPSHOT, uid)
        fault = await self._meet("snapshot", uid)
        guest = self.host.find(uid)
        found = next((taken for taken in guest.snapshots if taken.name == name), None)
        if found is None:
            if len(guest.snapshots) >= shared.SNAPSHOTS:
                raise NoRoom(
                    f"it has {shared.SNAPSHOTS} snapshots, the most there may be", uid,
                    "delete one",
                )  # fmt: skip
            now = self.host.clockwork
            found = Snapshot(
                name=name, created=now.utc(), size_bytes=snapshot_bytes(guest, now.now())
            )
            guest.snapshots = (*guest.snapshots, found)
        if fault is not None:
            raise error_of(fault, uid)
        return found

    async def roll_back(self, uid: str, name: str) -> None:
        """Go back to one and drop the newer ones."""
        self._supports(SNAPSHOT, uid)
        fault = await self._meet("roll_back", uid)
        guest = self._stopped(uid, "roll back")
        names = [taken.name for taken in guest.snapshots]
        if name not in names:
            raise NotFound("no such snapshot", f"{uid}@{name}", "list the snapshots")
        guest.snapshots = guest.snapshots[: names.index(name) + 1]
        if fault is not None:
            raise error_of(fault, uid)

    async def delete_snapshot(self, uid: str, name: str) -> None:
        """Drop one."""
        self._supports(SNAPSHOT, uid)
        fault = await self._meet("delete_snapshot", uid)
        guest = self.host.find(uid)
        guest.snapshots = tuple(taken for taken in guest.snapshots if taken.name != name)
        if fault is not None:
            raise error_of(fault, uid)

    # -- images ------------------------------------------------------------------------------

    async def images(self) -> tuple[str, ...]:
        """List the cache."""
        await self._meet("images")
        return tuple(self.host.images)

    async def fetch_image(self, image: Image, progress: Callable[[int, int], None]) -> Image:
        """Transfer an image, with news of how far it is."""
        fault = await self._meet("fetch_image", image=image.uid)
        if image.uid not in self.host.images:
            size = image.size_bytes or DEFAULT_IMAGE_BYTES
            step_s = size / self.host.settings.transfer_bytes_s / PROGRESS_STEPS
            for step in range(1, PROGRESS_STEPS + 1):
                await self.host.clockwork.sleep(step_s)
                progress(size * step // PROGRESS_STEPS, size)
            self._keep(image, size)
        if fault is not None:
            raise error_of(fault, image.uid)
        return self.host.images[image.uid]

    def _keep(self, image: Image, size: int) -> None:
        self.host.images[image.uid] = msgspec.structs.replace(
            image, state="ready", size_bytes=size, unpacked_bytes=3 * size,
            sha256=image.sha256 or f"{size:064x}",
        )  # fmt: skip

    async def delete_image(self, uid: str) -> None:
        """Drop it."""
        await self._meet("delete_image", image=uid)
        self.host.images.pop(uid, None)

    async def capture_image(self, uid: str, image: Image) -> Image:
        """Make an image of a stopped guest."""
        self._supports("capture_image", uid)
        fault = await self._meet("capture_image", uid)
        self._stopped(uid, "make an image")
        self._keep(image, image.size_bytes or DEFAULT_IMAGE_BYTES)
        if fault is not None:
            raise error_of(fault, uid)
        return self.host.images[image.uid]

    # -- looking inside ----------------------------------------------------------------------

    async def console(self, uid: str) -> Channel:
        """Attach to its console."""
        self._supports("console", uid)
        await self._meet("console", uid)
        guest = self._running(uid, "attach")
        terminal = Terminal(self.host.clockwork, guest, console=True)
        guest.attach(terminal)
        return terminal

    async def execute(
        self, uid: str, command: tuple[str, ...], *, terminal: bool, environment: dict[str, str]
    ) -> Channel:
        """Run one of the shell's commands, or with a terminal the shell."""
        self._supports("exec", uid)
        await self._meet("exec", uid)
        guest = self._running(uid, "exec")
        channel: Terminal | Command
        if terminal and command in SHELLS:
            channel = Terminal(self.host.clockwork, guest, console=False)
        else:
            steps = shell.steps(command, guest.hostname, environment)
            channel = Command(self.host.clockwork, steps)
        guest.attach(channel)
        return channel

    async def logs(self, uid: str, most_bytes: int) -> bytes:
        """Give the end of its console's output."""
        await self._meet("logs", uid)
        log = self.host.find(uid).log
        return log[-most_bytes:] if most_bytes > 0 else b""

    async def stats(self) -> tuple[Stats, ...]:
        """Measure all that run."""
        await self._meet("stats")
        now = self.host.clockwork.now()
        return tuple([usage(guest, now) for guest in self.host.guests.values() if guest.running])

    async def usage(self) -> HostUsage:
        """Read the host's own figures."""
        await self._meet("usage")
        return host_usage(self.host.settings.capacity, self.host.guests.values())

    async def close(self) -> None:
        """Let go of the host, which stays as it is."""


def _runs(guest: Guest, start_id: int) -> bool:
    return guest.running and guest.start_id == start_id


def _changed(old: object, new: object, names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(name for name in names if getattr(old, name) != getattr(new, name))
