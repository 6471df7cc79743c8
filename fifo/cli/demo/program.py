"""The demo's program: a node in temporary directories, the play beside it, then no trace."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

import uvloop

from fifo.cli.demo import plain_directory, remains
from fifo.cli.demo.alone import alone
from fifo.cli.demo.course import Course
from fifo.cli.demo.interruption import Interruption
from fifo.cli.demo.screen import Screen
from fifo.cli.serving.program import run
from fifo.cli.settings import Settings
from fifo.hypervisors.linux.guests import spawning, vm_images, zone_image
from fifo.model.errors import Cancelled, DriverFailed, FifoError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

CLEARED: Final = "cleared away what an earlier demo left in"
BRANDS: Final = frozenset({"lx", "kvm"})
"""What the play is about: a host that runs one of them alone would have it fail half way."""


def main(*, stay: bool, simulated: bool = False) -> int:
    """Play the demo, or with `stay` keep its node until it is interrupted; gives the status.

    Raises NotReady where another demo runs, or where something of an earlier one cannot be cleared
    away, DriverFailed where something of this one cannot.
    """
    screen = Screen()
    real = not simulated and os.geteuid() == 0
    with alone() if real else contextlib.nullcontext():
        outcome, interruption = uvloop.run(_demo(screen, stay=stay, real=real))
    if not outcome:
        screen.title(f"Done in {screen.total_s():.0f} s")
    else:
        screen.title("Interrupted" if interruption.number else "The demo failed")
    return outcome


async def _demo(screen: Screen, *, stay: bool, real: bool) -> tuple[int, Interruption]:
    interruption = Interruption()
    interruption.listen()
    async with _directory(screen, interruption, real=real) as base:
        try:
            images, real = await interruption.limit(_images(base, screen, real=real))
        except Cancelled:
            return interruption.status, interruption
        settings = Settings(
            data_dir=base / "data",
            run_dir=base / "run",
            listen="127.0.0.1:0",
            metrics_listen="127.0.0.1:0",
            driver="auto" if real else "simulated",
            prefix=remains.PREFIX,
            import_dirs=tuple({file.parent for file in images.values()}),
            sample_s=1.0,
            drain_s=1.0,
        )
        course = Course(images, screen, interruption, stay=stay)
        try:
            status = await run(settings, course.ready, BRANDS)
        finally:
            await course.ended()
        if interruption.number:
            # Who keeps the node up ends it by a signal: that is no failure.
            status = status or (0 if stay else interruption.status)
    return course.failed or status, interruption


@contextlib.asynccontextmanager
async def _directory(
    screen: Screen, interruption: Interruption, *, real: bool
) -> AsyncIterator[Path]:
    """Give a directory to play in, on a host without an earlier demo; nothing is left of it."""
    for each in plain_directory.clear_earlier():
        screen.say(f"{CLEARED} {each}")
    if not real:
        with plain_directory.make() as base:
            yield base
        return
    base = remains.make()
    try:
        for each in await remains.clear_earlier(base):
            screen.say(f"{CLEARED} {each}")
    except FifoError:
        await remains.remove(base)
        raise
    try:
        yield base
    finally:
        # The node had its own way to take the signals; from here on the end is under way.
        interruption.listen()
        with screen.step("look for anything that is left"):
            left = await remains.leave(base)
            await remains.remove(base)
            if not left.none:
                raise DriverFailed(
                    f"this is left: {remains.told(left)}", "the demo",
                    "start it again, which tries to remove it; if that fails please report it",
                )  # fmt: skip


async def _images(base: Path, screen: Screen, *, real: bool) -> tuple[dict[str, Path], bool]:
    """Give the small guests by brand, and whether they are: else files stand for them."""
    if not real:
        why = "not root" if os.geteuid() else "as asked"
        screen.say(f"{why}: the hosts are simulated, no real zone or VM is started")
    built = await _built(screen) if real else None
    if built is not None:
        return built, True
    stand_ins = {brand: base / f"{brand.lower()}.image" for brand in ("LX", "KVM")}
    for file in stand_ins.values():
        file.write_bytes(b"a simulated host never reads this\n")
    return stand_ins, False


async def _built(screen: Screen) -> dict[str, Path] | None:
    screen.title("Images from this machine's own packages")
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "fifo" / "guests"
    try:
        with screen.step("build a zone's root file system") as told:
            zone = await zone_image.build(spawning.run, cache)
            told.append(f"{zone.path('rootfs').stat().st_size:,} bytes")
        with screen.step("build a virtual machine's disk") as told:
            vm = await vm_images.disk(spawning.run, cache)
            told.append(f"{vm.path('disk').stat().st_size:,} bytes")
    except FifoError as error:
        screen.say(f"{error}\nso the hosts are simulated, and no real zone or VM is started")
        return None
    return {"LX": zone.path("rootfs"), "KVM": vm.path("disk")}
