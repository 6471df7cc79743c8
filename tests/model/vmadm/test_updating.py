from __future__ import annotations

from typing import Any

import msgspec
import pytest

from fifo.model.instance import Filesystem, InstanceSpec
from fifo.model.vmadm.updating import Update, update
from tests.model.vmadm.payloads import (
    ADD_FILESYSTEM,
    ADD_NIC,
    BHYVE,
    IMAGE,
    KVM,
    LX,
    MAC,
    OS_ZONE,
    REMOVE_NIC,
    macs,
    spec_of,
)

ZONE = spec_of(OS_ZONE)
LINUX = spec_of(LX)
VM = spec_of(KVM)
BSD_VM = spec_of(BHYVE)
NEW_MAC = "02:08:20:00:00:10"


def changed_by(before: InstanceSpec, payload: dict[str, Any], state: str = "stopped") -> Update:
    return update(before, msgspec.json.encode(payload), macs(), state)


def accepted(before: InstanceSpec, payload: dict[str, Any]) -> InstanceSpec:
    made = changed_by(before, payload)
    assert made.violations == ()
    return made.spec


# --- plain properties ----------------------------------------------------------------------------


def test_what_is_said_changes_and_the_generation_with_it() -> None:
    made = changed_by(ZONE, {"quota": 40, "cpu_cap": 200, "alias": "other"})
    assert made.changed == ("alias", "cpu_cap", "quota")
    assert (made.spec.quota, made.spec.cpu_cap, made.spec.alias) == (40, 200, "other")
    assert made.spec.generation == ZONE.generation + 1


@pytest.mark.parametrize("payload", [{}, {"quota": 20}, {"remove_tags": ["x"]}, REMOVE_NIC])
def test_an_update_of_nothing_is_no_generation(payload: dict[str, Any]) -> None:
    assert changed_by(ZONE, payload) == Update(ZONE)


def test_null_and_an_empty_text_put_back_to_the_default() -> None:
    before = accepted(LINUX, {"cpu_cap": 100, "hostname": "a", "resolvers": ["8.8.8.8"]})
    after = accepted(before, {"cpu_cap": None, "hostname": "", "resolvers": None, "quota": None})
    assert (after.cpu_cap, after.hostname, after.resolvers) == (0, "", ())
    # No quota is none at all.
    assert after.quota == 0


def test_memory_is_changed_by_vmadms_arithmetic() -> None:
    after = accepted(LINUX, {"ram": 1024})
    assert (after.max_physical_memory, after.max_swap, after.tmpfs) == (1024, 1024, 1024)
    assert accepted(VM, {"ram": 1024}).max_physical_memory == 2048


def test_restart_init_turns_the_restart_policy_off_and_on() -> None:
    off = accepted(LINUX, {"restart_init": False})
    assert off.restart.when == "never"
    assert accepted(off, {"restart_init": True}).restart.when == "on_failure"
    assert accepted(off, {"alias": "a"}).restart.when == "never"


def test_init_is_set_and_unset() -> None:
    on = accepted(LINUX, {"init_name": "/bin/init"})
    assert on.init == ("/bin/init",)
    assert accepted(on, {"init_name": None}).init == ()


def test_what_is_only_kept_is_kept_on_and_forgotten_when_unset() -> None:
    on = changed_by(LINUX, {"fs_allowed": "ufs", "package_name": "small"})
    assert on.unhonoured == ("fs_allowed",)
    assert on.spec.unhonoured == ("fs_allowed",)
    assert on.spec.extra == {"fs_allowed": "ufs", "package_name": "small"}
    off = accepted(on.spec, {"fs_allowed": None})
    assert off.extra == {"package_name": "small"}
    assert off.unhonoured == ()


def test_what_may_not_be_updated_is_dropped_and_named() -> None:
    made = changed_by(LINUX, {"brand": "kvm", "nics": [], "uuid": IMAGE, "colour": 1})
    assert made.dropped == ("brand", "nics", "uuid", "colour")
    assert made.spec == LINUX


# --- tags, metadata, routes ----------------------------------------------------------------------


@pytest.mark.parametrize("name", ["tags", "customer_metadata", "internal_metadata"])
def test_entries_are_set_and_removed(name: str) -> None:
    before = accepted(LINUX, {f"set_{name}": {"a": 1, "b": "x"}})
    after = accepted(before, {f"set_{name}": {"b": True, "c": 2.5}, f"remove_{name}": ["a", "z"]})
    assert getattr(after, name) == {"b": True, "c": 2.5}


