"""Process groups: named sets of processes, in scopes that know nothing of each other (OTP: pg)."""

from __future__ import annotations

from _thread import get_ident
from collections import Counter
from typing import Any, NamedTuple

from supervisors import fencing
from supervisors.errors import NotLocal, SupervisorsError
from supervisors.messages import INFO
from supervisors.process import Process
from supervisors.ref import Ref


class Joined(NamedTuple):
    """Sent to a subscriber of a group: these processes joined."""

    group: Any
    members: tuple[Ref[Any], ...]


class Left(NamedTuple):
    """Sent to a subscriber of a group: these processes left or ended."""

    group: Any
    members: tuple[Ref[Any], ...]


def _groups_of(process: Process) -> Counter[Any]:
    extras = process.extras
    if extras.groups is None:
        extras.groups = Counter()
    return extras.groups  # type: ignore[no-any-return]


class Groups:
    """One scope of process groups; a process may join several times and leaves as often.

    A local process stands for itself or by its ref. All but the lists are for the shard's thread,
    so for handlers. Remote members are added by the node that knows the peer and go when it is
    lost.
    """

    def __init__(self) -> None:
        self._members: dict[Any, Counter[Process]] = {}
        self._remote: dict[Any, dict[Ref[Any], int]] = {}
        self._subscribers: dict[Any, dict[Process, None]] = {}
        self.listener: Any = None
        """The node's `Distribution`, which tells the peers; None on a node of its own."""

    def join(self, group: Any, member: Process | Ref[Any]) -> None:
        """Add a local process to a group once more.

        Raises NotLocal for a process of another node, SupervisorsError for one that has ended, and
        PayloadError, on a node with peers, for a group whose name cannot cross to them.
        """
        process = self._local(group, member)
        groups = _groups_of(process)
        if self.listener is not None:
            self.listener.joined(group, process)
        self._members.setdefault(group, Counter())[process] += 1
        groups[group] += 1
        self._tell(group, Joined(group, (process.ref,)))

    def leave(self, group: Any, member: Process | Ref[Any]) -> bool:
        """Take one membership back; False if the process was not a member. Raises NotLocal."""
        process = self._local(group, member)
        members = self._members.get(group)
        if not members or process not in members:
            return False
        self._drop(group, process, 1)
        groups = process.extras.groups
        groups[group] -= 1
        if not groups[group] and process not in self._subscribers.get(group, ()):
            del groups[group]
        if self.listener is not None:
            self.listener.left(group, process, 1)
        self._tell(group, Left(group, (process.ref,)))
        return True

    def members(self, group: Any) -> list[Ref[Any]]:
        """List all members, as often as they joined, local ones first."""
        remote = self._remote.get(group, {})
        return self.local_members(group) + [r for r, n in remote.items() for _ in range(n)]

    def local_members(self, group: Any) -> list[Ref[Any]]:
        """List the members of this node, in order of joining."""
        return [process.ref for process in self._members.get(group, Counter()).elements()]

    def which_local(self) -> list[Any]:
        """List the groups that have members on this node."""
        return list(self._members)

    def which(self) -> list[Any]:
        """List the groups that have members."""
        return list({**self._members, **self._remote})

    def subscribe(self, group: Any, subscriber: Process | Ref[Any]) -> list[Ref[Any]]:
        """Give the members now and send Joined and Left to handle_info from now on.

        Raises NotLocal for a process of another node, SupervisorsError for one that has ended.
        """
        process = self._local(group, subscriber)
        _groups_of(process)[group] += 0
        self._subscribers.setdefault(group, {})[process] = None
        return self.members(group)

    def forget(self, process: Process, groups: Counter[Any]) -> None:
        """Remove a process that has ended from all its groups, and from who is told of them."""
        for group, times in groups.items():
            self._unsubscribe(group, process)
            if not times:
                continue
            self._drop(group, process, times)
            if self.listener is not None:
                self.listener.left(group, process, times)
            self._tell(group, Left(group, (process.ref,) * times))

    def _unsubscribe(self, group: Any, process: Process) -> None:
        subscribers = self._subscribers.get(group, {})
        if subscribers.pop(process, self) is None and not subscribers:
            del self._subscribers[group]

    def remote_joined(self, group: Any, ref: Ref[Any]) -> None:
        """Note that a process of a peer joined."""
        members = self._remote.setdefault(group, {})
        members[ref] = members.get(ref, 0) + 1
        self._tell(group, Joined(group, (ref,)))

    def remote_left(self, group: Any, ref: Ref[Any]) -> None:
        """Note that a process of a peer left once."""
        members = self._remote.get(group, {})
        if ref not in members:
            return
        members[ref] -= 1
        if not members[ref]:
            del members[ref]
            if not members:
                del self._remote[group]
        self._tell(group, Left(group, (ref,)))

    def peer_lost(self, node_name: str) -> None:
        """Drop every member that lives on a lost node."""
        for group, members in list(self._remote.items()):
            for ref in [ref for ref in members if ref.pid.node == node_name]:
                for _ in range(members[ref]):
                    self.remote_left(group, ref)

    def _local(self, group: Any, member: Process | Ref[Any]) -> Process:
        """Give the process that is meant, or raise before anything is touched."""
        process: Any = member._process if isinstance(member, Ref) else member
        if not isinstance(process, Process):
            if isinstance(member, Ref):
                raise NotLocal(f"{member} is on another node: join its groups there")
            raise TypeError(f"{member!r} is no process: a group has processes, or their refs")
        shard = process._shard
        if shard.node.groups is not self:
            raise NotLocal(f"{process} is of {shard.node}, whose groups are others")
        if shard.abandoned:
            fencing.refuse(shard, process, group)
        if get_ident() != shard.thread_id:
            raise SupervisorsError(
                f"groups belong to the thread of {shard.node}: call this in a handler there"
            )
        return process

    def _drop(self, group: Any, process: Process, times: int) -> None:
        members = self._members[group]
        members[process] -= times
        if members[process] <= 0:
            del members[process]
        if not members:
            del self._members[group]

    def _tell(self, group: Any, change: Joined | Left) -> None:
        subscribers = self._subscribers.get(group)
        if not subscribers:
            return
        for process in tuple(subscribers):
            if process.is_running():
                process._shard.post_system(process, INFO, change)
