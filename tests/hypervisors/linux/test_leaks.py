"""Whatever goes wrong, and wherever: nothing of an instance is left when it has been deleted."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from fifo.hypervisors.linux.keeper_runner import runner
from fifo.model.errors import FifoError
from tests.hypervisors.linux.faulty_runner import FaultyRun

if TYPE_CHECKING:
    from fifo.hypervisors.driver import Wanted
    from tests.hypervisors.linux.faulty_runner import How
    from tests.hypervisors.linux.zone_host import ZoneHost

COMMANDS_OF_A_START = 8
"""Bridge, rules, container, pair, addresses, start; some of them more than once."""


async def opened(zones: ZoneHost) -> FaultyRun:
    """Open the driver with a runner that can fail, through the keeper as ever."""
    faulty = FaultyRun(lambda: runner(zones.keeper))
    await zones.open(faulty)
    return faulty


async def life(zones: ZoneHost, wanted: Wanted, start_id: int = 1) -> None:
    """Create and start an instance."""
    await zones.driver.create(wanted)
    await zones.driver.start(wanted, start_id)


async def test_a_start_takes_few_processes_and_a_delete_leaves_nothing(zones: ZoneHost) -> None:
    faulty = await opened(zones)
    await life(zones, zones.wanted())
    faulty.disarm()
    wanted = zones.wanted()
    await life(zones, wanted)
    verbs = [next(word for word in command.split() if word in WORDS) for command in faulty.commands]
    assert sorted(verbs) == ["create", "ip", "ip", "nft", "start"]
    await zones.driver.delete(wanted.spec.uid)
    assert len((await zones.leftovers()).directories) == 1
    left = await zones.remove_all()
    assert left.none, left


WORDS = frozenset({"create", "start", "ip", "nft"})


@pytest.mark.parametrize("how", ["refused", "lost"])
async def test_a_start_that_fails_at_any_command_is_taken_back(zones: ZoneHost, how: How) -> None:
    faulty = await opened(zones)
    failed = 0
    for number in range(COMMANDS_OF_A_START):
        wanted = zones.wanted()
        await zones.driver.create(wanted)
        faulty.arm(number, how)
        try:
            await zones.driver.start(wanted, 1)
        except FifoError:
            failed += 1
        faulty.disarm()
        seen = await zones.driver.inspect(wanted.spec.uid)
        assert seen is not None
        if seen.state == "stopped":
            assert (seen.start_id, seen.exit) == (0, None)
            assert (await zones.driver.start(wanted, 1)).state == "running"
        await zones.driver.delete(wanted.spec.uid)
        left = await zones.leftovers()
        assert left.none, (number, how, left)
    assert failed >= 5


@pytest.mark.parametrize("how", ["stuck", "stuck_after"])
async def test_a_start_that_is_given_up_anywhere_can_be_repeated(zones: ZoneHost, how: How) -> None:
    faulty = await opened(zones)
    for number in range(COMMANDS_OF_A_START):
        wanted = zones.wanted()
        await zones.driver.create(wanted)
        faulty.arm(number, how)
        start = asyncio.ensure_future(zones.driver.start(wanted, 1))
        reached = asyncio.create_task(faulty.reached.wait())
        await asyncio.wait({start, reached}, return_when=asyncio.FIRST_COMPLETED)
        reached.cancel()
        start.cancel()
        await asyncio.gather(start, reached, return_exceptions=True)
        faulty.disarm()
        assert (await zones.driver.start(wanted, 2)).state == "running"
        await zones.driver.delete(wanted.spec.uid)
        left = await zones.leftovers()
        assert left.none, (number, how, left)


@pytest.mark.parametrize("how", ["stuck", "stuck_after"])
async def test_a_node_that_dies_anywhere_in_a_start_leaves_nothing(
    zones: ZoneHost, how: How
) -> None:
    faulty = await opened(zones)
    for number in range(COMMANDS_OF_A_START):
        wanted = zones.wanted()
        await zones.driver.create(wanted)
        faulty.arm(number, how)
        start = asyncio.ensure_future(zones.driver.start(wanted, 1))
        reached = asyncio.create_task(faulty.reached.wait())
        await asyncio.wait({start, reached}, return_when=asyncio.FIRST_COMPLETED)
        reached.cancel()
        start.cancel()
        await asyncio.gather(start, reached, return_exceptions=True)
        await zones.close()
        faulty.disarm()
        await zones.open(faulty)
        left = await zones.leftovers()
        if start.cancelled():
            assert (left.links, left.containers, left.mounts) == ((), (), ()), (number, how)
        await zones.driver.delete(wanted.spec.uid)
        left = await zones.leftovers()
        assert left.none, (number, how, left)


@pytest.mark.parametrize("how", ["refused", "lost"])
async def test_a_delete_that_fails_at_any_command_can_be_repeated(
    zones: ZoneHost, how: How
) -> None:
    faulty = await opened(zones)
    failed = 0
    for number in range(COMMANDS_OF_A_START):
        wanted = await zones.running()
        faulty.arm(number, how)
        try:
            await zones.driver.delete(wanted.spec.uid)
        except FifoError:
            failed += 1
        faulty.disarm()
        await zones.driver.delete(wanted.spec.uid)
        left = await zones.leftovers()
        assert left.none, (number, how, left)
        assert await zones.keeper.inventory() == []
    assert failed >= 3


async def test_many_at_once_leave_nothing(zones: ZoneHost) -> None:
    await zones.open()
    wanted = [zones.wanted(nics=2) for _ in range(6)]
    await asyncio.gather(*(life(zones, each) for each in wanted))
    assert len(await zones.driver.stats()) == 6
    await asyncio.gather(*(zones.driver.delete(each.spec.uid) for each in wanted))
    left = await zones.leftovers()
    assert left.none, left
