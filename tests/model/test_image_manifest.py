"""A manifest comes back as it was written, and one that cannot start an instance is refused."""

from __future__ import annotations

import msgspec
import pytest

from fifo.model import image_manifest, records
from fifo.model.errors import DataLoss, InvalidInput
from fifo.model.image_manifest import ImageFile, ImageManifest

SHA256 = "0f" * 32


def file(role: str = "rootfs", form: str = "tar", path: str = "a", **own: object) -> ImageFile:
    fields = {"role": role, "format": form, "path": path, "size_bytes": 1, "sha256": SHA256}
    return msgspec.convert({**fields, **own}, ImageFile)


ZONE = ImageManifest(
    name="small",
    version="1",
    os="linux",
    architecture="amd64",
    brand="lx",
    boot="init",
    files=(file(), file("oci", "oci", "oci/index.json")),
    command=("/sbin/init",),
    inputs={"busybox": "1.35"},
)
KERNEL, INITRD = file("kernel", "elf", "k"), file("initrd", "cpio", "i")
DISK = file("disk", "qcow2", "d")
VM = ImageManifest(
    name="small",
    version="1",
    os="linux",
    architecture="amd64",
    brand="kvm",
    boot="direct",
    files=(KERNEL, INITRD, DISK),
    kernel_args="quiet",
    disk_bytes=1024,
)
FIRMWARE = msgspec.structs.replace(VM, boot="disk", files=(DISK,), kernel_args="")


@pytest.mark.parametrize("manifest", [ZONE, VM, FIRMWARE], ids=lambda manifest: manifest.boot)
def test_a_manifest_comes_back_as_it_was_written(manifest: ImageManifest) -> None:
    assert records.decode(ImageManifest, records.encode(manifest)) == manifest
    image_manifest.validate(manifest)


def test_the_stored_form_names_its_version() -> None:
    assert records.encode(ZONE).startswith(b'{"type":"image_manifest/1",')


def test_a_value_that_is_no_choice_is_no_manifest() -> None:
    with pytest.raises(DataLoss):
        records.decode(ImageManifest, records.encode(VM).replace(b'"direct"', b'"luck"'))


def test_a_vm_without_a_disk_of_its_own_is_a_manifest_too() -> None:
    image_manifest.validate(msgspec.structs.replace(VM, files=(KERNEL, INITRD), disk_bytes=0))


REFUSED = {
    "a zone that boots from a disk": (FIRMWARE, {"brand": "lx"}, "boot"),
    "a VM that starts as a zone": (ZONE, {"brand": "kvm"}, "boot"),
    "a zone that runs nothing": (ZONE, {"command": ()}, "command"),
    "a VM with a command": (VM, {"command": ("/init",)}, "command"),
    "no root file system": (ZONE, {"files": (file("oci", "oci"),)}, "files"),
    "two root file systems": (ZONE, {"files": (file(), file(path="b"))}, "files"),
    "no kernel": (VM, {"files": (INITRD, DISK)}, "files"),
    "a kernel for firmware": (FIRMWARE, {"files": (DISK, KERNEL)}, "files"),
    "two disks": (VM, {"files": (*VM.files, file("disk", "raw", "e"))}, "files"),
    "a disk without a size": (FIRMWARE, {"disk_bytes": 0}, "disk_bytes"),
    "a size without a disk": (ZONE, {"disk_bytes": 5}, "disk_bytes"),
    "too many files": (
        ZONE,
        {"files": (file(), *(file("oci", "oci", f"o{n}") for n in range(64)))},
        "files",
    ),
    "a path that leaves": (ZONE, {"files": (file(path="../a"),)}, "files[0].path"),
    "a path from the root": (ZONE, {"files": (file(path="/a"),)}, "files[0].path"),
    "a path with a detour": (ZONE, {"files": (file(path="b/./a"),)}, "files[0].path"),
    "no path": (ZONE, {"files": (file(path=""),)}, "files[0].path"),
    "one path twice": (ZONE, {"files": (file(), file("oci", "oci"))}, "files[1].path"),
    "a tar for a disk": (FIRMWARE, {"files": (file("disk"),)}, "files[0].format"),
    "a short digest": (ZONE, {"files": (file(sha256="0f"),)}, "files[0].sha256"),
    "an empty file": (ZONE, {"files": (file(size_bytes=0),)}, "files[0].size_bytes"),
}


@pytest.mark.parametrize(("sound", "changes", "field"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_start_an_instance_is_refused_by_field(
    sound: ImageManifest, changes: dict[str, object], field: str
) -> None:
    broken = msgspec.structs.replace(sound, **changes)
    with pytest.raises(InvalidInput) as refused:
        image_manifest.validate(broken)
    assert field in [violation.field for violation in refused.value.violations]


def test_all_that_is_wrong_is_listed_at_once() -> None:
    broken = msgspec.structs.replace(ZONE, command=(), files=(file(path="/a", size_bytes=0),))
    with pytest.raises(InvalidInput) as refused:
        image_manifest.validate(broken)
    assert [violation.field for violation in refused.value.violations] == [
        "command",
        "files[0].path",
        "files[0].size_bytes",
    ]