def test_routes_are_set_and_removed() -> None:
    after = accepted(
        LINUX, {"set_routes": {"10.9.0.0/16": "nics[0]"}, "remove_routes": ["10.22.0.0/16"]}
    )
    assert set(after.routes) == {"10.33.1.1", "10.44.0.0/16", "10.9.0.0/16"}


# --- interfaces ----------------------------------------------------------------------------------


def test_an_interface_is_added_and_removed_by_its_mac() -> None:
    made = changed_by(ZONE, ADD_NIC)
    assert made.changed == ("nics",)
    assert [nic.interface for nic in made.spec.nics] == ["net0", "net1"]
    assert [nic.primary for nic in made.spec.nics] == [True, False]
    assert accepted(made.spec, REMOVE_NIC).nics == ZONE.nics


def test_an_added_interface_gets_a_mac_a_name_and_the_model_of_the_first() -> None:
    # The first of the macs is the one that is there already: they are passed in, and unique there.
    made = update(VM, msgspec.json.encode({"add_nics": [{"nic_tag": "a"}]}), iter([MAC]))
    added = made.spec.nics[1]
    assert (added.interface, added.mac, added.model) == ("net1", MAC, "virtio")


def test_of_an_updated_interface_only_what_is_said_changes() -> None:
    payload = {
        "update_nics": [{"mac": MAC.upper(), "allow_ip_spoofing": True, "ips": ["1.2.3.4/8"]}]
    }
    (nic,) = accepted(LINUX, payload).nics
    expected = msgspec.structs.replace(LINUX.nics[0], allow_ip_spoofing=True, ips=("1.2.3.4/8",))
    assert nic == expected


def test_who_becomes_primary_takes_it_from_the_other() -> None:
    two = accepted(ZONE, ADD_NIC)
    after = accepted(two, {"update_nics": [{"mac": two.nics[1].mac, "primary": True}]})
    assert [nic.primary for nic in after.nics] == [False, True]
    third = accepted(after, {"add_nics": [{"nic_tag": "x", "primary": True, "mac": MAC}]})
    assert [nic.primary for nic in third.nics] == [False, False, True]


def test_when_the_primary_goes_the_first_that_is_left_becomes_it() -> None:
    two = accepted(ZONE, ADD_NIC)
    (left,) = accepted(two, {"remove_nics": [two.nics[0].mac]}).nics
    assert left.primary


# --- disks and file systems ----------------------------------------------------------------------


def test_a_disk_is_added_changed_and_removed_by_its_path() -> None:
    grown = accepted(
        VM, {"update_disks": [{"path": "disk0", "size": 9000}], "add_disks": [{"size": 20}]}
    )
    assert [(disk.path, disk.size, disk.boot) for disk in grown.disks] == [
        ("disk0", 9000, True), ("disk1", 20, False),
    ]  # fmt: skip
    swapped = accepted(grown, {"update_disks": [{"path": "disk1", "boot": True}]})
    assert [disk.boot for disk in swapped.disks] == [False, True]
    assert accepted(grown, {"remove_disks": ["disk1", "none"]}).disks == grown.disks[:1]


def test_a_disk_shrinks_only_with_the_word_for_it() -> None:
    shrink = {"path": BSD_VM.disks[1].path, "size": 10}
    assert changed_by(BSD_VM, {"update_disks": [shrink]}).violations[0].field == (
        "update_disks[0].size"
    )
    shrink["dangerous_allow_shrink"] = True
    assert accepted(BSD_VM, {"update_disks": [shrink]}).disks[1].size == 10


def test_file_systems_are_added_changed_and_removed_by_their_target() -> None:
    added = accepted(LINUX, ADD_FILESYSTEM)
    own = Filesystem(source="/pool/data", target="/data", options=("nodevice",))
    assert added.filesystems == (own,)
    changed = accepted(added, {"update_filesystems": [{"target": "/data", "options": ["ro"]}]})
    assert changed.filesystems == (msgspec.structs.replace(own, options=("ro",)),)
    assert accepted(changed, {"remove_filesystems": ["/data", "/none"]}).filesystems == ()


def test_a_vms_file_systems_of_the_host_are_not_honoured() -> None:
    made = changed_by(VM, ADD_FILESYSTEM)
    assert made.unhonoured == ("add_filesystems",)
    assert made.spec.filesystems == ()


