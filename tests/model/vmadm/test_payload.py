from __future__ import annotations

from typing import Any

import pytest

from fifo.model.instance import Disk, Nic, RestartPolicy
from fifo.model.vmadm.validity import violations
from tests.model.vmadm.payloads import (
    BHYVE,
    CREATED,
    DOCKER,
    FIREWALLED,
    IMAGE,
    KVM,
    LX,
    MAC,
    MINIMAL,
    OS_ZONE,
    UID,
    VRRP,
    draft_of,
    spec_of,
)


@pytest.mark.parametrize("payload", CREATED.values(), ids=CREATED.keys())
def test_a_real_payload_is_accepted_as_it_is(payload: dict[str, Any]) -> None:
    draft = draft_of(payload)
    assert draft.violations == ()
    assert draft.dropped == ()
    spec = spec_of(payload)
    assert violations(spec) == ()
    assert spec.brand == payload["brand"]


# --- what becomes of each ------------------------------------------------------------------------


def test_of_a_zone_the_draft_has_what_the_payload_says_and_nothing_else() -> None:
    draft = draft_of(OS_ZONE)
    nic = Nic(
        interface="",
        mac="",
        nic_tag="external",
        ips=("10.2.121.70/16",),
        gateways=("10.2.121.1",),
        primary=True,
    )
    assert draft.fields == {
        "brand": "joyent",
        "image": IMAGE,
        "max_physical_memory": 256,
        "quota": 20,
        "zfs_io_priority": 30,
        "alias": "zone-one",
        "nics": (nic,),
    }
    assert draft.unhonoured == ()


def test_of_a_vm_an_image_names_its_disk_and_its_size() -> None:
    disk = Disk(path="", image=IMAGE, size=5120, boot=True, model="virtio")
    assert draft_of(KVM).fields["disks"] == (disk,)


def test_a_top_level_image_of_a_vm_is_the_zone_around_it_and_no_disk() -> None:
    draft = draft_of(KVM | {"image_uuid": IMAGE})
    assert "image" not in draft.fields
    assert draft.unhonoured == ("image_uuid",)
    assert draft.fields["extra"] == {"image_uuid": IMAGE}


def test_the_old_form_of_an_address_becomes_the_present_one() -> None:
    (nic,) = draft_of(FIREWALLED).fields["nics"]
    assert nic.ips == ("10.8.0.33/24",)
    assert nic.gateways == ("10.8.0.1",)
    assert nic.primary


@pytest.mark.parametrize("old", ["dhcp", "addrconf"])
def test_an_old_address_may_be_one_that_the_guest_gets_by_itself(old: str) -> None:
    (nic,) = draft_of(MINIMAL | {"nics": [{"nic_tag": "admin", "ip": old}]}).fields["nics"]
    assert nic.ips == (old,)


def test_the_present_form_goes_before_the_old_one() -> None:
    both = {"nic_tag": "a", "ips": ["10.0.0.2/8"], "ip": "10.0.0.3", "netmask": "255.0.0.0"}
    (nic,) = draft_of(MINIMAL | {"nics": [both]}).fields["nics"]
    assert nic.ips == ("10.0.0.2/8",)


@pytest.mark.parametrize(
    ("payload", "old"), [(MINIMAL, "dataset_uuid"), (LX, "dataset_uuid")], ids=["joyent", "lx"]
)
def test_an_old_name_of_the_image_is_read(payload: dict[str, Any], old: str) -> None:
    renamed = {name: own for name, own in payload.items() if name != "image_uuid"}
    draft = draft_of(renamed | {old: IMAGE})
    assert draft.violations == ()
    assert draft.fields["image"] == IMAGE


def test_a_package_name_is_only_a_label() -> None:
    draft = draft_of(LX | {"package_name": "sdc_256", "package_version": "1.0.0"})
    assert draft.fields["extra"] == {"package_name": "sdc_256", "package_version": "1.0.0"}
    assert draft.unhonoured == ()
    assert "package" not in draft.fields


def test_a_zonename_that_is_the_uuid_says_nothing() -> None:
    assert "extra" not in draft_of(LX | {"uuid": UID, "zonename": UID}).fields
    assert draft_of(LX | {"zonename": "web"}).fields["extra"] == {"zonename": "web"}


def test_protection_is_called_indestructible_by_vmadm() -> None:
    assert spec_of(LX | {"indestructible_zoneroot": True}).deletion_protection


@pytest.mark.parametrize("asked", [{"restart_init": False}, {"docker": True}])
def test_who_does_not_want_init_restarted_gets_a_policy_of_never(asked: dict[str, Any]) -> None:
    assert draft_of(LX | asked).fields["restart"] == RestartPolicy(when="never")
    assert "restart" not in draft_of(LX | {"restart_init": True}).fields


