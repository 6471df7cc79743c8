"""Packages, hosts, images and snapshots through the API."""

from __future__ import annotations

import asyncio
import hashlib
from typing import TYPE_CHECKING, Any

import pytest

from fifo.hypervisors.simulated.faults import Fault
from fifo.v1 import hypervisor_pb2, image_pb2, image_service_pb2, instance_pb2, operation_pb2
from tests.api.calls import call, done, ended, metadata_of, refused, stream
from tests.api.stage import DISK_IMAGE, IMAGE
from tests.api.test_instances import WEB, ZONE, create

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.api.stage import Stage

    Play = Callable[..., None]

HOST = "hypervisors/host-1"


def test_a_package_is_made_changed_and_deleted(play: Play) -> None:
    async def scene(stage: Stage) -> None:
        async with stage.channel() as channel:
            made = await call(
                channel,
                "PackageService.CreatePackage",
                package_id="large",
                package={"max_physical_memory": 4096, "required_labels": {"ssd": "yes"}},
            )
            assert (made.max_swap, made.quota, made.cpu_cap) == (4096, 10, 100)
            told = await refused(
                call(channel, "PackageService.CreatePackage", package_id="large", package={})
            )
            assert told.code == "ALREADY_EXISTS"
            changed = await call(
                channel,
                "PackageService.UpdatePackage",
                package={"name": made.name, "quota": 20, "etag": made.etag},
            )
            assert (changed.quota, changed.max_physical_memory) == (20, 4096)
            cleared = await call(
                channel,
                "PackageService.UpdatePackage",
                package={"name": made.name, "quota": 30},
                update_mask={"paths": ["*"]},
            )
            assert (cleared.quota, cleared.max_physical_memory) == (30, 256)
            assert cleared.required_labels == {}
            await call(channel, "PackageService.DeletePackage", name=made.name, validate_only=True)
            await call(channel, "PackageService.DeletePackage", name=made.name)
            listed = await call(channel, "PackageService.ListPackages")
            assert [one.name for one in listed.packages] == ["packages/small"]

    play(scene)


def test_a_host_is_cordoned_labelled_and_probed(play: Play) -> None:
    async def scene(stage: Stage) -> None:
        async with stage.channel() as channel:
            host = await call(channel, "HypervisorService.GetHypervisor", name=HOST)
            assert host.state == hypervisor_pb2.Hypervisor.READY
            assert (host.driver, host.instance_count) == ("simulated", 0)
            cordoned = await call(channel, "HypervisorService.CordonHypervisor", name=HOST)
            assert cordoned.cordoned
            told = await refused(
                call(
                    channel,
                    "InstanceService.CreateInstance",
                    parent="orgs/default",
                    instance=ZONE,
                    validate_only=True,
                )
            )
            assert told.details["ErrorInfo"].metadata["refused_cordoned"] == "1"
            await call(channel, "HypervisorService.UncordonHypervisor", name=HOST)
            changed = await call(
                channel,
                "HypervisorService.UpdateHypervisor",
                hypervisor={"name": HOST, "labels": {"rack": "r1"}, "reserved": {"memory": 1024}},
            )
            assert changed.labels == {"rack": "r1"}
            listed = await call(
                channel, "HypervisorService.ListHypervisors", filter='labels.rack = "r1"'
            )
            assert [one.name for one in listed.hypervisors] == [HOST]
            await create(channel)
            probed = await call(channel, "HypervisorService.ProbeHypervisor", name=HOST)
            assert probed.instance_count == 1
            assert probed.capacity == changed.capacity
            told = await refused(
                call(channel, "HypervisorService.CordonHypervisor", name=HOST, etag=host.etag)
            )
            assert told.reason == "ETAG_MISMATCH"

    play(scene)


def test_an_image_is_imported_used_and_deleted(play: Play) -> None:
    async def scene(stage: Stage) -> None:
        async with stage.channel() as channel:
            operation = await call(
                channel,
                "ImageService.ImportImage",
                image_id="debian",
                image={"alias": "Debian", "command": ["/bin/sh"]},
                url="HTTPS://images.example.com/debian.tar?key=secret",
                format="ROOTFS_TAR",
            )
            made = await done(channel, operation, image_pb2.Image())
            assert made.state == image_pb2.Image.READY
            assert made.source == "https://images.example.com/debian.tar"
            assert list(made.brands) == [instance_pb2.Instance.LX]
            await create(channel, given={**ZONE, "image": made.name})
            told = await refused(call(channel, "ImageService.DeleteImage", name=made.name))
            assert told.reason == "IMAGE_IN_USE"
            assert (
                await call(channel, "ImageService.GetImage", name=made.name)
            ).instance_count == 1
            await done(channel, await call(channel, "InstanceService.DeleteInstance", name=WEB))
            await done(channel, await call(channel, "ImageService.DeleteImage", name=made.name))
            assert (await refused(call(channel, "ImageService.GetImage", name=made.name))).code == (
                "NOT_FOUND"
            )

    play(scene)


