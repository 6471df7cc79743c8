"""Zones outlive the node and the keeper, and whoever comes next knows all of them."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from typing import TYPE_CHECKING

import msgspec
import pytest

from fifo.hypervisors.driver import Broken, Ended, Inventory
from fifo.hypervisors.linux import firewall
from fifo.hypervisors.linux.layout import Layout
from tests.hypervisors.linux import runner
from tests.hypervisors.linux.ethernet import receive, tagged
from tests.hypervisors.linux.test_isolation import TAGS, Pair, end, forged_mac, own_v4

if TYPE_CHECKING:
    from collections.abc import Callable

    from fifo.hypervisors.driver import Event
    from tests.hypervisors.linux.zone_host import ZoneHost

NEXT_KEEPER_S = 3.0
"""To start one takes a tenth of a second; commands wait for it for ten."""


class Ear:
    """Hears a driver's events, and waits for some."""

    def __init__(self, zones: ZoneHost) -> None:
        self.heard: list[Event] = []
        self._news = asyncio.Event()
        self.subscription = zones.driver.subscribe(self._hear)

    def _hear(self, event: Event) -> None:
        self.heard.append(event)
        self._news.set()

    async def until(self, condition: Callable[[list[Event]], bool]) -> None:
        """Wait until what was heard fulfils a condition."""
        while not condition(self.heard):
            self._news.clear()
            await self._news.wait()

    def ends(self) -> dict[str, Ended]:
        """Give the ends that were told, by uid."""
        return {event.uid: event for event in self.heard if isinstance(event, Ended)}


async def test_after_a_killed_node_the_next_one_knows_everything(zones: ZoneHost) -> None:
    node = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.hypervisors.linux.node_process", *zones.arguments(),
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert node.stdout is not None
    uids = (await node.stdout.readline()).decode().split()
    layout = Layout(zones.settings.state_dir, zones.settings.run_dir)
    before = {uid: layout.find(uid) for uid in uids}
    node.kill()
    await node.wait()

    running, killed, finished = uids
    os.kill(before[killed].pid, signal.SIGKILL)
    await zones.open()
    # It ended while nobody watched; this one ends by itself while somebody does.
    ear = Ear(zones)
    await ear.until(lambda _: killed in ear.ends())
    first = ear.heard[0]
    assert isinstance(first, Inventory)
    seen = {each.uid: each for each in first.instances if each.uid in before}
    assert {uid: each.state for uid, each in seen.items()} == {
        running: "running", killed: "stopped", finished: "running"
    }  # fmt: skip
    assert (seen[running].pid, seen[running].start_id) == (before[running].pid, 1)
    assert ear.ends()[killed].exit.signal == signal.SIGKILL
    wanted = zones.as_wanted(before[finished])
    channel = await zones.driver.execute(
        finished, ("exit-with", "7"), terminal=False, environment={}
    )
    while await channel.read() is not None:
        pass
    await ear.until(lambda _: finished in ear.ends())
    assert ear.ends()[finished].exit.code == 7
    assert (await zones.driver.start(wanted, 2)).state == "running"
    console = await zones.driver.console(running)
    await console.write(b"echo still''here\n")
    shown = b""
    while b"stillhere" not in shown:
        part = await console.read()
        assert part is not None
        shown += part[1]
    await console.close()
    left = await zones.remove_all()
    assert left.none, left


async def test_after_a_killed_keeper_zones_go_on_and_their_ends_are_told(zones: ZoneHost) -> None:
    await zones.open()
    wanted = await zones.running()
    ear = Ear(zones)
    await ear.until(bool)
    before = await zones.driver.inspect(wanted.spec.uid)
    await zones.keeper_host.kill_keeper(zones.keeper)
    async with asyncio.timeout(NEXT_KEEPER_S):
        await ear.until(lambda heard: len([e for e in heard if isinstance(e, Inventory)]) > 1)
    assert any(isinstance(event, Broken) for event in ear.heard)
    assert await zones.driver.inspect(wanted.spec.uid) == before
    assert await zones.execute(wanted, "hostname") == (0, f"{wanted.spec.hostname}\n")
    await zones.driver.stop(wanted.spec.uid, 10.0)
    await ear.until(lambda _: wanted.spec.uid in ear.ends())
    # The new keeper is not its parent: nobody can know more than that it ended.
    assert ear.ends()[wanted.spec.uid].exit.orderly is False
    assert (await zones.driver.start(wanted, 2)).state == "running"


