"""QEMU's command line, as a function of what a VM is to be. Pure.

Every device has an address of its own on the root bus (`SLOTS`), which depends on those of its kind
before it alone, so that a guest finds what it has under the same names after something was added.
Source of the words: qemu(1), QEMU 7.2.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple

import msgspec

from fifo.hypervisors.linux.vm import limits

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

QEMU: Final[Mapping[str, str]] = {"x86_64": "qemu-system-x86_64"}
"""By the host's machine; the boards below are this processor's."""
SANDBOX: Final = "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny"
SLOTS: Final[Mapping[str, int]] = {
    "vga": 0x01,
    "nic": 0x02,
    "disk": 0x06,
    "seed": 0x08,
    "scsi": 0x09,
}
"""The first slot of each kind; eight devices share one, as functions of it."""
SHARED: Final = frozenset({"nic", "disk"})
FUNCTIONS: Final = 8
SATA_PORTS: Final = 6
"""Of the board's own controller (ich9-ahci)."""
NIC_MODELS: Final[Mapping[str, str]] = {
    "": "virtio-net-pci",
    "virtio": "virtio-net-pci",
    "e1000": "e1000",
    "rtl8139": "rtl8139",
}
"""vmadm's words for interfaces, and QEMU's."""
SATA: Final = frozenset({"ide", "ahci"})
DISK_MODELS: Final = frozenset({"virtio", "scsi", *SATA})
FIRST_TAP: Final = 10
"""The descriptor at which QEMU finds its first tap; the launcher puts it there."""

Accelerator = Literal["kvm", "tcg"]


class Drive(NamedTuple):
    """One disk, by its name on QMP: `file` is its own qcow2, over `backing` if there is one."""

    node: str
    file: Path
    backing: Path | None = None
    model: str = "virtio"
    cdrom: bool = False
    boots: bool = False


class Interface(NamedTuple):
    """One interface; its tap is handed on as a descriptor."""

    number: int
    mac: str
    model: str = ""
    mtu: int = 1500


class Kernel(NamedTuple):
    """What QEMU loads itself, instead of the firmware that reads the first disk."""

    kernel: Path
    initrd: Path
    arguments: str


class Sockets(NamedTuple):
    """Where QEMU listens: its serial line, its monitor, its screen."""

    serial: Path
    monitor: Path
    screen: Path

    @classmethod
    def below(cls, directory: Path) -> Sockets:
        """Name them in a VM's run directory."""
        return cls(directory / "serial", directory / "qmp", directory / "vnc")


class Machine(NamedTuple):
    """All that the command line depends on; memory in MiB."""

    uid: str
    memory_mib: int
    processors: int
    accelerator: Accelerator
    sockets: Sockets
    drives: tuple[Drive, ...] = ()
    interfaces: tuple[Interface, ...] = ()
    seed: Path | None = None
    kernel: Kernel | None = None
    program: str = QEMU["x86_64"]


def command_line(machine: Machine) -> tuple[str, ...]:
    """Give the words of QEMU's command line, the program first."""
    return (
        machine.program,
        *_board(machine),
        *_channels(machine.sockets),
        *_drives(machine.drives),
        *(_seed(machine.seed) if machine.seed else ()),
        *_interfaces(machine.interfaces),
        *(_kernel(machine.kernel) if machine.kernel else ()),
    )


def accelerated(accelerator: Accelerator) -> tuple[str, ...]:
    """Give what chooses how the guest's code is run; also for the trial of it."""
    if accelerator == "kvm":
        return ("-accel", "kvm", "-cpu", "host")
    return ("-accel", f"tcg,tb-size={limits.TRANSLATED_MIB}", "-cpu", "qemu64")


def _board(machine: Machine) -> Iterator[str]:
    yield from ("-name", f"{machine.uid},debug-threads=on", "-uuid", machine.uid)
    yield from ("-no-user-config", "-nodefaults", "-sandbox", SANDBOX)
    yield from ("-M", "q35", "-m", str(machine.memory_mib), "-smp", str(machine.processors))
    yield from accelerated(machine.accelerator)
    # A reset is no end; a panic that the guest tells of is one, and a failure.
    yield from ("-action", "reboot=reset,shutdown=poweroff,panic=exit-failure")
    yield from ("-device", "pvpanic")


