"""Payloads as operators have them, from the manual pages and tests of SmartOS, in our own words."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import msgspec

from fifo.model.vmadm.payload import read_payload
from fifo.model.vmadm.spec import Identity, complete

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fifo.model.instance import InstanceSpec
    from fifo.model.vmadm.payload import Draft

IMAGE = "01b2c898-945f-11e1-a523-af1afbe22822"
UID = "54f1cc77-68f1-42ab-acac-5c4f64f5d6e0"
MAC = "b2:1e:ba:a5:6e:71"

OS_ZONE: dict[str, Any] = {
    "brand": "joyent",
    "image_uuid": IMAGE,
    "max_physical_memory": 256,
    "quota": 20,
    "zfs_io_priority": 30,
    "alias": "zone-one",
    "nics": [
        {
            "nic_tag": "external",
            "ips": ["10.2.121.70/16"],
            "gateways": ["10.2.121.1"],
            "primary": True,
        }
    ],
}
KVM: dict[str, Any] = {
    "brand": "kvm",
    "vcpus": 1,
    "ram": 256,
    "disks": [
        {
            "boot": True,
            "model": "virtio",
            "image_uuid": IMAGE,
            "image_name": "ubuntu",
            "image_size": 5120,
        }
    ],
    "nics": [
        {
            "nic_tag": "external",
            "ips": ["10.88.88.69/24"],
            "gateways": ["10.88.88.2"],
            "model": "virtio",
            "primary": True,
        }
    ],
}
FIREWALLED: dict[str, Any] = {
    "brand": "joyent",
    "image_uuid": IMAGE,
    "firewall_enabled": True,
    "ram": 128,
    "tags": {"blocksmtp": True},
    "nics": [
        {
            "nic_tag": "admin",
            "ip": "10.8.0.33",
            "netmask": "255.255.255.0",
            "gateway": "10.8.0.1",
            "primary": 1,
        }
    ],
}
MINIMAL: dict[str, Any] = {"brand": "joyent", "image_uuid": IMAGE}
BHYVE: dict[str, Any] = {
    "brand": "bhyve",
    "vcpus": 2,
    "ram": 1024,
    "flexible_disk_size": 12288,
    "disks": [
        {"boot": True, "model": "virtio", "image_uuid": IMAGE, "image_size": 10240},
        {"model": "virtio", "size": 2048},
    ],
}
LX: dict[str, Any] = {
    "brand": "lx",
    "kernel_version": "4.3.0",
    "image_uuid": IMAGE,
    "max_physical_memory": 512,
    "nics": [{"nic_tag": "external", "mac": MAC, "ips": ["172.17.1.10/24"], "primary": True}],
    "routes": {
        "10.22.0.0/16": "nics[0]",
        "10.33.1.1": f"macs[{MAC}]",
        "10.44.0.0/16": "172.17.1.1",
    },
}
DOCKER: dict[str, Any] = {
    "brand": "joyent-minimal",
    "image_uuid": IMAGE,
    "docker": True,
    "autoboot": False,
    "cpu_cap": 100,
    "max_physical_memory": 512,
    "internal_metadata": {"docker:tty": True, "docker:logdriver": "json-file"},
}
VRRP: dict[str, Any] = {
    "brand": "joyent",
    "image_uuid": IMAGE,
    "nics": [
        {"nic_tag": "external", "ips": ["10.3.0.2/24"], "primary": True},
        {
            "nic_tag": "external",
            "ips": ["10.3.0.1/24"],
            "vrrp_vrid": 12,
            "vrrp_primary_ip": "10.3.0.2",
        },
    ],
}
ADD_NIC: dict[str, Any] = {
    "add_nics": [
        {
            "interface": "net1",
            "nic_tag": "external",
            "mac": "b2:1e:ba:a5:6e:72",
            "ips": ["10.2.121.71/16"],
            "gateways": ["10.2.121.1"],
        }
    ]
}
REMOVE_NIC: dict[str, Any] = {"remove_nics": ["b2:1e:ba:a5:6e:72"]}
ADD_FILESYSTEM: dict[str, Any] = {
    "add_filesystems": [
        {"source": "/pool/data", "target": "/data", "type": "lofs", "options": ["nodevice"]}
    ]
}
CREATED = {
    "os zone": OS_ZONE,
    "kvm": KVM,
    "firewalled": FIREWALLED,
    "minimal": MINIMAL,
    "bhyve": BHYVE,
    "lx": LX,
    "docker": DOCKER,
    "vrrp": VRRP,
}
WHO = Identity(UID, "web-1", "default", 1_700_000_000.0)


def draft_of(payload: dict[str, Any]) -> Draft:
    """Read a payload given as an object."""
    return read_payload(msgspec.json.encode(payload))


def macs() -> Iterator[str]:
    """Give hardware addresses, always the same."""
    return (f"02:08:20:00:00:{number:02x}" for number in itertools.count(16))


def spec_of(payload: dict[str, Any]) -> InstanceSpec:
    """Complete a payload."""
    return complete(draft_of(payload), WHO, macs())
