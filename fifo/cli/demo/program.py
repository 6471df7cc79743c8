"""The demo's program: a node in temporary directories, the play beside it, then no trace."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import uvloop

from fifo.cli.demo.fleet_client import FleetClient
from fifo.cli.demo.screen import Screen
from fifo.cli.demo.steps import Cast, Demo
from fifo.cli.serving.directories import PASSABLE
from fifo.cli.serving.program import run
from fifo.cli.settings import Settings
from fifo.hypervisors.linux.guests import spawning, vm_images, zone_image
from fifo.hypervisors.linux.keeper_client import KeeperClient
from fifo.hypervisors.linux.leftovers import leftovers
from fifo.hypervisors.linux.settings import Settings as LinuxSettings
from fifo.model.errors import DriverFailed, FifoError, Unavailable

if TYPE_CHECKING:
    from fifo.cli.serving.directories import Directories
    from fifo.cli.serving.program import Running

PREFIX: Final = "demo"


def main(*, stay: bool, simulated: bool = False) -> int:
    """Play the demo, or with `stay` keep its node until it is interrupted; gives the status."""
    screen = Screen()
    with _directories() as base:
        images = None if simulated else uvloop.run(_build_images(screen))
        real = images is not None
        if images is None:
            images = {brand: base / f"{brand.lower()}.image" for brand in ("LX", "KVM")}
            for file in images.values():
                file.write_bytes(b"a simulated host never reads this\n")
        settings = Settings(
            data_dir=base / "data",
            run_dir=base / "run",
            listen="127.0.0.1:0",
            metrics_listen="127.0.0.1:0",
            driver="auto" if real else "simulated",
            prefix=PREFIX,
            import_dirs=tuple({file.parent for file in images.values()}),
            sample_s=1.0,
            drain_s=1.0,
        )
        outcome = uvloop.run(_serve(settings, images, screen, stay=stay))
    screen.title(f"Done in {screen.total_s():.0f} s" if not outcome else "The demo failed")
    return outcome


@contextlib.contextmanager
def _directories() -> Any:
    base = Path(tempfile.mkdtemp(prefix="fifo-demo-"))
    base.chmod(PASSABLE)
    try:
        yield base
    finally:
        shutil.rmtree(base, ignore_errors=True)


async def _build_images(screen: Screen) -> dict[str, Path] | None:
    """Build the small guests from this machine's own packages; None where that cannot be."""
    screen.title("Images from this machine's own packages")
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "fifo" / "guests"
    if os.geteuid() != 0:
        screen.say("not root: the hosts are simulated, no real zone or VM is started")
        return None
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


async def _serve(settings: Settings, images: dict[str, Path], screen: Screen, *, stay: bool) -> int:
    """Run the node, and the play on a thread beside it."""
    failures: list[BaseException] = []
    tasks: list[asyncio.Task[None]] = []

    def ready(running: Running, directories: Directories) -> None:
        screen.title("A node serves")
        screen.say(f"gRPC on 127.0.0.1:{running.api_port} and unix:{directories.socket}")
        screen.say(f"metrics at http://127.0.0.1:{running.web_port}/metrics")
        if running.warning:
            screen.say(running.warning)
        if stay:
            screen.say(f"try: fifo --server unix:{directories.socket} hypervisor list")
            return
        tasks.append(asyncio.create_task(play(running, directories)))

    async def play(running: Running, directories: Directories) -> None:
        try:
            await asyncio.to_thread(_play, running, directories, images, screen)
        except (FifoError, OSError, AssertionError) as error:
            failures.append(error)
            screen.say(f"failed: {error}")
        finally:
            running.end()

    status = await run(settings, ready)
    if settings.driver != "simulated":
        await _leave(settings, screen)
    return 1 if failures else status


def _play(
    running: Running, directories: Directories, images: dict[str, Path], screen: Screen
) -> None:
    client = FleetClient(directories.socket)
    try:
        assert running.node is not None
        simulated = running.simulated[0] if running.simulated else None
        cast = Cast(running.node, running.hosts[0], images, running.web_port, simulated)
        Demo(client, cast, screen).play()
    finally:
        client.close()


async def _leave(settings: Settings, screen: Screen) -> None:
    """End the keeper and see that nothing of the node is left on the machine."""
    with contextlib.suppress(Unavailable):
        keeper = await KeeperClient.connect(settings.run_dir / "keeper", patience_s=1.0)
        await keeper.shutdown(force=True)
        await keeper.close()
    with screen.step("look for anything that is left"):
        left = await leftovers(
            spawning_with_netns,
            LinuxSettings(
                state_dir=settings.data_dir / "instances",
                run_dir=settings.run_dir / "linux",
                prefix=settings.prefix,
                nic_tags={},
            ),
        )
        if not left.none:
            raise DriverFailed(f"this is left: {left}", "the demo", "please report it")


async def spawning_with_netns(
    argv: Any, *, stdin: bytes = b"", deadline_s: float, netns: str | None = None
) -> Any:
    """Run a command as the driver's runner does; nothing here asks for another namespace."""
    assert netns is None
    return await spawning.run(argv, stdin=stdin, deadline_s=deadline_s)
