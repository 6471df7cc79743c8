"""What the tables say of one property of a payload."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, get_args

from fifo.model.instance import VM_BRANDS, Brand
from fifo.model.vmadm import limits

if TYPE_CHECKING:
    from collections.abc import Callable

Kind = Literal[
    "string", "integer", "limit", "refreservation", "boolean", "uuid", "list", "scalars", "parts",
]  # fmt: skip
"""How a value is read; `limit` is an integer or none, `refreservation` an integer or auto."""

Becomes = Literal["field", "kept", "unhonoured", "secret", "void", "verb"]
"""What becomes of a value in an instance's spec:

- `field`: one of its own fields;
- `kept`: a label that means nothing to any host; kept in `extra`;
- `unhonoured`: no Linux host does it; named to the caller, and kept in `extra` if it is a scalar;
- `secret`: the same, but never kept: what is of no use cannot leak;
- `void`: nothing is left to do here;
- `verb`: it changes another property (`set_tags`, `add_nics`).
"""

ALL: Final = frozenset(get_args(Brand))
HVM: Final = VM_BRANDS
OS: Final = ALL - HVM
"""vmadm's third zone brand, `builder`, is for making bhyve's images, and none of ours."""
BHYVE: Final = frozenset({"bhyve"})
KVM: Final = frozenset({"kvm"})
LX: Final = frozenset({"lx"})
LINUX: Final = LX | KVM
"""The brands that a Linux host runs."""


class Property(NamedTuple):
    """One row: who may give it when, what it may be, and what becomes of it here.

    `actions` are the letters of vmadm's: create, update, receive; of a part of an instance: `a`
    when it is added, `u` when it is updated. `least` and `most` bound a number, a text's
    characters or a list's entries. `test` is what each text has to pass, `wanted` its words.
    `default` is vmadm's; to say it is to say nothing. `needed` are the brands whose creation
    fails without it.
    """

    brands: frozenset[str]
    actions: str
    kind: Kind
    becomes: Becomes = "unhonoured"
    field: str = ""
    least: int | None = None
    most: int | None = None
    default: str | int | bool | tuple[str, ...] | None = None
    test: Callable[[str], object] | None = None
    wanted: str = ""
    needed: frozenset[str] = frozenset()
    unset_by_zero: bool = False
    lines: bool = False


def to(field: str, brands: frozenset[str], actions: str, kind: Kind, **more: Any) -> Property:
    """Make the row of a property that becomes a field."""
    return Property(brands, actions, kind, "field", field, **more)


def number(
    field: str, least: int, most: int, brands: frozenset[str] = ALL, actions: str = "cru",
    *, unset_by_zero: bool = False,
) -> Property:  # fmt: skip
    """Make the row of a number that becomes a field."""
    return Property(
        brands, actions, "integer", "field", field, least, most, unset_by_zero=unset_by_zero
    )


def flag(brands: frozenset[str] = ALL, actions: str = "cru", *, default: bool = False) -> Property:
    """Make the row of a flag that no Linux host honours."""
    return Property(brands, actions, "boolean", default=default)


def text(
    brands: frozenset[str] = ALL,
    actions: str = "cru",
    becomes: Becomes = "unhonoured",
    *,
    test: Callable[[str], object] | None = None,
    wanted: str = "",
    most: int = limits.TEXT_CHARACTERS,
    default: str | None = None,
) -> Property:
    """Make the row of a text that becomes no field."""
    return Property(
        brands, actions, "string", becomes, most=most, default=default, test=test, wanted=wanted
    )


def amount(
    least: int = 0,
    most: int = limits.NUMBER_LARGEST,
    brands: frozenset[str] = ALL,
    actions: str = "cru",
    *,
    default: int | None = None,
) -> Property:
    """Make the row of a number that no Linux host honours."""
    return Property(brands, actions, "integer", least=least, most=most, default=default)


def one_of(*words: str) -> tuple[Callable[[str], object], str]:
    """Give the test of an enumeration, and what is wanted."""
    return frozenset(words).__contains__, f"one of {', '.join(words)}"