# --- what is refused -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("before", "payload", "paths"),
    [
        (LINUX, {"ram": "x", "set_tags": {"a": []}}, ["ram", "set_tags.a"]),
        (LINUX, {"update_nics": [{"mac": NEW_MAC}]}, ["update_nics[0].mac"]),
        (LINUX, {"update_nics": [{"mtu": 9000}]}, ["update_nics[0].mac"]),
        (LINUX, {"update_nics": [{"mac": "no"}]}, ["update_nics[0].mac"]),
        (LINUX, {"update_nics": [{"mac": MAC, "nic_tag": "a/b"}]}, ["update_nics[0].nic_tag"]),
        (LINUX, {"add_nics": [{"nic_tag": "a", "mac": MAC}]}, ["nics[1].mac"]),
        (LINUX, {"add_nics": [{"nic_tag": "a", "ips": ["172.17.1.10/24"]}]}, ["nics[1].ips[0]"]),
        (LINUX, {"add_nics": [{"nic_tag": "a", "primary": True}] * 2}, ["add_nics[1].primary"]),
        (LINUX, {"update_nics": [{"mac": MAC, "primary": True}],
                 "add_nics": [{"nic_tag": "a", "primary": True}]}, ["add_nics[0].primary"]),
        (LINUX, {"add_nics": [{}]}, ["add_nics[0].nic_tag"]),
        (LINUX, {"add_nics": {}}, ["add_nics"]),
        (LINUX, {"remove_nics": [MAC]}, ["routes.10.22.0.0/16", "routes.10.33.1.1"]),
        (LINUX, {"update_nics": [{"mac": MAC, "ips": ["dhcp"]}]},
         ["routes.10.22.0.0/16", "routes.10.33.1.1"]),
        (LINUX, {"set_routes": {"10.0.0.0/8": "nics[4]"}}, ["routes.10.0.0.0/8"]),
        (LINUX, {"update_filesystems": [{"target": "/x"}]}, ["update_filesystems[0].target"]),
        (LINUX, {"set_tags": {str(n): "x" * 1000 for n in range(80)}}, ["tags"]),
        (VM, {"max_physical_memory": 100, "max_locked_memory": 100},
         ["max_physical_memory", "max_locked_memory"]),
        (VM, {"update_disks": [{"path": "none"}]}, ["update_disks[0].path"]),
        (VM, {"update_disks": [{"path": "disk0", "model": "nvme"}]}, ["update_disks[0].model"]),
        (VM, {"update_disks": [{"path": "disk0", "size": 1}]}, ["update_disks[0].size"]),
        (VM, {"update_disks": [{"path": "disk0", "refreservation": "auto"}]},
         ["update_disks[0].refreservation"]),
        (VM, {"add_disks": [{"image_uuid": IMAGE, "size": 5}]}, ["add_disks[0].size"]),
        (BSD_VM, {"add_pci_devices": [{"path": "/x", "pci_slot": "0:8:0"}]},
         ["add_pci_devices[0].path"]),
    ],
)  # fmt: skip
def test_all_that_is_wrong_is_told_and_nothing_changes(
    before: InstanceSpec, payload: dict[str, Any], paths: list[str]
) -> None:
    made = changed_by(before, payload)
    assert [violation.field for violation in made.violations] == paths
    assert made.spec == before
    assert made.changed == ()


@pytest.mark.parametrize(
    ("payload", "paths"),
    [
        ({"add_disks": [{"size": 5}]}, ["add_disks"]),
        ({"remove_disks": ["disk0"]}, ["remove_disks"]),
        ({"update_disks": [{"path": "disk0", "boot": True}]}, ["update_disks[0]"]),
        ({"update_disks": [{"path": "disk0", "compression": "lz4"}]}, []),
    ],
)
def test_disks_are_changed_of_a_stopped_vm(payload: dict[str, Any], paths: list[str]) -> None:
    made = changed_by(VM, payload, "running")
    assert [violation.field for violation in made.violations] == paths


def test_what_is_no_payload_changes_nothing() -> None:
    made = update(VM, b'{"ram": 1, "ram": 2}', macs())
    assert made.spec == VM
    assert [violation.field for violation in made.violations] == ["ram"]


def test_what_was_wrong_before_a_rule_was_there_hinders_no_other_change() -> None:
    older = msgspec.structs.replace(LINUX, resolvers=("x",), quota=-1)
    assert accepted(older, {"alias": "other"}).resolvers == ("x",)
    told = changed_by(older, {"cpu_cap": -1}).violations
    assert [violation.field for violation in told] == ["cpu_cap"]
    spec = accepted(older, {"quota": 10})
    assert (spec.quota, spec.resolvers) == (10, ("x",))
