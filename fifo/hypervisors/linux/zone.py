"""Zones: containers of an OCI runtime, from an image in the cache to a process on its network.

A start costs five processes, none of them the node's: rules (nft), the pair and its addresses (ip,
twice), `create` and `start` of the runtime. What does not wait for another runs beside it. The zone
is the keeper's child from `create` on, and is adopted before it is let go: no end can be missed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from fifo.hypervisors.driver import Applied
from fifo.hypervisors.linux import (
    addresses,
    bundle,
    cgroups,
    changes,
    init,
    layout,
    limits,
    logs,
    measuring,
    signals,
)
from fifo.hypervisors.linux.bundle import Place
from fifo.hypervisors.linux.commands import disk_error
from fifo.hypervisors.linux.inside import Inside
from fifo.hypervisors.linux.keeper.logs import LogFile
from fifo.hypervisors.linux.layout import Kept
from fifo.hypervisors.linux.making import forget, making
from fifo.hypervisors.linux.runtime import CONFIG
from fifo.hypervisors.linux.storage.pool import ROOT
from fifo.hypervisors.linux.together import together
from fifo.model.errors import FifoError, NotFound, NotReady

if TYPE_CHECKING:
    from pathlib import Path

    from fifo.hypervisors.driver import Channel, Stats, Wanted
    from fifo.hypervisors.linux.addresses import Attachment
    from fifo.hypervisors.linux.host import Host
    from fifo.hypervisors.linux.runtime import Runtime
    from fifo.model.image import Image
    from fifo.model.instance import InstanceSpec, Snapshot

BUNDLE: Final = "bundle"
GUEST: Final = "guest"
"""The files that a zone sees about itself."""
KILL: Final = 9


class _Plan(NamedTuple):
    """A start, worked out before anything is done."""

    kept: Kept
    spec: InstanceSpec
    attachments: tuple[Attachment, ...]
    init: init.Init
    directory: Path


class Zones:
    """The zones of a host: `fifo.hypervisors.linux.kind.Kind`. Used on the node's loop."""

    brands: tuple[str, ...] = ("lx",)

    def __init__(self, host: Host, runtime: Runtime | None, why_not: str) -> None:
        """Take the runtime that works here; without one nothing starts, and `why_not` is said."""
        self._host = host
        self._found = runtime
        self._why_not = why_not
        self._inside = Inside(host.keeper, host.watch, host.layout.run_dir)

    def take(self, runtime: Runtime | None, why_not: str) -> None:
        """Take a runtime that works by now; one that was there before is kept, for what runs."""
        if self._found is None:
            self._found, self._why_not = runtime, why_not

    @property
    def _runtime(self) -> Runtime:
        if self._found is None:
            raise NotReady(f"no OCI runtime works here: {self._why_not}", "lx", "install runc")
        return self._found

    # -- making --------------------------------------------------------------------------------

    async def create(self, wanted: Wanted) -> None:
        """Make its directory and root."""
        spec = wanted.spec
        attachments = addresses.attachments(wanted)
        for attachment in attachments:
            self._host.networking.check(attachment)
        image = _image(wanted)
        rootfs = self._host.cache.rootfs(image)
        spec = msgspec.structs.replace(spec, image=image)
        kept = Kept(spec=spec, claim=wanted.claim, networks=wanted.networks)
        async with making(self._host, kept) as place:
            _make_directories(place)
            await self._host.storage.create(place, rootfs, spec.quota)

    # -- starting ------------------------------------------------------------------------------

    async def start(self, kept: Kept, wanted: Wanted, start_id: int) -> Kept:
        """Start it; when that fails, what was done of it is taken back.

        Of a start that was given up half way nobody knows what runs.
        """
        await self._take_back(kept) if kept.is_open else await self.release(kept)
        plan = self._plan(kept, wanted, start_id)
        where = self._host.layout
        where.write(plan.kept)
        try:
            return await self._start(plan)
        except (FifoError, OSError) as error:
            await self._take_back(plan.kept)
            # With a full disk this is the room in which the record is written back.
            (plan.directory / BUNDLE / CONFIG).unlink(missing_ok=True)
            where.write(kept)
            raise disk_error(error, kept.uid) if isinstance(error, OSError) else error from None

    def _plan(self, kept: Kept, wanted: Wanted, start_id: int) -> _Plan:
        attachments = addresses.attachments(wanted)
        spec = effective(wanted)
        command = wanted.image.command if wanted.image else ()
        chosen = init.choose(spec.init, command, self._host.cache.config(kept.spec.image))
        begun = Kept(
            spec=msgspec.structs.replace(wanted.spec, image=kept.spec.image),
            claim=wanted.claim,
            networks=wanted.networks,
            start_id=start_id,
            boot_id=self._host.facts.boot_id,
            stop_signal=chosen.stop_signal,
            started=layout.starting(wanted.spec, wanted.claim, wanted.networks),
        )
        return _Plan(begun, spec, attachments, chosen, self._host.layout.instance(kept.uid))

    async def _start(self, plan: _Plan) -> Kept:
        host, uid = self._host, plan.kept.uid
        host.storage.open(plan.directory, host.cache.rootfs(plan.kept.spec.image))
        self._write_bundle(plan)
        _, bridges, pid = await together(
            host.networking.guard(uid, plan.attachments),
            host.networking.hold(uid, plan.attachments),
            self._create_container(plan),
        )
        watched, _ = await together(
            host.keeper.adopt(uid, str(plan.kept.start_id), pid),
            host.networking.attach(uid, pid, plan.attachments, bridges),
        )
        if plan.init.kind == "systemd" and host.settings.uid_base:
            cgroups.delegate(self._cgroup(uid), host.settings.uid_base)
        await self._runtime.start(uid)
        latest = host.watch.ends.find(uid)
        started = msgspec.structs.replace(latest, pid=pid, start_time=watched.start_time or 0)
        if latest.exit is None:
            host.layout.write(started)
        return started

    async def _create_container(self, plan: _Plan) -> int:
        log = LogFile(str(plan.directory / logs.CONSOLE), limits.LOG_BYTES)
        uid = plan.kept.uid
        socket = await self._host.keeper.console_listen(uid, log=log)
        return await self._runtime.create(uid, plan.directory / BUNDLE, socket)

    def _write_bundle(self, plan: _Plan) -> None:
        host = self._host
        place = Place(
            root=plan.directory / ROOT,
            guest=plan.directory / GUEST,
            cgroup=self._cgroup(plan.kept.uid),
            uid_base=host.settings.uid_base,
            machine=host.facts.machine,
            swap=host.facts.swap,
            io_weight=host.facts.io_weight,
        )
        config = bundle.config(plan.spec, plan.init, place)
        layout.replace(plan.directory / BUNDLE / CONFIG, msgspec.json.encode(config))
        self._tell(plan.directory, plan.spec, plan.attachments)

    def _tell(
        self, directory: Path, spec: InstanceSpec, attachments: tuple[Attachment, ...]
    ) -> None:
        """Write the files about the zone: in place, since they may be mounted as they are."""
        own = tuple(str(each.ip) for one in attachments for each in one.addresses)
        for name, data in bundle.files(spec, own).items():
            path = directory / GUEST / name
            path.write_bytes(data)
            path.chmod(0o644)

    def _shows_resolvers(self, directory: Path) -> bool:
        return bundle.shows_resolvers((directory / BUNDLE / CONFIG).read_bytes())

    def _cgroup(self, uid: str) -> str:
        return f"{self._host.settings.cgroup}/{uid}"

    async def _take_back(self, kept: Kept) -> None:
        """Undo half a start: whatever runs of it is killed, and nobody hears of its end."""
        await self.release(kept)
        await forget(self._host, kept.uid)

    # -- ending --------------------------------------------------------------------------------

    async def ask_to_stop(self, kept: Kept) -> None:
        """Send the signal that its first process takes for that, once it listens."""
        await signals.listened_to(kept.pid, kept.stop_signal)
        await self._host.keeper.signal(kept.uid, str(kept.start_id), kept.stop_signal)

    async def kill(self, kept: Kept) -> None:
        """Kill its first process: the kernel kills everything else in the zone with it."""
        await self._host.keeper.signal(kept.uid, str(kept.start_id), KILL)

    async def release(self, kept: Kept) -> None:
        """Remove its container, ports, rules and mount; what is not there costs nothing."""
        host, directory = self._host, self._host.layout.instance(kept.uid)
        if self._found is not None:
            await self._found.delete(kept.uid)
        await host.networking.detach(kept.uid, host.networking.ports(kept.uid, kept.runs_with.nics))
        host.storage.close(directory)

    # -- looking inside ------------------------------------------------------------------------

    async def console(self, kept: Kept) -> Channel:
        """Attach to its console."""
        return await self._inside.console(kept)

    async def execute(
        self, kept: Kept, command: tuple[str, ...], environment: dict[str, str], *, terminal: bool
    ) -> Channel:
        """Run a command in it."""
        # runc adds to the zone's own environment, crun takes what it is given in its place.
        directory = self._host.layout.instance(kept.uid)
        own = bundle.environment((directory / BUNDLE / CONFIG).read_bytes())
        return await self._inside.execute(
            self._runtime, kept, command, own | environment, terminal=terminal
        )

    async def stats(self, running: tuple[Kept, ...]) -> tuple[Stats, ...]:
        """Measure what runs."""
        return await measuring.measure(self._host, running)

    # -- changing ------------------------------------------------------------------------------

    async def update(self, kept: Kept, wanted: Wanted, *, running: bool) -> Applied:
        """Bring limits, files and rules to what is wanted; the rest waits for the next start."""
        host, old, new = self._host, kept.spec, wanted.spec
        directory = host.layout.instance(kept.uid)
        runs, attachments = addresses.of_running(kept), addresses.attachments(wanted)
        live = list(changes.changed(old, new, changes.LIVE))
        later = list(changes.changed(old, new, changes.AT_START))
        started = kept.started
        if "quota" in live:
            await host.storage.resize(directory, host.cache.rootfs(old.image), new.quota)
        if running:
            if "resolvers" in live and not self._shows_resolvers(directory):
                live.remove("resolvers")
                later.append("resolvers")
            if changes.changed(old, new, changes.LIMITS):
                swap, weight = host.facts.swap, host.facts.io_weight
                found = bundle.resources(new, swap=swap, io_weight=weight)
                del found["devices"]
                await self._runtime.update(kept.uid, directory / BUNDLE, found)
            if changes.changed(old, new, changes.ABOUT):
                self._tell(directory, effective(wanted), runs)
            if "nics" in later and changes.only_guards(runs, attachments):
                await host.networking.guard(kept.uid, attachments)
                started = changes.with_leave(kept.runs_with, wanted)
                later.remove("nics")
                live.append("nics")
        else:
            live, later = [*live, *later], []
        pending = changes.pending(kept.pending, later, live) if running else ()
        kept = host.layout.find(kept.uid)
        host.layout.write(
            msgspec.structs.replace(
                kept,
                spec=msgspec.structs.replace(new, image=old.image),
                claim=wanted.claim,
                networks=wanted.networks,
                pending=pending,
                started=started,
            )
        )
        return Applied(tuple(live), pending)

    async def sweep(self, running: tuple[Kept, ...]) -> tuple[str, ...]:
        """Count what runs as ours, and remove containers that no running zone has."""
        networking = self._host.networking
        ports: list[str] = []
        for kept in running:
            ports += networking.ports(kept.uid, kept.runs_with.nics)
            networking.held(kept.uid, addresses.of_running(kept))
        if self._found is not None:
            uids = {kept.uid for kept in running}
            for uid in [each for each in self._found.containers() if each not in uids]:
                await self._found.delete(uid)
        return tuple(ports)

    async def close(self) -> None:
        """Nothing is held of zones."""

    # -- snapshots and images ------------------------------------------------------------------

    async def snapshots(self, kept: Kept) -> tuple[Snapshot, ...]:
        """List them, oldest first."""
        return self._host.storage.snapshots(self._host.layout.instance(kept.uid))

    async def snapshot(self, kept: Kept, name: str) -> Snapshot:
        """Take one; one that is there is given."""
        directory = self._host.layout.instance(kept.uid)
        return await self._host.storage.snapshot(directory, name, self._host.wall())

    async def roll_back(self, kept: Kept, name: str) -> None:
        """Put the root back."""
        await self._host.storage.roll_back(self._host.layout.instance(kept.uid), name)

    async def delete_snapshot(self, kept: Kept, name: str) -> None:
        """Drop one."""
        await self._host.storage.delete_snapshot(self._host.layout.instance(kept.uid), name)

    async def capture_image(self, kept: Kept, image: Image) -> Image:
        """Make an image of its root."""
        directory = self._host.layout.instance(kept.uid)
        return await self._host.cache.capture(image, directory, kept.spec.image)


def effective(wanted: Wanted) -> InstanceSpec:
    """Give the spec with the networks' resolvers where it names none."""
    spec = wanted.spec
    if spec.resolvers:
        return spec
    found = (each for network in wanted.networks for each in network.resolvers)
    return msgspec.structs.replace(spec, resolvers=tuple(dict.fromkeys(found)))


def _image(wanted: Wanted) -> str:
    """Give the uid of the image that a zone is made of; raises NotFound if none is named."""
    found = wanted.image.uid if wanted.image else wanted.spec.image
    if not found:
        raise NotFound("no image is named", wanted.spec.uid, "a zone is made of an image: name one")
    return found


def _make_directories(place: Path) -> None:
    place.mkdir()
    place.chmod(layout.PASSABLE)
    for name, mode in ((BUNDLE, 0o700), (GUEST, 0o755), (f"{GUEST}/metadata", 0o755)):
        (place / name).mkdir()
        (place / name).chmod(mode)
