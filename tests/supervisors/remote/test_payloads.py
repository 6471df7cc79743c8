"""Payloads: what may cross to another node, in what form, and what is refused."""

from __future__ import annotations

import enum
import json
import math
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisors import Pid, Ref, Shutdown, limits
from supervisors.errors import CallTimeout, ChildError, PayloadError
from supervisors.reasons import Crash, Opaque, RemoteCrash
from supervisors.remote.payloads import Payloads
from supervisors.remote.refs import RemoteName, RemoteRef


class Addresses:
    """Makes refs that reach nobody."""

    payloads = Payloads()

    def address(self, pid: Pid) -> Ref[Any]:
        return RemoteRef(self, pid)  # type: ignore[arg-type]

    def remote(self, name: Any, node_name: str) -> Ref[Any]:
        return RemoteName(self, name, node_name)  # type: ignore[arg-type]


HERE = Addresses()
PAYLOADS = Payloads()

pids = st.builds(Pid, st.text(max_size=4), st.integers(1, 9), st.integers(1, 2**40))
scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text()
    | st.binary()
    | pids
    | pids.map(HERE.address)
    | st.builds(HERE.remote, st.text(max_size=4), st.text(max_size=4))
)
keys = st.none() | st.booleans() | st.integers() | st.text() | st.tuples(st.text(), st.binary())
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner)
        | st.lists(inner).map(tuple)
        | st.dictionaries(keys, inner)
        | st.builds(Shutdown, inner)
    ),
    max_leaves=20,
)


def crossed(value: Any, payloads: Payloads = PAYLOADS) -> Any:
    return payloads.decode(payloads.encode(value), HERE)


def same(one: Any, other: Any) -> bool:
    """Compare with classes, since True == 1 == 1.0 and a NamedTuple equals its tuple."""
    if one.__class__ is not other.__class__:
        return False
    if isinstance(one, (list, tuple)):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, dict):
        return all(map(same, one.items(), other.items())) and len(one) == len(other)
    if isinstance(one, Shutdown):
        return same(one.detail, other.detail)
    return bool(one == other)


@given(values)
def test_plain_data_and_refs_arrive_as_they_were(value: Any) -> None:
    assert same(crossed(value), value)


@given(values)
def test_the_form_is_standard_json_in_ascii(value: Any) -> None:
    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    json.loads(PAYLOADS.encode(value).decode("ascii"), parse_constant=refuse)


@pytest.mark.parametrize("number", [math.inf, -math.inf, math.nan])
def test_odd_floats_cross(number: float) -> None:
    assert repr(crossed([number])) == repr([number])


class Colour(enum.Enum):
    RED = 1


class Point(NamedTuple):
    x: int
    y: int


class Flag(int):
    pass


@dataclass
class Unregistered:
    value: int


@pytest.mark.parametrize(
    ("value", "where"),
    [
        (Colour.RED, ""),
        ([1, {"a": (Point(1, 2),)}], r"\[1\]\['a'\]\[0\]"),
        ({1, 2}, ""),
        (frozenset(), ""),
        (bytearray(b"x"), ""),
        ({"deep": Unregistered(1)}, r"\['deep'\]"),
        (Flag(1), ""),
        (object(), ""),
        (print, ""),
        (int, ""),
        ({Point(1, 2): 1}, r"\[0\]\[0\]"),
        (Shutdown(Unregistered(1)), r"\['detail'\]"),
        (ValueError("boom"), ""),
    ],
)
def test_what_is_not_registered_is_refused_and_its_place_named(value: Any, where: str) -> None:
    with pytest.raises(PayloadError, match=rf"is not registered .*\(at payload{where}\)$"):
        PAYLOADS.encode(value)


def test_too_large_too_deep_or_endless_is_refused() -> None:
    nested: list[Any] = []
    nested.append(nested)
    with pytest.raises(PayloadError, match="deeper than 64: flatten it"):
        PAYLOADS.encode(nested)
    with pytest.raises(PayloadError, match="send it in parts"):
        PAYLOADS.encode("x" * (limits.PAYLOAD_BYTES + 1))
    with pytest.raises(PayloadError, match="no form for it"):
        PAYLOADS.encode(10**5000)


@dataclass(frozen=True)
class Disk:
    uid: str
    tags: tuple[str, ...] = ()
    cache: dict[str, int] = field(default_factory=dict, init=False, compare=False)


@dataclass(frozen=True)
class LaterDisk:
    uid: str
    tags: tuple[str, ...] = ()
    encrypted: bool = False


