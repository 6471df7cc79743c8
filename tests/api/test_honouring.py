"""What a host cannot honour is said: before, at create, and at update."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fifo.api.drafts.disks import filesystems_of
from fifo.api.drafts.found import Drafting
from fifo.hypervisors.simulated.faults import Fault
from fifo.hypervisors.simulated.settings import HostSettings
from fifo.model.instance import Filesystem
from fifo.v1 import instance_pb2
from tests.api.calls import call, done, ended, metadata_of, refused
from tests.api.stage import IMAGE
from tests.api.test_instances import WEB, ZONE, create, get

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
            vain = ["delegate_dataset", "kernel_version"]
            assert list(metadata_of(tried).unhonoured_properties) == vain
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
                instance={
                    "name": WEB,
                    "quota": 40,
                    "alias": "x",
                    "restart_policy": {"attempts": 9},
                },
                update_mask={"paths": ["quota", "alias", "restart_policy.attempts"]},
            )
            await done(channel, operation, Instance())
            told = metadata_of(await call(channel, "Operations.GetOperation", name=operation.name))
            assert list(told.unhonoured_properties) == ["quota"]
            assert list(told.applied_live) == ["alias", "restart_policy"]

    play(scene, HostSettings(unsupported={"quota": "a plain directory"}))


def test_a_firewall_that_no_host_has_is_told_at_create_and_at_update(play: Play) -> None:
    async def scene(stage: Stage) -> None:
        firewalled = (
            b'{"brand": "lx", "kernel_version": "5.10", "image_uuid": "%s",'
            b' "firewall_enabled": true}' % IMAGE.encode()
        )
        update = "InstanceService.UpdateInstance"
        async with stage.channel() as channel:
            asked: dict[str, Any] = {"parent": "orgs/default", "validate_only": True}
            tried = await call(channel, CREATE, vmadm_json=firewalled, **asked)
            vain = ["firewall_enabled", "kernel_version"]
            assert list(metadata_of(tried).unhonoured_properties) == vain
            made = await create(channel)
            assert not made.unhonoured_properties
            wanted = {"name": WEB, "firewall_enabled": True, "alias": "x"}
            tried = await call(channel, update, instance=wanted, validate_only=True)
            assert list(metadata_of(tried).unhonoured_properties) == ["firewall_enabled"]
            operation = await call(channel, update, instance=wanted)
            made = await done(channel, operation, Instance())
            assert list(made.unhonoured_properties) == ["firewall_enabled"]
            told = metadata_of(await call(channel, "Operations.GetOperation", name=operation.name))
            assert list(told.unhonoured_properties) == ["firewall_enabled"]
            assert list(told.applied_live) == ["alias"]
            unset = {"name": WEB, "firewall_enabled": False}
            mask = {"paths": ["firewall_enabled"]}
            operation = await call(channel, update, instance=unset, update_mask=mask)
            assert not (await done(channel, operation, Instance())).unhonoured_properties
            told = metadata_of(await call(channel, "Operations.GetOperation", name=operation.name))
            assert not [*told.unhonoured_properties, *told.applied_live, *told.pending_reboot]

    play(scene)


def test_an_update_says_what_holds_now_and_what_from_the_next_boot_on(play: Play) -> None:
    async def scene(stage: Stage) -> None:
        async with stage.channel() as channel:
            await create(channel)
            operation = await call(
                channel,
                "InstanceService.UpdateInstance",
                instance={"name": WEB, "alias": "x", "hostname": "other"},
            )
            made = await done(channel, operation, Instance())
            told = metadata_of(await call(channel, "Operations.GetOperation", name=operation.name))
            assert list(told.applied_live) == ["alias"]
            assert list(told.pending_reboot) == list(made.pending_reboot) == ["hostname"]
            assert made.observed_generation == made.generation == 2

    play(scene)


def test_an_update_that_its_host_refuses_fails_in_the_hosts_words_and_is_taken_back(
    play: Play,
) -> None:
    async def scene(stage: Stage) -> None:
        async with stage.channel() as channel:
            await create(channel)
            operation = await call(
                channel,
                "InstanceService.UpdateInstance",
                instance={"name": WEB, "max_physical_memory": 512},
            )
            operation = await ended(channel, operation)
            assert operation.error.message.startswith(f"{WEB}: it was not changed: update: no")
            now = await get(channel)
            assert now.max_physical_memory == 256
            await call(channel, "InstanceService.StopInstance", name=WEB)

    play(scene, HostSettings(faults=(Fault("update", "error", text="no", times=1),)))


def test_where_no_host_takes_it_what_to_do_is_said_by_the_rule_that_refused(play: Play) -> None:
    async def scene(stage: Stage) -> None:
        async with stage.channel() as channel:
            asked: dict[str, Any] = {"parent": "orgs/default", "validate_only": True}
            told = await refused(call(channel, CREATE, instance=ZONE, **asked))
            assert told.details["ErrorInfo"].metadata["refused_network"] == "1"
            assert told.message.endswith("carry its interfaces' nic tags: the setting nic_tags")
            name = "hypervisors/host-1"
            await call(channel, "HypervisorService.CordonHypervisor", name=name)
            told = await refused(call(channel, CREATE, instance={"image": "images/base"}, **asked))
            assert told.message.endswith("fifo hypervisor uncordon")

    play(scene, HostSettings(nic_tags=("elsewhere",)))


def test_a_filesystem_that_no_host_mounts_as_asked_is_refused_with_what_may_be_asked(
    play: Play,
) -> None:
    async def scene(stage: Stage) -> None:
        there = {"source": "/srv", "target": "/srv"}
        wrong = {**there, "type": "nfs", "options": ["ro", "readonly"]}
        fields = ["filesystems[0].type", "filesystems[0].options[1]"]
        asked: dict[str, Any] = {"parent": "orgs/default", "validate_only": True}
        async with stage.channel() as channel:
            told = await refused(
                call(channel, CREATE, instance={**ZONE, "filesystems": [wrong]}, **asked)
            )
            assert sorted(told.fields) == sorted(f"instance.{each}" for each in fields)
            payload = (
                b'{"brand": "lx", "kernel_version": "5.10", "image_uuid": "%s", "filesystems":'
                b' [{"source": "/srv", "target": "/srv", "type": "nfs",'
                b' "options": ["ro", "readonly"]}]}' % IMAGE.encode()
            )
            told = await refused(call(channel, CREATE, vmadm_json=payload, **asked))
            assert sorted(told.fields) == sorted(f"vmadm_json.{each}" for each in fields)
            for kind in ("", "lofs", "bind"):
                right = {**there, "type": kind, "options": ["ro", "nodevices"]}
                await call(channel, CREATE, instance={**ZONE, "filesystems": [right]}, **asked)
            await create(channel)
            update = "InstanceService.UpdateInstance"
            given = {"name": WEB, "filesystems": [wrong]}
            told = await refused(call(channel, update, instance=given))
            assert sorted(told.fields) == sorted(f"instance.{each}" for each in fields)

    play(scene)


class Noting(Drafting):
    """A draft of which only the fields that are refused are of interest."""

    def __init__(self) -> None:
        """Begin without a violation."""
        self.prefix = ""
        self.violations = []


def test_a_filesystem_from_before_the_rule_hinders_no_other_change() -> None:
    old = Filesystem(source="/a", target="/a", options=("readonly",))
    given = [instance_pb2.Filesystem(source="/a", target="/a", options=["readonly"])]
    kept, fresh = Noting(), Noting()
    assert filesystems_of(kept, given, (old,)) == filesystems_of(fresh, given) == (old,)
    assert not kept.violations
    (violation,) = fresh.violations
    assert violation.field == "filesystems[0].options[0]"
    assert "nosuid, ro, rw" in violation.wanted
