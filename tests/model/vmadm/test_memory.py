from __future__ import annotations

from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fifo.model.instance import VM_BRANDS, Brand
from fifo.model.vmadm import memory
from fifo.model.vmadm.memory import Given, Memory

M = Memory
MIB = st.none() | st.integers(0, 1 << 20)
GIVEN = st.builds(Given, MIB, MIB, MIB, st.none() | st.integers(256, 1 << 20), MIB)
BRANDS = st.sampled_from(get_args(Brand))


@pytest.mark.parametrize(
    ("brand", "given_", "wanted"),
    [
        ("joyent", Given(), Memory(256, 256, 256, 256, 256)),
        ("joyent", Given(ram=128), Memory(128, 128, 128, 256, 128)),
        ("lx", Given(max_physical_memory=1024), Memory(1024, 1024, 1024, 1024, 1024)),
        ("lx", Given(ram=64, max_physical_memory=512), Memory(512, 512, 512, 512, 512)),
        ("lx", Given(max_physical_memory=512, tmpfs=0), Memory(512, 512, 512, 512, 0)),
        ("lx", Given(max_physical_memory=512, tmpfs=900), Memory(512, 512, 512, 512, 512)),
        ("lx", Given(512, 512, 900, 300), Memory(512, 512, 512, 512, 512)),
        ("lx", Given(512, 512, 100, 2048), Memory(512, 512, 100, 2048, 512)),
        ("kvm", Given(), Memory(256, 1280, 1280, 1280, 0)),
        ("kvm", Given(ram=1024), Memory(1024, 2048, 2048, 2048, 0)),
        ("bhyve", Given(ram=1024), Memory(1024, 2304, 2304, 2304, 0)),
        ("kvm", Given(1024, 1100), Memory(1024, 1280, 1280, 1280, 0)),
        ("kvm", Given(1024, 2048, 100), Memory(1024, 2048, 1280, 2048, 0)),
    ],
)
def test_what_is_absent_follows_from_what_is_given(
    brand: str, given_: Given, wanted: Memory
) -> None:
    assert memory.create(given_, brand) == wanted


@pytest.mark.parametrize(
    ("brand", "before", "given_", "wanted"),
    [
        # The distance of swap and locked memory is kept, and the share of tmpfs.
        ("lx", M(512, 512, 500, 1024, 256), Given(ram=1024), M(1024, 1024, 1012, 1536, 512)),
        ("lx", M(100, 100, 100, 300, 33), Given(ram=50), M(50, 50, 50, 256, 17)),
        # Swap's floor was no distance.
        ("lx", M(128, 128, 128, 256, 128), Given(ram=512), M(512, 512, 512, 512, 512)),
        # A tmpfs of nothing stays that.
        ("lx", M(512, 512, 512, 512, 0), Given(ram=1024), M(1024, 1024, 1024, 1024, 0)),
        ("lx", M(512, 512, 512, 512, 10), Given(tmpfs=900), M(512, 512, 512, 512, 512)),
        ("lx", M(512, 512, 512, 1024, 10), Given(max_swap=300), M(512, 512, 512, 512, 10)),
        ("kvm", M(256, 1280, 1280, 1280, 0), Given(ram=1024), M(1024, 2048, 2048, 2048, 0)),
        ("kvm", M(256, 1280, 1280, 1280, 0), Given(None, 300), M(256, 512, 512, 512, 0)),
    ],
)
def test_an_update_keeps_what_was_between_the_numbers(
    brand: str, before: Memory, given_: Given, wanted: Memory
) -> None:
    assert memory.update(before, given_, brand) == wanted


def test_a_vm_is_refused_limits_below_its_memory() -> None:
    before = Memory(1024, 2048, 2048, 2048, 0)
    wrong = list(memory.violations(before, Given(None, 512, 2048, 1000), "kvm"))
    assert [violation.field for violation in wrong] == ["max_physical_memory", "max_swap"]
    assert not list(memory.violations(before, Given(None, 512, 512, 512), "lx"))


def holds(made: Memory, brand: str) -> bool:
    room = 256 if brand in VM_BRANDS else 0
    return (
        made.max_physical_memory >= made.ram + room
        and made.max_locked_memory <= made.max_physical_memory <= made.max_swap
        and 0 <= made.tmpfs <= made.max_physical_memory
        and made.max_swap >= 256
        and min(made) >= 0
    )


@given(GIVEN, BRANDS)
def test_whatever_is_given_the_numbers_fit_each_other(given_: Given, brand: str) -> None:
    assert holds(memory.create(given_, brand), brand)


@given(GIVEN, GIVEN, BRANDS)
def test_they_still_do_after_any_update(first: Given, then: Given, brand: str) -> None:
    made = memory.update(memory.create(first, brand), then, brand)
    assert holds(made, brand)


@given(GIVEN, BRANDS)
def test_an_update_of_nothing_changes_nothing(first: Given, brand: str) -> None:
    before = memory.create(first, brand)
    assert memory.update(before, Given(), brand) == before
