"""Instances through the API, from the wish to the running zone and to its end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fifo.hypervisors.simulated.settings import HostSettings
from fifo.model.instance import Shares
from fifo.v1 import instance_pb2
from tests.api.calls import call, done, ended, metadata_of, refused
from tests.api.stage import IMAGE

if TYPE_CHECKING:
    from collections.abc import Callable

    import grpc.aio

    from tests.api.stage import Stage

    Play = Callable[..., None]

Instance = instance_pb2.Instance
WEB = "orgs/default/instances/web"
ZONE: dict[str, Any] = {"image": "images/base", "nics": [{"network": "networks/lan"}]}
VM: dict[str, Any] = {"image": "images/disk", "brand": "KVM", "ram": 512}


async def create(
    channel: grpc.aio.Channel, own: str = "web", given: Any = None, **fields: Any
) -> Any:
    """Create an instance and wait until it runs."""
    operation = await call(
        channel,
        "InstanceService.CreateInstance",
        parent="orgs/default",
        instance_id=own,
        instance=ZONE if given is None else given,
        **fields,
    )
    return await done(channel, operation, Instance())


async def get(channel: grpc.aio.Channel, name: str = WEB, **fields: Any) -> Any:
    return await call(channel, "InstanceService.GetInstance", name=name, **fields)


def test_a_zone_is_created_and_runs_with_its_addresses(play: Play) -> None:
    async def scene(stage: Stage) -> None:
        async with stage.channel() as channel:
            operation = await call(
                channel,
                "InstanceService.CreateInstance",
                parent="orgs/default",
                instance_id="web",
                instance=ZONE,
            )
            metadata = metadata_of(operation)
            assert (metadata.verb, metadata.target) == ("create", WEB)
            assert metadata.principal == "admin"
            there = await get(channel)
            assert there.name == WEB
            made = await done(channel, operation, Instance())
            assert made.state == Instance.RUNNING
            assert made.hypervisor == "hypervisors/host-1"
            assert list(made.addresses) == ["10.0.0.10", "fd00::10"]
            assert list(made.nics[0].ips) == ["10.0.0.10/24", "fd00::10/64"]
            assert made.nics[0].mac[1] == "2"
            assert (made.brand, made.hostname) == (Instance.LX, "web")
            assert list(made.resolvers) == ["10.0.0.1"]
            ended_now = await call(channel, "Operations.GetOperation", name=operation.name)
            explained = metadata_of(ended_now).placement
            assert (explained.hypervisor, explained.considered) == ("hypervisors/host-1", 1)

    play(scene)


def test_a_vm_gets_a_boot_disk_of_its_image_and_room_beside_its_memory(play: Play) -> None:
    async def scene(stage: Stage) -> None:
        async with stage.channel() as channel:
            made = await create(channel, given=VM)
            assert made.brand == Instance.KVM
            assert [(disk.image, disk.size, disk.boot) for disk in made.disks] == [
                ("images/disk", 100, True)
            ]
            assert (made.ram, made.max_physical_memory) == (512, 1536)

    play(scene)


def test_a_package_gives_the_numbers_that_the_request_does_not(play: Play) -> None:
    async def scene(stage: Stage) -> None:
        async with stage.channel() as channel:
            made = await create(channel, given={**ZONE, "package": "packages/small", "quota": 3})
            assert (made.max_physical_memory, made.cpu_cap, made.quota) == (256, 100, 3)
            package = await call(channel, "PackageService.GetPackage", name="packages/small")
            assert package.instance_count == 1
            told = await refused(
                call(channel, "PackageService.DeletePackage", name="packages/small")
            )
            assert (told.code, told.reason) == ("FAILED_PRECONDITION", "PACKAGE_IN_USE")

    play(scene)


def test_an_instance_stops_starts_and_reboots(play: Play) -> None:
    async def scene(stage: Stage) -> None:
        async with stage.channel() as channel:
            made = await create(channel)
            pid = made.pid
            for verb, state in (("Stop", "STOPPED"), ("Start", "RUNNING"), ("Reboot", "RUNNING")):
                operation = await call(channel, f"InstanceService.{verb}Instance", name=WEB)
                made = await done(channel, operation, Instance())
                assert made.state == Instance.State.Value(state), verb
            assert made.pid != pid
            assert made.generation == 4

    play(scene)


def test_to_start_what_runs_is_done_at_once(play: Play) -> None:
    async def scene(stage: Stage) -> None:
        async with stage.channel() as channel:
            await create(channel)
            operation = await call(channel, "InstanceService.StartInstance", name=WEB)
            assert operation.done
            assert operation.name == ""
            told = await refused(
                call(channel, "InstanceService.RebootInstance", name="orgs/default/instances/none")
            )
            assert told.code == "NOT_FOUND"
            stopping = await call(channel, "InstanceService.StopInstance", name=WEB)
            await done(channel, stopping)
            told = await refused(call(channel, "InstanceService.RebootInstance", name=WEB))
            assert told.code == "FAILED_PRECONDITION"
            assert told.details["ErrorInfo"].metadata["state"] == "stopped"
            assert told.details["PreconditionFailure"].violations[0].subject == WEB

    play(scene)


def test_delete_takes_everything_away(play: Play) -> None:
    async def scene(stage: Stage) -> None:
        async with stage.channel() as channel:
            await create(channel)
            await done(channel, await call(channel, "InstanceService.DeleteInstance", name=WEB))
            told = await refused(get(channel))
            assert told.code == "NOT_FOUND"
            assert told.details["ResourceInfo"].resource_type == "fifo/Instance"
            network = await call(channel, "NetworkService.GetNetwork", name="networks/lan")
            assert [pool.claimed_count for pool in network.pools] == [0, 0]
            assert stage.simulated.guests == {}
            again = await call(
                channel, "InstanceService.DeleteInstance", name=WEB, allow_missing=True
            )
            assert again.done

    play(scene)


def test_protection_and_snapshots_keep_an_instance(play: Play) -> None:
    async def scene(stage: Stage) -> None:
        async with stage.channel() as channel:
            await create(channel, given={**ZONE, "deletion_protection": True})
            told = await refused(
                call(channel, "InstanceService.DeleteInstance", name=WEB, force=True)
            )
            assert told.reason == "DELETION_PROTECTION"
            await done(
                channel,
                await call(
                    channel,
                    "InstanceService.UpdateInstance",
                    instance={"name": WEB, "deletion_protection": False},
                    update_mask={"paths": ["deletion_protection"]},
                ),
            )
            await done(
                channel,
                await call(
                    channel, "SnapshotService.CreateSnapshot", parent=WEB, snapshot_id="before"
                ),
            )
            told = await refused(call(channel, "InstanceService.DeleteInstance", name=WEB))
            assert told.reason == "HAS_SNAPSHOTS"
            await done(
                channel,
                await call(channel, "InstanceService.DeleteInstance", name=WEB, force=True),
            )

    play(scene)


def test_a_name_and_a_uid_are_given_once(play: Play) -> None:
    async def scene(stage: Stage) -> None:
        async with stage.channel() as channel:
            made = await create(channel)
            for own, uid in (("web", ""), ("other", made.uid)):
                told = await refused(create(channel, own, {**ZONE, "uid": uid}))
                assert told.code == "ALREADY_EXISTS"
                assert "ResourceInfo" in told.details

    play(scene)


def test_a_repeated_request_gets_the_first_answer_and_another_one_is_refused(play: Play) -> None:
    async def scene(stage: Stage) -> None:
        request_id = "6e8bc430-9c3a-41d9-9669-0800200c9a66"
        async with stage.channel() as channel:
            fields: dict[str, Any] = {"parent": "orgs/default", "request_id": request_id}
            first, second = [
                await call(
                    channel,
                    "InstanceService.CreateInstance",
                    instance_id="web",
                    instance=ZONE,
                    **(fields | {"request_id": own}),
                )
                for own in (request_id, request_id.upper())
            ]
            assert first.name == second.name
            told = await refused(
                call(
                    channel,
                    "InstanceService.CreateInstance",
                    instance_id="db",
                    instance=ZONE,
                    **fields,
                )
            )
            assert (told.code, told.reason) == ("INVALID_ARGUMENT", "REQUEST_ID_REUSED")
            await ended(channel, first)
            assert len(stage.catalog.specs) == 1

    play(scene)


def test_validate_only_checks_and_places_and_changes_nothing(play: Play) -> None:
    async def scene(stage: Stage) -> None:
        async with stage.channel() as channel:
            before = stage.store.revision
            operation = await call(
                channel,
                "InstanceService.CreateInstance",
                parent="orgs/default",
                instance_id="web",
                instance=ZONE,
                validate_only=True,
            )
            assert operation.done
            assert operation.name == ""
            made = await done(channel, operation, Instance())
            assert made.name == WEB
            assert metadata_of(operation).placement.hypervisor == "hypervisors/host-1"
            assert stage.store.revision == before
            assert len(stage.catalog.specs) == 0

    play(scene)


def test_no_room_is_told_by_rule(play: Play) -> None:
    async def scene(stage: Stage) -> None:
        async with stage.channel() as channel:
            told = await refused(
                call(
                    channel,
                    "InstanceService.CreateInstance",
                    parent="orgs/default",
                    instance=ZONE | {"ram": 4096},
                    validate_only=True,
                )
            )
            assert (told.code, told.reason) == ("RESOURCE_EXHAUSTED", "NO_HOST")
            assert told.details["ErrorInfo"].metadata["refused_memory"] == "1"
            assert "QuotaFailure" in told.details
            operation = await call(
                channel,
                "InstanceService.CreateInstance",
                parent="orgs/default",
                instance_id="web",
                instance=ZONE | {"ram": 4096},
            )
            operation = await ended(channel, operation)
            assert operation.error.code == 8
            assert metadata_of(operation).placement.refused == {"memory": 1}
            assert (await refused(get(channel))).code == "NOT_FOUND"

    play(scene, HostSettings(capacity=Shares(cpu=400, memory=1024, disk=100)))


def test_a_vmadm_payload_says_what_the_host_cannot_honour(play: Play) -> None:
    async def scene(stage: Stage) -> None:
        payload = (
            b'{"alias": "old", "brand": "lx", "image_uuid": "%s",'
            b' "zfs_root_recsize": 4096, "kernel_version": "5.10"}' % IMAGE.encode()
        )
        async with stage.channel() as channel:
            operation = await call(
                channel,
                "InstanceService.CreateInstance",
                parent="orgs/default",
                vmadm_json=payload,
            )
            made = await done(channel, operation, Instance())
            assert (made.alias, made.image) == ("old", "images/base")
            assert list(made.unhonoured_properties) == ["zfs_root_recsize", "kernel_version"]
            finished = await call(channel, "Operations.GetOperation", name=operation.name)
            assert list(metadata_of(finished).unhonoured_properties) == [
                "kernel_version",
                "zfs_root_recsize",
            ]
            told = await refused(
                call(
                    channel,
                    "InstanceService.CreateInstance",
                    parent="orgs/default",
                    vmadm_json=b'{"brand": "lx", "ram": "much"}',
                )
            )
            assert set(told.fields) >= {"vmadm_json.ram", "vmadm_json.image_uuid"}

    play(scene)


def test_a_small_package_has_room_for_what_every_instance_needs(play: Play) -> None:
    async def scene(stage: Stage) -> None:
        async with stage.channel() as channel:
            await call(
                channel,
                "PackageService.CreatePackage",
                package_id="tiny",
                package={"max_physical_memory": 128},
            )
            made = await create(channel, given={**ZONE, "package": "packages/tiny"})
            assert (made.max_physical_memory, made.max_swap) == (128, 256)

    play(scene)


def test_a_uid_is_taken_for_a_name_and_a_mask_picks_fields(play: Play) -> None:
    async def scene(stage: Stage) -> None:
        async with stage.channel() as channel:
            made = await create(channel)
            by_uid = await get(channel, f"orgs/default/instances/{made.uid}")
            assert by_uid.name == WEB
            masked = await get(channel, read_mask={"paths": ["name", "restart_policy.factor"]})
            wanted = Instance(name=WEB)
            wanted.restart_policy.factor = 2.0
            assert masked == wanted
            told = await refused(get(channel, read_mask={"paths": ["none"]}))
            assert told.fields == ["read_mask"]
            batch = await call(
                channel, "InstanceService.BatchGetInstances", parent="orgs/-", names=[WEB, WEB]
            )
            assert [one.uid for one in batch.instances] == [made.uid] * 2

    play(scene)


def test_what_a_caller_may_not_see_and_what_is_absent_are_told_alike(play: Play) -> None:
    async def scene(stage: Stage) -> None:
        async with stage.channel() as channel:
            made = await create(channel)
            strange = await refused(get(channel, f"orgs/other/instances/{made.uid}"))
            absent = await refused(get(channel, "orgs/other/instances/nothing"))
            assert strange.code == absent.code == "NOT_FOUND"
            assert strange.message.replace(made.uid, "nothing") == absent.message

    play(scene)
