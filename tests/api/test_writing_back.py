"""What was read can be written back: whole, or with one thing of it changed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from fifo.model import keys
from fifo.model.package import Package
from tests.api.calls import call, done
from tests.api.stage import PACKAGE
from tests.api.test_instances import VM, ZONE, create

if TYPE_CHECKING:
    from collections.abc import Callable

    import grpc.aio

    from tests.api.stage import Stage

    Play = Callable[..., None]

SMALL_ZONE = {
    "max_physical_memory": 1, "max_swap": 256, "max_lwps": 1, "quota": 0, "tmpfs": 0, "cpu_cap": 0,
    "cpu_shares": 0, "zfs_io_priority": 0, "max_locked_memory": 0, "autoboot": False,
    "restart_policy": {"factor": 1.0, "attempts": 1},
}  # fmt: skip
LARGE_ZONE = {
    "alias": "The web", "hostname": "www", "resolvers": ["fd00::1"], "tags": {"a": 1, "b": True},
    "routes": {"10.1.0.0/16": "10.0.0.1"}, "customer_metadata": {"user-data": "x"},
    "filesystems": [{"source": "/srv", "target": "/srv", "type": "lofs", "options": ["ro"]}],
    "nics": [{"network": "networks/lan", "ips": ["10.0.0.50/24"]}, {"nic_tag": "admin"}],
}  # fmt: skip
ROWS: list[tuple[str, dict[str, Any], tuple[str, Any]]] = [
    ("Instance", ZONE, ("alias", "x")),
    ("Instance", ZONE | {"max_physical_memory": 64}, ("max_physical_memory", 128)),
    ("Instance", ZONE | SMALL_ZONE, ("quota", 1)),
    ("Instance", ZONE | LARGE_ZONE, ("hostname", "w3")),
    ("Instance", ZONE | {"package": "packages/small"}, ("alias", "x")),
    ("Instance", VM, ("ram", 600)),
    ("Package", {}, ("description", "x")),
    ("Package", {"max_physical_memory": 64}, ("description", "x")),
    ("Package", {"max_physical_memory": 64}, ("max_physical_memory", 128)),
    ("Package", {"max_physical_memory": 1, "max_lwps": 1, "cpu_cap": 0, "vcpus": 1, "quota": 0,
                 "zfs_io_priority": 0}, ("vcpus", 2)),
    ("Package", {"max_physical_memory": 8_192, "max_swap": 256, "required_labels": {"a": "b"}},
     ("tags", {"a": "b"})),
    ("Network", {"nic_tag": "admin"}, ("description", "x")),
    ("Network", {"pools": [{"subnet": "10.7.0.0/30"}, {"subnet": "fd07::/126"}], "mtu": 576,
                 "vlan_id": 4_094, "routes": {"10.1.0.0/16": "10.7.0.1"}}, ("mtu", 9_000)),
    ("Network", {"pools": [{"subnet": "10.7.0.0/31"}, {"subnet": "fd07::/64",
                                                       "gateway": "fd07::1"}],
                 "isolated": False, "resolvers": ["10.7.0.1"]}, ("isolated", True)),
    ("Hypervisor", {}, ("labels", {"rack": "r1"})),
]  # fmt: skip


async def made(channel: grpc.aio.Channel, kind: str, given: dict[str, Any]) -> Any:
    """Make a resource, and read it."""
    own = kind.lower()
    if kind == "Instance":
        await create(channel, own, given)
    elif kind != "Hypervisor":
        fields = {f"{own}_id": own, own: given}
        await call(channel, f"{kind}Service.Create{kind}", **fields)
    name = {"Instance": "orgs/default/instances/instance", "Hypervisor": "hypervisors/host-1"}
    return await call(channel, f"{kind}Service.Get{kind}", name=name.get(kind, f"{own}s/{own}"))


async def written(channel: grpc.aio.Channel, kind: str, resource: Any, *mask: str) -> Any:
    """Write a resource, and read it again."""
    fields = {kind.lower(): resource, "update_mask": {"paths": mask}}
    answer = await call(channel, f"{kind}Service.Update{kind}", **fields)
    if kind == "Instance":
        await done(channel, answer)
    return await call(channel, f"{kind}Service.Get{kind}", name=resource.name)


@pytest.mark.parametrize(("kind", "given", "change"), ROWS)
def test_what_was_read_is_written_back_whole_or_with_one_field_changed(
    play: Play, kind: str, given: dict[str, Any], change: tuple[str, Any]
) -> None:
    async def scene(stage: Stage) -> None:
        async with stage.channel() as channel:
            resource = await made(channel, kind, given)
            wanted = type(resource)()
            wanted.CopyFrom(resource)
            for mask in ((), ("*",)):
                wanted = await written(channel, kind, wanted, *mask)
                for field in given.keys() & {"max_swap", "quota", "pools", "nics"}:
                    assert getattr(wanted, field) == getattr(resource, field)
            name, value = change
            wanted.ClearField(name)
            wanted.MergeFrom(type(resource)(**{name: value}))
            for mask in ((), (name,), ("*",)):
                wanted.etag = ""
                wanted = await written(channel, kind, wanted, *mask)
                changed = type(resource)(**{name: value})
                assert getattr(wanted, name) == getattr(changed, name)

    play(scene)


@pytest.mark.parametrize("swap", [0, 64])
def test_a_package_that_an_earlier_version_stored_is_written_back_too(
    play: Play, swap: int
) -> None:
    async def scene(stage: Stage) -> None:
        async with stage.channel() as channel:
            old = Package(
                uid=PACKAGE, id="small", create_time=1.0, max_physical_memory=64, max_swap=swap
            )
            await stage.write(keys.PACKAGE, PACKAGE, old)
            package = await call(channel, "PackageService.GetPackage", name="packages/small")
            assert package.max_swap == 256
            package.description = "x"
            assert (await written(channel, "Package", package)).max_swap == 256

    play(scene)
