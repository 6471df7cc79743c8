"""The hosts that a node manages: this machine by the Linux driver, or simulated ones in memory."""

from __future__ import annotations

import asyncio
import inspect
import logging
import random
from contextlib import AsyncExitStack, ExitStack
from typing import TYPE_CHECKING, Any, Final, NamedTuple, cast

from fifo.agent.clockwork import NodeClockwork
from fifo.agent.settings import AgentSettings
from fifo.cli.serving import locks
from fifo.cli.serving.directories import REAL_DRIVER
from fifo.hypervisors.linux.keeper_client import KeeperClient, start_keeper
from fifo.hypervisors.linux.keeper_end import end_idle_keeper
from fifo.hypervisors.linux.opening import open_driver
from fifo.hypervisors.linux.settings import ImageLimits, NicTag
from fifo.hypervisors.linux.settings import Settings as LinuxSettings
from fifo.hypervisors.simulated import keeping
from fifo.hypervisors.simulated.driver import SimulatedDriver
from fifo.hypervisors.simulated.host import SimulatedHost
from fifo.hypervisors.simulated.settings import HostSettings
from fifo.model.errors import FifoError, InvalidInput, NoRoom, NotReady
from fifo.security import private_files
from fifo.store.limits import RESERVE_BYTES
from fifo.store.reserve import PIECE_BYTES
from fifo.store.sqlite.store import open_store

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from fifo.cli.serving.directories import Directories
    from fifo.cli.settings import Settings
    from fifo.hypervisors.driver import Driver
    from fifo.model.hypervisor import Probe
    from fifo.store.embedded import EmbeddedStore
    from supervisors import Future, Node

logger = logging.getLogger("fifo")

FORGET: Final = "move this directory away, then start the node: what its host runs is taken over"
"""What to do about a damaged store of an agent: of these there are no backups."""
LATENT_VERBS = ("create", "start", "stop", "delete", "snapshot", "fetch_image")


class Hosts(NamedTuple):
    """Drivers by host, and why there is no Linux one where `auto` would have had it.

    `began_keeper` tells whether the keeper was started with them.
    """

    drivers: tuple[Callable[[], Driver], ...]
    driver: str
    warning: str = ""
    keeper: KeeperClient | None = None
    began_keeper: bool = False
    simulated: tuple[SimulatedHost, ...] = ()


class InTasks:
    """A driver whose verbs run as asyncio tasks.

    A process's handler is none, and the driver's own timeouts and groups have to be inside one.
    """

    def __init__(self, driver: object) -> None:
        self._driver = driver

    def __getattr__(self, name: str) -> Any:
        """Give a verb that begins a task and gives it to be awaited; all else as it is."""
        found = getattr(self._driver, name)
        if not inspect.iscoroutinefunction(found):
            return found

        def begin(*args: Any, **keywords: Any) -> asyncio.Task[Any]:
            return asyncio.create_task(found(*args, **keywords), name=f"driver {name}")

        return begin


async def open_hosts(
    node: Node,
    settings: Settings,
    directories: Directories,
    utc: Callable[[], float],
    held: ExitStack,
    *,
    needed: frozenset[str] = frozenset(),
) -> Hosts:
    """Open this machine's driver, or make simulated hosts; `held` gets the locks of a real host.

    `needed` are the brands that a real one must run, none for any one of them.

    Raises NotReady where another node has what a real host would take over (simulated hosts are no
    way round that); with what is missing, where `driver = "linux"` cannot be had; where the data
    are a real host's but its driver cannot be had; and where its storage is not there. InvalidInput
    for settings it refuses.
    """
    was_linux = directories.used_driver() == REAL_DRIVER
    if settings.driver == "simulated":
        if was_linux:
            raise _real_host("simulated hosts would take its instances for theirs", directories)
        return _simulated(node, settings, directories, utc)
    directories.require_storage()
    with ExitStack() as real:
        real.enter_context(locks.of_host(directories, settings.prefix))
        try:
            hosts = await _linux(settings, directories, needed)
        except InvalidInput:
            raise  # What is written wrong is to be corrected, whatever this machine can do.
        except FifoError as error:
            if settings.driver == "linux":
                raise
            if was_linux:
                # Real zones run on: simulated hosts with their uids would leave them untended.
                raise _real_host(f"it cannot be opened now: {error}", directories) from error
            told = f"no real hypervisor here, the hosts are simulated: {error}"
            return _simulated(node, settings, directories, utc)._replace(warning=told)
        held.push(real.pop_all())
        return hosts


def _real_host(what: str, directories: Directories) -> NotReady:
    return NotReady(
        f"it is of a real hypervisor, and {what}",
        str(directories.data),
        "repair the cause, or use `--driver simulated` with another data_dir",
    )


async def give_up(hosts: Hosts, directories: Directories) -> None:
    """Let go of hosts whose node does not start; on the loop that opened them. Raises nothing.

    A keeper that was started for them ends, unless it has instances to keep.
    """
    for driver in hosts.drivers:
        await driver().close()
    if hosts.keeper is not None:
        await hosts.keeper.close()
    if hosts.began_keeper:
        await _end_keeper(directories)


async def _end_keeper(directories: Directories) -> None:
    try:
        await end_idle_keeper(directories.keeper)
    except (FifoError, OSError) as error:
        # The start has failed for a reason of its own, which is what the operator has to hear.
        logger.warning("The keeper that was started goes on: %s", error)


async def _linux(settings: Settings, directories: Directories, needed: frozenset[str]) -> Hosts:
    began = await start_keeper(directories.keeper)
    try:
        hosts = await _opened(settings, directories, needed)
    except BaseException:
        if began:
            await _end_keeper(directories)
        raise
    return hosts._replace(began_keeper=began)


