"""A request that is refused is looked at again, and nothing in that makes it worse."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import grpc.aio
import pytest

from fifo.api import second_look
from fifo.api.calls import Call
from fifo.api.methods import METHODS
from fifo.model.errors import InvalidInput, Violation
from fifo.v1 import instance_service_pb2
from tests.api.calls import (
    BY_NAME,
    call,
    described,
    refusal_of,
    refused,
    request_class,
    wrong_fields,
)
from tests.api.test_instances import ZONE, create

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator

    from fifo.api.methods import Method
    from tests.api.stage import Stage

    Play = Callable[..., None]

PARENT = "orgs/default"
WEB = "orgs/default/instances/web"
MANY = 1_001


@pytest.mark.parametrize("count", [0, MANY])
@pytest.mark.parametrize(
    ("path", "field", "one"),
    [
        ("InstanceService.BatchCreateInstances", "requests", {"instance": ZONE}),
        ("InstanceService.BatchDeleteInstances", "names", WEB),
        ("InstanceService.BatchGetInstances", "names", WEB),
    ],
)
def test_a_batch_of_nothing_and_one_of_too_many_are_refused_with_all_that_is_wrong(
    play: Play, path: str, field: str, one: Any, count: int
) -> None:
    async def scene(stage: Stage) -> None:
        async with stage.channel() as channel:
            for parent, wanted in ((PARENT, {field}), ("x", {field, "parent"})):
                told = await refused(
                    call(channel, path, **{"parent": parent, field: [one] * count})
                )
                assert (told.code, set(told.fields)) == ("INVALID_ARGUMENT", wanted)

    play(scene)


def wrong_requests(method: Method) -> Iterator[dict[str, Any]]:
    """Give requests of a method that are wrong in one field each, and one that is nearly empty."""
    fields = described(method).input_type.fields
    usual = {"parent": PARENT, "name": WEB}
    right = {field.name: usual[field.name] for field in fields if field.name in usual}
    yield right
    for field in fields:
        if field.message_type is not None:
            yield {**right, field.name: [{}] * MANY if field.is_repeated else {}}
        elif field.type == field.TYPE_STRING:
            yield {**right, field.name: ["\n"] * MANY if field.is_repeated else "\n"}
        elif field.type in {field.TYPE_INT32, field.TYPE_INT64}:
            yield {**right, field.name: -1}


def test_whatever_is_wrong_with_a_request_is_no_bug_of_the_node(play: Play) -> None:
    async def scene(stage: Stage) -> None:
        async with stage.channel() as channel:
            await create(channel)
            for method in METHODS:
                if not second_look.looks(method, request_class(method)):
                    continue
                for fields in wrong_requests(method):
                    path = f"{method.service.rpartition('.')[2]}.{method.name}"
                    try:
                        await call(channel, path, **fields)
                    except grpc.aio.AioRpcError as error:
                        told = refusal_of(error)
                        assert told.code != "INTERNAL", (path, fields)

    play(scene)


def test_a_bug_in_a_second_look_leaves_the_first_refusal_and_is_logged(
    run: Callable[[Coroutine[Any, Any, Any]], Any], caplog: pytest.LogCaptureFixture
) -> None:
    first = InvalidInput("x", (Violation("name", "a name"),))

    async def broken(request: Any, asked: Any) -> None:
        del request, asked
        raise ZeroDivisionError

    message = instance_service_pb2.GetInstanceRequest(name="x")
    asked = Call(BY_NAME["InstanceService", "GetInstance"], *cast("Any", (None, None)))
    told = run(second_look.look_on(first, message, asked, broken))
    assert told is first
    (logged,) = caplog.records
    assert logged.exc_info is not None
    assert logged.exc_info[0] is ZeroDivisionError


NONE = "orgs/default/instances/none"
CHANGE: dict[str, Any] = {
    "ram": -1, "hostname": "a b", "image": "images/none", "package": "packages/none",
    "nics": [{"network": "networks/none"}],
}  # fmt: skip
PATHS = ["ram", "hostname", "image", "package", "nics", "nope"]
OF_CHANGE = {
    "instance.ram", "instance.hostname", "instance.package", "instance.nics[0].network",
    "update_mask",
}  # fmt: skip
POOLS = [{"subnet": "10.7.0.1/29"}, {"subnet": "10.8.0.0/29", "gateway": "10.9.0.1"}]
OF_POOLS = {"network.mtu", "network.pools[0]", "network.pools[1]"}
ROWS: list[tuple[str, dict[str, Any], set[str]]] = [
    # An old etag hides nothing.
    (
        "InstanceService.UpdateInstance",
        {"instance": {"name": WEB, "etag": "old", **CHANGE}, "update_mask": {"paths": PATHS}},
        OF_CHANGE | {"instance.image"},
    ),
    (
        "PackageService.UpdatePackage",
        {
            "package": {"name": "packages/small", "etag": "old", "vcpus": -1},
            "update_mask": {"paths": ["vcpus", "nope"]},
        },
        {"package.vcpus", "update_mask"},
    ),
    (
        "NetworkService.UpdateNetwork",
        {"network": {"name": "networks/lan", "etag": "old", "mtu": 9, "pools": POOLS}},
        OF_POOLS,
    ),
    (
        "InstanceService.DeleteInstance",
        {"name": "bad", "etag": "old", "request_id": "x"},
        {"name", "request_id"},
    ),
    # Nor does what is not there.
    (
        "InstanceService.UpdateInstance",
        {"instance": {"name": NONE, **CHANGE}, "update_mask": {"paths": PATHS}},
        OF_CHANGE,
    ),
    (
        "PackageService.UpdatePackage",
        {
            "package": {"name": "packages/none", "vcpus": -1},
            "update_mask": {"paths": ["vcpus", "nope"]},
        },
        {"package.vcpus", "update_mask"},
    ),
    (
        "NetworkService.UpdateNetwork",
        {
            "network": {"name": "networks/none", "mtu": 9, "pools": POOLS},
            "update_mask": {"paths": ["mtu", "pools", "nope"]},
        },
        {*OF_POOLS, "update_mask"},
    ),
    (
        "HypervisorService.UpdateHypervisor",
        {
            "hypervisor": {"name": "hypervisors/none", "reserved": {"cpu": -1}},
            "update_mask": {"paths": ["reserved", "nope"]},
        },
        {"hypervisor.reserved.cpu", "update_mask"},
    ),
    (
        "ImageService.ImportImage",
        {
            "image_id": "A", "format": "ROOTFS_TAR", "image": {"brands": ["KVM"]},
            "upload_id": "00000000-0000-4000-8000-00000000f001",
        },
        {"image_id", "image.brands"},
    ),
    (
        "HypervisorService.AdoptForeignInstance",
        {
            "name": "hypervisors/none", "request_id": "x",
            "uid": "00000000-0000-4000-8000-00000000f001",
            "instance_id": "i-00000000-0000-4000-8000-00000000f002",
        },
        {"request_id", "instance_id"},
    ),
    # Nor a name that is none.
    (
        "InstanceService.UpdateInstance",
        {"instance": {"name": "bad", **CHANGE}, "update_mask": {"paths": PATHS}},
        OF_CHANGE | {"instance.name"},
    ),
    (
        "NetworkService.UpdateNetwork",
        {"network": {"name": "bad", "mtu": 9, "pools": POOLS}},
        OF_POOLS | {"network.name"},
    ),
    ("InstanceService.ReadInstanceLogs", {"name": "bad", "tail_lines": -3}, {"name", "tail_lines"}),
    ("Operations.WaitOperation", {"name": "zz", "timeout": {"seconds": -5}}, {"name", "timeout"}),
    (
        "InstanceService.ExecInstance",
        {"open": {"name": "bad", "environment": {"A": "x\n"}, "terminal": {"rows": -1}}},
        {"open.name", "open.command", "open.environment.A", "open.terminal.rows",
         "open.terminal.columns"},
    ),
    (
        "ConsoleService.Attach",
        {"open": {"name": "bad", "mode": 7, "size": {"rows": -1}}},
        {"open.name", "open.mode", "open.size.rows", "open.size.columns"},
    ),
    (
        "InstanceService.GetInstance",
        {"name": "bad", "read_mask": {"paths": ["nope"]}},
        {"name", "read_mask"},
    ),
    (
        "ImageService.GetImage",
        {"name": "bad", "read_mask": {"paths": ["nope"]}},
        {"name", "read_mask"},
    ),
    *(
        (
            path,
            {"parent": "bad", "page_size": -1, "filter": "x=1", "order_by": "x", "page_token": "x"},
            {"parent", "page_size", "filter", "order_by", "page_token"},
        )
        for path in ("NetworkService.ListAddresses", "SnapshotService.ListSnapshots")
    ),
    # Nor types of which none is one; of all a mask names what one has.
    (
        "EventService.Watch",
        {"resource_types": ["fifo/Nothing"], "read_mask": {"paths": ["qq", "alias", "nope"]}},
        {"resource_types", "read_mask"},
    ),
    ("EventService.Watch", {"read_mask": {"paths": ["name", "qq"]}}, {"read_mask"}),
]  # fmt: skip


@pytest.mark.parametrize(("path", "fields", "wanted"), ROWS)
def test_neither_an_old_etag_nor_a_wrong_name_hides_what_else_is_wrong(
    play: Play, path: str, fields: dict[str, Any], wanted: set[str]
) -> None:
    async def scene(stage: Stage) -> None:
        async with stage.channel() as channel:
            await create(channel)
            assert set(await wrong_fields(channel, path, fields)) == wanted

    play(scene)


def test_an_update_of_what_is_in_order_is_still_refused_for_an_old_etag(play: Play) -> None:
    async def scene(stage: Stage) -> None:
        async with stage.channel() as channel:
            await create(channel)
            for path, field, name in (
                ("InstanceService.UpdateInstance", "instance", WEB),
                ("PackageService.UpdatePackage", "package", "packages/small"),
            ):
                change = {field: {"name": name, "etag": "old", "alias": "x"}}
                told = await refused(call(channel, path, **change))
                assert (told.code, told.reason) == ("ABORTED", "ETAG_MISMATCH")

    play(scene)
