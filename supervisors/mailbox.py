"""The bound of a mailbox: what it refuses, and what becomes of that.

What counts is what waits. The message at hand does not: the one that is being handled, or that an
idle process got and will handle in its next turn.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any, Final

from supervisors._pykka import ActorStop
from supervisors.context import RUNNING
from supervisors.errors import MailboxFull
from supervisors.future import ERROR
from supervisors.messages import BEGIN, CONTINUE, EXIT, RESUME, STEP, SYSTEM, WAKE, Down

if TYPE_CHECKING:
    from collections.abc import Callable

    from supervisors.process import Process
    from supervisors.shard import Shard

REJECT: Final = "reject"
"""Mailbox policy: refuse the message; the sender gets MailboxFull."""
DROP_NEW: Final = "drop_new"
"""Mailbox policy: the new message becomes a dead letter."""
DROP_OLD: Final = "drop_old"
"""Mailbox policy: the oldest waiting message becomes a dead letter."""

POLICIES: Final = frozenset({REJECT, DROP_NEW, DROP_OLD})

_SYSTEM_KINDS = frozenset({EXIT, RESUME, CONTINUE, SYSTEM, WAKE, BEGIN, STEP})


def check(process_class: type[Process]) -> None:
    """Refuse a bound or a policy that cannot be, when the class is defined; raises ValueError."""
    name = process_class.__name__
    limit: Any = process_class.mailbox_limit
    if not isinstance(limit, int) or limit < 1:
        raise ValueError(f"{name}.mailbox_limit={limit!r} must be a whole number from 1 on")
    policy = process_class.mailbox_policy
    if policy not in POLICIES:
        wanted = ", ".join(map(repr, sorted(POLICIES)))
        raise ValueError(f"{name}.mailbox_policy={policy!r} must be one of {wanted}")


def is_owed(kind: int, payload: Any) -> bool:
    """Tell whether a message may not be refused, however full the mailbox."""
    return kind in _SYSTEM_KINDS or payload.__class__ is Down or payload.__class__ is ActorStop


def overflow(shard: Shard, process: Process, kind: int, payload: Any, future: Any) -> None:
    """Treat a message that met a full mailbox as its process's policy says, and count it.

    Runs on the shard's thread. Raises MailboxFull under REJECT where there is a sender to tell.
    """
    queue = process._queue
    assert queue is not None, "a mailbox without a queue is not full"
    policy = process.mailbox_policy
    error = MailboxFull(process.ref, process.mailbox_limit)
    shard.node.dead_letters.refused(process)
    if policy == DROP_OLD:
        oldest = next((n for n, item in enumerate(queue) if not is_owed(item[0], item[1])), None)
        if oldest is not None:
            _, old_payload, old_future = queue[oldest]
            del queue[oldest]
            if old_future is not None:
                old_future.resolve(ERROR, error)
            else:
                shard.node.dead_letters.record(process, old_payload, "mailbox full")
            queue.append((kind, payload, future))
            return
    if future is not None:
        future.resolve(ERROR, error)
    elif policy in (DROP_NEW, DROP_OLD) or (shard.current is None and RUNNING.shard is shard):
        shard.node.dead_letters.record(process, payload, "mailbox full")
    else:
        raise error


def drop(process: Process, unwanted: Callable[[int, Any], bool]) -> None:
    """Take waiting messages out of a mailbox (flush of demonitor, unlink)."""
    queue = process._queue
    if queue is not None:
        kept = [item for item in queue if not unwanted(item[0], item[1])]
        process._queue = deque(kept) if kept else None