async def _opened(settings: Settings, directories: Directories, needed: frozenset[str]) -> Hosts:
    keeper = await KeeperClient.connect(directories.keeper)
    wanted = LinuxSettings(
        state_dir=directories.instances,
        run_dir=directories.linux_run,
        prefix=settings.prefix,
        nic_tags=dict(_nic_tag(text) for text in settings.nic_tags),
        uid_base=settings.uid_base,
        runtime="" if settings.runtime == "auto" else settings.runtime,
        image_limits=ImageLimits(
            download_bytes=settings.image_download_bytes,
            unpacked_bytes=settings.image_unpacked_bytes,
            entries=settings.image_entries,
        ),
        private_sources=settings.images_from_private_addresses,
    )
    async with AsyncExitStack() as opened:
        opened.push_async_callback(keeper.close)
        driver = await open_driver(wanted, keeper, directories.keeper)
        opened.push_async_callback(driver.close)
        found = await driver.probe()
        if (lack := _lack(found, needed)) is not None:
            raise lack
        opened.pop_all()
    wrapped = cast("Driver", InTasks(driver))
    return Hosts((lambda: wrapped,), "linux", keeper=keeper)


def _lack(found: Probe, needed: frozenset[str]) -> NotReady | None:
    """Say what this machine lacks to be a host; None if it runs what is needed, or anything."""
    remedy = "install runc and qemu-system-x86, and run as root"
    if not found.brands:
        missing = "; ".join(f"{what}: {why}" for what, why in sorted(found.missing.items()))
        told = f"it can run neither zones nor VMs ({missing})"
        return NotReady(told, "this machine", remedy)
    lacking = sorted(needed.difference(found.brands))
    if not lacking:
        return None
    missing = "; ".join(found.missing.get(brand, "it says no more") for brand in lacking)
    return NotReady(f"it cannot run {', '.join(lacking)} ({missing})", "this machine", remedy)


def _nic_tag(text: str) -> tuple[str, NicTag]:
    tag, _, bridge = text.partition("=")
    return tag, NicTag(bridge=bridge, gateway=not bridge)


def _simulated(
    node: Node, settings: Settings, directories: Directories, utc: Callable[[], float]
) -> Hosts:
    dice = random.Random(settings.simulated_seed)  # noqa: S311 - only draws latencies
    clockwork = NodeClockwork(node, utc, dice)
    most_s = settings.simulated_latency_s
    latency = dict.fromkeys(LATENT_VERBS, (most_s / 2, most_s)) if most_s else {}
    machines = [
        SimulatedHost(
            clockwork,
            HostSettings(
                name=f"simulated-{number}",
                latency_s=latency,
                nic_tags=tuple(text.partition("=")[0] for text in settings.nic_tags),
            ),
        )
        for number in range(1, settings.simulated_hosts + 1)
    ]
    for machine in machines:
        file = kept_file(directories, machine)
        if file.exists():
            keeping.read(machine, file.read_bytes())
            # Read once: after a kill it would be older than what the agents know.
            file.unlink()
    drivers = tuple((lambda machine=machine: SimulatedDriver(machine)) for machine in machines)
    return Hosts(drivers, "simulated", simulated=tuple(machines))


def kept_file(directories: Directories, machine: SimulatedHost) -> Path:
    """Say where a simulated host is written when its program ends."""
    return directories.private / f"{machine.settings.name}.json"


def keep(hosts: Hosts, directories: Directories) -> None:
    """Write the simulated hosts down; the last thing that a node does. Raises NoRoom."""
    for machine in hosts.simulated:
        file = kept_file(directories, machine)
        try:
            private_files.write(file, keeping.write(machine))
        except OSError as error:
            raise NoRoom(
                f"a simulated host could not be kept ({error.strerror})",
                str(file),
                "make room; at the next start it is as after a power cut",
            ) from error


def store_at(
    directory: Path,
    *,
    reserve_bytes: int = RESERVE_BYTES,
    if_damaged: str = "",
    served: Path | None = None,
) -> Callable[[Node], Future[EmbeddedStore]]:
    """Give what opens the store of a directory, however often it is asked.

    `served` is a file that is there only once the store was: then no new one is made.
    """

    def open_it(node: Node) -> Future[EmbeddedStore]:
        must_exist = served is not None and served.exists()
        opening = open_store(
            node,
            directory,
            reserve_bytes=reserve_bytes,
            must_exist=must_exist,
            if_damaged=if_damaged,
        )
        return cast("Future[EmbeddedStore]", opening)

    return open_it


def agents_of(
    hosts: Hosts,
    uids: tuple[str, ...],
    settings: Settings,
    directories: Directories,
    *,
    utc: Callable[[], float],
    version: str,
) -> tuple[AgentSettings, ...]:
    """Give each host its agent's settings, with a store of its own."""
    # Thousands of simulated hosts would hold back a disk between them.
    reserve_bytes = PIECE_BYTES if hosts.driver == "simulated" else RESERVE_BYTES

    def agent(uid: str, driver: Callable[[], Driver]) -> AgentSettings:
        directory = directories.private / "agents" / uid
        return AgentSettings(
            uid,
            driver,
            store_at(directory, reserve_bytes=reserve_bytes, if_damaged=FORGET),
            utc,
            version=version,
            # In memory a host has nothing of a guest to lose, and is empty after every kill.
            lasting=hosts.driver != "simulated",
            sample_s=settings.sample_s,
        )

    return tuple(agent(uid, driver) for uid, driver in zip(uids, hosts.drivers, strict=True))
