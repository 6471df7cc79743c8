"""Every property of the parts of an instance: interfaces, disks, file systems, devices.

As `fifo.model.vmadm.properties`; the names are vmadm's `nics.*.mac` without what stands before.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from fifo.model import limits as bounds
from fifo.model.vmadm import limits, texts
from fifo.model.vmadm.properties import COMPRESSIONS
from fifo.model.vmadm.property import (
    ALL,
    BHYVE,
    HVM,
    KVM,
    OS,
    Property,
    amount,
    flag,
    number,
    one_of,
    text,
    to,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

DISK_MODELS: Final[Mapping[str, tuple[str, ...]]] = {
    "kvm": ("virtio", "scsi", "ide"),
    "bhyve": ("virtio", "ahci", "nvme"),
}
"""The controllers that each kind of VM offers."""
SECTOR: Final = "a size like 512, or two like 512/4096"

_MAC = "a hardware address like 02:00:00:00:00:01"
_COMPRESSION = one_of(*COMPRESSIONS)
_MEDIA = one_of("disk", "cdrom")
_PASSTHRU = one_of("passthru")

NIC: Final[Mapping[str, Property]] = {
    "interface": to(
        "interface", ALL, "au", "string", test=texts.INTERFACE.fullmatch, wanted="a name like net0"
    ),
    "mac": to("mac", ALL, "au", "string", test=texts.is_mac, wanted=_MAC),
    "nic_tag": to(
        "nic_tag", ALL, "au", "string",
        test=texts.NIC_TAG.fullmatch, wanted="a nic tag like external",
    ),
    "network_uuid": to("network", ALL, "au", "uuid"),
    "ips": to("ips", ALL, "au", "list", most=bounds.ADDRESSES_A_NIC),
    "gateways": to(
        "gateways", ALL, "au", "list", most=limits.GATEWAYS,
        test=texts.is_ipv4, wanted="an IPv4 address",
    ),
    "ip": text(ALL, "au", "void", most=64),
    "netmask": text(ALL, "au", "void", most=64),
    "gateway": text(ALL, "au", "void", most=64),
    # 4095 is reserved (IEEE 802.1Q), though vmadm's table lets it through.
    "vlan_id": number("vlan_id", 0, 4_094, ALL, "au"),
    "mtu": number("mtu", 576, 9_000, ALL, "au"),
    "primary": to("primary", ALL, "au", "boolean"),
    "model": to("model", HVM, "au", "string", most=32),
    "allow_dhcp_spoofing": to("allow_dhcp_spoofing", ALL, "au", "boolean"),
    "allow_ip_spoofing": to("allow_ip_spoofing", ALL, "au", "boolean"),
    "allow_mac_spoofing": to("allow_mac_spoofing", ALL, "au", "boolean"),
    "allowed_ips": to(
        "allowed_ips", ALL, "au", "list", most=limits.ALLOWED_IPS,
        test=texts.is_network, wanted="an address or a CIDR",
    ),
    "allow_restricted_traffic": to("allow_restricted_traffic", ALL, "au", "boolean"),
    "allow_unfiltered_promisc": flag(HVM, "au"),
    "blocked_outgoing_ports": Property(ALL, "au", "list"),
    "dhcp_server": flag(ALL, "au"),
    "allowed_dhcp_cids": Property(
        OS | KVM, "au", "list", most=limits.DHCP_IDS,
        test=texts.DHCP_ID.fullmatch, wanted="an even number of hexadecimal digits behind 0x",
    ),
    "vrrp_vrid": amount(0, 255, ALL, "au"),
    "vrrp_primary_ip": text(
        ALL, "au", test=texts.is_address, wanted="an address of another of its interfaces"
    ),
}  # fmt: skip

DISK: Final[Mapping[str, Property]] = {
    "path": to("path", HVM, "au", "string", most=256, test=texts.is_disk_path,
               wanted="a path without `..`, not beginning with a dash"),
    "image_uuid": to("image", HVM, "a", "uuid"),
    "image_size": Property(HVM, "a", "integer", "void", least=0, most=limits.DISK_MIB),
    "image_name": text(KVM, "au", "void"),
    "size": number("size", 1, limits.DISK_MIB, HVM, "au"),
    "boot": to("boot", HVM, "au", "boolean"),
    "media": to("media", HVM, "au", "string", test=_MEDIA[0], wanted=_MEDIA[1]),
    "model": to("model", HVM, "au", "string", most=32),
    "block_size": Property(HVM, "a", "integer", default=8_192),
    "compression": text(
        HVM, "au", test=_COMPRESSION[0], wanted=_COMPRESSION[1], default="off"
    ),
    "refreservation": Property(HVM, "au", "refreservation", least=0, most=limits.DISK_MIB),
    "nocreate": flag(HVM, "a"),
    "zpool": text(HVM, "a", most=256, default="zones"),
    "uuid": Property(HVM, "au", "uuid", "unhonoured"),
    "guest_block_size": text(BHYVE, "au", test=texts.BLOCK_SIZE.fullmatch, wanted=SECTOR),
    "notrim": flag(BHYVE, "au"),
    "pci_slot": text(BHYVE, "au", test=texts.PCI_SLOT.fullmatch, wanted="a slot like 0:4:0"),
    "dangerous_allow_shrink": flag(BHYVE, "u"),
    "zfs_filesystem": text(HVM, "r", "void"),
}  # fmt: skip

FILESYSTEM: Final[Mapping[str, Property]] = {
    "source": to("source", OS, "au", "string", most=1_024),
    "target": to("target", OS, "au", "string", most=1_024),
    "type": to("type", OS, "au", "string", most=16),
    "options": to("options", OS, "au", "list", most=limits.OPTIONS),
    "raw": text(OS, "au", most=1_024),
}

PCI_DEVICE: Final[Mapping[str, Property]] = {
    "path": text(BHYVE, "au", most=256),
    "pci_slot": text(BHYVE, "au", test=texts.PCI_SLOT.fullmatch, wanted="a slot like 0:8:0"),
    "model": text(BHYVE, "au", test=_PASSTHRU[0], wanted=_PASSTHRU[1]),
}
"""`model` is checked by vmadm, though its table does not list it."""
