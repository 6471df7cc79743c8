"""Fencing: a turn that the watchdog abandoned has no effects any more.

On a host that takes over, the thread of such a turn runs on until its code returns, beside the one
that has the shard now. What it sends is dropped by `Shard.post_from_outside`. Whatever writes to a
table of the shard asks here first, and so does the runtime where it goes on after a user's function
that may have caught StuckTurn. It asks only if the shard has abandoned threads at all, or the
process is doomed, so that nobody else pays.
"""

from __future__ import annotations

from _thread import get_ident
from typing import TYPE_CHECKING, Any

from supervisors.errors import StuckTurn

if TYPE_CHECKING:
    from supervisors.process import Process
    from supervisors.shard import Shard


def leave(shard: Shard) -> None:
    """Unwind the turn on this thread, by StuckTurn, if the watchdog abandoned it."""
    if get_ident() in shard.abandoned:
        with shard.injection:
            # Whoever has had the lock finds every process of the turn doomed.
            raise StuckTurn


def refuse(shard: Shard, process: Process | str, effect: Any) -> None:
    """Keep an abandoned turn from an effect: it is a dead letter, and StuckTurn is raised.

    Called by what a handler may do, before it touches anything; `process` is who would have
    been affected. Does nothing on any other thread.
    """
    if get_ident() in shard.abandoned:
        shard.fence(process, effect)
        leave(shard)
