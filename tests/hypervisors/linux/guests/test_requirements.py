"""What is missing is named by its package, all of it at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from fifo.hypervisors.linux.guests import busybox, requirements, vm_images
from fifo.model.errors import NotReady


def install(directory: Path, name: str, content: bytes = b"#!/bin/sh\n") -> None:
    (directory / name).write_bytes(content)
    (directory / name).chmod(0o755)


def test_each_missing_package_is_named_once(tmp_path: Path) -> None:
    install(tmp_path, "env")
    with pytest.raises(NotReady) as refused:
        requirements.locate(vm_images.DISK_TOOLS, [tmp_path])
    packages = "apt busybox-static dpkg e2fsprogs grub-pc-bin qemu-utils"
    assert refused.value.details == {"packages": packages}
    assert refused.value.remedy == (
        f"as root: apt-get install -y --no-install-recommends {packages}"
    )


def test_what_is_there_is_found_where_it_is(tmp_path: Path) -> None:
    install(tmp_path, "env")
    assert requirements.locate(["env"], [Path("/nowhere"), tmp_path]) == {
        "env": str(tmp_path / "env")
    }


def test_a_file_that_cannot_be_run_is_not_a_command(tmp_path: Path) -> None:
    (tmp_path / "env").touch(mode=0o644)
    with pytest.raises(NotReady, match="coreutils"):
        requirements.locate(["env"], [tmp_path])


def test_a_busybox_that_needs_libraries_is_as_good_as_none(tmp_path: Path) -> None:
    install(tmp_path, "busybox", Path("/bin/true").read_bytes())
    with pytest.raises(NotReady, match="busybox-static"):
        requirements.locate(["busybox"], [tmp_path])


@pytest.mark.parametrize(
    ("path", "static"), [("/bin/busybox", True), ("/bin/true", False), ("/etc/passwd", False)]
)
def test_a_program_is_static_when_no_loader_is_named_in_it(path: str, static: bool) -> None:
    assert busybox.is_static(Path(path)) is static
