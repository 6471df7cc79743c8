"""Being idle in a special way: with a timeout, hibernated or suspended; and how that ends.

All functions run on the shard's thread.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from supervisors import turns
from supervisors.messages import EXIT, SYSTEM, WAKE
from supervisors.process import HIBERNATED, READY, SUSPENDED, TIMED, Process
from supervisors.results import Timeout

if TYPE_CHECKING:
    from supervisors.shard import Shard


def rouse(shard: Shard, process: Process) -> None:
    """Make a process that is idle in a special way ready for the message just queued."""
    queue = process._queue
    assert queue is not None
    if process._state == TIMED:
        extras = process._ext
        extras.timer.cancel()
        extras.timer = None
        if queue[0][0] != SYSTEM:
            extras.timed_s = None
    elif process._state == HIBERNATED:
        queue.appendleft((WAKE, None, None))
        if process._ext is not None and process._ext.idle is not None:
            process._ext.idle.arm()
    elif process._state == SUSPENDED and queue[-1][0] == EXIT:
        sender = queue[-1][1][0]
        if sender is None or sender._process is not process._parent:
            return
        queue.appendleft(queue.pop())
    else:
        return
    process._state = READY
    shard.runq.append((process, *queue.popleft()))
    if not queue:
        process._queue = None
    if shard.asleep:
        shard.wake()


def suspend(process: Process) -> None:
    """Handle nothing after the present message until `unsuspend`; runs in a system turn."""
    process._state = SUSPENDED


def unsuspend(shard: Shard, process: Process) -> None:
    """Handle messages again, those that waited first; a timeout runs anew if none did."""
    if process._state == SUSPENDED:
        process._state = READY
        again = timeout_anew(process)
        turns.make_ready(shard, process)
        if again is not None:
            turns.then(shard, process, again)


def timeout_anew(process: Process) -> Timeout | None:
    """Give the timeout that a look from outside has interrupted; it runs anew in full (OTP)."""
    ext = process._ext
    if process._state != READY or ext is None or ext.timed_s is None:
        return None
    queue = process._queue
    if queue is not None and queue[0][0] == SYSTEM:
        return None  # The last of several looks gives it.
    after_s, ext.timed_s = ext.timed_s, None
    return Timeout(after_s) if queue is None else None
