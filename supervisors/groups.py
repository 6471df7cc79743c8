"""Process groups: named sets of processes, in scopes that know nothing of each other (OTP: pg)."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, NamedTuple

from supervisors.messages import INFO

if TYPE_CHECKING:
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


class Groups:
    """One scope of process groups; a process may join several times and leaves as often.

    Used on the shard's thread. Remote members are added by the node that knows the peer and go
    when it is lost.
    """

    def __init__(self) -> None:
        self._members: dict[Any, Counter[Process]] = {}
        self._remote: dict[Any, dict[Ref[Any], int]] = {}
        self._subscribers: dict[Any, dict[Process, None]] = {}
        self.listener: Any = None
        """The node's `Distribution`, which tells the peers; None on a node of its own."""

    def join(self, group: Any, process: Process) -> None:
        """Add a local process to a group once more.

        Raises PayloadError, on a node with peers, for a group whose name cannot cross to them.
        """
        extras = process.extras  # A process that has ended is refused here, before anyone is told.
        if self.listener is not None:
            self.listener.joined(group, process)
        self._members.setdefault(group, Counter())[process] += 1
        if extras.groups is None:
            extras.groups = Counter()
        extras.groups[group] += 1
        self._tell(group, Joined(group, (process.ref,)))

    def leave(self, group: Any, process: Process) -> bool:
        """Take one membership back; False if the process was not a member."""
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

    def subscribe(self, group: Any, process: Process) -> list[Ref[Any]]:
        """Give the members now and send Joined and Left to handle_info from now on."""
        extras = process.extras
        self._subscribers.setdefault(group, {})[process] = None
        if extras.groups is None:
            extras.groups = Counter()
        extras.groups[group] += 0
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
