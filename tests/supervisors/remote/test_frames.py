"""Frames as plain values: all of them cross, and nothing else is taken for one."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisors.errors import ProtocolError
from supervisors.remote import frames

numbers = st.integers(0, 2**63)
data = st.binary(max_size=20)
FIELDS: dict[str, st.SearchStrategy[Any]] = {
    "to": numbers,
    "name": st.builds(frames.Name, data),
    "message": data,
    "request": numbers,
    "outcome": st.sampled_from(sorted(frames.OUTCOMES)),
    "value": data,
    "sender": numbers,
    "reason": data,
    "number": numbers,
    "groups": st.lists(st.tuples(data, st.lists(numbers).map(tuple))).map(tuple),
    "group": data,
    "member": numbers,
    "times": numbers,
}


def of_kind(kind: type[frames.Frame]) -> st.SearchStrategy[frames.Frame]:
    fields = {name: FIELDS[name] for name in frames.fields_of(kind)}
    if kind in frames.NAMING and "to" in fields:
        fields["to"] = numbers | FIELDS["name"]
    return st.builds(kind, **fields)


any_frame = st.sampled_from(sorted(frames.KINDS)).flatmap(lambda n: of_kind(frames.KINDS[n]))


def is_plain(value: Any) -> bool:
    if value.__class__ is tuple:
        return all(map(is_plain, value))
    return value.__class__ in (int, str, bytes)


@given(any_frame)
def test_every_frame_crosses_as_plain_values(frame: frames.Frame) -> None:
    plain = frames.to_plain(frame)
    assert is_plain(plain)
    assert frames.from_plain(plain) == frame
    assert frames.size_bytes(frame) >= frames.FRAME_BYTES


@pytest.mark.parametrize(
    "plain",
    [
        (),
        None,
        "Cast",
        ("Nonsense", 1),
        ("Cast",),
        ("Cast", 1),
        ("Cast", 1, b"x", b"y"),
        ("Cast", -1, b"x"),
        ("Cast", True, b"x"),
        ("Cast", 1, "x"),
        ("Cast", ("name",), b"x"),
        ("Cast", ("name", "x"), b"x"),
        ("Link", ("name", b"x"), 1),
        ("Lookup", 5, 1),
        ("Answer", 1, "maybe", b"x"),
        ("Answer", 1, [], b"x"),
        ("Members", ((b"x", [1]),)),
        ("Members", ((b"x",),)),
        ("Members", [(b"x", (1,))]),
        ("Members", ((b"x", (1, "2")),)),
        (["Cast"], 1, b"x"),
    ],
)
def test_anything_else_is_refused(plain: Any) -> None:
    with pytest.raises(ProtocolError):
        frames.from_plain(plain)


def test_only_messages_can_be_refused_by_a_transport() -> None:
    refusable = {name for name, kind in frames.KINDS.items() if kind.refusable}
    assert refusable == {"Tell", "Cast", "Call", "Ask", "Lookup"}
