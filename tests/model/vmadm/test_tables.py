from __future__ import annotations

import re

from fifo.model.instance import Disk, Filesystem, InstanceSpec, Nic
from fifo.model.vmadm.parts import DISK, FILESYSTEM, NIC, PCI_DEVICE
from fifo.model.vmadm.properties import PROPERTIES, READ_ONLY
from fifo.model.vmadm.property import ALL, BHYVE, HVM, KVM, LX, OS, Property

BRANDS = {
    "ALL": ALL,
    "OS": OS,
    "HVM": HVM,
    "OS+KVM": OS | KVM,
    "BHYVE": BHYVE,
    "KVM": KVM,
    "LX": LX,
    "DOCKER": LX | {"joyent-minimal"},
}
# vmadm's table of properties: who may name them (its `builder` aside), and in which actions.
VMADM = """
ALL:cru alias archive_on_delete autoboot billing_id cpu_cap cpu_shares do_not_inventory
firewall_enabled hostname indestructible_delegated indestructible_zoneroot
internal_metadata_namespaces limit_priv max_locked_memory max_lwps max_msg_ids max_physical_memory
max_sem_ids max_shm_ids max_shm_memory max_swap owner_uuid quota ram resolvers zfs_filesystem_limit
zfs_root_compression zfs_root_recsize zfs_io_priority zfs_snapshot_limit
ALL:cr brand customer_metadata image_uuid internal_metadata nics routes tags uuid zonename zpool
ALL:u add_nics remove_customer_metadata remove_filesystems remove_internal_metadata remove_nics
remove_routes remove_tags set_routes set_tags set_customer_metadata set_internal_metadata
update_nics
ALL:r create_only create_timestamp datasets transition v zfs_filesystem
OS:cru dns_domain fs_allowed init_name maintain_resolvers restart_init tmpfs zfs_data_compression
zfs_data_recsize zlog_max_size
OS:cr dataset_uuid delegate_dataset filesystems nowait
OS:c mdata_exec_timeout
OS+KVM:u add_filesystems update_filesystems
OS+KVM:cru package_name package_version
DOCKER:cru docker
LX:cru kernel_version
HVM:cru boot disk_driver nic_driver vcpus vnc_password vnc_port
HVM:cr disks zone_dataset_uuid
HVM:u add_disks remove_disks update_disks
BHYVE:cru add_pci_devices bhyve_extra_opts bootrom com1 com2 flexible_disk_size pci_devices
BHYVE:u remove_pci_devices update_pci_devices
KVM:cru cpu_type qemu_extra_opts qemu_opts spice_opts spice_password spice_port virtio_txburst
virtio_txtimer vga
ALL:au nics.allow_dhcp_spoofing nics.allow_ip_spoofing nics.allow_mac_spoofing
nics.allow_restricted_traffic nics.allowed_ips nics.blocked_outgoing_ports nics.dhcp_server
nics.gateway nics.gateways nics.interface nics.ip nics.ips nics.mac nics.mtu nics.netmask
nics.network_uuid nics.nic_tag nics.primary nics.vlan_id nics.vrrp_vrid nics.vrrp_primary_ip
OS+KVM:au nics.allowed_dhcp_cids
HVM:au nics.allow_unfiltered_promisc nics.model disks.boot disks.compression disks.media
disks.model disks.path disks.refreservation
HVM:a disks.block_size disks.image_size disks.image_uuid disks.nocreate disks.zpool
HVM:r disks.zfs_filesystem
BHYVE:au disks.guest_block_size disks.notrim disks.pci_slot pci_devices.path pci_devices.pci_slot
BHYVE:u disks.dangerous_allow_shrink
OS:au filesystems.options filesystems.raw filesystems.source filesystems.target filesystems.type
"""
# What ours lets more brands or actions say, and why.
WIDER = {
    "zfs_storage_pool_name": "an old name of zpool, for all brands as that",
    "disks.size": "a disk of our kvm grows too",
    "disks.uuid": "named as not honoured for kvm too",
    "disks.image_name": "only a label",
    "pci_devices.model": "checked by vmadm's code, absent from its table",
}
PARTS = {"nics": NIC, "disks": DISK, "filesystems": FILESYSTEM, "pci_devices": PCI_DEVICE}


def ours() -> dict[str, Property]:
    rows = dict(PROPERTIES)
    for part, table in PARTS.items():
        rows |= {f"{part}.{name}": row for name, row in table.items()}
    return rows


def theirs() -> dict[str, tuple[frozenset[str], str]]:
    found = {}
    for group in re.finditer(r"^([A-Z+]+):(\w+) ([^A-Z]+)$", VMADM, re.MULTILINE):
        for name in group[3].split():
            found[name] = (BRANDS[group[1]], group[2])
    return found


def test_all_158_names_of_vmadm_are_known_and_no_other() -> None:
    known = ours().keys()
    assert len(theirs()) == 158 - 4  # and those that ours lets more say
    assert known == theirs().keys() | WIDER.keys()
    assert len(known) == 158 + 1  # pci_devices.model


def test_every_name_is_for_the_brands_and_actions_that_vmadm_has_it_for() -> None:
    rows = ours()
    assert {name: (rows[name].brands, rows[name].actions) for name in theirs()} == theirs()


def test_every_row_that_becomes_a_field_names_one_that_there_is() -> None:
    fields = {
        "nics": Nic.__struct_fields__,
        "disks": Disk.__struct_fields__,
        "filesystems": Filesystem.__struct_fields__,
    }
    for name, row in ours().items():
        part = name.partition(".")[0] if "." in name else ""
        if row.becomes == "field":
            assert row.field in fields.get(part, InstanceSpec.__struct_fields__), name
        else:
            assert not row.field, name


def test_every_field_of_a_part_is_reached_by_a_property() -> None:
    for struct, table in ((Nic, NIC), (Disk, DISK), (Filesystem, FILESYSTEM)):
        assert {row.field for row in table.values() if row.field} == set(struct.__struct_fields__)


def test_a_row_with_a_test_says_what_is_wanted() -> None:
    assert [name for name, row in ours().items() if row.test and not row.wanted] == []


def test_what_only_get_tells_is_no_property_of_a_payload() -> None:
    assert not READ_ONLY & PROPERTIES.keys()
