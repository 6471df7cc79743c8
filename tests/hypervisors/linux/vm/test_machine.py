"""QEMU's command line, word for word, by tables."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fifo.hypervisors.linux.vm.machine import (
    SANDBOX,
    Drive,
    Interface,
    Kernel,
    Machine,
    Sockets,
    command_line,
)
from fifo.model import limits

UID = "00000000-0000-4000-8000-000000000001"
RUN = Path("/run/fifo/vm") / UID
HERE = Path("/state/instances") / UID
IMAGE = Path("/state/images/image/disk.qcow2")
SMALL = Machine(uid=UID, memory_mib=96, processors=1, accelerator="tcg", sockets=Sockets.below(RUN))
BOARD = f"""
qemu-system-x86_64 -name {UID},debug-threads=on -uuid {UID}
-no-user-config -nodefaults -sandbox {SANDBOX}
-M q35 -m 96 -smp 1 -accel tcg,tb-size=64 -cpu qemu64
-action reboot=reset,shutdown=poweroff,panic=exit-failure -device pvpanic
-chardev socket,id=serial,path={RUN}/serial,server=on,wait=on -serial chardev:serial
-qmp unix:{RUN}/qmp,server=on,wait=off -display none -vnc unix:{RUN}/vnc
-device {{"driver":"VGA","bus":"pcie.0","addr":"1.0"}}
""".split()


def file(path: Path) -> str:
    return f'"file":{{"driver":"file","filename":"{path}"}}'


def layer(node: str, path: Path, backing: Path | None, *, read_only: str = "false") -> str:
    below = "null"
    if backing:
        below = f'{{"driver":"qcow2","read-only":true,{file(backing)},"backing":null}}'
    return (
        f'{{"node-name":"{node}","driver":"qcow2","read-only":{read_only},"discard":"unmap",'
        f'{file(path)},"backing":{below}}}'
    )


BOOT_DISK = Drive("disk0", HERE / "disks/0.qcow2", IMAGE, boots=True)
GOLDEN: dict[str, tuple[Machine, list[str]]] = {
    "nothing but a board": (SMALL, BOARD),
    "a disk over an image, which the firmware boots": (
        SMALL._replace(drives=(BOOT_DISK,)),
        [
            *BOARD,
            *("-blockdev", layer("disk0", HERE / "disks/0.qcow2", IMAGE)),
            "-device",
            ('{"drive":"disk0","id":"dev-disk0","bootindex":1,"driver":"virtio-blk-pci",'
            '"bus":"pcie.0","addr":"6.0","multifunction":true}'),
        ],
    ),
    "disks of every model": (
        SMALL._replace(
            drives=(
                Drive("disk4", HERE / "disks/4.qcow2", model="ide"),
                Drive("disk1", HERE / "disks/1.qcow2"),
                Drive("disk2", HERE / "disks/2.qcow2", model="scsi"),
                Drive("disk3", IMAGE, model="ahci", cdrom=True),
                Drive("disk5", HERE / "disks/5.qcow2"),
            )
        ),
        [
            *BOARD,
            *("-device", '{"driver":"virtio-scsi-pci","id":"scsi","bus":"pcie.0","addr":"9.0"}'),
            *("-blockdev", layer("disk4", HERE / "disks/4.qcow2", None)),
            "-device",
            '{"drive":"disk4","id":"dev-disk4","driver":"ide-hd","bus":"ide.0"}',
            *("-blockdev", layer("disk1", HERE / "disks/1.qcow2", None)),
            "-device",
            ('{"drive":"disk1","id":"dev-disk1","driver":"virtio-blk-pci",'
            '"bus":"pcie.0","addr":"6.0","multifunction":true}'),
            *("-blockdev", layer("disk2", HERE / "disks/2.qcow2", None)),
            "-device",
            '{"drive":"disk2","id":"dev-disk2","driver":"scsi-hd","bus":"scsi.0","scsi-id":2}',
            *("-blockdev", layer("disk3", IMAGE, None, read_only="true")),
            "-device",
            '{"drive":"disk3","id":"dev-disk3","driver":"ide-cd","bus":"ide.1"}',
            *("-blockdev", layer("disk5", HERE / "disks/5.qcow2", None)),
            "-device",
            ('{"drive":"disk5","id":"dev-disk5","driver":"virtio-blk-pci",'
            '"bus":"pcie.0","addr":"6.1"}'),
        ],
    ),
    "interfaces, and what it is told about itself": (
        SMALL._replace(
            seed=HERE / "seed.iso",
            interfaces=(
                Interface(0, "02:00:00:00:00:01", mtu=1400),
                Interface(1, "02:00:00:00:00:02", "e1000"),
            ),
        ),
        [
            *BOARD,
            "-blockdev",
            '{"node-name":"seed","driver":"raw","read-only":true,' + file(HERE / "seed.iso") + "}",
            "-device",
            ('{"driver":"virtio-blk-pci","drive":"seed","id":"dev-seed",'
            '"bus":"pcie.0","addr":"8.0"}'),
            *("-netdev", "tap,id=nic0,fd=10", "-device"),
            ('{"driver":"virtio-net-pci","netdev":"nic0","mac":"02:00:00:00:00:01","romfile":"",'
            '"host_mtu":1400,"bus":"pcie.0","addr":"2.0","multifunction":true}'),
            *("-netdev", "tap,id=nic1,fd=11", "-device"),
            ('{"driver":"e1000","netdev":"nic1","mac":"02:00:00:00:00:02","romfile":"",'
            '"bus":"pcie.0","addr":"2.1"}'),
        ],
    ),
    "a kernel of its own, with KVM": (
        SMALL._replace(
            accelerator="kvm", kernel=Kernel(Path("/i/kernel"), Path("/i/initrd"), "quiet, please")
        ),
        [
            *(
                {"tcg,tb-size=64": "kvm", "qemu64": "host"}.get(word, word) for word in BOARD
            ),
            *("-bios", "qboot.rom", "-kernel", "/i/kernel", "-initrd", "/i/initrd"),
            *("-append", "quiet, please"),
        ],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", GOLDEN)
def test_the_command_line_is_word_for_word(name: str) -> None:
    machine, words = GOLDEN[name]
    assert list(command_line(machine)) == words


def test_a_comma_in_a_path_ends_no_option() -> None:
    words = command_line(SMALL._replace(sockets=Sockets.below(Path("/a,b"))))
    assert "socket,id=serial,path=/a,,b/serial,server=on,wait=on" in words
    assert "unix:/a,,b/qmp,server=on,wait=off" in words


DRIVES = st.lists(st.sampled_from(["virtio", "scsi", "ide", "ahci"]), max_size=limits.DISKS).map(
    lambda models: tuple(
        Drive(f"disk{number}", HERE / f"{number}.qcow2", model=model)
        for number, model in enumerate(models)
    )
)
INTERFACES = st.lists(st.sampled_from(["", "e1000", "rtl8139"]), max_size=limits.NICS).map(
    lambda models: tuple(
        Interface(number, f"02:00:00:00:00:{number:02x}", model)
        for number, model in enumerate(models)
    )
)


def devices(machine: Machine) -> list[dict[str, Any]]:
    words = command_line(machine)
    found = (
        words[at + 1]
        for at, word in enumerate(words)
        if word in {"-device", "-blockdev"} and words[at + 1].startswith("{")
    )
    return [msgspec.json.decode(text) for text in found]


@given(DRIVES, INTERFACES)
def test_no_two_devices_share_an_address_and_no_slot_lacks_its_first(
    drives: tuple[Drive, ...], interfaces: tuple[Interface, ...]
) -> None:
    machine = SMALL._replace(drives=drives, interfaces=interfaces, seed=HERE / "seed.iso")
    found = devices(machine)
    addresses = [each["addr"] for each in found if "addr" in each]
    assert len(set(addresses)) == len(addresses)
    assert all(re.fullmatch(r"[0-9a-f]{1,2}\.[0-7]", each) for each in addresses)
    # A guest looks at the other functions of a slot only if the first is there and says so.
    several = {each.partition(".")[0] for each in addresses if not each.endswith(".0")}
    says = {each["addr"] for each in found if each.get("multifunction")}
    assert {f"{slot}.0" for slot in several} <= says & set(addresses)
    buses = [(each["bus"], each.get("scsi-id")) for each in found if "bus" in each]
    assert len({bus for bus in buses if bus[0] != "pcie.0"}) == len(
        [bus for bus in buses if bus[0] != "pcie.0"]
    )


@given(DRIVES)
def test_the_format_of_every_layer_is_said(drives: tuple[Drive, ...]) -> None:
    over = tuple(drive._replace(backing=IMAGE) for drive in drives)
    for device in devices(SMALL._replace(drives=over)):
        if "node-name" in device:
            assert device["driver"] == "qcow2"
            assert device["backing"]["driver"] == "qcow2"
            assert device["backing"]["backing"] is None
