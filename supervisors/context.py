"""Which shard is running on this thread, and which node is active here.

The two pieces of ambient state the library has: a shard marks its thread while it runs turns, and
`with node:` marks a stretch of code, so that Pykka's argument-free `MyActor.start()` knows where.
"""

from __future__ import annotations

import threading
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from supervisors.node import Node
    from supervisors.shard import Shard


class _Running(threading.local):
    shard: Any = None


RUNNING = _Running()
"""`RUNNING.shard` is the shard whose turns run on the calling thread right now, else None."""

active_node: ContextVar[Node | None] = ContextVar("active_node", default=None)


def running_shard() -> Shard | None:
    """Give the shard whose turn is running on the calling thread, or None outside of turns."""
    return RUNNING.shard  # type: ignore[no-any-return]
