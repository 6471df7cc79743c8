"""Every property of a payload's top level, a row each.

Names, brands, actions, kinds and limits are vmadm's (SmartOS: proptable.js); upper bounds are ours.
What becomes of each holds for the brands that Linux hosts run; on a SmartOS host vmadm itself
decides. `tests/model/vmadm/test_tables.py` holds the tables to the 158 names that vmadm knows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from fifo.model import limits as bounds
from fifo.model.names import UID
from fifo.model.vmadm import limits, texts
from fifo.model.vmadm.property import (
    ALL,
    BHYVE,
    HVM,
    KVM,
    LX,
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

COMPRESSIONS: Final = (
    "on", "off", "gzip", *(f"gzip-{level}" for level in range(1, 10)), "lz4", "lzjb", "zle",
)  # fmt: skip
VGAS: Final = ("std", "cirrus", "vmware", "qxl", "xenfb")
NOBODY: Final = "00000000-0000-0000-0000-000000000000"
"""Owner and bill of what nobody owns."""

_COMPRESSION = one_of(*COMPRESSIONS)
_VGA = one_of(*VGAS)
_BRAND = one_of("joyent", "joyent-minimal", "lx", "bhyve", "kvm")
_HOST = "a host name"
_MIB, _GIB = limits.MEMORY_MIB, limits.DISK_GIB
_OS_KVM = OS | KVM


def _parts(brands: frozenset[str], actions: str, most: int, field: str = "") -> Property:
    """Make the row of a list of objects: a field on create, a verb on update."""
    if field:
        return Property(brands, actions, "parts", "field", field, most=most)
    return Property(brands, actions, "parts", "verb", most=most)


def _verb(kind: str, most: int, brands: frozenset[str] = ALL) -> Property:
    return Property(brands, "u", "scalars" if kind == "set" else "list", "verb", most=most)


PROPERTIES: Final[Mapping[str, Property]] = {
    # -- who it is
    "uuid": to("uid", ALL, "cr", "uuid"),
    "brand": to("brand", ALL, "cr", "string", test=_BRAND[0], wanted=_BRAND[1], needed=ALL - BHYVE),
    "alias": to("alias", ALL, "cru", "string", most=bounds.ALIAS_CHARACTERS),
    "zonename": text(ALL, "cr", "kept", most=64),
    "hostname": to("hostname", ALL, "cru", "string", test=texts.HOST_NAME.fullmatch, wanted=_HOST),
    "dns_domain": to(
        "dns_domain", OS, "cru", "string", test=texts.HOST_NAME.fullmatch, wanted=_HOST
    ),
    "owner_uuid": to(
        "owner_uuid", ALL, "cru", "string", test=UID.fullmatch, wanted="a lower-case uuid"
    ),
    "billing_id": to("billing_id", ALL, "cru", "string", most=64),
    "package_name": text(_OS_KVM, "cru", "kept", most=128),
    "package_version": text(_OS_KVM, "cru", "kept", most=64),
    "do_not_inventory": Property(ALL, "cru", "boolean", "kept", default=False),
    # -- what it is made of
    "image_uuid": to("image", ALL, "cr", "uuid", needed=OS),
    "dataset_uuid": Property(OS, "cr", "uuid", "void"),
    "zone_dataset_uuid": Property(HVM, "cr", "uuid", "void"),
    "zpool": text(ALL, "cr", most=256, default="zones"),
    "zfs_storage_pool_name": text(ALL, "cr", most=256, default="zones"),
    "kernel_version": to("kernel_version", LX, "cru", "string", most=64, needed=LX),
    "init_name": to("init", OS, "cru", "string", most=1_024),
    "restart_init": Property(OS, "cru", "boolean", "field", "restart", default=True),
    "docker": flag(frozenset({"joyent-minimal", "lx"})),
    "bootrom": text(BHYVE),
    "boot": text(HVM),
    # -- how it lives
    "autoboot": to("autoboot", ALL, "cru", "boolean"),
    "nowait": Property(OS, "cr", "boolean", "void"),
    "mdata_exec_timeout": amount(brands=OS, actions="c", default=300),
    "archive_on_delete": flag(),
    "indestructible_zoneroot": to("deletion_protection", ALL, "cru", "boolean"),
    "indestructible_delegated": flag(),
    # -- processors and memory
    "cpu_cap": number("cpu_cap", 0, limits.CPU_PERCENT),
    "cpu_shares": number("cpu_shares", 0, limits.NUMBER_LARGEST, unset_by_zero=True),
    "vcpus": number("vcpus", 1, limits.VCPUS, HVM),
    "cpu_type": text(KVM, default="qemu64"),
    "ram": number("ram", 0, _MIB, unset_by_zero=True),
    "max_physical_memory": number("max_physical_memory", 0, _MIB, unset_by_zero=True),
    "max_locked_memory": number("max_locked_memory", 0, _MIB, unset_by_zero=True),
    "max_swap": number("max_swap", limits.SWAP_LEAST_MIB, _MIB),
    "tmpfs": number("tmpfs", 0, _MIB, OS),
    "max_lwps": number("max_lwps", 0, limits.LWPS, unset_by_zero=True),
    "max_shm_memory": amount(most=_MIB),
    "max_msg_ids": amount(default=4_096),
    "max_sem_ids": amount(default=4_096),
    "max_shm_ids": amount(default=4_096),
    "limit_priv": Property(ALL, "cru", "list", default=("default",)),
    # -- storage
    "quota": number("quota", 0, _GIB),
    "zfs_io_priority": number("zfs_io_priority", 0, limits.IO_PRIORITY, unset_by_zero=True),
    "zfs_filesystem_limit": Property(ALL, "cru", "limit", default="none", least=0),
    "zfs_snapshot_limit": Property(ALL, "cru", "limit", default="none", least=0),
    "zfs_root_compression": text(test=_COMPRESSION[0], wanted=_COMPRESSION[1], default="off"),
    "zfs_root_recsize": amount(0, 131_072, default=131_072),
    "zfs_data_compression": text(OS, test=_COMPRESSION[0], wanted=_COMPRESSION[1], default="off"),
    "zfs_data_recsize": amount(0, 131_072, OS, default=131_072),
    "delegate_dataset": flag(OS, "cr"),
    "fs_allowed": Property(OS, "cru", "list"),
    "filesystems": _parts(OS, "cr", limits.FILESYSTEMS, "filesystems"),
    "add_filesystems": _parts(_OS_KVM, "u", limits.FILESYSTEMS),
    "update_filesystems": _parts(_OS_KVM, "u", limits.FILESYSTEMS),
    "remove_filesystems": _verb("remove", limits.FILESYSTEMS),
    "disks": _parts(HVM, "cr", bounds.DISKS, "disks"),
    "add_disks": _parts(HVM, "u", bounds.DISKS),
    "update_disks": _parts(HVM, "u", bounds.DISKS),
    "remove_disks": _verb("remove", bounds.DISKS, HVM),
    "disk_driver": Property(HVM, "cru", "string", "void", most=32),
    "flexible_disk_size": amount(0, limits.DISK_MIB, BHYVE),
    # -- network
    "resolvers": Property(
        ALL,
        "cru",
        "list",
        "field",
        "resolvers",
        most=limits.RESOLVERS,
        test=texts.is_address,
        wanted="an IPv4 or IPv6 address",
    ),
    "maintain_resolvers": flag(OS),
    "routes": to("routes", ALL, "cr", "scalars", most=limits.ROUTES),
    "set_routes": _verb("set", limits.ROUTES),
    "remove_routes": _verb("remove", limits.ROUTES),
    "nics": _parts(ALL, "cr", bounds.NICS, "nics"),
    "add_nics": _parts(ALL, "u", bounds.NICS),
    "update_nics": _parts(ALL, "u", bounds.NICS),
    "remove_nics": _verb("remove", bounds.NICS),
    "nic_driver": Property(HVM, "cru", "string", "void", most=32),
    "firewall_enabled": to("firewall_enabled", ALL, "cru", "boolean"),
    # -- what is told about it
    "tags": to("tags", ALL, "cr", "scalars", most=bounds.TAGS),
    "set_tags": _verb("set", bounds.TAGS),
    "remove_tags": _verb("remove", bounds.TAGS),
    "customer_metadata": to("customer_metadata", ALL, "cr", "scalars", most=bounds.TAGS),
    "set_customer_metadata": _verb("set", bounds.TAGS),
    "remove_customer_metadata": _verb("remove", bounds.TAGS),
    "internal_metadata": to("internal_metadata", ALL, "cr", "scalars", most=bounds.TAGS),
    "set_internal_metadata": _verb("set", bounds.TAGS),
    "remove_internal_metadata": _verb("remove", bounds.TAGS),
    "internal_metadata_namespaces": Property(
        ALL, "cru", "list", test=texts.NAMESPACE.fullmatch, wanted="letters, digits and ._-"
    ),
    "zlog_max_size": amount(0, brands=OS),
    # -- consoles
    "vnc_password": Property(HVM, "cru", "string", "secret", most=8),
    "vnc_port": amount(-1, 65_535, HVM, default=0),
    "spice_password": Property(KVM, "cru", "string", "secret", most=limits.TEXT_CHARACTERS),
    "spice_port": amount(-1, 65_535, KVM),
    "spice_opts": text(KVM),
    "com1": text(BHYVE),
    "com2": text(BHYVE),
    # -- the virtual machine's own
    "vga": text(KVM, test=_VGA[0], wanted=_VGA[1]),
    "qemu_opts": text(KVM),
    "qemu_extra_opts": text(KVM),
    "virtio_txburst": amount(brands=KVM, default=128),
    "virtio_txtimer": amount(brands=KVM, default=200_000),
    "bhyve_extra_opts": text(BHYVE),
    "pci_devices": Property(BHYVE, "cru", "parts", most=limits.OPTIONS),
    "add_pci_devices": _parts(BHYVE, "cru", limits.OPTIONS),
    "update_pci_devices": _parts(BHYVE, "u", limits.OPTIONS),
    "remove_pci_devices": _verb("remove", limits.OPTIONS, BHYVE),
    # -- of what another host sends, which this one has no verb for
    "create_only": Property(ALL, "r", "boolean", "void"),
    "create_timestamp": text(ALL, "r", "void"),
    "datasets": Property(ALL, "r", "list", "void"),
    "transition": Property(ALL, "r", "scalars", "void"),
    "v": Property(ALL, "r", "integer", "void", least=0),
    "zfs_filesystem": text(ALL, "r", "void"),
}

READ_ONLY: Final = frozenset({
    "app_svc_dependent", "boot_timestamp", "datacenter_name", "exit_status", "exit_timestamp",
    "failed", "free_space", "headnode_id", "hvm", "init_restarts", "last_modified", "missing",
    "pid", "platform_buildstamp", "provisioning", "server_uuid", "snapshots", "state",
    "transition_expire", "transition_to", "type", "zlog_mode", "zlog_name", "zone_state",
    "zonedid", "zoneid", "zonepath",
})  # fmt: skip
"""What `vmadm get` tells besides: an instance made from its output has them, and they say nothing
about the new one. Also `create_timestamp` and `zfs_filesystem`."""
