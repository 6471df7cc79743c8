"""All that is wrong with a request is told at once, whoever of the node finds it."""

from __future__ import annotations

import itertools
import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fifo.model.vmadm.properties import PROPERTIES
from tests.api.calls import call, refused, wrong_fields
from tests.api.stage import IMAGE, serving
from tests.api.test_instances import ZONE, create

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from tests.api.stage import Stage

    Play = Callable[..., None]

PARENT = "orgs/default"
INSTANCE = "orgs/default/instances/web"
WRONG_INSTANCE: dict[str, Any] = {
    "image": "images/base",
    "package": "packages/none",
    "ram": -1,
    "alias": "\n",
    "desired_state": "FAILED",
    "nics": [
        {"network": "networks/lan", "ips": ["10.9.0.1/24"], "primary": True, "mtu": 9},
        {"network": "networks/lan", "primary": True},
        {"mac": "zz"},
    ],
    "filesystems": [{"source": "a", "target": "/b/../c", "type": "zfs", "options": ["x"]}],
    "routes": {"x": "y"},
    "tags": {"a": {"b": 1}},
}
INSTANCE_FIELDS = (
    "package", "ram", "alias", "desired_state", "nics[0].ips[0]", "nics[0].mtu",
    "nics[1].primary", "nics[2].mac", "nics[2]", "filesystems[0].source",
    "filesystems[0].target", "filesystems[0].type", "filesystems[0].options[0]", "routes.x",
    "tags.a",
)  # fmt: skip
ROWS: list[tuple[str, dict[str, Any], set[str]]] = [
    (
        "InstanceService.CreateInstance",
        {"parent": "orgs/other", "instance_id": "A", "instance": WRONG_INSTANCE},
        {"parent", "instance_id", *(f"instance.{own}" for own in INSTANCE_FIELDS)},
    ),
    (
        "InstanceService.CreateInstance",
        {"parent": "x", "instance": {"image": "images/none"}},
        {"parent", "instance.image"},
    ),
    (
        "InstanceService.CreateInstance",
        {"parent": "x", "vmadm_json": b'{"brand":"lx","image_uuid":"' + IMAGE.encode() + b'"}'},
        {"parent", "vmadm_json.kernel_version"},
    ),
    (
        "InstanceService.CreateInstance",
        {
            "parent": PARENT,
            "vmadm_json": b"""{
                "brand": "lx", "kernel_version": "5", "quota": "much", "alias": 7,
                "image_uuid": "00000000-0000-4000-8000-00000000ffff",
                "nics": [{"nic_tag": 7}, {"nic_tag": "a", "mac": "zz"},
                         {"network_uuid": "00000000-0000-4000-8000-00000000ffff"}]
            }""",
        },
        {
            "vmadm_json.quota", "vmadm_json.alias", "vmadm_json.image_uuid",
            "vmadm_json.nics[0].nic_tag", "vmadm_json.nics[1].mac",
            "vmadm_json.nics[2].network_uuid",
        },
    ),
    (
        "InstanceService.BatchCreateInstances",
        {
            "parent": "orgs/-",
            "requests": [
                {"instance_id": "A", "instance": {"image": "images/none", "ram": -1}},
                {"request_id": "x", "validate_only": True, "instance": ZONE},
                {"parent": "orgs/other", "instance": ZONE},
            ],
        },
        {
            "parent", "requests[0].instance_id", "requests[0].instance.ram",
            "requests[0].instance.image", "requests[1].request_id", "requests[1].validate_only",
            "requests[2].parent",
        },
    ),
    (
        "InstanceService.UpdateInstance",
        {
            "instance": {"name": INSTANCE, "package": "packages/none", "quota": -1},
            "update_mask": {"paths": ["package", "quota", "nothing"]},
        },
        {"instance.package", "instance.quota", "update_mask"},
    ),
    (
        "InstanceService.ListInstances",
        {
            "parent": "x", "page_size": -1, "filter": "nothing=1", "order_by": "nothing",
            "read_mask": {"paths": ["nothing"]}, "page_token": "x",
        },
        {"parent", "page_size", "filter", "order_by", "read_mask", "page_token"},
    ),
    (
        "NetworkService.ListNetworks",
        {"filter": "nothing=1", "order_by": "nothing", "page_token": "x"},
        {"filter", "order_by", "page_token"},
    ),
    (
        "InstanceService.BatchGetInstances",
        {"parent": "x", "names": ["a", INSTANCE, "b"], "read_mask": {"paths": ["nothing"]}},
        {"parent", "names[0]", "names[2]", "read_mask"},
    ),
    (
        "InstanceService.BatchDeleteInstances",
        {"parent": PARENT, "names": ["a", "orgs/other/instances/b", INSTANCE]},
        {"names[0]", "names[1]"},
    ),
    (
        "EventService.ListEvents",
        {"parent": "a/b", "page_size": -1, "order_by": "x", "filter": "x=1", "page_token": "x"},
        {"parent", "page_size", "order_by", "filter", "page_token"},
    ),
    (
        "EventService.Watch",
        {
            "resource_types": ["fifo/Nothing", "fifo/Instance"], "parent": "x",
            "filter": "nothing=1", "read_mask": {"paths": ["nothing"]}, "resume_token": "x",
            "max_delay": {"seconds": 99}, "heartbeat": {"seconds": 1},
        },
        {
            "resource_types", "parent", "filter", "read_mask", "resume_token", "max_delay",
            "heartbeat",
        },
    ),
    (
        "NetworkService.CreateNetwork",
        {
            "network_id": "A",
            "network": {
                "mtu": 9, "nic_tag": "/", "resolvers": ["x"],
                "routes": {"10.1.0.1/16": "10.7.0.1", "10.2.0.0/16": "fd00::1", "x": "y"},
                "pools": [
                    {"subnet": "10.7.0.1/29"}, {"subnet": "10.8.0.0/29", "gateway": "10.9.0.1"},
                ],
            },
        },
        {
            "network_id", "network.mtu", "network.nic_tag", "network.resolvers[0]",
            "network.pools[0]", "network.pools[1]", "network.routes.10.1.0.1/16",
            "network.routes.10.2.0.0/16", "network.routes.x",
        },
    ),
    (
        "ImageService.ImportImage",
        {
            "image_id": "A", "sha256": "x", "format": "ROOTFS_TAR", "url": "ftp://a:b@10.0.0.1/x",
            "image": {"brands": ["KVM"]},
        },
        {"image_id", "sha256", "url", "image.brands"},
    ),
]  # fmt: skip


