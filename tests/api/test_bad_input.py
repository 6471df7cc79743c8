"""What attackers send: it is refused quickly, or kept word for word, and nobody else is harmed."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import pytest

from fifo.v1 import instance_service_pb2
from tests.api.calls import call, refused
from tests.api.stage import IMAGE
from tests.api.test_instances import ZONE, create, get

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.api.stage import Stage

    Play = Callable[..., None]

HEAD = b'{"brand": "lx", "kernel_version": "5", "image_uuid": "' + IMAGE.encode() + b'", '
PAYLOADS = {
    "nested to 100,000 levels": HEAD + b'"tags": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "objects in objects": HEAD + b'"tags": ' + b'{"a":' * 50_000 + b"1" + b"}" * 50_000 + b"}",
    "a number of a million digits": HEAD + b'"quota": ' + b"9" * 1_000_000 + b"}",
    "not a number": HEAD + b'"quota": NaN}',
    "infinite": HEAD + b'"quota": 1e999}',
    "a key twice": HEAD + b'"quota": 1, "quota": 2}',
    "half a surrogate": HEAD + b'"alias": "\\ud800"}',
    "broken UTF-8": HEAD + b'"alias": "\xff"}',
    "NUL in a name": HEAD + b'"alias": "a\\u0000b"}',
    "a list": b"[]",
    "nothing": b" ",
    "a million tags": HEAD + b'"tags": {' + b",".join(b'"%d":1' % n for n in range(80_000)) + b"}}",
}


@pytest.mark.parametrize("name", PAYLOADS)
def test_a_malicious_payload_is_refused_quickly(play: Play, name: str) -> None:
    async def scene(stage: Stage) -> None:
        async with stage.channel() as channel:
            await call(channel, "AdminService.GetNodeInfo")
            began = time.process_time()
            told = await refused(
                call(
                    channel,
                    "InstanceService.CreateInstance",
                    parent="orgs/default",
                    vmadm_json=PAYLOADS[name],
                )
            )
            assert told.code == "INVALID_ARGUMENT"
            # Client and server together, on a machine that others use too.
            assert time.process_time() - began < 0.25
            await call(channel, "AdminService.GetNodeInfo")

    play(scene)


SHELL = ["; rm -rf /", "$(reboot)", "`id`", "-rf", "a'b\"c", "../../etc/passwd", "a | b", "é 𝄞"]


@pytest.mark.parametrize("text", SHELL)
def test_shell_metacharacters_are_kept_word_for_word_or_refused(play: Play, text: str) -> None:
    async def scene(stage: Stage) -> None:
        async with stage.channel() as channel:
            request = {
                "alias": text,
                "tags": {"t": text},
                "customer_metadata": {"user-script": text},
            }
            made = await create(channel, given={**ZONE, **request})
            assert made.alias == text
            assert made.tags["t"] == text
            assert made.customer_metadata["user-script"] == text
            assert made.hostname == "web"
            for path, fields in (
                (
                    "SnapshotService.CreateSnapshot",
                    {"parent": made.name, "snapshot_id": f"{text} "},
                ),
                ("InstanceService.GetInstance", {"name": f"orgs/default/instances/{text}"}),
            ):
                told = await refused(call(channel, path, **fields))
                assert told.code == "INVALID_ARGUMENT"

    play(scene)


HUGE: list[dict[str, Any]] = [
    {"customer_metadata": {"user-data": "x" * 65_536, "more": "y" * 65_536}},
    {"tags": {f"t{number}": number for number in range(1_000)}},
    {"tags": {"t": "x" * 70_000}},
    {"alias": "x" * 190},
]


@pytest.mark.parametrize("change", HUGE)
def test_more_than_a_record_holds_is_refused(play: Play, change: dict[str, Any]) -> None:
    async def scene(stage: Stage) -> None:
        async with stage.channel() as channel:
            told = await refused(create(channel, given={**ZONE, **change}))
            assert told.code == "INVALID_ARGUMENT"
            assert len(stage.catalog.specs) == 0

    play(scene)


def test_everything_wrong_with_an_instance_is_listed_at_once(play: Play) -> None:
    async def scene(stage: Stage) -> None:
        async with stage.channel() as channel:
            nics = [
                {"network": "networks/lan", "mac": "01:00:00:00:00:01", "ips": ["10.9.0.1/24"]},
                {"network": "networks/none"},
                {},
                {"network": "networks/lan", "interface": "net0", "ips": ["10.0.0.1"]},
            ]
            told = await refused(
                create(
                    channel,
                    given={
                        "image": "images/disk",
                        "brand": "LX",
                        "package": "packages/none",
                        "hypervisor": "hypervisors/none",
                        "nics": nics,
                        "disks": [{"size": 1}],
                        "routes": {"x": "y"},
                    },
                )
            )
            assert set(told.fields) == {
                f"instance.{field}"
                for field in (
                    "brand", "package", "hypervisor", "nics[0].mac", "nics[0].ips[0]",
                    "nics[1].network", "nics[2]", "nics[3].ips[0]", "nics[3].interface", "disks",
                    "routes.x",
                )
            }  # fmt: skip

    play(scene)


TAGGED: dict[str, Any] = {"nic_tag": "external", "vlan_id": 9}


@pytest.mark.parametrize(
    ("nic", "field"),
    [
        ({"network": "networks/lan", "ips": ["10.0.0.255"]}, "ips[0]"),
        ({"network": "networks/lan", "ips": ["10.0.0.0/24"]}, "ips[0]"),
        ({**TAGGED, "ips": ["dhcp", "10.9.0.255/24"]}, "ips[1]"),
        ({**TAGGED, "ips": ["224.0.0.1/24"]}, "ips[0]"),
        ({**TAGGED, "ips": ["10.9.0.7/24"], "gateways": ["10.9.0.255"]}, "gateways[0]"),
        ({**TAGGED, "ips": ["10.9.0.7/24"], "gateways": ["127.0.0.1"]}, "gateways[0]"),
    ],
)
def test_an_address_that_no_host_can_have_is_refused(
    play: Play, nic: dict[str, Any], field: str
) -> None:
    async def scene(stage: Stage) -> None:
        async with stage.channel() as channel:
            told = await refused(create(channel, given={**ZONE, "nics": [nic]}))
            assert told.fields == [f"instance.nics[0].{field}"]
            known = {name: value for name, value in nic.items() if name != "network"}
            payload = HEAD + b'"nics": [' + json.dumps({**known, "nic_tag": "external"}).encode()
            whole = payload.replace(b"10.0.0.255", b"10.0.0.255/24") + b"]}"
            told = await refused(
                call(
                    channel,
                    "InstanceService.CreateInstance",
                    parent="orgs/default",
                    instance_id="web",
                    vmadm_json=whole,
                )
            )
            assert told.fields == [f"vmadm_json.nics[0].{field}"]

    play(scene)


def test_unknown_fields_of_a_newer_client_are_passed_over(play: Play) -> None:
    async def scene(stage: Stage) -> None:
        async with stage.channel() as channel:
            await create(channel)
            request = instance_service_pb2.GetInstanceRequest(name="orgs/default/instances/web")
            raw: Any = channel.unary_unary("/fifo.v1.InstanceService/GetInstance")
            newer = request.SerializeToString() + b"\xf8\x3f\x01"
            assert await raw(newer) == (await get(channel)).SerializeToString()

    play(scene)
