from __future__ import annotations

import msgspec
import pytest

from fifo.model.errors import InvalidInput
from fifo.model.instance import Disk, Nic, RestartPolicy
from fifo.model.package import Package
from fifo.model.vmadm.spec import complete
from fifo.model.vmadm.validity import violations
from tests.model.vmadm.payloads import (
    BHYVE,
    IMAGE,
    KVM,
    LX,
    MINIMAL,
    OS_ZONE,
    WHO,
    draft_of,
    macs,
    spec_of,
)

DISK = {"model": "virtio", "size": 10}


def test_what_nobody_said_is_filled_in_as_vmadm_does() -> None:
    spec = spec_of(LX)
    assert (spec.uid, spec.id, spec.org) == (WHO.uid, WHO.id, WHO.org)
    assert (spec.max_swap, spec.max_lwps, spec.quota, spec.cpu_shares) == (512, 2000, 10, 100)
    assert (spec.generation, spec.wanted, spec.hostname) == (1, "running", "web-1")
    assert spec_of(OS_ZONE).hostname == "zone-one"
    assert spec_of(BHYVE).quota == 1


def test_a_uuid_of_the_payloads_own_is_the_instances() -> None:
    assert spec_of(LX | {"uuid": IMAGE}).uid == IMAGE


def test_interfaces_get_names_and_addresses_and_the_first_is_primary() -> None:
    nics = [{"nic_tag": "a", "interface": "net1"}, {"nic_tag": "b"}, {"nic_tag": "c"}]
    made = spec_of(MINIMAL | {"nics": nics}).nics
    assert [nic.interface for nic in made] == ["net1", "net0", "net2"]
    assert [nic.mac for nic in made] == [f"02:08:20:00:00:1{n}" for n in range(3)]
    assert [nic.primary for nic in made] == [True, False, False]


def test_who_asks_to_be_primary_is_though_not_first() -> None:
    nics = [{"nic_tag": "a"}, {"nic_tag": "b", "primary": True}]
    assert [nic.primary for nic in spec_of(MINIMAL | {"nics": nics}).nics] == [False, True]


def test_disks_get_paths_and_the_first_boots() -> None:
    made = spec_of(KVM | {"disks": [DISK, DISK]}).disks
    assert [(disk.path, disk.boot) for disk in made] == [("disk0", True), ("disk1", False)]


def test_a_package_gives_what_the_payload_does_not() -> None:
    package = Package(
        uid=IMAGE, id="small", create_time=0.0, max_physical_memory=1024, max_swap=2048, quota=25,
        cpu_cap=200,
    )  # fmt: skip
    spec = complete(draft_of(MINIMAL | {"quota": 3}), WHO, macs(), package)
    assert (spec.package, spec.max_physical_memory, spec.max_swap) == (IMAGE, 1024, 2048)
    assert (spec.quota, spec.cpu_cap) == (3, 200)


def test_a_draft_with_violations_becomes_no_spec() -> None:
    with pytest.raises(InvalidInput) as caught:
        spec_of({"brand": "lx"})
    assert [violation.field for violation in caught.value.violations] == [
        "image_uuid", "kernel_version",
    ]  # fmt: skip


BAD_SPEC = msgspec.structs.replace(
    spec_of(LX),
    uid="no",
    id="No",
    ram=0,
    tmpfs=1 << 30,
    max_swap=5,
    max_locked_memory=1 << 20,
    hostname="a b",
    resolvers=("x",),
    restart=RestartPolicy(first_s=float("nan"), factor=0.5, attempts=0, window_s=0.0),
    disks=(Disk(path="-x"),),
    nics=(Nic(interface="", mac="", mtu=1), Nic(interface="", mac="", ips=("y",))),
    init=("a\0",),
    image="",
)


def test_a_spec_is_held_to_all_rules_however_it_was_made() -> None:
    assert [violation.field for violation in violations(BAD_SPEC)] == [
        "ram", "tmpfs", "uid", "id", "hostname", "resolvers[0]", "image", "max_locked_memory",
        "max_swap", "tmpfs", "nics[0].interface", "nics[0].mac", "nics[0]", "nics[0].mtu",
        "nics[1].interface", "nics[1].mac", "nics[1]", "nics[1].ips[0]",
        "routes.10.33.1.1", "disks", "disks[0].path", "disks[0].size",
        "init[0]", "restart.first_s", "restart.factor", "restart.attempts", "restart.window_s",
    ]  # fmt: skip


@pytest.mark.parametrize(("networks", "most"), [(1, 97), (5, 93)])
def test_addresses_on_networks_are_as_many_as_one_transaction_claims(
    networks: int, most: int
) -> None:
    spec = spec_of(MINIMAL)

    def found(count: int, *, plugged: bool = True) -> list[str]:
        nics = tuple(
            Nic(
                interface=f"net{n}",
                mac=f"02:00:00:00:00:{n:02x}",
                network=f"{n % networks}" if plugged else "",
                nic_tag="lan",
                ips=tuple(f"fd00::{n}:{i:x}/64" for i in range(20) if 20 * n + i < count),
            )
            for n in range(5)
        )
        return [path for path, _ in violations(msgspec.structs.replace(spec, nics=nics))]

    assert found(most) == []
    assert found(most + 1) == ["nics"]
    assert found(100, plugged=False) == []


def test_a_vm_is_left_room_for_its_qemu_and_has_no_file_systems_of_the_host() -> None:
    spec = msgspec.structs.replace(
        spec_of(KVM), max_physical_memory=300, max_locked_memory=0, max_swap=0, init=("x",)
    )
    assert [violation.field for violation in violations(spec)] == ["max_physical_memory", "init"]