@pytest.mark.parametrize(("path", "fields", "wanted"), ROWS)
def test_all_faults_of_a_request_are_told_at_once(
    play: Play, path: str, fields: dict[str, Any], wanted: set[str]
) -> None:
    async def scene(stage: Stage) -> None:
        async with stage.channel() as channel:
            await create(channel)
            assert set(await wrong_fields(channel, path, fields)) == wanted
            assert len(stage.catalog.specs) == 1
            assert len(stage.catalog.operations) == 1

    play(scene)


ODD: tuple[Any, ...] = (7, "\n", [7], [{}], {"a": [1]}, 1.5)
HALVES: tuple[dict[str, Any], ...] = (
    {"brand": "lx", "kernel_version": "5", "image_uuid": IMAGE, "quota": "x"},
    {"brand": "kvm", "quota": "x", "nics": [{"nic_tag": "a", "ips": ["x"], "mac": "q"}]},
)


@pytest.mark.parametrize("half", HALVES)
def test_whatever_is_refused_of_a_payload_the_rest_is_looked_through(
    play: Play, half: dict[str, Any]
) -> None:
    async def scene(stage: Stage) -> None:
        async with stage.channel() as channel:
            for name, value in itertools.product(PROPERTIES.keys() - {"quota"}, ODD):
                payload = json.dumps({**half, name: value}).encode()
                told = await refused(
                    call(
                        channel,
                        "InstanceService.CreateInstance",
                        parent=PARENT,
                        vmadm_json=payload,
                    )
                )
                assert told.code == "INVALID_ARGUMENT", payload

    play(scene)