def _channels(sockets: Sockets) -> Iterator[str]:
    # QEMU waits for the keeper at the serial line, so that the guest's first words are not lost.
    serial = {"path": str(sockets.serial), "server": "on", "wait": "on"}
    yield from ("-chardev", f"socket,id=serial,{_options(serial)}", "-serial", "chardev:serial")
    yield from ("-qmp", f"unix:{_escaped(str(sockets.monitor))},server=on,wait=off")
    yield from ("-display", "none", "-vnc", f"unix:{_escaped(str(sockets.screen))}")
    yield from ("-device", _json({"driver": "VGA", **_address("vga", 0)}))


def _drives(drives: tuple[Drive, ...]) -> Iterator[str]:
    if any(drive.model == "scsi" for drive in drives):
        yield from (
            "-device",
            _json({"driver": "virtio-scsi-pci", "id": "scsi", **_address("scsi", 0)}),
        )
    sata = virtio = 0
    for order, drive in enumerate(drives):
        device: dict[str, Any] = {"drive": drive.node, "id": f"dev-{drive.node}"}
        if drive.boots:
            # Zero is the kernel's that QEMU loads itself.
            device["bootindex"] = 1
        if drive.model == "scsi":
            driver = "scsi-cd" if drive.cdrom else "scsi-hd"
            device |= {"driver": driver, "bus": "scsi.0", "scsi-id": order}
        elif drive.model in SATA and sata < SATA_PORTS:
            driver = "ide-cd" if drive.cdrom else "ide-hd"
            device |= {"driver": driver, "bus": f"ide.{sata}"}
            sata += 1
        else:
            device |= {"driver": "virtio-blk-pci", **_address("disk", virtio)}
            virtio += 1
        yield from ("-blockdev", _json({"node-name": drive.node, **chain(drive)}))
        yield from ("-device", _json(device))


def chain(drive: Drive) -> dict[str, Any]:
    """Give a disk's layers with the format of each, as QMP and qemu-img take them too."""
    return {
        "driver": "qcow2",
        "read-only": drive.cdrom,
        "discard": "unmap",
        "file": {"driver": "file", "filename": str(drive.file)},
        "backing": None if drive.backing is None else sealed(drive.backing),
    }


def sealed(image: Path) -> dict[str, Any]:
    """Give the disk of an image in the cache: on its own, and read only."""
    file = {"driver": "file", "filename": str(image)}
    return {"driver": "qcow2", "read-only": True, "file": file, "backing": None}


def _seed(iso: Path) -> Iterator[str]:
    file = {"driver": "file", "filename": str(iso)}
    node = {"node-name": "seed", "driver": "raw", "read-only": True, "file": file}
    device = {"driver": "virtio-blk-pci", "drive": "seed", "id": "dev-seed"}
    yield from ("-blockdev", _json(node), "-device", _json(device | _address("seed", 0)))


def _interfaces(interfaces: tuple[Interface, ...]) -> Iterator[str]:
    for each in interfaces:
        name = f"nic{each.number}"
        yield from ("-netdev", f"tap,id={name},fd={FIRST_TAP + each.number}")
        driver = NIC_MODELS[each.model]
        # Without the ROM that would boot from the network.
        device: dict[str, Any] = {"driver": driver, "netdev": name, "mac": each.mac, "romfile": ""}
        if driver == NIC_MODELS["virtio"]:
            device["host_mtu"] = each.mtu
        yield from ("-device", _json(device | _address("nic", each.number)))


def _kernel(kernel: Kernel) -> Iterator[str]:
    yield from ("-bios", "qboot.rom", "-kernel", str(kernel.kernel))
    yield from ("-initrd", str(kernel.initrd), "-append", kernel.arguments)


def _address(kind: str, number: int) -> dict[str, Any]:
    slot, function = divmod(number, FUNCTIONS)
    found: dict[str, Any] = {"bus": "pcie.0", "addr": f"{SLOTS[kind] + slot:x}.{function}"}
    if function == 0 and kind in SHARED:
        found["multifunction"] = True
    return found


def _options(values: Mapping[str, str]) -> str:
    return ",".join(f"{name}={_escaped(value)}" for name, value in values.items())


def _escaped(text: str) -> str:
    """Double the commas, which would end a value (qemu(1))."""
    return text.replace(",", ",,")


def _json(value: dict[str, Any]) -> str:
    return msgspec.json.encode(value).decode()
