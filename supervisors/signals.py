"""Exit signals, links and monitors: OTP's rules in one place (OTP: erlang).

All functions run on the shard's thread. Signals act when they are sent, ahead of any mailbox; what
a process gets to see of them, `Exit` and `Down`, takes its place in the mailbox, so that everything
from one sender arrives in the order it was sent. A `peer` in a links table is a Process of this
node or a RemoteRef, whose `remote_...` methods tell the other node.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from supervisors import fencing, mailbox
from supervisors.errors import NotLocal
from supervisors.messages import EXIT, INFO, Down
from supervisors.reasons import KILL, KILLED, NOPROC, NORMAL, means
from supervisors.ref import Ref

if TYPE_CHECKING:
    from supervisors.process import Process

_DEAD = 8
_TRAPS_EXIT = 1
_LINKED_TO_PARENT = 2


class Monitor:
    """One subscription to the end of one process; fires at most once."""

    __slots__ = ("target", "watcher")

    def __init__(self, watcher: Process | None, target: Any) -> None:
        self.watcher = watcher
        self.target = target

    def fire(self, process: Any, reason: Any) -> None:
        """Deliver the Down; called when the target has ended or its node was lost."""
        watcher = self.watcher
        if watcher is None:
            return
        self.watcher = None
        if watcher._state == _DEAD:
            return  # It watched itself.
        if watcher._ext is not None and watcher._ext.watching:
            watcher._ext.watching.pop(self, None)
        del process
        watcher._shard.post_system(watcher, INFO, Down(self, self.target, reason))


def exit_signal(target: Process, sender: Any, reason: Any, *, by_link: bool) -> None:
    """Apply an exit signal to a local process.

    `sender` is what the receiver will see, a ref; `by_link` tells a link's signal from `exit/2`:
    only the latter can carry the untrappable "kill".
    """
    if target._state == _DEAD:
        return
    if not by_link and means(reason, KILL):
        target._shard.end_by_signal(target, KILLED)
    elif target._flags & _TRAPS_EXIT:
        target._shard.post_system(target, EXIT, (sender, reason))
    elif not means(reason, NORMAL) or sender == Ref(target):
        target._shard.end_by_signal(target, reason)


def linked_exit(target: Process, dead: Any, reason: Any) -> None:
    """Apply the exit of a linked peer: the link is gone, then the signal acts.

    `dead` is the Process or RemoteRef that ended.
    """
    if target._state == _DEAD:
        return
    if target._parent is dead and target._flags & _LINKED_TO_PARENT:
        target._flags &= ~_LINKED_TO_PARENT
    elif target._ext is not None and target._ext.links:
        target._ext.links.pop(dead, None)
    sender = dead if isinstance(dead, Ref) else Ref(dead)
    exit_signal(target, sender, reason, by_link=True)


def _refuse_abandoned(process: Process, what: Any) -> None:
    shard = process._shard
    if shard.abandoned:
        fencing.refuse(shard, process, what)


def _peer(other: Ref[Any], shard: Any) -> Any:
    """Give what stands for a ref in tables: the process of this node, else a RemoteAddress.

    A plain ref of another node in the same Python process is taken for what it would be had it
    come by a message; raises NotLocal if this node has no peers.
    """
    process = other._process
    if process is None:
        return other
    if process._shard is shard:
        return process
    far = shard.node.ref(other.pid)
    if far is None:
        raise NotLocal(f"{other} is on another node and {shard.node} has no Distribution")
    return far


def link(process: Process, other: Ref[Any]) -> None:
    """Link two processes; idempotent, symmetric. A dead peer answers with exit `noproc`.

    Of a process that is dead itself, and cleans up, nothing is linked.
    """
    _refuse_abandoned(process, other)
    if process._state == _DEAD:
        return
    peer = _peer(other, process._shard)
    if peer is process or is_linked(process, peer):
        return
    if not isinstance(peer, Ref) and peer._state == _DEAD:
        exit_signal(process, other, NOPROC, by_link=True)
        return
    extras = process.extras
    if extras.links is None:
        extras.links = {}
    extras.links[peer] = None
    if isinstance(peer, Ref):
        peer.remote_link(process)  # type: ignore[attr-defined]
        return
    extras = peer.extras
    if extras.links is None:
        extras.links = {}
    extras.links[process] = None


def imply(supervisor: Process, child: Process) -> None:
    """Let a supervisor's table stand for its link to a child from now on."""
    links = supervisor._ext.links if supervisor._ext is not None else None
    if links and child in links:
        del links[child]
        del child._ext.links[supervisor]
        child._flags |= _LINKED_TO_PARENT


