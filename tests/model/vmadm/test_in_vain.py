"""Whatever a payload asks for is done by somebody, or told as in vain."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from fifo.hypervisors.linux import changes as of_zones
from fifo.hypervisors.linux.vm import changes as of_vms
from fifo.model.instance import InstanceSpec
from fifo.model.vmadm.changes import changed
from fifo.model.vmadm.in_vain import IN_VAIN, in_vain
from fifo.model.vmadm.updating import update
from tests.model.vmadm.payloads import ADD_NIC, KVM, LX, MAC, macs, spec_of

if TYPE_CHECKING:
    from types import ModuleType

ZONE = msgspec.structs.replace(spec_of(LX), kernel_version="", firewall_enabled=False)
VM = msgspec.structs.replace(spec_of(KVM), firewall_enabled=False)
DRIVERS = {"lx": of_zones, "kvm": of_vms}
FLEETS = {
    *("uid", "id", "org", "brand", "create_time", "owner_uuid", "billing_id"),  # who it is
    # what is to be done
    *("generation", "boot_generation", "wanted", "patience", "unasked", "deleting"),
    *("package", "wanted_host"),  # where its sizes come from, and where it may go
    *("unhonoured", "extra"),  # what is kept and told
}
"""Fields that are nobody's on a host, with who reads them."""
MADE_OF = {"image", "disks", "filesystems", "init"}
"""Fields that an instance of the other kind has none of, or is made of and cannot change."""
NOT_ITS_OWN = {
    # A zone's processors are its cpu_cap.
    "lx": {"vcpus"},
    # A VM has no /tmp of its host's; it is refused.
    "kvm": {"tmpfs", "kernel_version"},
}


@pytest.mark.parametrize("brand", sorted(DRIVERS))
def test_every_field_is_acted_on_by_a_driver_or_the_fleet_or_told_as_in_vain(brand: str) -> None:
    driver = DRIVERS[brand]
    acted_on = {*driver.LIVE, *driver.AT_START}
    rest = set(InstanceSpec.__struct_fields__) - acted_on - IN_VAIN[brand]
    assert rest - FLEETS - MADE_OF - NOT_ITS_OWN[brand] == set()
    assert not acted_on & IN_VAIN[brand]
    assert not {*driver.LIVE} & {*driver.AT_START}


@pytest.mark.parametrize(
    ("spec", "asked", "told"),
    [
        (ZONE, {}, ()),
        (ZONE, {"kernel_version": "5.10"}, ("kernel_version",)),
        (ZONE, {"firewall_enabled": True}, ("firewall_enabled",)),
        (ZONE, {"max_locked_memory": 1}, ("max_locked_memory",)),
        (ZONE, {"max_locked_memory": ZONE.max_physical_memory}, ()),
        (ZONE, {"max_locked_memory": 0}, ()),
        (ZONE, {"max_lwps": 9, "quota": 3, "tmpfs": 7}, ()),
        (VM, {}, ()),
        (VM, {"max_lwps": 9, "quota": 3}, ("max_lwps", "quota")),
        (VM, {"brand": "bhyve", "max_lwps": 9}, ()),
    ],
)
def test_what_is_wanted_in_vain_is_told_and_what_everybody_gets_is_not(
    spec: InstanceSpec, asked: dict[str, Any], told: tuple[str, ...]
) -> None:
    assert in_vain(msgspec.structs.replace(spec, **asked)) == told


@pytest.mark.parametrize(
    ("before", "payload", "at_once", "at_start"),
    [
        (ZONE, {"cpu_cap": 50, "max_lwps": 9, "set_tags": {"a": 1}, "hostname": "h"},
         {"cpu_cap", "max_lwps", "tags"}, {"hostname"}),
        (ZONE, {"ram": 1024}, {"ram", "max_physical_memory", "max_swap"}, {"tmpfs"}),
        (ZONE, {"update_nics": [{"mac": MAC, "mtu": 9000}]}, set(), {"nics"}),
        (ZONE, {"set_internal_metadata": {"a_pw": "x"}}, {"internal_metadata"}, set()),
        (ZONE, ADD_NIC, set(), {"nics"}),
        (VM, {"ram": 1024, "zfs_io_priority": 5},
         {"max_physical_memory", "max_swap", "zfs_io_priority"}, {"ram"}),
        (VM, {"vcpus": 2, "autoboot": False}, {"autoboot"}, {"vcpus"}),
        (VM, {"set_internal_metadata": {"a_pw": "x"}}, set(), {"internal_metadata"}),
        (ZONE, {"firewall_enabled": True, "alias": "a"}, {"alias"}, set()),
        (VM, {"update_disks": [{"path": "disk0", "size": 9000}]}, set(), {"disks"}),
    ],
)  # fmt: skip
def test_the_drivers_say_what_holds_at_once_and_what_at_the_next_start(
    before: InstanceSpec, payload: dict[str, Any], at_once: set[str], at_start: set[str]
) -> None:
    after = update(before, msgspec.json.encode(payload), macs()).spec
    driver: ModuleType = DRIVERS[before.brand]
    names = set(changed(before, after))
    assert names & {*driver.LIVE} == at_once
    assert names & {*driver.AT_START} == at_start
    assert names - at_once - at_start <= IN_VAIN[before.brand]
