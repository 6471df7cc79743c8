"""What is wrong with a request by itself is told, though what it is about is gone or has changed.

Putting the etag or the name right would not make such a request a good one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.api.calls import call, refused, wrong_fields
from tests.api.test_instances import WEB, create
from tests.api.test_older_records import POOL, older_network

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.api.stage import Stage

    Play = Callable[..., None]

NONE = "orgs/default/instances/none"
LISTED = {"filter": "nothing=1", "order_by": "nothing", "page_token": "x"}
INSTANCE: dict[str, Any] = {
    "package": "packages/none",
    "nics": [{"network": "networks/none"}, {"network": "networks/lan", "ips": ["10.9.0.1/24"]}],
    "disks": [{"image": "images/none"}],
    "desired_state": "FAILED",
    "routes": {"x": "y"},
}
INSTANCE_FIELDS = {
    "instance.package", "instance.nics[0].network", "instance.nics[1].ips[0]",
    "instance.disks[0].image", "instance.desired_state", "instance.routes.x",
}  # fmt: skip
NETWORK: dict[str, Any] = {
    "pools": [{"subnet": "10.7.0.1/29"}],
    "routes": {"10.1.0.1/16": "10.7.0.1"},
}
NETWORK_FIELDS = {"network.pools[0]", "network.routes.10.1.0.1/16"}
ROWS: list[tuple[str, dict[str, Any], set[str]]] = [
    ("InstanceService.UpdateInstance", {"instance": {"name": NONE, **INSTANCE}}, INSTANCE_FIELDS),
    (
        "InstanceService.UpdateInstance",
        {"instance": {"name": WEB, "etag": "old", **INSTANCE}},
        INSTANCE_FIELDS,
    ),
    ("NetworkService.UpdateNetwork", {"network": {"name": "networks/none", **NETWORK}},
     NETWORK_FIELDS),
    (
        "NetworkService.UpdateNetwork",
        {"network": {"name": "networks/lan", "etag": "old", **NETWORK}},
        NETWORK_FIELDS,
    ),
    ("NetworkService.ListAddresses", {"parent": "networks/none", **LISTED}, set(LISTED)),
    ("SnapshotService.ListSnapshots", {"parent": NONE, **LISTED}, set(LISTED)),
    ("EventService.ListEvents", {"parent": NONE, **LISTED}, set(LISTED)),
]  # fmt: skip


@pytest.mark.parametrize(("path", "fields", "wanted"), ROWS)
def test_what_is_wrong_with_a_request_comes_before_what_it_is_about(
    play: Play, path: str, fields: dict[str, Any], wanted: set[str]
) -> None:
    async def scene(stage: Stage) -> None:
        async with stage.channel() as channel:
            await create(channel)
            told = await wrong_fields(channel, path, fields)
            assert set(told) == wanted
            assert len(told) == len(wanted)

    play(scene)


RIGHT: list[tuple[str, dict[str, Any], str]] = [
    (
        "InstanceService.UpdateInstance",
        {"instance": {"name": WEB, "etag": "old", "disks": [{"size": 5}]}},
        "ABORTED",
    ),
    ("InstanceService.UpdateInstance", {"instance": {"name": NONE, "image": "x"}}, "NOT_FOUND"),
    ("NetworkService.UpdateNetwork", {"network": {"name": "networks/none"}}, "NOT_FOUND"),
    ("NetworkService.ListAddresses", {"parent": "networks/none"}, "NOT_FOUND"),
    ("EventService.ListEvents", {"parent": NONE, "order_by": "time"}, "NOT_FOUND"),
]


@pytest.mark.parametrize(("path", "fields", "code"), RIGHT)
def test_what_is_wrong_only_beside_what_there_is_now_waits_until_that_is_known(
    play: Play, path: str, fields: dict[str, Any], code: str
) -> None:
    async def scene(stage: Stage) -> None:
        async with stage.channel() as channel:
            await create(channel)
            assert (await refused(call(channel, path, **fields))).code == code

    play(scene)


def test_the_token_of_a_list_whose_parent_is_gone_is_not_what_is_wrong(play: Play) -> None:
    async def scene(stage: Stage) -> None:
        async with stage.channel() as channel:
            for _ in range(2):
                await call(channel, "NetworkService.ReserveAddress", parent="networks/lan")
            path, asked = "NetworkService.ListAddresses", {"parent": "networks/lan", "page_size": 1}
            page = await call(channel, path, **asked)
            for address in (await call(channel, path, parent="networks/lan")).addresses:
                await call(channel, "NetworkService.ReleaseAddress", name=address.name)
            await call(channel, "NetworkService.DeleteNetwork", name="networks/lan")
            told = await refused(call(channel, path, **asked, page_token=page.next_page_token))
            assert told.code == "NOT_FOUND"

    play(scene)


def test_older_faults_that_are_sent_back_with_an_old_etag_are_not_what_is_wrong(play: Play) -> None:
    async def scene(stage: Stage) -> None:
        await older_network(stage)
        async with stage.channel() as channel:
            own = {"subnet": POOL.subnet, "first": POOL.first, "last": POOL.last}
            given = {"name": "networks/lan", "etag": "old", "pools": [own]}
            told = await refused(call(channel, "NetworkService.UpdateNetwork", network=given))
            assert told.code == "ABORTED"

    play(scene)
