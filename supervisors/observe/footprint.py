"""How much memory a process holds, estimated without walking everything it holds."""

from __future__ import annotations

import gc
from collections import deque
from itertools import islice
from sys import getsizeof
from typing import TYPE_CHECKING, Any, Final

from supervisors import limits
from supervisors.process import DEAD

if TYPE_CHECKING:
    from collections.abc import Iterable

    from supervisors.process import Process

_SCALARS: Final = frozenset({bool, bytearray, bytes, complex, float, int, str})
_CONTAINERS: Final = frozenset({deque, dict, frozenset, list, set, tuple})
"""What is counted: built-in data. Anything else may be shared, and its size may be user code."""

_POINTER_BYTES: Final = 8


def footprint_bytes(process: Process) -> int:
    """Estimate the bytes of a process: its object, attributes, their values and its mailbox.

    Shallow and bounded by `limits.FOOTPRINT_VALUES`: an attribute's container counts with its
    direct values, what those refer to does not. Called on the shard's thread. The collector's view
    of the object is used, since asking for `__dict__` would make one and keep it.
    """
    queue = process._queue
    held = gc.get_referents(process)[: limits.FOOTPRINT_VALUES]
    size = getsizeof(process) + _POINTER_BYTES * len(held)
    for value in held:
        kind = value.__class__
        if kind in _SCALARS:
            size += getsizeof(value)
        elif kind in _CONTAINERS and value is not queue:
            size += _with_values(value)
    if process._ext is not None and process._state != DEAD:
        size += sum(map(_with_values, gc.get_referents(process._ext)))
    if queue:
        looked_at = list(islice(queue, limits.FOOTPRINT_MESSAGES))
        messages = sum(getsizeof(item) + _shallow(item[1]) for item in looked_at)
        size += getsizeof(queue) + messages * len(queue) // len(looked_at)
    return size


def _shallow(value: Any) -> int:
    kind = value.__class__
    return getsizeof(value) if kind in _SCALARS or kind in _CONTAINERS else 0


def _with_values(value: Any) -> int:
    kind: Any = value.__class__
    values: Iterable[Any] = ()
    if kind in _CONTAINERS:
        values = value.values() if kind is dict else value
    return _shallow(value) + sum(map(_shallow, islice(values, limits.FOOTPRINT_VALUES)))
