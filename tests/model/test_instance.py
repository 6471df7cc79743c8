"""What a spec says of itself, and specs as earlier versions wrote them."""

from __future__ import annotations

import msgspec
import pytest

from fifo.model.instance import Disk, InstanceSpec, StopPatience
from fifo.model.records import decode, encode
from fifo.model.restart import Memory

OLD_SPEC = (
    b'{"type":"instance_spec/1","uid":"00000000-0000-4000-8000-000000000001","id":"web",'
    b'"org":"default","generation":3,"wanted":"stopped","brand":"lx","create_time":1.0}'
)
OLD_MEMORY = b'{"type":"restart_memory/1","uid":"u","start_id":2,"ended":1,"generation":3}'


def test_records_of_before_stops_had_a_time_of_their_own_are_read_and_written_the_same() -> None:
    spec, memory = decode(InstanceSpec, OLD_SPEC), decode(Memory, OLD_MEMORY)
    assert (spec.patience, spec.patience_s, memory.stop_by) == (None, None, 0.0)
    assert (encode(spec), encode(memory)) == (OLD_SPEC, OLD_MEMORY)


@pytest.mark.parametrize("seconds", [0.0, 10.0])
def test_patience_is_for_the_generation_that_it_was_given_with_alone(seconds: float) -> None:
    spec = msgspec.structs.replace(
        decode(InstanceSpec, OLD_SPEC), patience=StopPatience(generation=3, seconds=seconds)
    )
    assert decode(InstanceSpec, encode(spec)).patience_s == seconds
    assert msgspec.structs.replace(spec, generation=4).patience_s is None


@pytest.mark.parametrize(("unasked", "asked"), [(0, 3), (2, 3), (3, 2)])
def test_a_generation_that_nobody_asked_for_asks_for_what_the_one_before_did(
    unasked: int, asked: int
) -> None:
    spec = msgspec.structs.replace(decode(InstanceSpec, OLD_SPEC), unasked=unasked)
    assert decode(InstanceSpec, encode(spec)).asked == asked


def test_an_instance_is_made_of_its_own_image_and_of_those_of_its_disks() -> None:
    spec = decode(InstanceSpec, OLD_SPEC)
    assert spec.images == frozenset()
    zone = msgspec.structs.replace(spec, image="rootfs")
    assert zone.images == {"rootfs"}
    disks = (
        Disk(path="disk0", image="boot", boot=True),
        Disk(path="disk1", image="data"),
        Disk(path="disk2", image="data"),
        Disk(path="disk3", size=1_024),
    )
    machine = msgspec.structs.replace(spec, disks=disks)
    assert machine.images == {"boot", "data"}
