"""Frames: what one node says to another about its processes, as plain values.

A frame travels inside an epoch (see `peer_link`), which fixes the creations of both nodes; so a
frame names processes by serial alone and cannot mean a process of another incarnation. Where a
frame names its sender, that is a process of the sending node: no node can speak for another.

`bytes` fields are values encoded by `payloads`. The kinds and their meaning follow Erlang's
distribution protocol (OTP: erlang, net_kernel).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Final, NamedTuple

from supervisors.errors import ProtocolError

FRAME_BYTES: Final = 64
"""What a frame counts for beside its payloads: about what its numbers take on any transport."""

OK: Final = "ok"
"""An answer that carries the reply."""
ERROR: Final = "error"
"""An answer that carries an error which is the caller's to handle."""
EXIT: Final = "exit"
"""An answer that carries the exit reason of the process that was asked."""
OUTCOMES: Final = frozenset({OK, ERROR, EXIT})


_NAMED: Final = "name"
"""What a plain name begins with."""


class Name(NamedTuple):
    """A registered name of the receiving node, in place of a serial."""

    encoded: bytes


Address = int | Name
"""Whom a frame is for: the serial of a process of the receiving node, or a name there."""


class Frame:
    """The root of all frames."""

    __slots__ = ()

    refusable: ClassVar[bool] = False
    """Whether a transport whose outbox is full may refuse it: messages, never signals."""


@dataclass(frozen=True, slots=True)
class Tell(Frame):
    """A plain message (Erlang's `!`)."""

    refusable = True
    to: Address
    message: bytes


@dataclass(frozen=True, slots=True)
class Cast(Frame):
    """A request without an answer (gen_server:cast)."""

    refusable = True
    to: Address
    message: bytes


@dataclass(frozen=True, slots=True)
class Call(Frame):
    """A request whose caller waits for the `Answer` of this number (gen_server:call)."""

    refusable = True
    to: Address
    request: int
    message: bytes


@dataclass(frozen=True, slots=True)
class Ask(Frame):
    """As a call, with Pykka's rule: an exception goes to the asker and the process lives on."""

    refusable = True
    to: Address
    request: int
    message: bytes


@dataclass(frozen=True, slots=True)
class Lookup(Frame):
    """Who has this name? The answer is a ref or None (`rpc` of `whereis`)."""

    refusable = True
    name: Name
    request: int


@dataclass(frozen=True, slots=True)
class Answer(Frame):
    """The answer to a call, an ask or a lookup; the outcome says what `value` is."""

    request: int
    outcome: str
    value: bytes


@dataclass(frozen=True, slots=True)
class Exit(Frame):
    """An exit signal sent by hand (`exit/2`); sender 0 when no process sent it."""

    to: Address
    sender: int
    reason: bytes


@dataclass(frozen=True, slots=True)
class Link(Frame):
    """The sender has linked itself to `to`."""

    to: int
    sender: int


@dataclass(frozen=True, slots=True)
class Unlink(Frame):
    """The sender has taken the link to `to` away and drops what it hears of it until `Unlinked`."""

    to: int
    sender: int
    number: int


@dataclass(frozen=True, slots=True)
class Unlinked(Frame):
    """The unlinking of this number is done: nothing the sender says later is of the old link."""

    to: int
    sender: int
    number: int


@dataclass(frozen=True, slots=True)
class LinkedExit(Frame):
    """The sender, linked to `to`, has ended; the link is gone with it."""

    to: int
    sender: int
    reason: bytes


@dataclass(frozen=True, slots=True)
class Monitor(Frame):
    """Send one `Down` of this number when `to` ends, at once if there is no such process."""

    to: Address
    number: int


@dataclass(frozen=True, slots=True)
class Demonitor(Frame):
    """The monitor of this number is no longer wanted."""

    number: int


@dataclass(frozen=True, slots=True)
class Down(Frame):
    """What the monitor of this number waited for has come."""

    number: int
    reason: bytes


@dataclass(frozen=True, slots=True)
class Members(Frame):
    """Local members of process groups, as often as they joined: the exchange on node-up (pg)."""

    groups: tuple[tuple[bytes, tuple[int, ...]], ...]


