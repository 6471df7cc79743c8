from __future__ import annotations

from typing import Any, get_args

import msgspec
import pytest

from fifo.model.instance import Claim, Exit, InstanceStatus, Shares, Snapshot, State
from fifo.model.vmadm.payload import read_payload
from fifo.model.vmadm.rendering import STATES, render
from fifo.model.vmadm.spec import complete
from tests.model.vmadm.payloads import CREATED, KVM, LX, MAC, OS_ZONE, WHO, macs, spec_of

HOST = "44454c4c-4400-1046-8050-b5c04f383432"


def status_of(state: State, **more: Any) -> InstanceStatus:
    return InstanceStatus(
        uid=WHO.uid, host=HOST, state=state, generation=1, since=1_700_000_010.5, **more
    )


@pytest.mark.parametrize("payload", CREATED.values(), ids=CREATED.keys())
def test_what_is_rendered_can_be_created_from_again(payload: dict[str, Any]) -> None:
    spec = spec_of(payload)
    draft = read_payload(msgspec.json.encode(render(spec, status_of("running"))))
    paths = {violation.field.rpartition(".")[2] for violation in draft.violations}
    # Of a disk, `vmadm get` tells what create does not take: vmadm's own is no payload either.
    assert paths <= {"path", "size"}
    if not paths:
        again = complete(draft, WHO, macs())
        assert msgspec.structs.replace(
            again, unhonoured=spec.unhonoured
        ) == msgspec.structs.replace(spec, owner_uuid=again.owner_uuid, billing_id=again.billing_id)


@pytest.mark.parametrize("payload", CREATED.values(), ids=CREATED.keys())
def test_what_vmadm_always_tells_is_always_told(payload: dict[str, Any]) -> None:
    always = {
        "uuid", "zonename", "state", "zone_state", "zoneid", "nics", "resolvers", "quota",
        "firewall_enabled", "customer_metadata", "internal_metadata", "routes", "tags", "snapshots",
    }  # fmt: skip
    assert always <= render(spec_of(payload)).keys()


def test_a_running_zone_is_told_with_where_it_is_and_what_it_holds() -> None:
    spec = spec_of(OS_ZONE | {"nics": [{"nic_tag": "external", "network_uuid": HOST}]})
    claim = Claim(
        uid=spec.uid, host=HOST, shares=Shares(), addresses={spec.nics[0].mac: ("10.0.0.7/24",)}
    )
    ended = Exit(at=1_700_000_000.0, signal=9)
    kept = Snapshot(name="before", created=1_700_000_001.0, size_bytes=1_500_000)
    status = status_of("running", pid=4711, exit=ended, snapshots=(kept,))
    told = render(spec, status, claim)
    assert told["server_uuid"] == HOST
    assert (told["state"], told["zone_state"], told["pid"]) == ("running", "running", 4711)
    assert (told["exit_status"], told["exit_timestamp"]) == (137, "2023-11-14T22:13:20.000Z")
    assert told["last_modified"] == "2023-11-14T22:13:30.500Z"
    assert told["snapshots"] == [
        {"name": "before", "created_at": "2023-11-14T22:13:21.000Z", "size": 2}
    ]
    (nic,) = told["nics"]
    assert (nic["ips"], nic["ip"], nic["netmask"]) == (
        ["10.0.0.7/24"], "10.0.0.7", "255.255.255.0",
    )  # fmt: skip
    assert nic["network_uuid"] == HOST


def test_a_list_that_was_kept_is_a_list_again() -> None:
    told = render(spec_of(LX | {"fs_allowed": "ufs,tmpfs", "qemu_opts": "x"}))
    assert told["fs_allowed"] == ["ufs", "tmpfs"]
    assert "qemu_opts" not in told


def test_a_type_is_cut_to_four_letters_as_vmadm_does() -> None:
    types = {name: render(spec_of(own))["type"] for name, own in CREATED.items()}
    assert types["bhyve"] == "BHYV"
    assert (types["kvm"], types["lx"], types["docker"]) == ("KVM", "LX", "OS")


def test_a_vm_has_disks_and_a_zone_none() -> None:
    told = render(spec_of(KVM))
    assert told["disks"][0]["image_size"] == told["disks"][0]["size"] == 5120
    assert "tmpfs" not in told
    assert "disks" not in render(spec_of(LX))


def test_what_was_set_is_told_in_vmadms_words() -> None:
    nic = {"nic_tag": "e", "mac": MAC, "ips": ["dhcp"], "allowed_ips": ["10.0.0.1"], "vlan_id": 7}
    told = render(
        spec_of(
            LX | {"nics": [nic], "routes": {}, "indestructible_zoneroot": True, "init_name": "/i",
                  "restart_init": False,
                  "filesystems": [{"source": "/a", "target": "/b", "options": ["ro"]}]}
        )
    )  # fmt: skip
    assert told["indestructible_zoneroot"] is True
    assert (told["init_name"], told["restart_init"]) == ("/i", False)
    assert told["filesystems"] == [
        {"source": "/a", "target": "/b", "type": "lofs", "options": ["ro"]}
    ]
    assert told["nics"][0]["allowed_ips"] == ["10.0.0.1"]
    assert "ip" not in told["nics"][0]


def test_every_state_has_a_word_of_vmadms() -> None:
    assert STATES.keys() == set(get_args(State))


def test_an_exit_code_is_told_as_it_is_and_an_unseen_end_not() -> None:
    spec = spec_of(LX)
    assert render(spec, status_of("stopped", exit=Exit(at=1.0, code=3)))["exit_status"] == 3
    assert "exit_status" not in render(spec, status_of("stopped", exit=Exit(at=1.0)))
