"""What a foreign instance has of a wire is kept for it: IP addresses and hardware addresses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from google.protobuf import empty_pb2

from fifo.model import keys, records
from fifo.model.network import AddressClaim
from fifo.model.wires import wire_of
from fifo.store.contract import Put, Txn
from fifo.v1 import instance_pb2
from tests.api.calls import call, done
from tests.api.estranging import NAME, foreign, forget, greet_again
from tests.api.stage import HOST, NETWORK
from tests.api.test_strangers import REMOVE
from tests.api.test_wires import BARE, LAN, MAC, ask, delete, left, made

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.api.stage import Stage

    Play = Callable[..., None]

ADOPT = "HypervisorService.AdoptForeignInstance"
GONE = "00000000-0000-4000-8000-00000000eeee"
OTHER = {**BARE, "ip": "10.77.0.99"}


async def stranger(stage: Stage, channel: Any, **more: Any) -> Any:
    """Make an instance on a wire and have the store forget it; gives it as it was."""
    one = await made(channel, "web", {**BARE, **more})
    await forget(stage, one.uid)
    assert left(stage) == (set(), set())
    await greet_again(stage)
    assert await foreign(channel) == [one.uid]
    return one


async def told(channel: Any, nic: dict[str, Any]) -> str:
    return str((await ask(channel, "other", nic)).error.message)


@pytest.mark.parametrize("mac", [{}, {"mac": MAC}], ids=["made", "chosen"])
def test_no_other_gets_what_a_foreign_instance_has(play: Play, mac: dict[str, str]) -> None:
    async def scene(stage: Stage) -> None:
        async with stage.channel() as channel:
            one = await stranger(stage, channel, **mac)
            whose = f"{one.uid}, a foreign instance on host host-1, has"
            assert whose in await told(channel, BARE)
            assert whose in await told(channel, {**OTHER, "mac": one.nics[0].mac})
            # One address on another wire is another address.
            await made(channel, "elsewhere", {**BARE, "vlan_id": 7})
            before = left(stage)
            await greet_again(stage)
            assert left(stage) == before
            operation = await call(channel, REMOVE, name=NAME, uid=one.uid)
            await done(channel, operation, empty_pb2.Empty())
            await made(channel, "other", {**BARE, "mac": one.nics[0].mac})

    play(scene)


@pytest.mark.parametrize("mac", [{}, {"mac": MAC}], ids=["made", "chosen"])
def test_what_is_kept_becomes_its_own_when_it_is_adopted(play: Play, mac: dict[str, str]) -> None:
    async def scene(stage: Stage) -> None:
        async with stage.channel() as channel:
            one = await stranger(stage, channel, **mac)
            operation = await call(channel, ADOPT, name=NAME, uid=one.uid)
            now = await done(channel, operation, instance_pb2.Instance())
            assert list(now.addresses) == list(one.addresses)
            assert f"{now.name} has it" in await told(channel, BARE)
            assert f"{now.name} has this" in await told(channel, {**OTHER, "mac": now.nics[0].mac})
            assert all(not entry.record.stranger for entry in stage.catalog.addresses)
            await delete(channel, "web")
            assert left(stage) == (set(), set())

    play(scene)


def test_what_its_host_does_not_have_any_more_is_kept_no_longer(play: Play) -> None:
    async def scene(stage: Stage) -> None:
        async with stage.channel() as channel:
            one = await stranger(stage, channel, mac=MAC)
            status = stage.catalog.host_statuses.record(HOST)
            assert status is not None
            ghost = msgspec.structs.replace(status, foreign=(one.uid, GONE))
            wire = wire_of("external", 9)
            held = AddressClaim(network=wire, address="10.77.0.50", stranger=GONE)
            mac = AddressClaim(network=wire, address="02:aa:00:00:00:01", stranger=GONE)
            puts = (
                Put(keys.address(wire, held.address), records.encode(held)),
                Put(keys.MAC + mac.address.encode(), records.encode(mac)),
            )
            before = left(stage)
            await stage.store.txn(Txn(then=puts))
            await stage.write(keys.HYPERVISOR_STATUS, HOST, ghost)
            await greet_again(stage)
            assert await foreign(channel) == [one.uid]
            assert left(stage) == before

    play(scene)


def test_what_was_of_a_network_that_the_store_does_not_have_is_kept_on_its_wire(
    play: Play,
) -> None:
    async def scene(stage: Stage) -> None:
        async with stage.channel() as channel:
            one = await made(channel, "web", {"network_uuid": NETWORK})
            await forget(stage, one.uid)
            for key in (keys.by_uid(keys.NETWORK, NETWORK), keys.index("networks", "", "lan")):
                await stage.catalog.at((await stage.store.delete(key)).revision)
            await greet_again(stage)
            error = await told(channel, {**LAN, "ip": "10.0.0.10"})
            assert f"{one.uid}, a foreign instance on host host-1, has it" in error

    play(scene)
