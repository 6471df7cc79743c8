"""Between the model and fifo.v1 nothing is lost: words, fields and whole specs, both ways."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, get_args

import msgspec
import pytest
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.struct_pb2 import Struct
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fifo.api import masks
from fifo.api.drafts.found import Drafting
from fifo.api.drafts.instances import redraft
from fifo.api.resources import (
    events,
    hypervisors,
    images,
    instances,
    networks,
    operations,
    packages,
)
from fifo.api.resources.kinds import KINDS, TOUCHES, touched
from fifo.api.resources.values import scalars_of, set_scalars
from fifo.api.tables import Tables
from fifo.model import hypervisor, image, instance, keys, operation, records, story
from fifo.model.instance import Filesystem, InstanceSpec, Nic, RestartPolicy
from fifo.model.network import AddressPool, Network
from fifo.model.package import Package
from fifo.store.catalog import Entry
from fifo.store.contract import KeyValue

if TYPE_CHECKING:
    from collections.abc import Mapping

UID = "00000000-0000-4000-8000-000000000001"

WORDS = [
    (instances.BRANDS, instance.Brand, instances.Message.Brand, set()),
    (instances.STATES, instance.State, instances.Message.State, {"LIMBO"}),
    (instances.MODES, instance.Restart, None, set()),
    (hypervisors.STATES, hypervisor.Condition, hypervisors.Message.State, set()),
    (images.FORMATS, image.ImageFormat, images.Message.Format, set()),
    (images.STATES, image.ImageState, images.Message.State, {"FAILED"}),
    (operations.STATES, operation.OperationState, operations.Metadata.State, set()),
    (events.KINDS, story.EventKind, events.Message.Kind, set()),
]


@pytest.mark.parametrize(("table", "words", "enum", "more"), WORDS)
def test_each_word_of_the_model_has_a_value_and_each_value_a_word(
    table: Mapping[str, int], words: Any, enum: Any, more: set[str]
) -> None:
    assert set(table) == set(get_args(words))
    assert len(set(table.values())) == len(table)
    if enum is not None:
        named = {enum.Name(value) for value in table.values()}
        all_of_them = {name for name, value in enum.items() if value}
        assert all_of_them - named == more


def entry(record: Any) -> Entry[Any]:
    return Entry(type(record), KeyValue(b"k/" + UID.encode(), records.encode(record), 1, 1, 1))


def test_every_field_of_a_spec_is_told() -> None:
    spec = InstanceSpec(
        uid=UID, id="web", org="default", generation=3, wanted="stopped", brand="lx",
        create_time=9.0, alias="A", image=UID, package=UID, owner_uuid=UID, billing_id=UID,
        hostname="h", dns_domain="d", ram=1, max_physical_memory=2, max_locked_memory=3,
        max_swap=4, max_lwps=5, cpu_cap=6, cpu_shares=7, vcpus=8, quota=9, zfs_io_priority=10,
        tmpfs=11, autoboot=False, firewall_enabled=True, deletion_protection=True,
        resolvers=("1.1.1.1",), nics=(Nic(interface="net0", mac="02:00:00:00:00:01"),),
        disks=(instance.Disk(path="disk0", size=1),),
        filesystems=(Filesystem(source="/a", target="/b"),),
        customer_metadata={"a": 1}, internal_metadata={"b": "x"}, tags={"c": True},
        routes={"10.0.0.0/8": "10.1.1.1"}, kernel_version="5", init=("/init",),
        restart=RestartPolicy(when="always"), wanted_host=UID, unhonoured=("x",), extra={"e": 1.5},
    )  # fmt: skip
    parts = instances.Parts(entry(spec), None, None, cut_off=False)
    told: Any = instances.message(Tables(), parts)
    silent = {
        field.name
        for field in instances.Message.DESCRIPTOR.fields
        if field.has_presence and not told.HasField(field.name)
    }
    # What only a status says.
    assert silent == {"state_time", "exit_status", "exit_time", "snapshot_summary"}
    kept = {field.name for field, _ in told.ListFields()}
    assert kept >= {"nics", "disks", "filesystems", "routes", "init", "resolvers", "alias"}


NICS = st.builds(
    Nic,
    interface=st.sampled_from(["net0", "net1", "eth0"]),
    mac=st.sampled_from(["02:00:00:00:00:01", "02:00:00:00:00:02"]),
    nic_tag=st.sampled_from(["external", "lan"]),
    ips=st.sampled_from([(), ("dhcp",), ("10.0.0.7/24",), ("10.0.0.7/24", "addrconf")]),
    gateways=st.sampled_from([(), ("10.0.0.1",)]),
    vlan_id=st.integers(0, 4094),
    mtu=st.integers(1500, 9000),
    allow_ip_spoofing=st.booleans(),
    allow_restricted_traffic=st.booleans(),
    allowed_ips=st.sampled_from([(), ("10.0.0.0/28",)]),
)
SCALARS = st.dictionaries(
    st.text("abc", min_size=1, max_size=3),
    st.one_of(st.text(max_size=5), st.integers(-(2**53), 2**53), st.booleans()),
    max_size=3,
)
SPECS = st.builds(
    InstanceSpec,
    uid=st.just(UID),
    id=st.just("web"),
    org=st.just("default"),
    generation=st.integers(1, 9),
    wanted=st.sampled_from(["running", "stopped"]),
    brand=st.just("lx"),
    create_time=st.just(1.0),
    alias=st.text("abc ", max_size=8),
    hostname=st.sampled_from(["web", "db"]),
    ram=st.just(512),
    max_physical_memory=st.just(512),
    max_locked_memory=st.integers(0, 512),
    max_swap=st.integers(512, 2_000),
    tmpfs=st.integers(0, 512),
    cpu_cap=st.integers(0, 1_000),
    quota=st.integers(0, 100),
    autoboot=st.booleans(),
    nics=st.lists(NICS, max_size=1).map(tuple),
    customer_metadata=SCALARS,
    tags=SCALARS,
    restart=st.builds(
        RestartPolicy,
        when=st.sampled_from(["never", "on_failure", "always"]),
        first_s=st.floats(0.0, 5.0).map(lambda seconds: round(seconds, 6)),
        attempts=st.integers(1, 50),
    ),
)


class NoReferences:
    """Finds nothing, since nothing is referred to."""

    def uid(self, *asked: Any) -> str:
        return ""


@settings(suppress_health_check=[HealthCheck.too_slow])  # a whole spec is many draws
@given(SPECS)
def test_a_spec_survives_being_told_and_set_again(spec: InstanceSpec) -> None:
    stored = entry(spec)
    present = instances.settable(Tables(), stored)
    merged = masks.merge(present, present, FieldMask(paths=["*"]), "instance")
    drafting: Any = Drafting(Tables(), NoReferences())  # type: ignore[arg-type]
    again = redraft(drafting, spec, present, merged)
    assert msgspec.structs.replace(again, generation=spec.generation) == spec


@given(SCALARS)
def test_tags_survive_being_told(scalars: dict[str, Any]) -> None:
    struct = Struct()
    set_scalars(struct, scalars)
    assert scalars_of(Struct.FromString(struct.SerializeToString())) == scalars


def test_a_package_and_a_network_survive_being_told_and_set_again() -> None:
    package = Package(
        uid=UID, id="big", create_time=1.0, alias="A", max_physical_memory=4096, max_swap=8192,
        quota=0, cpu_cap=0, required_labels={"a": "b"}, tags={"c": "d"},
    )  # fmt: skip
    made = packages.message(Tables(), packages.parts_of(Tables(), entry(package)))
    assert packages.changed(package, made) == package
    network = Network(
        uid=UID, id="lan", create_time=1.0, vlan_id=7, mtu=9000, isolated=False,
        pools=(AddressPool(subnet="10.0.0.0/24", first="10.0.0.9", last="10.0.0.99"),),
        resolvers=("10.0.0.1",), routes={"10.9.0.0/16": "10.0.0.2"},
    )  # fmt: skip
    told = networks.message(Tables(), networks.parts_of(Tables(), entry(network)))
    assert networks.changed(network, told) == network


def test_each_record_of_a_resource_touches_its_kind() -> None:
    for prefix, kind in TOUCHES:
        assert kind in KINDS
        assert touched(prefix + b"host/uid")[0] == kind  # type: ignore[index]
    assert touched(keys.TOKEN + b"x") is None
    assert touched(keys.OPERATION_INPUT + b"op/1") is None
    assert touched(keys.cleanup("h", "u")) == ("fifo/Hypervisor", "h")
