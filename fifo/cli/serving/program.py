"""The program of a node: one loop with the processes, gRPC and HTTP on it, until a signal."""

from __future__ import annotations

import asyncio
import logging
import signal
import sys
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from importlib.metadata import version
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any, Final

import uvloop

from fifo.api.server import TOKEN_FILE
from fifo.cli.serving import locks
from fifo.cli.serving.affairs import Affairs
from fifo.cli.serving.directories import Directories, host_name
from fifo.cli.serving.edges import ApiEdge, WebEdge
from fifo.cli.serving.hypervisors import agents_of, give_up, keep, open_hosts, store_at
from fifo.cli.serving.tree import Parts, start_tree
from fifo.model.errors import FifoError, NotReady
from fifo.telemetry.logs import log_to
from supervisors import AsyncioHost, ChildSpec, StartError, Watchdog
from supervisors.heart import Heartbeat
from supervisors.reasons import Crash, Shutdown

if TYPE_CHECKING:
    from collections.abc import Callable

    from fifo.cli.serving.hypervisors import Hosts
    from fifo.cli.serving.metrics_page import MetricsPage
    from fifo.cli.settings import Settings
    from fifo.hypervisors.simulated.host import SimulatedHost
    from supervisors import Node, Ref, Supervisor

logger = logging.getLogger("fifo")

SWITCH_INTERVAL_S: Final = 0.001
"""How long a thread holds the interpreter: the store's writer must get it between two turns."""
HOSTS_S: Final = 10.0
"""How long a start waits for its hosts to be ready: a probe with a trial container takes one."""
START_S: Final = 60.0
"""How long a start may take before it is given up: a large store is read in a second."""


@dataclass(slots=True, repr=False)
class Running:
    """A node that serves: where, and how to end it."""

    api_port: int = 0
    web_port: int = 0
    page: MetricsPage | None = None
    root: Ref[Supervisor] | None = None
    node: Node | None = None
    hosts: tuple[str, ...] = ()
    simulated: tuple[SimulatedHost, ...] = ()
    warning: str = ""
    ending: asyncio.Event = field(default_factory=asyncio.Event)

    def end(self) -> None:
        """Have the node end as a signal does; on its loop."""
        self.ending.set()


async def run(
    settings: Settings,
    ready: Callable[[Running, Directories], None],
    needed: frozenset[str] = frozenset(),
) -> int:
    """Run a node until SIGTERM or SIGINT, or until its root gives up; gives the exit status.

    `needed` are brands without which this machine counts as having no hypervisor at all.
    Raises FifoError where it cannot start; then nothing that the start began is left running.
    """
    directories = Directories(settings)
    with ExitStack() as held:
        # Before anything is opened, written or swept that may be another node's.
        held.enter_context(locks.of_node(directories))
        handler = log_to(directories.logs, settings.log_level, settings.log_file_bytes)
        try:
            return await _run(settings, directories, held, ready, needed)
        finally:
            logging.getLogger().removeHandler(handler)
            handler.close()


async def _run(
    settings: Settings,
    directories: Directories,
    held: ExitStack,
    ready: Callable[[Running, Directories], None],
    needed: frozenset[str],
) -> int:
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    host = AsyncioHost()
    node = host.node(settings.name or host_name())
    running = Running(node=node)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, running.end)
    watchdog = Watchdog(node)
    try:
        hosts = await open_hosts(node, settings, directories, time.time, held, needed=needed)
        try:
            parts = _parts(node, hosts, settings, directories, running)
            running.root = root = await _start(node, parts)
            watchdog.start()
            await _await_hosts(parts)
            ready(running, directories)
        except BaseException:
            await give_up(hosts, directories)
            raise
        await _until_end(running.ending, root)
        status = 0 if root.is_alive() else 1
        await _stop(root)
        keep(hosts, directories)
        if hosts.keeper is not None:
            await hosts.keeper.close()
    finally:
        watchdog.close()
        host.close()
    return status


def _parts(
    node: Node, hosts: Hosts, settings: Settings, directories: Directories, running: Running
) -> Parts:
    """Put together what the node's tree is made of."""
    identity = directories.identity(len(hosts.drivers), hosts.driver)
    running.warning = hosts.warning
    running.hosts, running.simulated = identity.hosts, hosts.simulated
    parts = Parts(
        store_at(directories.private / "store", served=directories.private / TOKEN_FILE),
        time.time,
        agents_of(
            hosts, identity.hosts, settings, directories, utc=time.time, version=version("fifo")
        ),
        host_ids=_host_ids(identity.hosts, settings.name or host_name()),
    )
    affairs = Affairs(node, parts, settings, directories, identity)
    affairs.page = lambda: running.page
    affairs.listeners = lambda: _listeners(settings, directories, running)
    affairs.warnings = (hosts.warning,) if hosts.warning else ()
    parts.edges = _edges(parts, settings, directories, affairs, running)
    return parts


