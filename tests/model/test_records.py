from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fifo.hypervisors.linux.vm.made import Made
from fifo.model import records
from fifo.model.errors import DataLoss, NotReady
from fifo.model.instance import Claim, InstanceSpec, Shares
from fifo.model.records import Record, decode, encode, upgrade
from tests.model import record_values

KINDS = record_values.kinds()
CLAIM = Claim(
    uid="u", host="h", shares=Shares(cpu=100, memory=512, disk=10), addresses={"m": ("10.0.0.1/8",)}
)
DATA = encode(CLAIM)


@pytest.mark.parametrize("kind", KINDS, ids=lambda own: own.__name__)
def test_a_record_comes_back_as_it_was_written(kind: type[Record]) -> None:
    @settings(max_examples=15, suppress_health_check=list(HealthCheck), deadline=None)
    @given(record_values.structs(kind))
    def check(record: Record) -> None:
        data = encode(record)
        assert decode(kind, data) == record
        assert encode(decode(kind, data)) == data

    check()


def test_kinds_have_tags_of_their_own_with_a_version() -> None:
    tags = [str(kind.__struct_config__.tag) for kind in KINDS]
    assert len(set(tags)) == len(tags)
    for tag in tags:
        name, slash, version = tag.partition("/")
        assert name.islower()
        assert slash
        assert int(version) >= 1


def test_a_record_says_what_it_is_first() -> None:
    assert DATA.startswith(b'{"type":"claim/1",')


# --- versions ------------------------------------------------------------------------------------

OLD = {"type": "claim/0", "uid": "u", "node": "h", "cpu": 100}


def from_0(raw: dict[str, Any]) -> dict[str, Any]:
    """A claim once had its processor share beside the host, which it called node."""
    return {
        "type": "claim/1", "uid": raw["uid"], "host": raw["node"], "shares": {"cpu": raw["cpu"]},
    }  # fmt: skip


def test_a_record_of_an_old_version_is_brought_to_the_present_step_by_step() -> None:
    oldest = {"type": "claim/older", "id": "u"}
    steps = {
        "claim/older": lambda raw: {**OLD, "uid": raw["id"]},
        "claim/0": from_0,
    }
    raw = upgrade(oldest, "claim/1", steps)
    assert msgspec.convert(raw, Claim) == Claim(uid="u", host="h", shares=Shares(cpu=100))


def test_a_present_record_is_left_as_it_is() -> None:
    raw = msgspec.json.decode(DATA)
    assert upgrade(raw, "claim/1", {"claim/0": from_0}) is raw


def test_every_version_that_is_upgraded_has_a_sample_as_it_was_written() -> None:
    # A record in an old form goes into this table together with its upgrade.
    samples: dict[str, tuple[type[Record], bytes]] = {
        "linux_vm/1": (
            Made,
            b'{"type":"linux_vm/1","user":7,"nics":[{"interface":"n","mac":"02:00:00:00:00:01"}]}',
        )
    }
    assert samples.keys() == records.UPGRADES.keys()
    for kind, written in samples.values():
        assert records.decode(kind, written).__struct_config__.tag == kind.__struct_config__.tag


@pytest.mark.parametrize("version", ["2", "10", "999999"])
def test_a_record_from_the_future_is_refused_and_says_what_to_do(version: str) -> None:
    future = DATA.replace(b"claim/1", f"claim/{version}".encode())
    with pytest.raises(NotReady, match=f"the store holds claim/{version}.*start the newer version"):
        decode(Claim, future, "instance/claim/u")


def test_a_newer_field_of_the_same_version_is_refused_and_not_dropped() -> None:
    with pytest.raises(DataLoss, match="unknown field `colour`"):
        decode(Claim, DATA[:-1] + b',"colour":1}')


# --- damage --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "data",
    [
        b"", b"{", b"[]", b"7", b'"claim/1"', b"null", b"{}", b"\x00" * 40, b"\xff\xfe",
        b"[" * 9999,
        b'{"type":"image/1"}', b'{"type":"claim/"}', b'{"type":"claim/-1"}', b'{"type":7}',
        b'{"type":"claim/' + b"9" * 5000 + b'"}', DATA + b" x", b'{"type":"claim/1"}',
        DATA.replace(b"100", b'"100"'), DATA.replace(b'"h"', b'"\xed\xa0\x80"'),
    ],
)  # fmt: skip
def test_what_is_no_such_record_is_a_loss_that_names_the_key(data: bytes) -> None:
    with pytest.raises(DataLoss) as caught:
        decode(Claim, data, "instance/claim/u")
    assert caught.value.subject == "instance/claim/u"
    assert "restore the store from a backup" in str(caught.value)


def test_a_record_that_is_cut_off_anywhere_is_a_loss() -> None:
    for length in range(len(DATA)):
        with pytest.raises(DataLoss):
            decode(Claim, DATA[:length])


@given(st.integers(0, len(DATA) * 8 - 1))
def test_a_flipped_bit_never_raises_anything_else(bit: int) -> None:
    damaged = bytearray(DATA)
    damaged[bit // 8] ^= 1 << bit % 8
    try:
        found: object = decode(Claim, bytes(damaged))
    except (DataLoss, NotReady) as error:
        found = error
    # A bit of a text or a number makes another one: the store's own checksums are for that.
    assert isinstance(found, Claim | DataLoss | NotReady)


def test_a_record_cannot_be_changed_and_its_defaults_are_its_own() -> None:
    with pytest.raises(AttributeError):
        CLAIM.host = "other"  # type: ignore[misc]
    fields = {"uid": "u", "id": "i", "org": "o", "generation": 1, "create_time": 0.0}
    one = InstanceSpec(**fields, wanted="running", brand="lx")  # type: ignore[arg-type]
    other = InstanceSpec(**fields, wanted="running", brand="lx")  # type: ignore[arg-type]
    assert one.tags is not other.tags
