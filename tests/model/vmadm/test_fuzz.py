"""Whatever comes in: nothing is raised, and what is accepted makes a valid spec."""

from __future__ import annotations

import time
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from fifo.model.errors import InvalidInput
from fifo.model.vmadm.parts import DISK, FILESYSTEM, NIC, PCI_DEVICE
from fifo.model.vmadm.payload import read_payload
from fifo.model.vmadm.properties import PROPERTIES
from fifo.model.vmadm.rendering import render
from fifo.model.vmadm.spec import complete
from fifo.model.vmadm.updating import update
from fifo.model.vmadm.validity import violations
from tests.model.vmadm.payloads import IMAGE, KVM, LX, MAC, UID, WHO, macs, spec_of

WORDS = st.sampled_from(
    ["", "lx", "kvm", "on", "dhcp", "10.0.0.1", "10.0.0.1/24", "::1/64", "nics[0]", "true", "64",
     MAC, IMAGE, UID, "virtio", "/a", "a,b", "external", "none", "auto", "255.0.0.0", "0:4:0"]
)  # fmt: skip
SCALARS = st.none() | st.booleans() | st.integers(-5, 70_000) | st.floats() | st.text() | WORDS
ANY = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


def likely(table: Any) -> st.SearchStrategy[dict[str, Any]]:
    """Give objects with some of a table's names, their values of the right kind or any."""
    return st.dictionaries(st.sampled_from(sorted(table)), SCALARS | st.lists(WORDS, max_size=3))


PARTS = st.lists(st.one_of(*map(likely, (NIC, DISK, FILESYSTEM, PCI_DEVICE))), max_size=3)
VALUES = ANY | PARTS | st.dictionaries(WORDS, WORDS, max_size=3) | st.lists(WORDS, max_size=3)
PAYLOADS = st.dictionaries(st.sampled_from(sorted(PROPERTIES)) | st.text(), VALUES, max_size=12)


def encoded(payload: dict[str, Any]) -> bytes:
    try:
        return msgspec.json.encode(payload)
    except UnicodeEncodeError:
        return b"\xff"


@given(st.binary(max_size=200) | PAYLOADS.map(encoded))
def test_a_payload_is_read_whatever_it_is(data: bytes) -> None:
    before = time.process_time()
    draft = read_payload(data)
    # Ten times what the attacks are held to: here the collector of garbage may come between.
    assert time.process_time() - before < 0.5
    assert all(path and wanted for path, wanted in draft.violations)


@given(PAYLOADS, st.sampled_from([LX, KVM]))
def test_a_draft_without_violations_makes_a_valid_spec_or_says_why_not(
    payload: dict[str, Any], base: dict[str, Any]
) -> None:
    draft = read_payload(encoded(base | payload))
    try:
        spec = complete(draft, WHO, macs())
    except InvalidInput as error:
        told = error.violations
    else:
        told = violations(spec)
        assert render(spec)["uuid"] == spec.uid
        assert not told
    assert bool(told) >= bool(draft.violations)


@given(st.binary(max_size=200) | PAYLOADS.map(encoded), st.sampled_from([LX, KVM]))
def test_an_update_makes_a_valid_spec_or_changes_nothing(data: bytes, base: dict[str, Any]) -> None:
    before = spec_of(base)
    made = update(before, data, macs())
    assert violations(made.spec) == ()
    if made.violations or not made.changed:
        assert made.spec == before
    else:
        assert made.spec.generation == before.generation + 1