async def _await_hosts(parts: Parts) -> None:
    """Wait until the node's own hosts take instances; one that does not holds nothing up long."""
    assert parts.fleet is not None, "the tree has started"
    catalog = parts.fleet.world.catalog
    waiting = [
        catalog.when(
            catalog.host_statuses,
            agent.host,
            lambda entry: entry is not None and entry.record.condition == "ready",
        )
        for agent in parts.agents
    ]
    try:
        async with asyncio.timeout(HOSTS_S):
            for ready in waiting:
                await ready
    except TimeoutError:
        logger.warning("Serving although a host is not ready: see `fifo hypervisor list`")
    finally:
        for ready in waiting:
            ready.cancel()


def _host_ids(uids: tuple[str, ...], name: str) -> dict[str, str]:
    """Name hosts after the node; further ones get a number."""
    plain = "".join(
        char if char.isascii() and char.isalnum() else "-" for char in name.lower()
    ).strip("-")[:50]
    first = plain if plain[:1].isalpha() else f"h-{plain}".strip("-")
    return {uid: first if index == 0 else f"{first}-{index + 1}" for index, uid in enumerate(uids)}


def _edges(
    parts: Parts,
    settings: Settings,
    directories: Directories,
    affairs: Affairs,
    running: Running,
) -> tuple[ChildSpec, ...]:
    def targets() -> list[dict[str, Any]]:
        own = settings.name or host_name()
        address = reached_at(settings.metrics_listen, own)
        labels = {"__meta_fifo_node": own}
        return [{"targets": [f"{address}:{running.web_port}"], "labels": labels}]

    patience_ms = round(1000 * (settings.drain_s + 5.0))
    return (
        ChildSpec("web", (WebEdge, (parts, settings, targets, running)), shutdown=patience_ms),
        ChildSpec(
            "api",
            (ApiEdge, (parts, settings, directories, affairs, running)),
            shutdown=patience_ms,
        ),
        ChildSpec("heartbeat", (Heartbeat, ())),
    )


async def _start(node: Any, parts: Parts) -> Ref[Supervisor]:
    try:
        async with asyncio.timeout(START_S):
            return await start_tree(node, parts)
    except StartError as error:
        raise _cause(error.reason) from error
    except TimeoutError:
        raise NotReady(
            f"it has not started within {START_S:g} s", "the node", "see its log"
        ) from None


def _cause(reason: Any) -> FifoError:
    """Find the error that a failed start comes down to, however deep in its reason."""
    return _found(reason) or NotReady("it did not start", str(reason), "see the log")


def _found(reason: Any) -> FifoError | None:
    if isinstance(reason, Crash):
        return reason.error if isinstance(reason.error, FifoError) else None
    inside = reason.detail if isinstance(reason, Shutdown) else reason
    parts = inside if isinstance(inside, (tuple, list)) else ()
    return next((found for part in parts if (found := _found(part)) is not None), None)


def reached_at(listen: str, own: str) -> str:
    """Give where others reach what listens at an address; at all of them the node's own name."""
    address = listen.rpartition(":")[0]
    try:
        anywhere = ip_address(address.removeprefix("[").removesuffix("]")).is_unspecified
    except ValueError:
        return address  # A name, which the operator has chosen.
    return own if anywhere else address


def _listeners(settings: Settings, directories: Directories, running: Running) -> tuple[str, ...]:
    api = settings.listen.rpartition(":")[0]
    web = settings.metrics_listen.rpartition(":")[0]
    return (
        f"{api}:{running.api_port}",
        f"unix:{directories.socket}",
        f"http://{web}:{running.web_port}/metrics",
    )


async def _until_end(ended: asyncio.Event, root: Ref[Supervisor]) -> None:
    """Wait for a signal, or for the root to give up."""
    while root.is_alive():
        try:
            await asyncio.wait_for(ended.wait(), 1.0)
        except TimeoutError:
            continue
        return
    logger.error("The node's root has given up: %s", root.exit_reason)


async def _stop(root: Ref[Supervisor]) -> None:
    """End the tree in order; instances go on."""
    if root.is_alive():
        await root.stop(block=False)


def serve(settings: Settings, ready: Callable[[Running, Directories], None]) -> int:
    """Run a node on a loop of its own; the program's last call."""
    return uvloop.run(run(settings, ready))
