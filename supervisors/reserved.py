"""The attribute names that the runtime keeps on every process, and the check that none is taken.

A process has its state in slots with short private names, because a million of them pay for every
byte and each message for every look-up. An actor written for stock Pykka may well use such a name
for something of its own, which would break it in ways nobody understands. So a class that takes one
is refused when it is defined. The check reads the class's own bytecode: names are found where they
are stored on the first argument of a method, wherever else they occur they mean something else.
"""

from __future__ import annotations

import dis
from types import FunctionType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

_OURS = ("supervisors", "pykka")


def refuse_taken(process_class: type[Any], base: type[Any], names: frozenset[str]) -> None:
    """Raise TypeError if a subclass of `base`, or a mixin of it, uses one of `names`.

    Called by `Process` when a class is defined, in whatever thread defines it.
    """
    for one in process_class.__mro__:
        if one.__module__.partition(".")[0] in _OURS:
            continue
        if one is not process_class and issubclass(one, base):
            continue
        for name, where in _taken(one, names):
            raise TypeError(
                f"{where} uses the name {name!r}, which the runtime keeps for itself on every "
                "process: choose another one"
            )


def _taken(one: type[Any], names: frozenset[str]) -> Iterator[tuple[str, str]]:
    for name, value in vars(one).items():
        if name in names:
            yield name, one.__qualname__
        if isinstance(value, FunctionType) and names.intersection(value.__code__.co_names):
            yield from ((stored, value.__qualname__) for stored in _stored(value, names))


def _stored(function: FunctionType, names: frozenset[str]) -> Iterator[str]:
    """Find the names that a method stores on its first argument."""
    code = function.__code__
    first = code.co_varnames[:1]
    before: Any = None
    for instruction in dis.get_instructions(code):
        if instruction.opname == "STORE_ATTR" and instruction.argval in names:
            loaded = before.argval if before.opname.startswith("LOAD_FAST") else None
            last = loaded[-1:] if isinstance(loaded, tuple) else (loaded,)
            if last == first or before.opname == "SWAP":
                yield instruction.argval
        before = instruction