def test_docker_metadata_is_kept_and_the_flag_is_not_rewritten() -> None:
    draft = draft_of(DOCKER)
    assert draft.fields["internal_metadata"] == DOCKER["internal_metadata"]
    assert draft.fields["extra"] == {"docker": True}
    assert spec_of(DOCKER).wanted == "stopped"


def test_what_a_linux_host_cannot_honour_is_named_and_kept() -> None:
    draft = draft_of(
        LX | {"fs_allowed": "ufs,tmpfs", "delegate_dataset": True, "limit_priv": ["default"],
              "zfs_root_compression": "lz4", "archive_on_delete": False}
    )  # fmt: skip
    assert draft.unhonoured == ("fs_allowed", "delegate_dataset", "zfs_root_compression")
    assert draft.fields["extra"] == {
        "fs_allowed": "ufs,tmpfs",
        "delegate_dataset": True,
        "zfs_root_compression": "lz4",
    }


def test_a_smartos_host_honours_all_of_it() -> None:
    draft = draft_of(OS_ZONE | {"fs_allowed": "ufs", "delegate_dataset": True})
    assert draft.unhonoured == ()
    assert draft.fields["extra"] == {"fs_allowed": "ufs", "delegate_dataset": True}


def test_a_password_that_is_of_no_use_is_not_kept() -> None:
    draft = draft_of(KVM | {"vnc_password": "secret", "spice_password": "secret"})
    assert draft.unhonoured == ("vnc_password", "spice_password")
    assert "secret" not in str(draft.fields)


def test_parts_that_are_not_honoured_are_named_by_their_place() -> None:
    nics = [LX["nics"][0] | {"blocked_outgoing_ports": [25], "dhcp_server": False, "nope": 1}]
    draft = draft_of(LX | {"nics": nics})
    assert draft.unhonoured == ("nics[0].blocked_outgoing_ports", "nics[0].nope")
    assert draft.dropped == ("nics[0].nope",)


def test_what_vmadm_drops_without_a_word_is_named() -> None:
    draft = draft_of(LX | {"vcpus": 4, "colour": "red", "state": "running", "zoneid": 4})
    assert draft.violations == ()
    assert draft.dropped == ("vcpus", "colour", "state", "zoneid")
    # What another host tells of its own instance is not worth a warning.
    assert draft.unhonoured == ("vcpus", "colour")


def test_a_thousand_unknown_names_are_counted() -> None:
    draft = draft_of(LX | {f"x{number}": 1 for number in range(1000)})
    assert len(draft.unhonoured) == 65
    assert draft.unhonoured[-1] == "... and 936 more"


def test_brands_of_other_hosts_are_never_rewritten() -> None:
    assert [draft_of(own).fields["brand"] for own in (MINIMAL, DOCKER, BHYVE)] == [
        "joyent", "joyent-minimal", "bhyve",
    ]  # fmt: skip
    assert draft_of({"image_uuid": IMAGE}).fields["brand"] == "joyent"


@pytest.mark.parametrize(
    ("given", "read"),
    [
        ({"ram": "1024"}, {"ram": 1024}),
        ({"ram": 1024.0}, {"ram": 1024}),
        ({"ram": ""}, {}),
        ({"ram": None}, {}),
        ({"ram": 0}, {}),
        ({"quota": "0"}, {"quota": 0}),
        ({"autoboot": "false"}, {"autoboot": False}),
        ({"autoboot": 1}, {"autoboot": True}),
        ({"autoboot": "1"}, {"autoboot": True}),
        ({"resolvers": "8.8.8.8,2001:db8::1"}, {"resolvers": ("8.8.8.8", "2001:db8::1")}),
        ({"resolvers": ["8.8.8.8"]}, {"resolvers": ("8.8.8.8",)}),
        ({"cpu_shares": 100_000}, {"cpu_shares": 65_535}),
        ({"alias": "  "}, {}),
        ({"init_name": "/sbin/init"}, {"init": ("/sbin/init",)}),
    ],
)
def test_values_are_read_as_liberally_as_vmadm_does(
    given: dict[str, Any], read: dict[str, Any]
) -> None:
    draft = draft_of(MINIMAL | given)
    assert draft.violations == ()
    assert {key: own for key, own in draft.fields.items() if key not in {"brand", "image"}} == read


# --- what is refused -----------------------------------------------------------------------------

NIC = {"nic_tag": "external", "ips": ["10.0.0.2/24"]}
DISK = {"model": "virtio", "size": 10}


