"""Closing a shard: whoever waits for it is told, and so is who comes later.

A host that stops running its node closes the shard, whose processes stay as they are. What waits
for an answer fails with `noconnection`, OTP's word for a node that is gone; messages sent from then
on are dead letters. Since nothing runs any more, that happens on the sender's thread.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any, Final

from supervisors.errors import CallExit, StartError
from supervisors.future import ERROR, EndFuture, Future
from supervisors.messages import RESUME
from supervisors.reasons import NOCONNECTION

if TYPE_CHECKING:
    from collections.abc import Iterator

    from supervisors.process import Process
    from supervisors.shard import Shard

NOBODY: Final = -1
"""The thread of a shard that is closed, or was lost to a stuck turn and is not taken over yet: no
thread has this id, so everyone is outside."""


def close(shard: Shard) -> None:
    """Answer everyone who waits for a shard that no longer runs, and refuse what comes from now on.

    Called by its host, on the shard's thread, outside of `run_slice` if it can be.
    """
    if shard.closed:
        return
    shard.thread_id = NOBODY
    shard.closed = True
    refuse(shard)
    starts = [
        process._ext.start
        for process in tuple(shard.processes.values())
        if process._ext is not None and process._ext.start is not None
    ]
    waiting = list(_waiting(shard))
    for start in starts:
        if start.future is not None:
            what = type(start.process).__name__
            start.future.resolve(ERROR, StartError(what, NOCONNECTION))
    for future in waiting:
        fail(shard, future)
    shard.node.observer.close()


def fail(shard: Shard, future: Future[Any]) -> None:
    """Tell who waits for a future that the node is gone."""
    future.resolve(ERROR, CallExit(future._target or shard.node, NOCONNECTION))


def _waiting(shard: Shard) -> Iterator[Future[Any]]:
    """Find the requests that wait: in mailboxes, in handlers, and in the wheel for a timeout."""
    for _, _, _, future in shard.runq:
        if future is not None:
            yield future
    for process in tuple(shard.processes.values()):
        yield from _waiting_for(process)
    for entry in shard.timers:
        if entry.__class__ is Future:
            yield entry
    if shard.node.distribution is not None:
        yield from shard.node.distribution.calls()


def _waiting_for(process: Process) -> Iterator[Future[Any]]:
    for _, _, future in process._queue or ():
        if future is not None:
            yield future
    extras = process._ext
    if extras is None:
        return
    for future in itertools.chain((extras.future, extras.stop_future), extras.deferred or ()):
        if future is not None:
            yield future
    for watcher in extras.watchers or ():
        # Those of processes and of supervisors act when they settle; a thread only waits.
        if isinstance(watcher, EndFuture) and watcher._waiter is None and not watcher._callbacks:
            yield watcher


def refuse(shard: Shard) -> None:
    """Answer or record what was sent to a closed shard; called by its senders, on any thread."""
    shard.outside_woke = False
    inbound = shard.inbound
    while inbound:
        try:
            process, kind, payload, future = inbound.popleft()
        except IndexError:  # another sender's thread took the last one
            return
        if process is None:
            if kind != RESUME and future is not None:
                future()
        elif future is not None:
            fail(shard, future)
        else:
            shard.node.dead_letters.record(process, payload, "closed")