def test_an_import_that_fails_leaves_no_image_and_its_operation_says_why(play: Play) -> None:
    async def scene(stage: Stage) -> None:
        async with stage.channel() as channel:
            asked = {
                "image_id": "debian",
                "url": "https://images.example.com/debian.tar",
                "format": "ROOTFS_TAR",
            }
            stage.simulated.faults.add(Fault("fetch_image", "error", times=1, text="cut short"))
            operation = await call(channel, "ImageService.ImportImage", **asked)
            operation = await ended(channel, operation)
            assert "cut short" in operation.error.message
            told = await refused(call(channel, "ImageService.GetImage", name="images/debian"))
            assert told.code == "NOT_FOUND"
            assert not set(stage.simulated.images) - {IMAGE, DISK_IMAGE}
            again = await call(channel, "ImageService.ImportImage", **asked)
            made = await done(channel, again, image_pb2.Image())
            assert made.state == image_pb2.Image.READY

    play(scene)


def test_an_import_that_is_cancelled_is_undone_while_its_bytes_are_still_coming(play: Play) -> None:
    async def scene(stage: Stage) -> None:
        async with stage.channel() as channel:
            stage.simulated.faults.add(Fault("fetch_image", "hang", times=1))
            operation = await call(
                channel,
                "ImageService.ImportImage",
                image_id="debian",
                url="https://images.example.com/debian.tar",
                format="ROOTFS_TAR",
            )
            during = await call(channel, "ImageService.GetImage", name="images/debian")
            assert during.state == image_pb2.Image.IMPORTING
            await call(channel, "Operations.CancelOperation", name=operation.name)
            operation = await ended(channel, operation)
            state = metadata_of(operation).state
            assert state == operation_pb2.OperationMetadata.CANCELLED
            told = await refused(call(channel, "ImageService.GetImage", name="images/debian"))
            assert told.code == "NOT_FOUND"

    play(scene)


MISMATCHES: list[tuple[str, dict[str, Any], list[str]]] = [
    ("QCOW2", {"brands": ["LX"]}, ["image.brands"]),
    ("RAW", {"brands": ["KVM", "LX"]}, ["image.brands"]),
    ("RAW", {"boot": "INIT"}, ["image.boot"]),
    ("ROOTFS_TAR", {"brands": ["KVM"]}, ["image.brands"]),
    ("ROOTFS_TAR", {"boot": "DISK"}, ["image.boot"]),
    ("OCI_ARCHIVE", {"brands": ["KVM"], "boot": "DIRECT"}, ["image.boot", "image.brands"]),
    ("QCOW2", {"brands": ["KVM"], "boot": "DISK"}, []),
    ("ROOTFS_TAR", {"brands": ["LX"], "boot": "INIT"}, []),
]


@pytest.mark.parametrize(("form", "image", "fields"), MISMATCHES)
def test_an_image_whose_brands_or_boot_do_not_go_with_its_format_is_refused(
    play: Play, form: str, image: dict[str, Any], fields: list[str]
) -> None:
    async def scene(stage: Stage) -> None:
        asked: dict[str, Any] = {"url": "https://images.example.com/x", "validate_only": True}
        async with stage.channel() as channel:
            tried = call(channel, "ImageService.ImportImage", format=form, image=image, **asked)
            if fields:
                told = await refused(tried)
                assert told.code == "INVALID_ARGUMENT"
                assert sorted(told.fields) == fields
            else:
                await tried

    play(scene)


def test_a_file_is_imported_from_where_the_settings_say_and_no_link_leads_out(
    play: Play, tmp_path: Path
) -> None:
    allowed = tmp_path / "images"
    allowed.mkdir()
    (allowed / "disk.raw").write_bytes(b"x")
    (allowed / "link.raw").symlink_to("/etc/passwd")

    async def scene(stage: Stage) -> None:
        async with stage.channel() as channel:
            path = "ImageService.ImportImage"
            tried = await call(
                channel, path, file=str(allowed / "disk.raw"), format="RAW", validate_only=True
            )
            assert tried.done
            for wrong in (allowed / "link.raw", allowed / ".." / "x"):
                told = await refused(call(channel, path, file=str(wrong), format="RAW"))
                assert told.fields == ["file"]

    play(scene, import_directories=(allowed,))


Upload = image_service_pb2.UploadImageRequest
UPLOAD = "6e8bc430-9c3a-41d9-9669-0800200c9a66"


