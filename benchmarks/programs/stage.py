"""What the programs of our side share: a node with everything switched on, a tree, a server."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

from prometheus_client import CollectorRegistry

from supervisors import (
    SIMPLE_ONE_FOR_ONE,
    AsyncioHost,
    ChildSpec,
    DynamicSupervisor,
    Flags,
    GenServer,
    Node,
    Ref,
    Supervisor,
    metrics,
    start_child,
    which_children,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

# A window that no row can fill.
_FLAGS = Flags(SIMPLE_ONE_FOR_ONE, intensity=1_000_000, period=3_600)


class Server(GenServer):
    """The measured server: answers pings, counts ticks, calls and plays when told to."""

    def init(self, name: str, up: Callable[[], None] | None = None) -> None:
        """Start, and tell who wants to know."""
        self.count = 0
        if up is not None:
            up()

    def handle_call(self, message: Any, caller: Any) -> Any:
        """Answer "ping" with "pong", "count" with the count; remember whom to play with."""
        if message == "ping":
            return "pong"
        if message == "count":
            return self.count
        self.peer, self.done = message
        return "ok"

    def handle_cast(self, message: Any) -> Any:
        """Count a tick, play a ball, or make calls."""
        if message == "tick":
            self.count += 1
            return None
        if isinstance(message, int):
            if message:
                self.peer.cast(message - 1)
            else:
                self.done()
            return None
        return self.make_calls(*message)

    async def make_calls(self, peer: Ref[Any], calls: int, done: Callable[[], None]) -> None:
        """Call the peer so often, each time with the default timeout."""
        for _ in range(calls):
            await peer.call("ping")
        done()


class Driver(GenServer):
    """Runs a coroutine function as a process, so that what is measured happens between actors."""

    async def handle_call(self, message: Any, caller: Any) -> Any:
        """Run it and give what it returns."""
        return await message()


def run(measure: Callable[[Node], Awaitable[None]]) -> None:
    """Run a program's `measure` as a process of a fresh node.

    Reports go to a subscriber that drops them, as the OTP side's go to a counting handler.
    """

    async def main() -> None:
        host = AsyncioHost()
        node = host.node(log_reports=False)
        node.reports.subscribe(lambda _: None, logging.WARNING)
        metrics.enable(node, CollectorRegistry())
        with node:
            driver = await node.start(Driver)
            await driver.call(lambda: measure(node), timeout_s=None)
        host.close()

    asyncio.run(main())


def name(number: int) -> str:
    """Name a server as the OTP side does."""
    return f"bench/{number}"


async def servers(node: Node, count: int) -> list[Ref[Any]]:
    """Start so many supervised, registered servers under one dynamic supervisor."""
    root = await start_tree(node, 1)
    (supervisor,) = await dynamic_supervisors(root)
    return [await start_child(supervisor, name(number)) for number in range(count)]


async def start_tree(node: Node, supervisors: int) -> Ref[Supervisor]:
    """Start a root with so many dynamic supervisors of servers."""
    server = ChildSpec("child", (Server,), name=lambda named, *_: named)
    specs = [
        ChildSpec(number, (DynamicSupervisor, (_FLAGS, [server])), type="supervisor")
        for number in range(1, supervisors + 1)
    ]
    return await node.start(Supervisor, Flags(intensity=1_000_000, period=3_600), specs)


async def dynamic_supervisors(root: Ref[Supervisor]) -> list[Ref[DynamicSupervisor]]:
    """List the dynamic supervisors of a tree, in the order of their ids."""
    rows = await which_children(root)
    return [ref for _, ref, _, _ in sorted(rows, key=lambda row: row[0])]
