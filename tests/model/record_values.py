"""Strategies for every record of the model, made from the types of its fields."""

from __future__ import annotations

import importlib
import pkgutil
import types
import typing
from typing import Any, Literal, get_args, get_origin, get_type_hints

import msgspec
from hypothesis import strategies as st

import fifo.model
from fifo.model.records import Record

TEXTS = st.text(st.characters(codec="utf-8"), max_size=12)
INTEGERS = st.integers(-(2**63), 2**63 - 1)
FLOATS = st.floats(allow_nan=False, allow_infinity=False)
ANY = st.none() | st.booleans() | INTEGERS | TEXTS | st.lists(TEXTS, max_size=2)
PLAIN: dict[Any, st.SearchStrategy[Any]] = {
    str: TEXTS,
    int: INTEGERS,
    float: FLOATS,
    bool: st.booleans(),
    type(None): st.none(),
    Any: ANY,
}


def kinds() -> list[type[Record]]:
    """Give all records that the model has."""
    for module in pkgutil.walk_packages(fifo.model.__path__, "fifo.model."):
        importlib.import_module(module.name)
    found = [own for own in Record.__subclasses__() if own.__module__.startswith("fifo.model")]
    return sorted(found, key=lambda own: own.__name__)


def of(kind: Any) -> st.SearchStrategy[Any]:
    """Give a strategy for the values of a type as fields have them."""
    if kind in PLAIN:
        return PLAIN[kind]
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is Literal:
        return st.sampled_from(arguments)
    if origin in {typing.Union, types.UnionType}:
        return st.one_of(*map(of, arguments))
    if origin is tuple:
        return st.lists(of(arguments[0]), max_size=2).map(tuple)
    if origin is dict:
        return st.dictionaries(of(arguments[0]), of(arguments[1]), max_size=2)
    assert issubclass(kind, msgspec.Struct), kind
    return structs(kind)


def structs(kind: type[msgspec.Struct]) -> st.SearchStrategy[Any]:
    """Give a strategy for a struct; fields with a default are often left out."""
    hints = get_type_hints(kind)
    needed = {own.name for own in msgspec.structs.fields(kind) if own.required}
    fields = {own.name: of(hints[own.name]) for own in msgspec.structs.fields(kind)}
    return st.fixed_dictionaries(
        {name: own for name, own in fields.items() if name in needed},
        optional={name: own for name, own in fields.items() if name not in needed},
    ).map(lambda values: kind(**values))