@dataclass(frozen=True, slots=True)
class Join(Frame):
    """A process of the sending node joined a group once more."""

    group: bytes
    member: int


@dataclass(frozen=True, slots=True)
class Leave(Frame):
    """A process of the sending node left a group so many times, all of them if it ended."""

    group: bytes
    member: int
    times: int


KINDS: Final[dict[str, type[Frame]]] = {
    kind.__name__: kind
    for kind in (
        Tell, Cast, Call, Ask, Lookup, Answer, Exit, Link, Unlink, Unlinked, LinkedExit,
        Monitor, Demonitor, Down, Members, Join, Leave,
    )
}  # fmt: skip


NAMING: Final = frozenset({Tell, Cast, Call, Ask, Lookup, Exit, Monitor})
"""Kinds that may be for a name; links are for pids alone (OTP)."""


def fields_of(kind: type[Frame]) -> tuple[str, ...]:
    """Name the fields of a kind of frame, in order."""
    return kind.__match_args__  # type: ignore[attr-defined, no-any-return]


def size_bytes(frame: Frame) -> int:
    """Say what a frame counts for in the bounds of a link, in bytes."""
    total = FRAME_BYTES
    for field in fields_of(type(frame)):
        value = getattr(frame, field)
        if value.__class__ is bytes:
            total += len(value)
        elif value.__class__ is Name:
            total += len(value.encoded)
        elif value.__class__ is tuple:
            total += sum(len(group) + 8 * len(members) for group, members in value)
    return total


def to_plain(frame: Frame) -> tuple[Any, ...]:
    """Take a frame apart into nested tuples of str, int and bytes."""
    values = (getattr(frame, field) for field in fields_of(type(frame)))
    return (
        type(frame).__name__,
        *((_NAMED, v.encoded) if v.__class__ is Name else v for v in values),
    )


def from_plain(plain: Any) -> Frame:
    """Put a frame together again; raises ProtocolError for anything `to_plain` cannot give."""
    kind = KINDS.get(plain[0]) if plain.__class__ is tuple and _is_kind(plain[:1]) else None
    if kind is None:
        raise ProtocolError(f"{plain!r} is no frame")
    fields = fields_of(kind)
    if len(plain) != len(fields) + 1:
        raise ProtocolError(f"{plain!r} has not the fields of {kind.__name__}: {fields}")
    values = {}
    for field, value in zip(fields, plain[1:], strict=True):
        values[field] = _name_or_same(value)
        named = values[field].__class__ is Name
        if not _SHAPES[field](values[field]) or (named and kind not in NAMING):
            raise ProtocolError(f"{plain!r}: {field} of a {kind.__name__} cannot be {value!r}")
    return kind(**values)


def _is_kind(beginning: tuple[Any, ...]) -> bool:
    return list(map(type, beginning)) == [str]


def _name_or_same(value: Any) -> Any:
    match value:
        case (str(mark), bytes(encoded)) if mark == _NAMED:
            return Name(encoded)
        case _:
            return value


def _is_number(value: Any) -> bool:
    return value.__class__ is int and value >= 0


def _is_bytes(value: Any) -> bool:
    return value.__class__ is bytes


def _is_outcome(value: Any) -> bool:
    return value.__class__ is str and value in OUTCOMES


def _is_address(value: Any) -> bool:
    return _is_number(value) or (value.__class__ is Name and _is_bytes(value.encoded))


def _is_groups(value: Any) -> bool:
    return value.__class__ is tuple and all(
        entry.__class__ is tuple
        and list(map(type, entry)) == [bytes, tuple]
        and all(map(_is_number, entry[1]))
        for entry in value
    )


_SHAPES: Final = {
    "to": _is_address,
    "name": lambda value: value.__class__ is Name and _is_bytes(value.encoded),
    "message": _is_bytes,
    "request": _is_number,
    "outcome": _is_outcome,
    "value": _is_bytes,
    "sender": _is_number,
    "reason": _is_bytes,
    "number": _is_number,
    "groups": _is_groups,
    "group": _is_bytes,
    "member": _is_number,
    "times": _is_number,
}
"""What each field may hold; a field's name means the same in every frame that has it."""