@pytest.mark.parametrize(
    ("payload", "paths"),
    [
        ({"brand": "lx"}, ["image_uuid", "kernel_version"]),
        ({"brand": "joyent"}, ["image_uuid"]),
        ({"brand": "zfs"}, ["brand"]),
        ({"brand": 7}, ["brand"]),
        (MINIMAL | {"image_uuid": IMAGE.upper()}, ["image_uuid"]),
        (MINIMAL | {"ram": "much", "cpu_cap": -1}, ["ram", "cpu_cap"]),
        (MINIMAL | {"ram": True}, ["ram"]),
        (MINIMAL | {"ram": 1.5}, ["ram"]),
        (MINIMAL | {"max_swap": 255}, ["max_swap"]),
        (MINIMAL | {"alias": "a\nb"}, ["alias"]),
        (MINIMAL | {"alias": "a\0b"}, ["alias"]),
        (MINIMAL | {"alias": "x" * 190}, ["alias"]),
        (MINIMAL | {"alias": 5}, ["alias"]),
        (MINIMAL | {"hostname": "-oops"}, ["hostname"]),
        (MINIMAL | {"hostname": "a; rm -rf /"}, ["hostname"]),
        (MINIMAL | {"autoboot": "maybe"}, ["autoboot"]),
        (MINIMAL | {"resolvers": ["8.8.8.8", "dns"]}, ["resolvers[1]"]),
        (MINIMAL | {"tags": {"a": [1], "": 1, "b": None}}, ["tags.a", 'tags.""', "tags.b"]),
        (MINIMAL | {"tags": [1]}, ["tags"]),
        (MINIMAL | {"tags": {str(n): n for n in range(257)}}, ["tags"]),
        (MINIMAL | {"customer_metadata": {"a": "x" * 40_000, "b": "x" * 40_000}},
         ["customer_metadata"]),
        (MINIMAL | {"zfs_root_recsize": 1000}, ["zfs_root_recsize"]),
        (MINIMAL | {"zfs_root_compression": "zip"}, ["zfs_root_compression"]),
        (MINIMAL | {"nics": {}}, ["nics"]),
        (MINIMAL | {"nics": [7]}, ["nics[0]", "nics[0].nic_tag"]),
        (MINIMAL | {"nics": [NIC] * 33}, ["nics"]),
        (MINIMAL | {"nics": [{"ips": ["10.0.0.2/24"]}]}, ["nics[0].nic_tag"]),
        (MINIMAL | {"nics": [{"nic_tag": 7}]}, ["nics[0].nic_tag"]),
        (MINIMAL | {"nics": [NIC, {"nic_tag": "a", "ips": ["dhcp", "10.0.0.300/24"]}]},
         ["nics[1].ips[1]"]),
        (MINIMAL | {"nics": [NIC | {"ips": ["10.0.0.2"]}]}, ["nics[0].ips[0]"]),
        (MINIMAL | {"nics": [NIC | {"ips": ["224.0.0.1/24", "10.0.0.3/24", "10.0.0.255/24"]}]},
         ["nics[0].ips[0]", "nics[0].ips[2]"]),
        (MINIMAL | {"nics": [NIC, NIC]}, ["nics[1].ips[0]"]),
        (MINIMAL | {"nics": [NIC | {"ips": [f"10.0.0.{n}/24" for n in range(21)]}]},
         ["nics[0].ips"]),
        (MINIMAL | {"nics": [NIC | {"mac": "01:00:00:00:00:01"}]}, ["nics[0].mac"]),
        (MINIMAL | {"nics": [NIC | {"gateways": ["2001:db8::1"]}]}, ["nics[0].gateways[0]"]),
        (MINIMAL | {"nics": [NIC | {"mtu": 100, "vlan_id": 4096}]},
         ["nics[0].mtu", "nics[0].vlan_id"]),
        (MINIMAL | {"nics": [{"nic_tag": "a", "ip": "10.0.0.1"}]}, ["nics[0].netmask"]),
        (MINIMAL | {"nics": [{"nic_tag": "a", "ip": "10.0.0.1", "netmask": "255.0.255.0"}]},
         ["nics[0].netmask"]),
        (MINIMAL | {"nics": [{"nic_tag": "a", "ip": "x", "netmask": "255.0.0.0"}]},
         ["nics[0].ip"]),
        (MINIMAL | {"nics": [{"nic_tag": "a", "gateway": "here"}]}, ["nics[0].gateway"]),
        (MINIMAL | {"nics": [NIC | {"primary": True}, {"nic_tag": "b", "primary": True}]},
         ["nics[1].primary"]),
        (MINIMAL | {"nics": [NIC | {"mac": MAC}, {"nic_tag": "b", "mac": MAC.upper()}]},
         ["nics[1].mac"]),
        (MINIMAL | {"nics": [NIC | {"allowed_ips": ["10.0.0.0/8", "x"]}]},
         ["nics[0].allowed_ips[1]"]),
        (MINIMAL | {"nics": [NIC | {"ips": [f"10.0.1.{n}/24" for n in range(1, 21)],
                                    "allowed_ips": [f"10.1.0.{n}" for n in range(13)]}]},
         ["nics[0]"]),
        (MINIMAL | {"nics": [NIC | {"allowed_dhcp_cids": ["0x123"]}]},
         ["nics[0].allowed_dhcp_cids[0]"]),
        (MINIMAL | {"routes": {"10.0.0.0/8": "nics[0]"}}, ["routes.10.0.0.0/8"]),
        (MINIMAL | {"nics": [NIC], "routes": {"x": "nics[0]", "1.1.1.1": 7, "1.1.1.2": "nics[1]"}},
         ["routes.x", "routes.1.1.1.1", "routes.1.1.1.2"]),
        (MINIMAL | {"nics": [{"nic_tag": "a", "ips": ["dhcp"]}], "routes": {"1.1.1.1": "nics[0]"}},
         ["routes.1.1.1.1"]),
        (MINIMAL | {"nics": [NIC], "routes": {"2001:db8::/32": "10.0.0.1"}},
         ["routes.2001:db8::/32"]),
        (MINIMAL | {"filesystems": [{"source": "data", "target": "/a/../b"}, {}]},
         ["filesystems[1].source", "filesystems[1].target", "filesystems[0].source",
          "filesystems[0].target"]),
        (KVM | {"vcpus": 0}, ["vcpus"]),
        (KVM | {"nics": [NIC]}, ["nics[0].model"]),
        (KVM | {"disks": [{"size": 10}]}, ["disks[0].model"]),
        (KVM | {"disks": [DISK | {"model": "ahci"}]}, ["disks[0].model"]),
        (KVM | {"disks": [{"model": "virtio"}]}, ["disks[0].size"]),
        (KVM | {"disks": [DISK | {"image_size": 5, "image_name": "x"}]},
         ["disks[0].image_size", "disks[0].image_name"]),
        (KVM | {"disks": [DISK | {"image_uuid": IMAGE, "block_size": 512}]},
         ["disks[0].block_size", "disks[0].size"]),
        (KVM | {"disks": [DISK | {"block_size": 1000}]}, ["disks[0].block_size"]),
        (KVM | {"disks": [DISK | {"path": "/dev/sda"}]}, ["disks[0].path"]),
        (KVM | {"disks": [DISK | {"path": "../x", "nocreate": True}]}, ["disks[0].path"]),
        (KVM | {"disks": [DISK | {"compression": "zip"}]}, ["disks[0].compression"]),
        (KVM | {"disks": [DISK | {"boot": True}, DISK | {"boot": True}]}, ["disks[1].boot"]),
        (KVM | {"disks": [DISK] * 17}, ["disks"]),
        (KVM | {"vga": "hercules"}, ["vga"]),
        (KVM | {"vnc_password": "nine chars"}, ["vnc_password"]),
        (BHYVE | {"flexible_disk_size": 100}, ["flexible_disk_size"]),
        (BHYVE | {"pci_devices": [{"path": "/dev/x", "model": "other"}]},
         ["pci_devices[0].model", "pci_devices[0].pci_slot", "pci_devices[0].path"]),
        (VRRP | {"nics": [VRRP["nics"][1]]}, ["nics", "nics[0].vrrp_primary_ip"]),
        (VRRP | {"nics": [NIC, VRRP["nics"][1]]}, ["nics[1].vrrp_primary_ip"]),
        (VRRP | {"nics": [NIC, NIC | {"ips": ["dhcp"], "vrrp_vrid": 1, "mac": MAC}]},
         ["nics[1].vrrp_primary_ip", "nics[1].mac"]),
    ],
)  # fmt: skip
def test_all_that_is_wrong_is_told_by_its_path(payload: dict[str, Any], paths: list[str]) -> None:
    draft = draft_of(payload)
    assert [violation.field for violation in draft.violations] == paths
    assert all(violation.wanted for violation in draft.violations)


def test_a_driver_gives_the_model_of_those_that_have_none() -> None:
    draft = draft_of(
        KVM | {"nic_driver": "e1000", "disk_driver": "ide", "nics": [NIC], "disks": [{"size": 10}]}
    )
    assert draft.violations == ()
    assert draft.fields["nics"][0].model == "e1000"
    assert draft.fields["disks"][0].model == "ide"


def test_a_cdrom_names_a_file_instead_of_a_size() -> None:
    draft = draft_of(KVM | {"disks": [DISK, {"media": "cdrom", "path": "/cd.iso", "model": "ide"}]})
    assert draft.violations == ()
    assert draft.fields["disks"][1] == Disk(path="/cd.iso", media="cdrom", model="ide")
