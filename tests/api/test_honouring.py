"""What a host cannot honour is said: before, at create, and at update."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fifo.hypervisors.simulated.settings import HostSettings
from fifo.v1 import instance_pb2
from tests.api.calls import call, done, metadata_of, refused
from tests.api.stage import IMAGE
from tests.api.test_instances import WEB, ZONE, create

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.api.stage import Stage

    Play = Callable[..., None]

Instance = instance_pb2.Instance
CREATE = "InstanceService.CreateInstance"


def test_what_cannot_be_honoured_and_what_is_absent_are_told_before_anything_is_made(
    play: Play,
) -> None:
    async def scene(stage: Stage) -> None:
        there = (
            b'{"brand": "lx", "kernel_version": "5.10", "image_uuid": "%s",'
            b' "delegate_dataset": true}' % IMAGE.encode()
        )
        asked: dict[str, Any] = {"parent": "orgs/default", "validate_only": True}
        async with stage.channel() as channel:
            tried = await call(channel, CREATE, vmadm_json=there, **asked)
            assert list(metadata_of(tried).unhonoured_properties) == ["delegate_dataset"]
            absent = there.replace(IMAGE.encode(), b"f" + IMAGE[1:].encode())
            told = await refused(call(channel, CREATE, vmadm_json=absent, **asked))
            assert told.fields == ["vmadm_json.image_uuid"]
            assert "there is no images/f0000000-" in told.message

    play(scene)


def test_what_its_own_host_cannot_honour_is_told_at_create_and_at_update(play: Play) -> None:
    async def scene(stage: Stage) -> None:
        async with stage.channel() as channel:
            # Nobody asked for the quota that everybody has.
            assert not (await create(channel)).unhonoured_properties
            asked = await call(
                channel,
                "InstanceService.CreateInstance",
                parent="orgs/default",
                instance={**ZONE, "quota": 30},
                validate_only=True,
            )
            assert list(metadata_of(asked).unhonoured_properties) == ["quota"]
            made = await create(channel, "wide", {**ZONE, "quota": 30})
            assert list(made.unhonoured_properties) == ["quota"]
            operation = await call(
                channel,
                "InstanceService.UpdateInstance",
                instance={"name": WEB, "quota": 40, "alias": "x"},
            )
            await done(channel, operation, Instance())
            told = metadata_of(await call(channel, "Operations.GetOperation", name=operation.name))
            print("TOLD", told)
            assert list(told.unhonoured_properties) == ["quota"]
            assert list(told.applied_live) == ["alias"]

    play(scene, HostSettings(unsupported={"quota": "a plain directory"}))
