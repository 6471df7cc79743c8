"""Addresses of no named network: an IP is one instance's on its wire, a chosen MAC everywhere."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from google.rpc import code_pb2

from fifo.model import keys
from fifo.v1 import instance_pb2
from tests.api.calls import call, done, ended, refused
from tests.api.stage import NETWORK, image

if TYPE_CHECKING:
    from collections.abc import Callable

    import grpc

    from tests.api.stage import Stage

    Play = Callable[..., None]

MAC = "02:aa:bb:cc:dd:01"
LAN: dict[str, Any] = {"nic_tag": "external", "ip": "10.0.0.20", "netmask": "255.255.255.0"}
KERNEL = {"brand": "lx", "kernel_version": "5.10"}
BARE: dict[str, Any] = {**LAN, "vlan_id": 9, "ip": "10.77.0.20"}
"""Of a wire that has no network."""


async def ask(channel: grpc.aio.Channel, own: str, *nics: dict[str, Any]) -> Any:
    """Create an instance from vmadm's payload, and give the operation at its end."""
    payload = {"image_uuid": image().uid, "nics": list(nics), **KERNEL}
    operation = await call(
        channel,
        "InstanceService.CreateInstance",
        parent="orgs/default",
        instance_id=own,
        vmadm_json=json.dumps(payload).encode(),
    )
    return await ended(channel, operation)


async def made(channel: grpc.aio.Channel, own: str, *nics: dict[str, Any]) -> Any:
    operation = await ask(channel, own, *nics)
    return await done(channel, operation, instance_pb2.Instance())


async def delete(channel: grpc.aio.Channel, own: str) -> None:
    name = f"orgs/default/instances/{own}"
    await done(channel, await call(channel, "InstanceService.DeleteInstance", name=name))


def left(stage: Stage) -> tuple[set[str], set[str]]:
    """Give the paths of the addresses and the hardware addresses that are taken."""
    catalog = stage.catalog
    return set(catalog.addresses.entries), set(catalog.macs.entries)


@pytest.mark.parametrize("nic", [LAN, BARE])
def test_of_one_payload_given_twice_the_second_is_told_who_has_the_address(
    play: Play, nic: dict[str, Any]
) -> None:
    async def scene(stage: Stage) -> None:
        async with stage.channel() as channel:
            first = await made(channel, "one", nic)
            assert list(first.addresses) == [nic["ip"]]
            error = (await ask(channel, "two", nic)).error
            assert error.code == code_pb2.ALREADY_EXISTS
            told = error.message
            assert nic["ip"] in told
            assert "orgs/default/instances/one has it" in told
            assert len(left(stage)[0]) == 1
            await delete(channel, "one")
            assert left(stage) == (set(), set())
            await made(channel, "two", nic)

    play(scene)


def test_an_address_of_a_pool_is_not_taken_by_a_payload_that_names_no_network(play: Play) -> None:
    async def scene(stage: Stage) -> None:
        async with stage.channel() as channel:
            first = await made(channel, "one", {"network_uuid": NETWORK})
            address = first.addresses[0]
            told = (await ask(channel, "two", {**LAN, "ip": address})).error.message
            assert "orgs/default/instances/one has it" in told

    play(scene)


def test_a_pool_does_not_give_out_what_a_payload_without_a_network_holds(play: Play) -> None:
    async def scene(stage: Stage) -> None:
        async with stage.channel() as channel:
            first = await made(channel, "one", {**LAN, "ip": "10.0.0.10"})
            assert first.nics[0].network == "networks/lan"
            second = await made(channel, "two", {"network_uuid": NETWORK})
            assert second.addresses[0] == "10.0.0.11"
            listed = await call(channel, "NetworkService.ListAddresses", parent="networks/lan")
            assert "10.0.0.10" in {own.address for own in listed.addresses}

    play(scene)


def test_a_network_made_later_does_not_give_out_what_its_wire_has(play: Play) -> None:
    async def scene(stage: Stage) -> None:
        async with stage.channel() as channel:
            await made(channel, "one", BARE)
            pool = {"subnet": "10.77.0.0/24", "first": "10.77.0.20"}
            network = await call(
                channel,
                "NetworkService.CreateNetwork",
                network_id="bare",
                network={"nic_tag": "external", "vlan_id": 9, "pools": [pool]},
            )
            kept = await call(channel, "NetworkService.ReserveAddress", parent="networks/bare")
            assert kept.address == "10.77.0.21"
            second = await made(channel, "two", {"network_uuid": network.uid})
            assert list(second.addresses) == ["10.77.0.22"]
            assert "one has it" in (await ask(channel, "three", BARE)).error.message

    play(scene)


def test_one_address_on_two_wires_is_two_addresses(play: Play) -> None:
    async def scene(stage: Stage) -> None:
        async with stage.channel() as channel:
            await made(channel, "one", BARE)
            await made(channel, "two", {**BARE, "vlan_id": 7})
            await made(channel, "three", {**BARE, "nic_tag": "admin"})

    play(scene)


@pytest.mark.parametrize(
    "nic", [{**LAN, "ip": "10.0.0.21"}, {"nic_tag": "external", "vlan_id": 9, "ip": "dhcp"}]
)
def test_a_chosen_hardware_address_is_one_instances(play: Play, nic: dict[str, Any]) -> None:
    async def scene(stage: Stage) -> None:
        async with stage.channel() as channel:
            await made(channel, "one", {**LAN, "mac": MAC})
            told = (await ask(channel, "two", {**nic, "mac": MAC})).error
            assert MAC in told.message
            assert "orgs/default/instances/one has this" in told.message
            assert left(stage)[1] == {MAC}
            await delete(channel, "one")
            assert left(stage) == (set(), set())
            await made(channel, "two", {**nic, "mac": MAC})

    play(scene)


