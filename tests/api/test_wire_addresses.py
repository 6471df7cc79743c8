"""Who has an address: what is claimed of a wire is seen in the network that its wire has since."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from fifo.model import keys, records
from fifo.model.network import AddressClaim
from fifo.model.wires import wire_of
from fifo.store.contract import Put, Txn
from fifo.v1 import network_pb2
from tests.api.calls import call, refused, stream
from tests.api.test_watch import WATCH, snapshot, until
from tests.api.test_watch_derived import kept
from tests.api.test_wires import BARE, delete, made

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.api.stage import Stage

    Play = Callable[..., None]

TAKEN = "networks/bare/addresses/10-77-0-20"
WIRED: dict[str, Any] = {"nic_tag": "external", "vlan_id": 9}
GONE = "00000000-0000-4000-8000-00000000eeee"


def pool(first: str = "10.77.0.20", last: str = "10.77.0.22") -> dict[str, str]:
    return {"subnet": "10.77.0.0/24", "first": first, "last": last}


async def network(channel: Any, own: str = "bare") -> Any:
    """Make a network on the wire that the payload's interface is on."""
    return await call(
        channel,
        "NetworkService.CreateNetwork",
        network_id=own,
        network={**WIRED, "pools": [pool()]},
    )


async def listed(channel: Any, parent: str = "networks/bare") -> dict[str, Any]:
    found = await call(channel, "NetworkService.ListAddresses", parent=parent)
    return {own.name: own for own in found.addresses}


def test_an_address_of_a_wire_is_listed_and_counted_where_its_network_is(play: Play) -> None:
    async def scene(stage: Stage) -> None:
        async with stage.channel() as channel:
            one = await made(channel, "one", BARE)
            await made(channel, "outside", {**BARE, "ip": "10.78.0.20"})
            await made(channel, "elsewhere", {**BARE, "vlan_id": 7})
            (use,) = (await network(channel)).pools
            assert (use.claimed_count, use.free_count) == (1, 2)
            await made(channel, "two", {"network_uuid": (await _get(channel)).uid})
            found = await listed(channel)
            assert {name: own.instance for name, own in found.items()} == {
                TAKEN: one.name,
                f"{TAKEN[:-1]}1": "orgs/default/instances/two",
            }
            assert found[TAKEN].state == network_pb2.Address.CLAIMED
            assert found[TAKEN].mac == one.nics[0].mac
            (use,) = (await _get(channel)).pools
            assert (use.claimed_count, use.free_count) == (2, 1)
            assert await listed(channel, "networks/lan") == {}
            told = await refused(call(channel, "NetworkService.ReleaseAddress", name=TAKEN))
            assert told.code == "FAILED_PRECONDITION"
            asked = {"parent": "networks/bare", "address": "10.77.0.20"}
            told = await refused(call(channel, "NetworkService.ReserveAddress", **asked))
            assert (told.code, "orgs/default/instances/one has it" in told.message) == (
                "ALREADY_EXISTS",
                True,
            )
            await delete(channel, "one")
            assert list(await listed(channel)) == [f"{TAKEN[:-1]}1"]

    play(scene)


async def _get(channel: Any) -> Any:
    return await call(channel, "NetworkService.GetNetwork", name="networks/bare")


@pytest.mark.parametrize("changes", [16_384, 2], ids=["from memory", "from the store's history"])
def test_a_watcher_that_keeps_a_copy_has_the_addresses_that_lists_give(
    play: Play, changes: int
) -> None:
    async def scene(stage: Stage) -> None:
        async with stage.channel() as channel:
            await made(channel, "one", BARE)
            types = ["fifo/Address", "fifo/Network"]
            watch = stream(channel, WATCH, snapshot=True, resource_types=types)
            told, token = await snapshot(watch)
            watch.cancel()

            async def follow() -> None:
                wanted = await listed(channel)
                wanted |= {own.name: own for own in await _networks(channel)}
                watch = stream(channel, WATCH, resume_token=token, resource_types=types)
                events = list(told)
                while kept(events) != wanted:
                    events += (await until(watch, 1))[0]
                watch.cancel()
                watch = stream(channel, WATCH, snapshot=True, resource_types=types)
                assert kept((await snapshot(watch))[0]) == wanted
                watch.cancel()

            await network(channel)
            assert TAKEN in await listed(channel)
            await follow()
            grown = {"name": "networks/bare", "pools": [pool(last="10.77.0.90")]}
            await call(channel, "NetworkService.UpdateNetwork", network=grown)
            await made(channel, "two", {**BARE, "ip": "10.77.0.30"})
            await follow()
            await delete(channel, "one")
            await follow()

    play(scene, changes_kept=changes)


async def _networks(channel: Any) -> list[Any]:
    return list((await call(channel, "NetworkService.ListNetworks")).networks)


def test_a_watcher_is_told_that_addresses_are_of_no_network_when_theirs_is_deleted(
    play: Play,
) -> None:
    async def scene(stage: Stage) -> None:
        async with stage.channel() as channel:
            await made(channel, "one", BARE)
            await network(channel)
            watch = stream(channel, WATCH, snapshot=True, resource_types=["fifo/Address"])
            told, _ = await snapshot(watch)
            assert set(kept(told)) == {TAKEN}
            await call(channel, "NetworkService.DeleteNetwork", name="networks/bare")
            told += (await until(watch, 1))[0]
            assert kept(told) == {}
            watch.cancel()

    play(scene)


def test_an_address_of_a_wire_that_is_kept_for_nobody_here_can_be_given_back(play: Play) -> None:
    async def scene(stage: Stage) -> None:
        async with stage.channel() as channel:
            wire = wire_of("external", 9)
            held = AddressClaim(network=wire, address="10.77.0.20", stranger=GONE, note="n")
            put = Put(keys.address(wire, held.address), records.encode(held))
            await stage.catalog.at((await stage.store.txn(Txn(then=(put,)))).revision)
            await network(channel)
            assert (await listed(channel))[TAKEN].state == network_pb2.Address.RESERVED
            await call(channel, "NetworkService.ReleaseAddress", name=TAKEN)
            assert await listed(channel) == {}
            await made(channel, "one", BARE)

    play(scene)


def test_an_address_is_found_by_its_instance_where_no_network_has_it(play: Play) -> None:
    async def scene(stage: Stage) -> None:
        async with stage.channel() as channel:
            await made(channel, "one", BARE)
            await made(channel, "two", {**BARE, "ip": "10.77.0.21"})
            asked = {"parent": "orgs/default", "filter": "addresses:10.77.0.20"}
            found = await call(channel, "InstanceService.ListInstances", **asked)
            assert [own.name for own in found.instances] == ["orgs/default/instances/one"]

    play(scene)
