"""What was stored before a rule was there is changed all the same: an update answers for itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from fifo.model import keys
from fifo.model.network import AddressPool
from tests.api.calls import call, done, refused
from tests.api.stage import NETWORK, network
from tests.api.test_instances import WEB, ZONE, Instance, create, get

if TYPE_CHECKING:
    from collections.abc import Callable

    import grpc.aio

    from tests.api.stage import Stage

    Play = Callable[..., None]

LAN = "networks/lan"
POOL = AddressPool(subnet="10.0.0.0/24", first="10.0.0.0", last="10.0.0.240", gateway="10.0.0.251")
ROUTES = {
    "0.0.0.0/0": "10.0.0.1",
    "10.1.0.0/16": "fd00::1",
    "10.3.0.7": "10.0.0.1",
    "10.3.0.7/32": "10.0.0.2",
}
FAULTS = {"nics[0].ips[0]": "127.0.0.1/8", "nics[0].gateways[0]": "10.0.0.0"}


async def older_network(stage: Stage) -> None:
    """Have a network that breaks the rules for pools and for routes."""
    stored = msgspec.structs.replace(network(), pools=(POOL,), routes=ROUTES)
    await stage.write(keys.NETWORK, NETWORK, stored)


async def update(channel: grpc.aio.Channel, *paths: str, **given: Any) -> Any:
    return await call(
        channel,
        "NetworkService.UpdateNetwork",
        network={"name": LAN, **given},
        update_mask={"paths": paths},
    )


def test_a_network_keeps_older_faults_while_others_of_its_fields_change(play: Play) -> None:
    async def scene(stage: Stage) -> None:
        await older_network(stage)
        async with stage.channel() as channel:
            made = await update(channel, "alias", alias="The LAN")
            assert (made.alias, made.pools[0].first) == ("The LAN", "10.0.0.0")
            routes = {**ROUTES, "10.2.0.0/16": "10.0.0.2"}
            assert dict((await update(channel, "routes", routes=routes)).routes) == routes
            sent_back = await call(
                channel,
                "NetworkService.UpdateNetwork",
                network={"name": LAN, "alias": "Whole", "pools": made.pools, "routes": routes},
            )
            assert sent_back.alias == "Whole"

    play(scene)


def test_a_pool_is_cut_or_widened_though_another_end_of_it_is_no_hosts(play: Play) -> None:
    async def scene(stage: Stage) -> None:
        await older_network(stage)
        async with stage.channel() as channel:
            # The address of the subnet itself is an instance's by now, so the pool has to keep it.
            assert (await create(channel)).addresses == ["10.0.0.0"]
            pool = {"subnet": POOL.subnet, "first": POOL.first, "gateway": POOL.gateway}
            for last in ("10.0.0.200", "10.0.0.250"):
                made = await update(channel, "pools", pools=[{**pool, "last": last}])
                assert made.pools[0].last == last

    play(scene)


NEW_FAULTS: list[tuple[str, Any, str]] = [
    ("pools", [{"subnet": "10.0.0.0/24", "last": "10.0.0.255"}], "pools[0].last"),
    ("pools", [{"subnet": "10.0.0.0/24", "gateway": "10.0.0.0"}], "pools[0].gateway"),
    ("routes", {**ROUTES, "10.2.0.0/16": "fd00::1"}, "routes.10.2.0.0/16"),
    ("routes", {**ROUTES, "10.1.0.0/16": "fd00::2"}, "routes.10.1.0.0/16"),
]


@pytest.mark.parametrize(("path", "given", "field"), NEW_FAULTS)
def test_a_network_takes_no_fault_that_it_had_not(
    play: Play, path: str, given: Any, field: str
) -> None:
    async def scene(stage: Stage) -> None:
        await older_network(stage)
        async with stage.channel() as channel:
            told = await refused(update(channel, path, **{path: given}))
            assert (told.code, told.fields) == ("INVALID_ARGUMENT", [f"network.{field}"])

    play(scene)


async def older_instance(stage: Stage, channel: grpc.aio.Channel) -> None:
    """Have an instance with an address and a gateway that no host can have."""
    zone = {**ZONE, "nics": [{"nic_tag": "external", "ips": ["192.0.2.7/24"]}]}
    made = await create(channel, given=zone)
    spec = stage.catalog.specs.record(made.uid)
    assert spec is not None
    nic = msgspec.structs.replace(
        spec.nics[0],
        ips=(FAULTS["nics[0].ips[0]"],),
        gateways=(FAULTS["nics[0].gateways[0]"],),
    )
    await stage.write(keys.INSTANCE_SPEC, spec.uid, msgspec.structs.replace(spec, nics=(nic,)))


async def change(channel: grpc.aio.Channel, **given: Any) -> Any:
    path = "InstanceService.UpdateInstance"
    return await call(channel, path, instance={"name": WEB, **given})


def test_an_instance_keeps_older_faults_while_others_of_its_fields_change(play: Play) -> None:
    async def scene(stage: Stage) -> None:
        async with stage.channel() as channel:
            await older_instance(stage, channel)
            made = await done(channel, await change(channel, alias="The web"), Instance())
            assert (made.alias, made.nics[0].gateways) == ("The web", ["10.0.0.0"])
            nics = (await get(channel)).nics
            nics[0].mtu = 1_400
            made = await done(channel, await change(channel, nics=nics), Instance())
            assert made.nics[0].mtu == 1_400

    play(scene)


def test_an_instance_takes_no_fault_that_it_had_not(play: Play) -> None:
    async def scene(stage: Stage) -> None:
        async with stage.channel() as channel:
            await older_instance(stage, channel)
            nics = (await get(channel)).nics
            nics[0].gateways[:] = ["224.0.0.1"]
            told = await refused(change(channel, nics=nics, max_swap=1))
            assert told.fields == ["instance.max_swap", "instance.nics[0].gateways[0]"]

    play(scene)
