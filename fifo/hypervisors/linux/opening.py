"""Putting the Linux driver together on a host, and taking over what is there."""

from __future__ import annotations

import asyncio
import signal
import time
from typing import TYPE_CHECKING

from fifo.hypervisors.linux import changes, facts, limits, probe, reboot
from fifo.hypervisors.linux import settings as of_settings
from fifo.hypervisors.linux.bridges import Bridges
from fifo.hypervisors.linux.driver import LinuxDriver
from fifo.hypervisors.linux.host import Host
from fifo.hypervisors.linux.images.cache import Cache
from fifo.hypervisors.linux.inside import SESSION
from fifo.hypervisors.linux.keeper_client import start_keeper
from fifo.hypervisors.linux.keeper_runner import runner
from fifo.hypervisors.linux.layout import Layout
from fifo.hypervisors.linux.network import Networking
from fifo.hypervisors.linux.storage.btrfs import BtrfsStorage, is_btrfs
from fifo.hypervisors.linux.storage.overlay import OverlayStorage
from fifo.hypervisors.linux.vm.accelerator import Accelerators, with_machines
from fifo.hypervisors.linux.vm.images import Importer
from fifo.hypervisors.linux.vm.virtual_machines import VirtualMachines
from fifo.hypervisors.linux.watch import Watch
from fifo.hypervisors.linux.zone import Zones
from fifo.model.errors import WrongState

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from fifo.hypervisors.linux.commands import Run
    from fifo.hypervisors.linux.keeper_client import KeeperClient, Watched
    from fifo.hypervisors.linux.kind import Kind
    from fifo.hypervisors.linux.probe import Found
    from fifo.hypervisors.linux.settings import Settings
    from fifo.hypervisors.linux.storage.pool import ZoneStorage
    from fifo.model.hypervisor import Probe


async def open_driver(
    settings: Settings,
    keeper: KeeperClient,
    keeper_directory: Path,
    *,
    run: Run | None = None,
    wall: Callable[[], float] = time.time,
) -> LinuxDriver:
    """Give a driver that has taken over what is on the host: what runs goes on untouched.

    Commands are run by the keeper, unless another `run` is given; those of a node that was killed
    have ended before anything is looked at. When the keeper dies another is
    started after its client's patience, which should be a second.

    Called once when the node starts, with its keeper there. Raises InvalidInput for settings that
    cannot work, NotReady for a host that has to be changed first, Unavailable without a keeper.
    """
    of_settings.check(settings)
    await keeper.settle(limits.ORPHANS_S)
    run = run or runner(keeper)
    layout = Layout(settings.state_dir, settings.run_dir)
    layout.take_users(settings.uid_base)
    facts.require_way_in(settings)
    known = facts.gather()
    await reboot.clear_stale(run, layout, known.boot_id, settings.cgroup)
    found = await probe.find_runtime(run, settings, known, layout.runtime)
    storage = await _storage(run, settings)
    host = Host(
        settings=settings,
        facts=known,
        run=run,
        keeper=keeper,
        layout=layout,
        storage=storage,
        cache=Cache(run, settings, layout.images, storage, Importer(run, settings).importers()),
        networking=Networking(run, settings, Bridges(run, settings)),
        watch=Watch(keeper, layout, known.boot_id, wall, lambda: start_keeper(keeper_directory)),
        wall=wall,
    )
    driver, kinds = _assemble(host, found)
    try:
        await _take_over(host, driver, kinds)
    except BaseException:
        # What follows the keeper would start another in the place of one that is ended.
        await driver.close()
        raise
    return driver


def _assemble(host: Host, found: Found) -> tuple[LinuxDriver, dict[str, Kind]]:
    """Make the driver of a host, and give the kinds of instances it has by brand."""
    zones = Zones(host, found.runtime, found.missing.get("lx", ""))
    accelerators = Accelerators(host.run, host.settings, host.facts, host.cache)
    machines = VirtualMachines(host, accelerators)
    kinds: dict[str, Kind] = dict.fromkeys(zones.brands, zones)
    kinds |= dict.fromkeys(machines.brands, machines)

    # The trials have their names on the host: two at one time would end each other.
    alone = asyncio.Lock()

    async def look() -> Probe:
        async with alone:
            given = host.run, host.settings, host.facts, host.layout.runtime
            again = await probe.find_runtime(*given)
            zones.take(again.runtime, again.missing.get("lx", ""))
            seen = await probe.probe(host, again, zones.brands if again.runtime else ())
            return with_machines(seen, await accelerators.find(), machines.brands)

    return LinuxDriver(host, kinds, look), kinds


async def _storage(run: Run, settings: Settings) -> ZoneStorage:
    if not is_btrfs(settings.state_dir):
        return OverlayStorage(run, settings.state_dir)
    storage = BtrfsStorage(run, settings.state_dir)
    await storage.prepare()
    return storage


async def _take_over(host: Host, driver: LinuxDriver, kinds: dict[str, Kind]) -> None:
    """Watch what runs, and remove what a node that was killed left half done."""
    watched = {each.instance: each for each in await host.keeper.inventory()}
    for kept in driver.running():
        if kept.uid not in watched:
            await host.keeper.adopt(
                kept.uid, str(kept.start_id), kept.pid, start_time=kept.start_time
            )
    for name in [each for each in watched if each.startswith(SESSION)]:
        await _end_session(host.keeper, watched[name])
    # Before ends are heard of: what one takes back would be made again.
    await host.networking.renew({each.uid: changes.in_force(each) for each in driver.running()})
    await host.watch.open()
    running = driver.running()
    runs = {kept.uid for kept in running}
    for uid in list(host.layout.uids()):
        if uid not in runs:
            host.storage.close(host.layout.instance(uid))
        await host.storage.recover(host.layout.instance(uid))
    ports: set[str] = set()
    for kind in dict.fromkeys(kinds.values()):
        own = tuple(kept for kept in running if kept.spec.brand in kind.brands)
        ports.update(await kind.sweep(own))
    await host.networking.sweep(frozenset(ports))
    for path in list(host.layout.unfinished()):
        await host.storage.destroy(path)
    if host.layout.spare.exists() and any(host.layout.spare.iterdir()):
        await host.storage.destroy(host.layout.spare)
    host.layout.make_spare()
    await host.cache.sweep()


async def _end_session(keeper: KeeperClient, session: Watched) -> None:
    """End a command whose caller died with the node; a later opening forgets what this cannot."""
    try:
        if session.running:
            await keeper.signal(session.instance, session.start_id, signal.SIGKILL)
        else:
            await keeper.forget(session.instance)
    except WrongState:
        # It ended between the two questions.
        return