def test_a_dataclass_crosses_by_its_constructors_fields() -> None:
    payloads = Payloads()
    assert payloads.register(Disk) is Disk
    disk = Disk("d1", ("fast",))
    disk.cache["hits"] = 5
    arrived = crossed({"disks": [disk]}, payloads)["disks"][0]
    assert arrived == disk
    assert arrived.cache == {}


def test_a_release_may_add_a_field_with_a_default() -> None:
    older, newer = Payloads(), Payloads()
    older.register(Disk, "disk")
    newer.register(LaterDisk, "disk")
    assert newer.decode(older.encode(Disk("d1")), HERE) == LaterDisk("d1")
    sent = newer.encode(LaterDisk("d1", ("x",), encrypted=True))
    assert older.decode(sent, HERE) == Disk("d1", ("x",))


def test_any_class_can_be_registered_with_two_functions() -> None:
    payloads = Payloads()
    payloads.register(
        Colour,
        take_apart=lambda colour: {"name": colour.name},
        put_together=lambda fields: Colour[fields["name"]],
    )
    assert crossed(Colour.RED, payloads) is Colour.RED


def test_a_wrong_registration_is_refused_at_once() -> None:
    payloads = Payloads()
    payloads.register(Disk)
    for name in ("Disk", "another name"):
        with pytest.raises(PayloadError, match="is registered already"):
            payloads.register(Disk, name)
    with pytest.raises(PayloadError, match="is registered already"):
        payloads.register(LaterDisk, "Disk")
    with pytest.raises(PayloadError, match="Colour is no dataclass"):
        payloads.register(Colour)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"nonsense",
        b"\xff",
        b"[]",
        b'["z",1]',
        b'["o","nobody knows",{}]',
        b'["o","os.system",{"command":"true"}]',
        b'["o","shutdown",{}]',
        b'["o","shutdown",[1]]',
        b'["b","?"]',
        b'["b",1]',
        b'["f","12"]',
        b'["p","a",1]',
        b'["p","a","1",2]',
        b'["r","a",1,null]',
        b'["d",["t",["l"],1]]',
        b'["d",5]',
        b"[" * 100_000,
        b"1" * 5_000,
    ],
)
def test_what_cannot_be_read_is_an_error_and_nothing_else(data: bytes) -> None:
    with pytest.raises(PayloadError):
        PAYLOADS.decode(data, HERE)
    assert PAYLOADS.decode_reason(data, HERE).type_name == "unreadable"


@given(st.binary(max_size=30) | st.text(alphabet='[]{}",:ltdbfprno01\\', max_size=30))
def test_no_bytes_do_worse_than_that(data: bytes | str) -> None:
    try:
        PAYLOADS.decode(data if isinstance(data, bytes) else data.encode(), HERE)
    except PayloadError:
        return


class Rude:
    def __repr__(self) -> str:
        raise RuntimeError("no repr for you")


class RudeError(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no str for you")


@pytest.mark.parametrize(
    ("reason", "arrives"),
    [
        ("normal", "normal"),
        (Shutdown(("moved", 3)), Shutdown(("moved", 3))),
        (Crash(ValueError("boom")), RemoteCrash("ValueError", "boom")),
        (("bad_return_value", Flag(3)), ("bad_return_value", Opaque("Flag", "3"))),
        (Shutdown(Unregistered(1)), Shutdown(Opaque("Unregistered", "Unregistered(value=1)"))),
        (Rude(), Opaque("Rude", "unprintable, RuntimeError in its repr")),
        (
            Crash(RudeError()),
            RemoteCrash("RudeError", "unprintable, RuntimeError in its repr"),
        ),
        (KeyError("disk"), Opaque("KeyError", "'disk'")),
    ],
)
def test_a_reason_always_crosses_what_cannot_as_text(reason: Any, arrives: Any) -> None:
    assert PAYLOADS.decode_reason(PAYLOADS.encode_reason(reason), HERE) == arrives


def test_a_reason_too_large_or_too_deep_crosses_as_text() -> None:
    nested: list[Any] = []
    nested.append(nested)
    for reason in (nested, "x" * (limits.PAYLOAD_BYTES + 1)):
        arrived = PAYLOADS.decode_reason(PAYLOADS.encode_reason(reason), HERE)
        assert isinstance(arrived, Opaque)
        assert len(arrived.text) <= limits.REASON_CHARACTERS


def test_the_errors_that_calls_end_with_cross_as_themselves() -> None:
    refused = crossed(ChildError("delete_child", "disk", "running"))
    assert isinstance(refused, ChildError)
    assert (refused.request, refused.child, refused.reason) == ("delete_child", "disk", "running")
    late = crossed(CallTimeout("disks", 2.5))
    assert isinstance(late, CallTimeout)
    assert late.timeout_s == 2.5
