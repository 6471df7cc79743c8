"""Networks, their pools and addresses; none is lost, given twice, or deleted under an instance."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from google.rpc import code_pb2

from fifo.v1 import network_pb2
from tests.api.calls import call, done, ended, metadata_of, refused
from tests.api.stage import NETWORK
from tests.api.test_instances import ZONE, create

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.api.stage import Stage

    Play = Callable[..., None]

DMZ: dict[str, Any] = {"nic_tag": "external", "vlan_id": 7, "pools": [{"subnet": "10.7.0.0/29"}]}


def test_a_network_is_made_with_what_follows_from_its_subnet(play: Play) -> None:
    async def scene(stage: Stage) -> None:
        async with stage.channel() as channel:
            pools = [
                {"subnet": "10.7.0.0/29", "gateway": "10.7.0.1"},
                {"subnet": "FD07:0::/64", "first": "fd07::10"},
            ]
            made = await call(
                channel,
                "NetworkService.CreateNetwork",
                network_id="dmz",
                network={"nic_tag": "external", "vlan_id": 7, "pools": pools},
            )
            assert made.name == "networks/dmz"
            assert (made.mtu, made.isolated) == (1500, True)
            v4, v6 = made.pools
            assert (v4.first, v4.last, v4.free_count) == ("10.7.0.2", "10.7.0.6", 5)
            assert (v6.subnet, v6.first) == ("fd07::/64", "fd07::10")
            assert v6.free_count == 2**62
            assert (
                await call(channel, "NetworkService.GetNetwork", name=f"networks/{made.uid}")
                == made
            )

    play(scene)


WRONG = [
    ({"pools": [{"subnet": "10.7.0.1/29"}]}, "network.pools[0]"),
    ({"pools": [{"subnet": "nonsense"}]}, "network.pools[0]"),
    ({"pools": [{"subnet": "10.7.0.0/29", "gateway": "10.8.0.1"}]}, "network.pools[0]"),
    ({"pools": [{"subnet": "10.7.0.0/29"}, {"subnet": "10.8.0.0/29"}]}, "network.pools[1]"),
    ({"pools": [{"subnet": "10.0.0.128/25"}]}, "network.pools[0].subnet"),
    ({"routes": {"10.1.0.0/16": "nics[0]"}}, "network.routes.10.1.0.0/16"),
    ({"routes": {f"10.{n}.0.0/16": "10.7.0.1" for n in range(65)}}, "network.routes"),
    ({"pools": [{"subnet": "10.7.0.0/29", "first": "10.7.0.0"}]}, "network.pools[0].first"),
    ({"pools": [{"subnet": "224.7.0.0/29"}]}, "network.pools[0].last"),
]


@pytest.mark.parametrize(("given", "field"), WRONG)
def test_wrong_pools_and_routes_are_refused(play: Play, given: dict[str, Any], field: str) -> None:
    async def scene(stage: Stage) -> None:
        async with stage.channel() as channel:
            told = await refused(
                call(channel, "NetworkService.CreateNetwork", network_id="dmz", network=given)
            )
            assert told.code == "INVALID_ARGUMENT"
            assert field in told.fields

    play(scene)


def test_routes_are_changed_as_a_whole_and_checked_as_when_they_were_made(play: Play) -> None:
    async def scene(stage: Stage) -> None:
        routes = {"10.1.0.0/16": "10.7.0.1", "fd01::/32": "fe80::1"}
        async with stage.channel() as channel:
            made = await call(
                channel,
                "NetworkService.CreateNetwork",
                network_id="dmz",
                network={**DMZ, "routes": routes},
            )
            assert dict(made.routes) == routes
            path, mask = "NetworkService.UpdateNetwork", {"paths": ["routes"]}
            wrong = {"name": made.name, "routes": {"0.0.0.0/0": "10.7.0.1", "10.1.0.0/16": ""}}
            told = await refused(call(channel, path, network=wrong, update_mask=mask))
            assert set(told.fields) == {
                "network.routes.0.0.0.0/0",
                "network.routes.10.1.0.0/16",
            }
            right = {"name": made.name, "routes": {"10.2.0.7": "10.7.0.2"}}
            changed = await call(channel, path, network=right, update_mask=mask)
            assert dict(changed.routes) == right["routes"]

    play(scene)


def test_of_two_overlapping_networks_made_at_once_one_is_refused(play: Play) -> None:
    async def scene(stage: Stage) -> None:
        async with stage.channel() as channel:
            answers = await asyncio.gather(
                *(
                    call(
                        channel,
                        "NetworkService.CreateNetwork",
                        network_id=f"dmz-{number}",
                        network=DMZ,
                    )
                    for number in range(5)
                ),
                return_exceptions=True,
            )
            made = [answer for answer in answers if isinstance(answer, network_pb2.Network)]
            assert len(made) == 1

    play(scene)


def test_a_request_is_remembered(play: Play) -> None:
    async def scene(stage: Stage) -> None:
        request_id = "6e8bc430-9c3a-41d9-9669-0800200c9a66"
        async with stage.channel() as channel:
            path = "NetworkService.CreateNetwork"
            first, second = [
                await call(channel, path, network_id="dmz", network=DMZ, request_id=request_id)
                for _ in range(2)
            ]
            assert first == second
            told = await refused(
                call(channel, path, network_id="other", network=DMZ, request_id=request_id)
            )
            assert told.reason == "REQUEST_ID_REUSED"
            for _ in range(2):
                await call(
                    channel,
                    "NetworkService.DeleteNetwork",
                    name="networks/dmz",
                    request_id=request_id,
                )

    play(scene)


def test_a_network_is_changed_and_only_tried_when_asked_so(play: Play) -> None:
    async def scene(stage: Stage) -> None:
        async with stage.channel() as channel:
            before = await call(channel, "NetworkService.GetNetwork", name="networks/lan")
            change = {"name": "networks/lan", "alias": "The LAN", "etag": before.etag}
            tried = await call(
                channel, "NetworkService.UpdateNetwork", network=change, validate_only=True
            )
            assert tried.alias == "The LAN"
            assert await call(channel, "NetworkService.GetNetwork", name="networks/lan") == before
            made = await call(channel, "NetworkService.UpdateNetwork", network=change)
            assert (made.alias, made.generation) == ("The LAN", 2)
            listed = await call(channel, "NetworkService.ListNetworks", filter='alias = "The LAN"')
            assert list(listed.networks) == [made]
            assert made.pools == before.pools
            told = await refused(call(channel, "NetworkService.UpdateNetwork", network=change))
            assert told.reason == "ETAG_MISMATCH"
            told = await refused(
                call(
                    channel,
                    "NetworkService.UpdateNetwork",
                    network={"name": "networks/lan", "vlan_id": 5},
                )
            )
            assert told.fields == ["network.vlan_id"]
            made = await call(
                channel,
                "NetworkService.UpdateNetwork",
                network={"name": "networks/new", **DMZ},
                allow_missing=True,
            )
            assert made.name == "networks/new"

    play(scene)


def test_a_pool_loses_no_address_that_is_taken(play: Play) -> None:
    async def scene(stage: Stage) -> None:
        async with stage.channel() as channel:
            made = await create(channel)
            network = await call(channel, "NetworkService.GetNetwork", name="networks/lan")
            network.pools[0].first = "10.0.0.20"
            mask = {"paths": ["pools"]}
            told = await refused(
                call(channel, "NetworkService.UpdateNetwork", network=network, update_mask=mask)
            )
            assert (told.code, told.reason) == ("FAILED_PRECONDITION", "ADDRESSES_IN_USE")
            again = await call(channel, "NetworkService.GetNetwork", name="networks/lan")
            assert again.etag == network.etag
            await done(
                channel, await call(channel, "InstanceService.DeleteInstance", name=made.name)
            )
            cut = await call(
                channel, "NetworkService.UpdateNetwork", network=network, update_mask=mask
            )
            assert cut.pools[0].first == "10.0.0.20"
            assert (await create(channel)).addresses[0] == "10.0.0.20"

    play(scene)


def test_a_network_in_use_is_not_deleted(play: Play) -> None:
    async def scene(stage: Stage) -> None:
        async with stage.channel() as channel:
            made = await create(channel)
            told = await refused(call(channel, "NetworkService.DeleteNetwork", name="networks/lan"))
            assert (told.code, told.reason) == ("FAILED_PRECONDITION", "NETWORK_IN_USE")
            await done(
                channel, await call(channel, "InstanceService.DeleteInstance", name=made.name)
            )
            await call(
                channel, "NetworkService.DeleteNetwork", name="networks/lan", validate_only=True
            )
            await call(channel, "NetworkService.DeleteNetwork", name="networks/lan")
            told = await refused(call(channel, "NetworkService.DeleteNetwork", name="networks/lan"))
            assert told.code == "NOT_FOUND"
            await call(
                channel, "NetworkService.DeleteNetwork", name="networks/lan", allow_missing=True
            )

    play(scene)


def test_a_network_deleted_while_instances_are_made_leaves_no_address_behind(play: Play) -> None:
    async def scene(stage: Stage) -> None:
        async with stage.channel() as channel:
            for turn in range(8):
                creating = [
                    call(
                        channel,
                        "InstanceService.CreateInstance",
                        parent="orgs/default",
                        instance_id=f"n-{turn}-{number}",
                        instance=ZONE,
                    )
                    for number in range(4)
                ]
                deleting = call(channel, "NetworkService.DeleteNetwork", name="networks/lan")
                answers = await asyncio.gather(*creating, deleting, return_exceptions=True)
                for answer in answers[:-1]:
                    if not isinstance(answer, BaseException):
                        await ended(channel, answer)
                gone = stage.catalog.networks.get(NETWORK) is None
                assert gone == (not isinstance(answers[-1], BaseException))
                if gone:
                    assert len(stage.catalog.addresses) == 0
                    break

    play(scene)


def test_addresses_are_reserved_listed_and_given_back(play: Play) -> None:
    async def scene(stage: Stage) -> None:
        async with stage.channel() as channel:
            path = "NetworkService.ReserveAddress"
            named = await call(
                channel, path, parent="networks/lan", address="10.0.0.200", note="fax"
            )
            assert named.name == "networks/lan/addresses/10-0-0-200"
            assert named.state == network_pb2.Address.RESERVED
            free = await call(channel, path, parent="networks/lan", family="IPV6")
            assert free.address == "fd00::10"
            made = await create(channel)
            assert list(made.addresses) == ["10.0.0.10", "fd00::11"]
            listed = await call(channel, "NetworkService.ListAddresses", parent="networks/lan")
            assert [(one.address, one.instance, one.note) for one in listed.addresses] == [
                ("10.0.0.10", made.name, ""),
                ("10.0.0.200", "", "fax"),
                ("fd00::10", "", ""),
                ("fd00::11", made.name, ""),
            ]
            reserved = await call(
                channel,
                "NetworkService.ListAddresses",
                parent="networks/lan",
                filter="state = RESERVED",
                page_size=1,
            )
            assert [one.address for one in reserved.addresses] == ["10.0.0.200"]
            told = await refused(call(channel, path, parent="networks/lan", address="10.0.0.10"))
            assert told.code == "ALREADY_EXISTS"
            told = await refused(call(channel, path, parent="networks/lan", address="10.9.0.1"))
            assert told.fields == ["address"]
            taken = f"networks/lan/addresses/{'10.0.0.10'.replace('.', '-')}"
            told = await refused(call(channel, "NetworkService.ReleaseAddress", name=taken))
            assert told.code == "FAILED_PRECONDITION"
            for one in (named, free):
                await call(channel, "NetworkService.ReleaseAddress", name=one.name)
            told = await refused(call(channel, "NetworkService.ReleaseAddress", name=named.name))
            assert told.code == "NOT_FOUND"
            await call(
                channel, "NetworkService.ReleaseAddress", name=named.name, allow_missing=True
            )

    play(scene)


def test_addresses_asked_for_by_many_at_once_are_given_once_each(play: Play) -> None:
    async def scene(stage: Stage) -> None:
        async with stage.channel() as channel:
            answers = await asyncio.gather(
                *(
                    call(channel, "NetworkService.ReserveAddress", parent="networks/lan")
                    for _ in range(6)
                )
            )
            assert len({answer.address for answer in answers}) == 6

    play(scene)


def test_an_address_that_is_taken_exists_already_whoever_asks_for_it(play: Play) -> None:
    async def scene(stage: Stage) -> None:
        async with stage.channel() as channel:
            await call(
                channel, "NetworkService.ReserveAddress", parent="networks/lan", address="10.0.0.9"
            )
            nic = {"network": "networks/lan", "ips": ["10.0.0.9/24"]}
            asked = {"instance_id": "web", "instance": {**ZONE, "nics": [nic]}}
            path = "InstanceService.CreateInstance"
            told = await refused(
                call(channel, path, parent="orgs/default", validate_only=True, **asked)
            )
            assert (told.code, told.reason) == ("ALREADY_EXISTS", "ALREADY_EXISTS")
            assert "10.0.0.9" in told.message
            failed = await ended(channel, await call(channel, path, parent="orgs/default", **asked))
            assert failed.error.code == code_pb2.ALREADY_EXISTS
            path = "InstanceService.BatchCreateInstances"
            for trial in (True, False):
                batch = await call(
                    channel, path, parent="orgs/default", requests=[asked], validate_only=trial
                )
                batch = await ended(channel, batch)
                codes = metadata_of(batch).failed_requests
                assert [(at, own.code) for at, own in codes.items()] == [
                    (0, code_pb2.ALREADY_EXISTS)
                ]

    play(scene)


def test_a_pool_of_which_nothing_is_free_has_no_room(play: Play) -> None:
    async def scene(stage: Stage) -> None:
        async with stage.channel() as channel:
            await call(
                channel,
                "NetworkService.CreateNetwork",
                network_id="tiny",
                network={"nic_tag": "external", "pools": [{"subnet": "10.9.0.0/32"}]},
            )
            zone = {**ZONE, "nics": [{"network": "networks/tiny"}]}
            await create(channel, given=zone)
            operation = await call(
                channel,
                "InstanceService.CreateInstance",
                parent="orgs/default",
                instance_id="db",
                instance=zone,
            )
            operation = await ended(channel, operation)
            assert operation.error.code == code_pb2.RESOURCE_EXHAUSTED

    play(scene)
