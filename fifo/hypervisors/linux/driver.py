"""The Linux driver: `fifo.hypervisors.driver` over an OCI runtime and the kernel's networks.

It composes kinds of instances by brand (`fifo.hypervisors.linux.kind`). Each instance is a
directory (`layout`), which is the truth a new driver starts from; its process is the keeper's, and
its end is told by `watch`. One verb at a time is done for an instance; a caller that gives up in
the middle leaves what the next start or delete takes back.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

from fifo.hypervisors.driver import Observed
from fifo.hypervisors.linux import host_usage, limits, logs, out_of_memory
from fifo.hypervisors.linux.commands import disk_error
from fifo.hypervisors.linux.locks import Locks
from fifo.hypervisors.linux.making import destroy
from fifo.hypervisors.linux.patience import Stops
from fifo.hypervisors.linux.sharing import remove_shared
from fifo.hypervisors.linux.watch import alive
from fifo.model.errors import DriverFailed, FifoError, Unsupported, WrongState

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping

    from fifo.hypervisors.driver import (
        Applied,
        Channel,
        Event,
        HostUsage,
        Stats,
        Subscription,
        Wanted,
    )
    from fifo.hypervisors.linux.ends import Ends
    from fifo.hypervisors.linux.host import Host
    from fifo.hypervisors.linux.kind import Kind
    from fifo.hypervisors.linux.layout import Kept
    from fifo.hypervisors.linux.patience import Patience
    from fifo.model.hypervisor import Probe
    from fifo.model.image import Image
    from fifo.model.instance import Exit, Snapshot


_log = logging.getLogger(__name__)


class LinuxDriver:
    """A Linux host: `fifo.hypervisors.driver.Driver`. Made by `fifo.hypervisors.linux.opening`.

    Used on the node's loop alone.
    """

    def __init__(
        self, host: Host, kinds: Mapping[str, Kind], look: Callable[[], Coroutine[Any, Any, Probe]]
    ) -> None:
        self.host = host
        self._kinds = kinds
        self._look = look
        self._locks = Locks()
        self._stops = Stops()
        self._starts = asyncio.Semaphore(limits.STARTS_AT_ONCE)
        self._busy = 0
        self._releasing: set[asyncio.Task[None]] = set()
        host.watch.on_end = self._ended

    # -- looking -------------------------------------------------------------------------------

    async def probe(self) -> Probe:
        """Find out by trial what this host can do."""
        return await self._look()

    async def inventory(self) -> tuple[Observed, ...]:
        """Look at everything that is there."""
        found = [self._observed(self._ends.find(uid)) for uid in self.host.layout.uids()]
        if any(each is None for each in found):
            await self._catch_up("host")
            found = [self._seen(self._ends.find(uid)) for uid in self.host.layout.uids()]
        return tuple(each for each in found if each is not None)

    async def inspect(self, uid: str) -> Observed | None:
        """Look at one instance alone."""
        kept = self._ends.read(uid)
        if kept is None:
            return None
        seen = self._observed(kept)
        if seen is None:
            await self._catch_up(uid)
            seen = self._seen(self._ends.find(uid))
        return seen

    async def _catch_up(self, subject: str) -> None:
        try:
            await self.host.watch.catch_up()
        except OSError as error:
            raise disk_error(error, subject) from error

    def _observed(self, kept: Kept) -> Observed | None:
        """Say what is kept of an instance; None if its process has ended and nobody said how."""
        if kept.is_open and not alive(kept, self._boot_id):
            return None
        return self._seen(kept)

    def _seen(self, kept: Kept) -> Observed:
        if self._runs(kept):
            return Observed(kept.uid, "running", kept.start_id, kept.pid, kept.boot_id)
        return Observed(kept.uid, "stopped", kept.start_id, 0, kept.boot_id, kept.exit)

    def _runs(self, kept: Kept) -> bool:
        return kept.exit is None and alive(kept, self._boot_id)

    @property
    def _ends(self) -> Ends:
        return self.host.watch.ends

    @property
    def _boot_id(self) -> str:
        return self.host.facts.boot_id

    def subscribe(self, deliver: Callable[[Event], None]) -> Subscription:
        """Deliver events from now on, an Inventory first."""
        return self.host.watch.listen(deliver, self.inventory)

    def _kind(self, brand: str, uid: str) -> Kind:
        found = self._kinds.get(brand)
        if found is None:
            raise Unsupported(
                f"brand {brand} is not for a Linux host", uid,
                f"use one of: {', '.join(sorted(self._kinds))}",
            )  # fmt: skip
        return found

    # -- life ----------------------------------------------------------------------------------

    async def create(self, wanted: Wanted) -> None:
        """Make its storage and configuration; it does not run yet."""
        uid = wanted.spec.uid
        kind = self._kind(wanted.spec.brand, uid)
        async with self._locks.of(uid):
            if self._ends.read(uid) is None:
                await self._guarded(uid, kind.create(wanted))

    async def start(self, wanted: Wanted, start_id: int) -> Observed:
        """Start it; returns when it runs. If it runs already that is success, told as it is."""
        uid = wanted.spec.uid
        async with self._locks.of(uid):
            kept = self._ends.find(uid)
            if self._runs(kept):
                return self._seen(kept)
            kind = self._kind(kept.spec.brand, uid)
            self.host.watch.begin(uid)
            try:
                async with self._starts:
                    kept = await self._guarded(uid, kind.start(kept, wanted, start_id))
            finally:
                self.host.watch.done(uid)
            return Observed(uid, "running", start_id, kept.pid, kept.boot_id)

    async def stop(self, uid: str, patience_s: float) -> Exit | None:
        """Ask it to stop and force it after `patience_s`; None if it did not run.

        Beside a stop of the same start it shortens that one, and gives the same end.
        """
        asked = self._ends.read(uid)
        ran = asked.start_id if asked is not None and self._runs(asked) else None
        with self._stops.of(uid, patience_s) as patience:
            async with self._locks.of(uid):
                kept = self._ends.read(uid)
                if kept is None or not self._runs(kept):
                    return kept.exit if kept is not None and kept.start_id == ran else None
                end = await self._end(kept, patience)
                await self._kind(kept.spec.brand, uid).release(kept)
                return end

    async def _end(self, kept: Kept, patience: Patience) -> Exit:
        kind, watch = self._kind(kept.spec.brand, kept.uid), self.host.watch
        end: Exit | None = None
        try:
            if not patience.over:
                await kind.ask_to_stop(kept)
                end = await patience.wait(watch.end_of(kept.uid))
            if end is None:
                watch.force(kept.uid)
                await kind.kill(kept)
        except WrongState:
            # It has ended by itself just now; the keeper's word of it is on its way.
            pass
        end = end or await watch.end_of(kept.uid, limits.FORCE_S)
        if end is None:
            raise DriverFailed(
                f"it has not ended {limits.FORCE_S:g} s after SIGKILL", kept.uid,
                "see what its processes wait for: most likely a disk that does not answer",
            )  # fmt: skip
        return end

    async def update(self, wanted: Wanted) -> Applied:
        """Bring limits, networks and metadata to what is wanted, as far as it can be done live."""
        uid = wanted.spec.uid
        async with self._locks.of(uid):
            kept = self._ends.find(uid)
            kind = self._kind(kept.spec.brand, uid)
            applied: Applied = await self._guarded(
                uid, kind.update(kept, wanted, running=self._runs(kept))
            )
            return applied

    async def delete(self, uid: str) -> None:
        """Force it to end and remove all that was made for it, also after half a create."""
        async with self._locks.of(uid):
            kept = self._ends.read(uid)
            if kept is not None:
                kind = self._kind(kept.spec.brand, uid)
                if self._runs(kept):
                    with self._stops.of(uid, 0.0) as patience:
                        await self._end(kept, patience)
                await kind.release(kept)
                await self._guarded(uid, destroy(self.host, kept))
                self._ends.drop(uid)
            for half in (self.host.layout.new(uid), self.host.layout.gone(uid)):
                await self._guarded(uid, self.host.storage.destroy(half))
        await self._last_one_out()

    async def _guarded(self, uid: str, work: Coroutine[Any, Any, Any]) -> Any:
        """Do work that makes or removes things; the disk's refusals become errors of ours."""
        self._busy += 1
        try:
            return await work
        except OSError as error:
            raise disk_error(error, uid) from error
        finally:
            self._busy -= 1

    async def _last_one_out(self) -> None:
        """Remove what instances share when there is none, and none is being made."""
        if self._busy == 0 and not any(self.host.layout.uids()):
            await self._guarded("host", remove_shared(self.host))

    def _ended(self, uid: str) -> None:
        """Clean up behind an instance that ended, beside whoever decides what comes next."""
        # Before the release, which removes the group that knows.
        out_of_memory.explain(self.host, uid)
        task = asyncio.create_task(self._release(uid))
        self._releasing.add(task)
        task.add_done_callback(self._releasing.discard)

    async def _release(self, uid: str) -> None:
        async with self._locks.of(uid):
            kept = self._ends.read(uid)
            if kept is not None and kept.exit is not None:
                try:
                    await self._kind(kept.spec.brand, uid).release(kept)
                except FifoError as error:
                    # The next start, delete or opening tries again, and says so to who asked.
                    _log.warning("%s: not cleaned up after its end: %s", uid, error)

    # -- snapshots -----------------------------------------------------------------------------

    async def snapshots(self, uid: str) -> tuple[Snapshot, ...]:
        """List them, oldest first."""
        kept, kind = self._find(uid)
        return await kind.snapshots(kept)

    async def snapshot(self, uid: str, name: str) -> Snapshot:
        """Take one; of a running instance too."""
        async with self._locks.of(uid):
            kept, kind = self._find(uid)
            taken: Snapshot = await self._guarded(uid, kind.snapshot(kept, name))
            return taken

    async def roll_back(self, uid: str, name: str) -> None:
        """Put a stopped instance back; newer snapshots are destroyed."""
        async with self._locks.of(uid):
            kept, kind = self._find(uid, stopped="roll back")
            await self._guarded(uid, kind.roll_back(kept, name))

    async def delete_snapshot(self, uid: str, name: str) -> None:
        """Drop one."""
        async with self._locks.of(uid):
            kept, kind = self._find(uid)
            await self._guarded(uid, kind.delete_snapshot(kept, name))

    def _find(self, uid: str, *, running: str = "", stopped: str = "") -> tuple[Kept, Kind]:
        """Give what is kept of an instance and its kind, in the state that a verb needs."""
        kept = self._ends.find(uid)
        runs = self._runs(kept)
        if running and not runs:
            raise WrongState(f"cannot {running} what is stopped", uid, "start it first")
        if stopped and runs:
            raise WrongState(f"cannot {stopped} what is running", uid, "stop it first")
        return kept, self._kind(kept.spec.brand, uid)

    # -- images --------------------------------------------------------------------------------

    async def images(self) -> tuple[str, ...]:
        """List the uids of the images in the host's cache."""
        return self.host.cache.uids()

    async def fetch_image(self, image: Image, progress: Callable[[int, int], None]) -> Image:
        """Bring an image into the cache, checked."""
        return await self.host.cache.fetch(image, progress)

    async def delete_image(self, uid: str) -> None:
        """Drop it from the cache; raises WrongState while an instance is on it."""
        for each in self.host.layout.uids():
            kept = self._ends.read(each)
            if kept is not None and uid in kept.spec.images:
                raise WrongState(f"instance {each} is made of it", uid, "delete the instance first")
        await self.host.cache.delete(uid)

    async def capture_image(self, uid: str, image: Image) -> Image:
        """Make an image of a stopped instance, into the cache."""
        async with self._locks.of(uid):
            kept, kind = self._find(uid, stopped="make an image of")
            return await kind.capture_image(kept, image)

    # -- looking inside ------------------------------------------------------------------------

    async def console(self, uid: str) -> Channel:
        """Attach to the console of an instance."""
        kept, kind = self._find(uid, running="attach to the console of")
        return await kind.console(kept)

    async def execute(
        self, uid: str, command: tuple[str, ...], *, terminal: bool, environment: dict[str, str]
    ) -> Channel:
        """Run a command inside a running instance."""
        kept, kind = self._find(uid, running="run a command in")
        return await kind.execute(kept, command, environment, terminal=terminal)

    async def logs(self, uid: str, most_bytes: int) -> bytes:
        """Give the end of what it has written to its console so far."""
        self._ends.find(uid)
        return await asyncio.to_thread(logs.tail, self.host.layout.instance(uid), most_bytes)

    async def stats(self) -> tuple[Stats, ...]:
        """Measure every running instance."""
        running = self.running()
        found: list[Stats] = []
        for kind in dict.fromkeys(self._kinds.values()):
            own = tuple(kept for kept in running if kept.spec.brand in kind.brands)
            found += await kind.stats(own)
        return tuple(found)

    async def usage(self) -> HostUsage:
        """Read the host's own figures."""
        return await asyncio.to_thread(host_usage.read, self.host.settings.state_dir)

    def running(self) -> tuple[Kept, ...]:
        """List what runs."""
        found = (self._ends.read(uid) for uid in self.host.layout.uids())
        return tuple(kept for kept in found if kept is not None and self._runs(kept))

    async def close(self) -> None:
        """Let go of the host; instances are left as they are."""
        for task in tuple(self._releasing):
            task.cancel()
        for kind in dict.fromkeys(self._kinds.values()):
            await kind.close()
        await self.host.watch.close()