def test_a_hardware_address_that_was_made_for_an_instance_is_not_taken_from_it(
    play: Play,
) -> None:
    async def scene(stage: Stage) -> None:
        async with stage.channel() as channel:
            first = await made(channel, "one", LAN)
            mac = first.nics[0].mac
            told = (await ask(channel, "two", {**BARE, "mac": mac})).error
            assert "orgs/default/instances/one has this" in told.message
            await delete(channel, "one")
            await made(channel, "two", {**BARE, "mac": mac})

    play(scene)


def test_an_instance_without_a_chosen_hardware_address_costs_no_key_for_it(play: Play) -> None:
    async def scene(stage: Stage) -> None:
        async with stage.channel() as channel:
            await made(channel, "one", LAN)
            assert left(stage)[1] == set()

    play(scene)


def test_an_update_of_the_interfaces_moves_what_is_held(play: Play) -> None:
    async def scene(stage: Stage) -> None:
        async with stage.channel() as channel:
            before = await made(channel, "one", {**BARE, "mac": MAC})
            other = "02:aa:bb:cc:dd:02"
            nic = {
                "nic_tag": "external",
                "vlan_id": 9,
                "ips": ["10.77.0.30/24"],
                "mac": other,
            }

            async def update(nic: dict[str, Any]) -> Any:
                operation = await call(
                    channel,
                    "InstanceService.UpdateInstance",
                    instance={"name": before.name, "nics": [nic]},
                    update_mask={"paths": ["nics"]},
                )
                return await done(channel, operation, instance_pb2.Instance())

            moved = await update(nic)
            assert list(moved.addresses) == ["10.77.0.30"]
            assert left(stage)[1] == {other}
            await made(channel, "two", {**BARE, "mac": MAC})
            again = await update({**nic, "ips": ["10.77.0.31/24"]})
            assert list(again.addresses) == ["10.77.0.31"]
            assert len(left(stage)[0]) == 2

    play(scene)


def test_an_update_to_what_another_holds_is_refused_before_it_is_accepted(play: Play) -> None:
    async def scene(stage: Stage) -> None:
        async with stage.channel() as channel:
            await made(channel, "one", BARE)
            before = await made(channel, "two", {**BARE, "ip": "10.77.0.21"})
            (nic,) = before.nics
            nic.ips[:] = ["10.77.0.20/24"]
            told = await refused(
                call(
                    channel,
                    "InstanceService.UpdateInstance",
                    instance={"name": before.name, "nics": [nic]},
                    update_mask={"paths": ["nics"]},
                )
            )
            assert told.code == "ALREADY_EXISTS"
            assert "orgs/default/instances/one has it" in told.message
            spec = stage.catalog.specs.record(before.uid)
            assert spec is not None
            assert spec.generation == 1

    play(scene)


@pytest.mark.parametrize("ip", ["10.0.0.20", "dhcp"])
def test_a_host_that_does_not_carry_the_nic_tag_of_an_unnamed_interface_is_not_chosen(
    play: Play, ip: str
) -> None:
    async def scene(stage: Stage) -> None:
        async with stage.channel() as channel:
            nic = {**LAN, "ip": ip, "nic_tag": "other"}
            payload = {"image_uuid": image().uid, "nics": [nic], **KERNEL}
            asked = {"parent": "orgs/default", "vmadm_json": json.dumps(payload).encode()}
            create = "InstanceService.CreateInstance"
            told = await refused(call(channel, create, validate_only=True, **asked))
            assert told.details["ErrorInfo"].metadata["refused_network"] == "1"
            assert told.message.endswith("the setting nic_tags")
            error = (await ask(channel, "one", nic)).error
            assert "none of 1 hosts takes it (network 1)" in error.message
            assert left(stage) == (set(), set())

    play(scene)


@pytest.mark.parametrize("ips", [["10.77.0.20/24"], ["dhcp"]])
def test_an_update_to_a_nic_tag_that_its_host_does_not_carry_is_refused_before_it_is_accepted(
    play: Play, ips: list[str]
) -> None:
    async def scene(stage: Stage) -> None:
        async with stage.channel() as channel:
            before = await made(channel, "one", BARE)

            def update(**more: Any) -> Any:
                changed = {"name": before.name, **more}
                return call(channel, "InstanceService.UpdateInstance", instance=changed)

            nics = [{"nic_tag": "other", "ips": ips}]
            told = await refused(update(nics=nics))
            assert told.details["ErrorInfo"].metadata["refused_network"] == "1"
            assert "its host does not carry the nic tag other" in told.message
            spec = stage.catalog.specs.record(before.uid)
            assert spec is not None
            assert spec.generation == 1
            # What it has already on a tag that its host has lost stands in no other's way.
            lost = msgspec.structs.replace(spec.nics[0], nic_tag="other")
            await stage.write(
                keys.INSTANCE_SPEC, spec.uid, msgspec.structs.replace(spec, nics=(lost,))
            )
            await done(channel, await update(alias="x"), instance_pb2.Instance())

    play(scene)