def test_an_upload_goes_on_where_it_broke_off_and_is_imported(play: Play) -> None:
    data = bytes(range(256)) * 1_000
    uploaded: list[str] = []

    def frames(first: int, last: int) -> list[Any]:
        opened = Upload.Open(upload_id=UPLOAD, size_bytes=len(data), offset_bytes=first)
        return [Upload(open=opened), Upload(data=data[first:last])]

    async def scene(stage: Stage) -> None:
        async with stage.channel() as channel:
            path = "ImageService.UploadImage"
            part = await stream(channel, path, iter(frames(0, 100_000)))
            assert (part.size_bytes, part.sha256) == (100_000, "")
            told = await refused(
                call(channel, "ImageService.ImportImage", upload_id=UPLOAD, format="RAW")
            )
            assert told.code == "NOT_FOUND"
            told = await refused(stream(channel, path, iter(frames(5, 9))))
            assert (told.code, told.reason) == ("OUT_OF_RANGE", "WRONG_OFFSET")
            assert told.details["ErrorInfo"].metadata["offset_bytes"] == "100000"
            whole = await stream(channel, path, iter(frames(100_000, len(data))))
            assert whole.sha256 == hashlib.sha256(data).hexdigest()
            operation = await call(
                channel, "ImageService.ImportImage", upload_id=UPLOAD, format="RAW", image_id="up"
            )
            made = await done(channel, operation, image_pb2.Image())
            uploaded.append(made.source)
            assert made.source == f"uploads/{UPLOAD}"
            source = stage.settings.directory / made.source
            # The image is on the only host there is: nobody needs the file any more.
            while await asyncio.to_thread(source.exists):
                pass

    play(scene)
    assert len(uploaded) == 1


def test_a_whole_upload_tells_so_to_who_lost_the_answer(play: Play) -> None:
    async def scene(stage: Stage) -> None:
        async with stage.channel() as channel:

            async def send(size: int, offset: int, *data: bytes) -> Any:
                opened = Upload.Open(upload_id=UPLOAD, size_bytes=size, offset_bytes=offset)
                frames = (Upload(open=opened), *(Upload(data=own) for own in data))
                return await stream(channel, "ImageService.UploadImage", iter(frames))

            first = await send(4, 0, b"four")
            again = await send(4, 4)
            assert (again.size_bytes, again.sha256) == (4, first.sha256)
            told = await refused(send(4, 0, b"four"))
            info = told.details["ErrorInfo"]
            assert (info.reason, info.metadata["offset_bytes"]) == ("WRONG_OFFSET", "4")
            assert (await refused(send(6, 4, b"ty"))).fields == ["open.size_bytes"]
            assert (await refused(send(4, 4, b"ty"))).fields == ["data"]

    play(scene)


def test_an_upload_of_more_than_it_says_is_refused(play: Play) -> None:
    async def scene(stage: Stage) -> None:
        async with stage.channel() as channel:
            opened = Upload(open=Upload.Open(upload_id=UPLOAD, size_bytes=3))
            told = await refused(
                stream(channel, "ImageService.UploadImage", iter([opened, Upload(data=b"four")]))
            )
            assert told.fields == ["data"]
            told = await refused(
                stream(channel, "ImageService.UploadImage", iter([Upload(data=b"x")]))
            )
            assert told.fields == ["open"]

    play(scene)


def test_an_image_is_made_of_a_stopped_instance(play: Play) -> None:
    async def scene(stage: Stage) -> None:
        async with stage.channel() as channel:
            await create(channel)
            path = "ImageService.CreateImageFromInstance"
            told = await refused(call(channel, path, instance=WEB, image_id="mine"))
            assert told.details["ErrorInfo"].metadata["state"] == "running"
            await done(channel, await call(channel, "InstanceService.StopInstance", name=WEB))
            operation = await call(channel, path, instance=WEB, image_id="mine")
            made = await done(channel, operation, image_pb2.Image())
            assert (made.name, made.from_instance) == ("images/mine", WEB)

    play(scene)


def test_snapshots_are_made_listed_rolled_back_and_deleted(play: Play) -> None:
    async def scene(stage: Stage) -> None:
        async with stage.channel() as channel:
            await create(channel)
            for own in ("one", "two", "three"):
                operation = await call(
                    channel, "SnapshotService.CreateSnapshot", parent=WEB, snapshot_id=own
                )
                await done(channel, operation)
            listed = await call(channel, "SnapshotService.ListSnapshots", parent=WEB, page_size=2)
            assert [one.name.rpartition("/")[2] for one in listed.snapshots] == ["one", "two"]
            rest = await call(
                channel,
                "SnapshotService.ListSnapshots",
                parent=WEB,
                page_size=2,
                page_token=listed.next_page_token,
            )
            assert [one.name.rpartition("/")[2] for one in rest.snapshots] == ["three"]
            one = f"{WEB}/snapshots/one"
            assert (await call(channel, "SnapshotService.GetSnapshot", name=one)).name == one
            told = await refused(
                call(channel, "SnapshotService.CreateSnapshot", parent=WEB, snapshot_id="one")
            )
            assert told.code == "ALREADY_EXISTS"
            told = await refused(call(channel, "SnapshotService.RollbackSnapshot", name=one))
            assert told.reason == "NEWER_SNAPSHOTS"
            operation = await call(
                channel, "SnapshotService.DeleteSnapshot", name=f"{WEB}/snapshots/three"
            )
            await done(channel, operation)
            operation = await call(
                channel, "SnapshotService.RollbackSnapshot", name=f"{WEB}/snapshots/two"
            )
            await done(channel, operation)
            told = await refused(
                call(channel, "SnapshotService.GetSnapshot", name=f"{WEB}/snapshots/none")
            )
            assert told.details["ResourceInfo"].resource_type == "fifo/Snapshot"

    play(scene)
