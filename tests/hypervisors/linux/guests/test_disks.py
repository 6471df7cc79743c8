"""Disks are made without root, are sound, and come out the same each time."""

from __future__ import annotations

import asyncio
import struct
import subprocess
from typing import TYPE_CHECKING

import pytest

from fifo.hypervisors.linux.guests import (
    boot_disk,
    disks,
    file_tree,
    requirements,
    spawning,
    vm_images,
)
from fifo.model.errors import DriverFailed
from tests.hypervisors.linux.guests.waiting import DEADLINE_S

if TYPE_CHECKING:
    from pathlib import Path

FILES = {
    "boot/vmlinuz": file_tree.file(b"kernel" * 1000),
    "boot/initrd": file_tree.file(b"initrd"),
}
SIZE_MIB = 8


@pytest.fixture(scope="module")
def tools() -> dict[str, str]:
    return requirements.locate(vm_images.DISK_TOOLS)


def file_system(tools: dict[str, str], directory: Path) -> Path:
    directory.mkdir()
    image = directory / "fs.raw"
    asyncio.run(
        disks.ext4(spawning.run, tools, image, size_mib=SIZE_MIB, label="here", files=FILES)
    )
    return image


def boot(tools: dict[str, str], directory: Path) -> Path:
    directory.mkdir()
    return asyncio.run(
        boot_disk.write(
            spawning.run,
            tools,
            directory,
            size_mib=SIZE_MIB,
            label="here",
            files=FILES,
            kernel_args="quiet",
        )
    )


def test_a_file_system_is_sound_and_holds_its_files(tools: dict[str, str], tmp_path: Path) -> None:
    image = file_system(tools, tmp_path / "a")
    assert image.stat().st_size == SIZE_MIB * disks.MIB
    check = ["e2fsck", "-fn", str(image)]
    subprocess.run(check, check=True, capture_output=True, timeout=DEADLINE_S)
    for path, entry in FILES.items():
        read = [tools["debugfs"], "-R", f"cat /{path}", str(image)]
        found = subprocess.run(read, check=True, capture_output=True, timeout=DEADLINE_S)
        assert found.stdout == entry.content


def test_a_boot_disk_is_the_same_when_it_is_made_again(
    tools: dict[str, str], tmp_path: Path
) -> None:
    once, again = boot(tools, tmp_path / "a"), boot(tools, tmp_path / "b")
    assert once.read_bytes() == again.read_bytes()
    assert once.stat().st_size == SIZE_MIB * disks.MIB


def test_a_qcow2_is_the_same_when_it_is_made_again(tools: dict[str, str], tmp_path: Path) -> None:
    images = [tmp_path / "a.qcow2", tmp_path / "b.qcow2"]
    for image in images:
        raw = image.with_suffix(".raw")
        raw.write_bytes(b"disk" * 1000)
        asyncio.run(disks.qcow2(spawning.run, tools, raw, image))
        assert not raw.exists()
    assert images[0].read_bytes() == images[1].read_bytes()


def test_files_that_do_not_fit_are_an_error_though_debugfs_ends_with_0(
    tools: dict[str, str], tmp_path: Path
) -> None:
    big = {"big": file_tree.file(bytes(range(256)) * 4096 * SIZE_MIB)}
    image = tmp_path / "fs.raw"
    with pytest.raises(DriverFailed, match="could not write into the image"):
        asyncio.run(disks.ext4(spawning.run, tools, image, size_mib=SIZE_MIB, label="x", files=big))


def test_a_refused_command_gives_its_words(tools: dict[str, str], tmp_path: Path) -> None:
    with pytest.raises(DriverFailed, match="absent"):
        asyncio.run(disks.qcow2(spawning.run, tools, tmp_path / "absent", tmp_path / "out"))


def test_the_boot_sector_keeps_its_code_and_names_one_partition() -> None:
    code = bytes(range(256)) * 2
    sector = boot_disk.boot_sector(code, 3 * disks.MIB)
    assert len(sector) == boot_disk.SECTOR_BYTES
    assert sector[:440] == code[:440]
    flag, _, kind, _, first, count = struct.unpack_from("<B3sB3sII", sector, 446)
    assert (flag, kind, first, count) == (0x80, 0x83, 2048, 3 * 2048)
    assert sector[462:510] == bytes(48)
    assert sector[510:] == code[510:]