def test_who_may_not_call_is_told_nothing_of_the_request(play: Play) -> None:
    async def scene(stage: Stage) -> None:
        async with stage.channel(token="") as channel:
            path, fields, _ = ROWS[0]
            told = await refused(call(channel, path, **fields))
            assert told.code == "UNAUTHENTICATED"
            assert "BadRequest" not in told.details

    play(scene)


CORRUPTIONS: dict[str, tuple[str, Any]] = {
    "parent": ("parent", "nowhere"),
    "instance_id": ("instance_id", "A"),
    "request_id": ("request_id", "x"),
    "instance.image": ("image", "images/none"),
    "instance.package": ("package", "packages/none"),
    "instance.hypervisor": ("hypervisor", "hypervisors/none"),
    "instance.alias": ("alias", "\n"),
    "instance.hostname": ("hostname", "a b"),
    "instance.quota": ("quota", -1),
    "instance.vcpus": ("vcpus", 1_000),
    "instance.ram": ("ram", -1),
    "instance.max_swap": ("max_swap", 1),
    "instance.desired_state": ("desired_state", 5),
    "instance.resolvers[0]": ("resolvers", ["x"]),
    "instance.routes.x": ("routes", {"x": "10.0.0.1"}),
    "instance.tags.a": ("tags", {"a": {"b": 1}}),
    "instance.nics[0].mac": ("nics", [{"network": "networks/lan", "mac": "zz"}]),
    "instance.nics[0].ips[0]": ("nics", [{"network": "networks/lan", "ips": ["10.9.0.1"]}]),
    "instance.nics[0].network": ("nics", [{"network": "networks/none"}]),
    "instance.filesystems[0].type": (
        "filesystems", [{"source": "/a", "target": "/b", "type": "zfs"}],
    ),
    "instance.disks": ("disks", [{"size": 1}]),
    "instance.restart_policy.factor": ("restart_policy", {"factor": 0.5}),
    "instance.restart_policy.first_wait": (
        "restart_policy", {"first_wait": {"seconds": 9}, "longest_wait": {"seconds": 1}},
    ),
}  # fmt: skip


def corrupted(fields: tuple[str, str]) -> dict[str, Any]:
    request: dict[str, Any] = {"parent": PARENT, "instance": {"brand": "LX", **ZONE}}
    for field in fields:
        name, value = CORRUPTIONS[field]
        (request["instance"] if field.startswith("instance.") else request)[name] = value
    return request


def independent(fields: tuple[str, str]) -> bool:
    first, second = (CORRUPTIONS[field][0] for field in fields)
    return first != second


PAIRS = st.tuples(*[st.sampled_from(sorted(CORRUPTIONS))] * 2).filter(independent)


def test_of_any_two_independent_faults_both_are_told_and_nothing_else(
    runner: asyncio.Runner,
) -> None:
    async def begin() -> tuple[Any, Any]:
        serves = serving()
        return serves, await serves.__aenter__()

    async def tried(stage: Stage, fields: tuple[str, str]) -> None:
        async with stage.channel() as channel:
            request = corrupted(fields)
            told = await refused(call(channel, "InstanceService.CreateInstance", **request))
            assert sorted(told.fields) == sorted(fields)

    serves, stage = runner.run(begin())

    @settings(
        max_examples=60, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True
    )
    @given(PAIRS)
    def every(fields: tuple[str, str]) -> None:
        runner.run(tried(stage, fields))

    try:
        every()
    finally:
        runner.run(serves.__aexit__(None, None, None))