def is_linked(process: Process, peer: Any) -> bool:
    """Tell whether a link holds, supervisors' implied ones included."""
    if process._parent is peer and process._flags & _LINKED_TO_PARENT:
        return True
    if getattr(peer, "_parent", None) is process and peer._flags & _LINKED_TO_PARENT:
        return True
    ext = process._ext
    return bool(ext is not None and process._state != _DEAD and ext.links and peer in ext.links)


def unlink(process: Process, other: Ref[Any]) -> None:
    """Take a link away on both sides and drop an `Exit` of it that waits in the mailbox."""
    _refuse_abandoned(process, other)
    if process._state == _DEAD:
        return
    peer = _peer(other, process._shard)
    if process._parent is peer:
        process._flags &= ~_LINKED_TO_PARENT
    elif getattr(peer, "_parent", None) is process:
        peer._flags &= ~_LINKED_TO_PARENT
    if process._ext is not None and process._ext.links:
        process._ext.links.pop(peer, None)
    if isinstance(peer, Ref):
        peer.remote_unlink(process)  # type: ignore[attr-defined]
    elif peer._state != _DEAD and peer._ext is not None and peer._ext.links:
        peer._ext.links.pop(process, None)
    mailbox.drop(process, lambda kind, payload: kind == EXIT and payload[0] == other)


def monitor(process: Process, other: Any) -> Monitor:
    """Monitor a ref or a registered name; a Down comes at once if there is no such process.

    None comes to a process that is dead itself, and cleans up.
    """
    _refuse_abandoned(process, other)
    if process._state == _DEAD:
        return Monitor(None, other)
    target = other
    if not isinstance(other, Ref):
        found = process._shard.node.whereis(other)
        if found is None:
            made = Monitor(process, other)
            made.fire(other, NOPROC)
            return made
        target = found
    made = Monitor(process, other)
    peer = _peer(target, process._shard)
    if isinstance(peer, Ref):
        if target is other:
            made.target = peer.shown  # type: ignore[attr-defined]
        watching(process)[made] = peer
        peer.remote_monitor(process, made)  # type: ignore[attr-defined]
    elif peer._state == _DEAD:
        made.fire(other, NOPROC)
    else:
        watching(process)[made] = peer
        watch(peer, made)
    return made


def watch(target: Process, watcher: Any) -> None:
    """Let `watcher.fire(process, reason)` be called when a live local process ends."""
    extras = target.extras
    if extras.watchers is None:
        extras.watchers = {}
    extras.watchers[watcher] = None


def watch_end(target: Process, watcher: Any) -> None:
    """As `watch`; for a process that is dead already `watcher.fire` is called at once."""
    if target._state == _DEAD:
        watcher.fire(Ref(target), target.exit_reason)
    else:
        watch(target, watcher)


def unwatch(target: Process, watcher: Any) -> None:
    """Take a watcher back, if the process still lives."""
    if target._state != _DEAD and target._ext is not None and target._ext.watchers:
        target._ext.watchers.pop(watcher, None)


def watching(process: Process) -> dict[Any, Any]:
    """Give the table of monitors this process holds, made when first asked for."""
    extras = process.extras
    if extras.watching is None:
        extras.watching = {}
    return extras.watching


def demonitor(process: Process, made: Monitor, *, flush: bool) -> None:
    """Take a monitor back; with `flush` also a Down that waits in the mailbox."""
    _refuse_abandoned(process, made)
    if made.watcher is not None:
        made.watcher = None
        peer = watching(process).pop(made, None)
        if isinstance(peer, Ref):
            peer.remote_demonitor(process, made)  # type: ignore[attr-defined]
        elif peer is not None and peer._state != _DEAD and peer._ext is not None:
            peer._ext.watchers.pop(made, None)
    if flush:
        mailbox.drop(
            process,
            lambda kind, payload: (
                kind == INFO and payload.__class__ is Down and payload.monitor is made
            ),
        )
