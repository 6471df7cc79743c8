"""The images of the small VM: one that QEMU starts itself, and one that a BIOS boots.

- `direct`: `vmlinux`, `initrd`, and `disk.qcow2`, an empty data disk: 2.3 s to a prompt under TCG;
- `disk`: `disk.qcow2` alone, with GRUB, the packed kernel and the same initrd on it: 6.2 s.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, NamedTuple

from fifo.hypervisors.linux.guests import (
    boot_disk,
    busybox,
    disks,
    file_tree,
    image_cache,
    kernel_modules,
    kernel_package,
    requirements,
    vm,
    vmlinux,
)
from fifo.model.errors import Unsupported
from fifo.model.image_manifest import ImageManifest

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from fifo.hypervisors.linux.guests.busybox import Busybox
    from fifo.hypervisors.linux.guests.commands import Run
    from fifo.hypervisors.linux.guests.image_cache import GuestImage, Workplace
    from fifo.hypervisors.linux.guests.kernel_package import KernelPackage
    from fifo.model.image_manifest import Boot, ImageFile

NAME: Final = "fifo-vm"
DISK: Final = "disk.qcow2"
DISK_MIB: Final = 64
"""Room for kernel and initrd (17 MB), or for a test to write in; empty it is 1 MB as qcow2."""
TOOLS: Final = ("env", "apt-cache", "apt-get", "busybox", "dpkg-deb", "mke2fs", "qemu-img")
DISK_TOOLS: Final = (*TOOLS, "debugfs", "grub-mkimage")


async def direct(run: Run, cache: Path) -> GuestImage:
    """Return the VM that QEMU loads by -kernel and -initrd, built if it has to be (5 s).

    Called by the node's set-up, the command line and tests. Raises NotReady naming the packages
    that are missing, Unsupported on another processor than amd64, DriverFailed with apt's words.
    """
    inputs = await _inputs(run, TOOLS)

    async def make(place: Workplace) -> ImageManifest:
        kernel = await _kernel(inputs, place)
        await asyncio.to_thread(_write_direct, place.image, kernel)
        raw = place.scratch / "data.raw"
        await disks.ext4(run, inputs.tools, raw, size_mib=DISK_MIB, label=vm.DATA_LABEL, files={})
        await disks.qcow2(run, inputs.tools, raw, place.image / DISK)
        files = await asyncio.to_thread(_described_direct, place.image)
        return _manifest(inputs, "direct", files, kernel_args=vm.KERNEL_ARGS)

    return await image_cache.obtain(cache, "vm", _key(inputs, "direct"), make)


async def disk(run: Run, cache: Path) -> GuestImage:
    """Return the VM that firmware boots from its disk, built if it has to be (5 s).

    Called by tests of what a user's own disk image needs. Raises as `direct` does.
    """
    inputs = await _inputs(run, DISK_TOOLS)

    async def make(place: Workplace) -> ImageManifest:
        kernel = await _kernel(inputs, place)
        raw = await boot_disk.write(
            run,
            inputs.tools,
            place.scratch,
            size_mib=DISK_MIB,
            label=vm.DATA_LABEL,
            files={
                "boot/vmlinuz": file_tree.file(kernel.vmlinuz),
                "boot/initrd": file_tree.file(kernel.initrd),
            },
            kernel_args=vm.KERNEL_ARGS,
        )
        await disks.qcow2(run, inputs.tools, raw, place.image / DISK)
        file = await asyncio.to_thread(image_cache.described, place.image, "disk", "qcow2", DISK)
        return _manifest(inputs, "disk", (file,))

    return await image_cache.obtain(cache, "vm_disk", _key(inputs, "disk"), make)


class _Inputs(NamedTuple):
    run: Run
    tools: Mapping[str, str]
    box: Busybox
    package: KernelPackage


class _Kernel(NamedTuple):
    vmlinuz: bytes
    initrd: bytes


async def _inputs(run: Run, names: Sequence[str]) -> _Inputs:
    tools = requirements.locate(names)
    box = await busybox.read(run, tools["busybox"])
    if box.architecture != "amd64":
        raise Unsupported(
            f"is made for amd64 only, and this host is {box.architecture}",
            NAME,
            "import a disk image for this processor",
        )
    return _Inputs(run, tools, box, await kernel_package.newest(run, tools))


def _key(inputs: _Inputs, boot: Boot) -> str:
    scripts = file_tree.fingerprint(vm.tree(inputs.box, {}))
    settings = (*vm.MODULES, vm.KERNEL_ARGS, str(DISK_MIB))
    return image_cache.key(scripts, *settings, *inputs.package, boot)


async def _kernel(inputs: _Inputs, place: Workplace) -> _Kernel:
    root = await kernel_package.unpack(inputs.run, inputs.tools, inputs.package, place.scratch)
    return await asyncio.to_thread(_read_kernel, root, inputs.box)


def _read_kernel(root: Path, box: Busybox) -> _Kernel:
    (packed,) = (root / "boot").glob("vmlinuz-*")
    modules = kernel_modules.load_order(vm.MODULES, kernel_modules.find(root))
    return _Kernel(packed.read_bytes(), file_tree.newc(vm.tree(box, modules)))


def _write_direct(image: Path, kernel: _Kernel) -> None:
    (image / "vmlinux").write_bytes(vmlinux.extract(kernel.vmlinuz))
    (image / "initrd").write_bytes(kernel.initrd)


def _described_direct(image: Path) -> tuple[ImageFile, ...]:
    return (
        image_cache.described(image, "kernel", "elf", "vmlinux"),
        image_cache.described(image, "initrd", "cpio", "initrd"),
        image_cache.described(image, "disk", "qcow2", DISK),
    )


def _manifest(
    inputs: _Inputs, boot: Boot, files: tuple[ImageFile, ...], kernel_args: str = ""
) -> ImageManifest:
    package = inputs.package
    return ImageManifest(
        name=NAME,
        version=package.version,
        os="linux",
        architecture="amd64",
        brand="kvm",
        boot=boot,
        files=files,
        kernel_args=kernel_args,
        disk_bytes=DISK_MIB * disks.MIB,
        inputs={
            "busybox": f"sha256:{inputs.box.sha256}",
            package.name: f"{package.version} sha256:{package.sha256}",
        },
    )