async def test_a_zone_that_the_keeper_has_forgotten_is_adopted_by_its_process(
    zones: ZoneHost,
) -> None:
    await zones.open()
    wanted = await zones.running()
    before = await zones.driver.inspect(wanted.spec.uid)
    await zones.close()
    await zones.open()
    await zones.keeper_host.kill_keeper(zones.keeper)
    await zones.close()
    (zones.keeper_host.directory / "keeper.journal").unlink()
    await zones.open()
    assert await zones.driver.inspect(wanted.spec.uid) == before
    ear = Ear(zones)
    assert await zones.driver.stop(wanted.spec.uid, 0.0) is not None
    await ear.until(lambda _: wanted.spec.uid in ear.ends())


async def test_after_a_reboot_nothing_stale_is_taken_for_the_truth(zones: ZoneHost) -> None:
    await zones.open()
    wanted, stopped = await zones.running(), zones.wanted()
    await zones.driver.create(stopped)
    found = await zones.driver.inspect(wanted.spec.uid)
    assert found is not None
    await zones.close()
    # What a reboot does: the processes are gone, and the boot id is another.
    await zones.keeper_host.kill_keeper(await zones.client())
    await zones.close()
    os.kill(found.pid, signal.SIGKILL)
    zones.keeper_host.clear()
    layout = Layout(zones.settings.state_dir, zones.settings.run_dir)
    kept = layout.find(wanted.spec.uid)
    layout.write(msgspec.structs.replace(kept, boot_id="another boot"))
    (zones.settings.run_dir / "boot_id").write_text("another boot")
    (zones.settings.run_dir / "exec-stale.pid").write_text("1")

    await zones.open()
    left = await zones.leftovers()
    assert left.links == left.containers == left.mounts == ()
    assert not (zones.settings.run_dir / "exec-stale.pid").exists()
    ear = Ear(zones)
    await ear.until(lambda _: wanted.spec.uid in ear.ends())
    (told,) = ear.ends().values()
    assert (told.exit.code, told.exit.signal) == (None, None)
    for each in (wanted, stopped):
        assert (await zones.driver.start(each, 2)).state == "running"
        assert await zones.execute(each, "hostname") == (0, f"{each.spec.hostname}\n")


@pytest.mark.parametrize("name", [".new-00000000-0000-4000-8000-000000000001", ".gone-x"])
async def test_what_was_half_made_or_half_removed_is_swept_away(zones: ZoneHost, name: str) -> None:
    half = zones.settings.state_dir / "instances" / name
    (half / "upper" / "deep").mkdir(parents=True)
    await zones.open()
    assert not half.exists()
    assert await zones.driver.inventory() == ()


async def test_a_node_that_starts_brings_the_rules_of_what_runs_up_to_date(
    zones: ZoneHost,
) -> None:
    await zones.open()
    pair = Pair(zones, await end(zones), await end(zones))
    here, there = pair.here, pair.there
    frames = [tagged(own_v4(here, there), *tag) for tag in TAGS]
    (port,) = zones.driver.host.networking.ports(here.wanted.spec.uid, here.wanted.spec.nics)
    # As an older node left it; and then what a tag hides from the socket is seen all the same.
    old = f"flush chain bridge {zones.settings.table} {firewall.chain(port)}".split()
    assert (await runner.run(["nft", *old], deadline_s=5.0)).status == 0
    assert [pair.passes(each) for each in frames] == [True] * len(TAGS)
    for each in frames:
        here.line.send(each)
        while receive(there.line) != each:
            pass
    assert pair.passes(forged_mac(here, there))
    await zones.close()
    await zones.open()
    assert [pair.passes(each) for each in frames] == [False] * len(TAGS)
    assert not pair.passes(forged_mac(here, there))
    assert pair.passes(own_v4(here, there))
    here.line.close()
    there.line.close()
