"""The Linux driver on the suite's stage: real zones of this very host."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from typing import TYPE_CHECKING, TypeVar

import pytest

from fifo.hypervisors.linux.guests import zone
from fifo.model.image import Image
from tests.hypervisors.linux.zone_host import ZoneHost, zone_image_record

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from fifo.hypervisors.driver import Driver, Event, Wanted

T = TypeVar("T")

PATIENCE_S = 30.0
PASSING_S = 0.05
"""Of real time for each time a test lets guests live."""
TURN_S = 0.02
"""How long a test lets the loop run before it looks again."""
DEAF = "trap '' TERM INT; while :; do sleep 1; done"


class LinuxStage:
    """One node's share of this host, and a loop that runs while a test waits."""

    coarse = True
    brand = "lx"
    own_code = 3

    def __init__(self, images: Path, rootfs: Path, disk: Path | None = None) -> None:
        """Take a cache with the small zone and its archive, and the root of a btrfs if any."""
        cannot = frozenset() if disk else frozenset({"snapshot"})
        self._begin(ZoneHost.make(None if disk else images, disk), cannot)
        self._rootfs = rootfs
        if disk:
            self.run(self.driver.fetch_image(zone_image_record(rootfs), lambda *_: None))

    def _begin(self, host: ZoneHost, cannot: frozenset[str]) -> None:
        self._runner = asyncio.Runner()
        self._host = host
        self._news = asyncio.Event()
        self.heard: list[Event] = []
        self.driver: Driver = self.run(self._host.open())
        self.cannot = cannot
        self._images = 0

    def run(self, awaitable: Awaitable[T]) -> T:
        async def wait() -> T:
            async with asyncio.timeout(PATIENCE_S):
                return await awaitable

        return self._runner.run(wait())

    def both(self, first: Awaitable[T], second: Callable[[], Awaitable[T]]) -> tuple[T, T]:
        async def wait() -> tuple[T, T]:
            async with asyncio.timeout(PATIENCE_S):
                began = asyncio.ensure_future(first)
                await asyncio.wait((began,), timeout=0.5)
                later = await second()
                return await began, later

        return self._runner.run(wait())

    def wait_for(self, condition: Callable[[], bool]) -> None:
        until_s = self._loop_time() + PATIENCE_S
        while not condition():
            assert self._loop_time() < until_s, f"never came; heard {self.heard}"
            self.run(self._turn())

    async def _turn(self) -> None:
        """Let the loop run until something was heard, or for a moment."""
        self._news.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(TURN_S):
                await self._news.wait()

    def _loop_time(self) -> float:
        return self._runner.get_loop().time()

    def pass_time(self, seconds: float) -> None:
        until_s = self._loop_time() + min(seconds, PASSING_S)
        self.wait_for(lambda: self._loop_time() >= until_s)

    def listen(self) -> Callable[[], None]:
        heard = self.heard = []

        def hear(event: Event) -> None:
            heard.append(event)
            self._news.set()

        async def subscribe() -> Callable[[], None]:
            return self.driver.subscribe(hear).cancel

        return self.run(subscribe())

    def restart_driver(self) -> None:
        self.run(self._host.close())
        self.driver = self.run(self._host.open())

    def wanted(self) -> Wanted:
        return self._host.wanted()

    def deaf(self) -> Wanted:
        return self._host.wanted(script=DEAF)

    def short_lived(self, code: int) -> Wanted:
        return self._host.wanted(script=f"exit {code}")

    def settle(self, uid: str) -> None:
        """Nothing: a zone reads its console as soon as it runs."""

    def fresh_image(self) -> Image:
        self._images += 1
        return Image(
            uid=f"00000000-0000-4000-9000-{self._images:012x}", id=f"image-{self._images}",
            create_time=0.0, format="rootfs_tar", source=str(self._rootfs), command=zone.COMMAND,
        )  # fmt: skip

    def kill(self, uid: str) -> None:
        found = self.run(self.driver.inspect(uid))
        assert found is not None
        os.kill(found.pid, signal.SIGKILL)

    def fail_in_create(self, wanted: Wanted) -> None:
        """Give a create up in its middle, as a caller does at its deadline."""

        async def give_up() -> None:
            reached = asyncio.Event()

            async def stuck(*_: object) -> None:
                reached.set()
                await asyncio.Event().wait()

            with pytest.MonkeyPatch.context() as patched:
                patched.setattr(*self._middle_of_create(), stuck)
                create = asyncio.ensure_future(self.driver.create(wanted))
                await reached.wait()
                create.cancel()
                await asyncio.gather(create, return_exceptions=True)

        self.run(give_up())

    def _middle_of_create(self) -> tuple[object, str]:
        """Give the object and the name of what a create does after it has begun."""
        return self._host.driver.host.storage, "create"

    def empty(self) -> None:
        """Delete every instance, and see that nothing is left."""
        left = self.run(self._host.remove_all())
        assert left.none, left

    def close(self) -> None:
        """Leave nothing."""
        try:
            self.empty()
        finally:
            self.run(self._host.close())
            self._runner.close()
            self._host.clear()
