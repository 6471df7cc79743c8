"""What a node keeps of a peer in one epoch: who waits for what, on both sides."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from supervisors.remote import frames
from supervisors.signals import unwatch

if TYPE_CHECKING:
    from supervisors.future import Future
    from supervisors.pid import Pid
    from supervisors.process import Process
    from supervisors.remote.distribution import Distribution
    from supervisors.remote.refs import RemoteAddress, RemoteRef
    from supervisors.signals import Monitor


class Peer:
    """What this node and one peer owe each other in one epoch.

    A link's key is the serial of the process here and the pid of the one there.
    """

    __slots__ = (
        "calls", "creation", "links", "monitors", "name", "numbers", "suspended", "unlinking",
        "watchers",
    )  # fmt: skip

    def __init__(self, name: str, creation: int) -> None:
        self.name = name
        self.creation = creation
        self.suspended = False
        self.calls: dict[int, Future[Any]] = {}
        """Requests sent, by number, that have no answer yet."""
        self.monitors: dict[int, tuple[Monitor, RemoteAddress]] = {}
        """Monitors held here, by number."""
        self.numbers: dict[Monitor, int] = {}
        """Their numbers."""
        self.watchers: dict[int, Watcher] = {}
        """Monitors held there, by number."""
        self.links: dict[tuple[int, Pid], tuple[Process, RemoteRef]] = {}
        self.unlinking: dict[tuple[int, Pid], int] = {}
        """Links taken away here whose `Unlinked` has not come yet."""


class Watcher:
    """A monitor that a peer holds on a process of this node; fires at most once."""

    __slots__ = ("distribution", "number", "peer", "process")

    def __init__(
        self, distribution: Distribution, peer: Peer, number: int, process: Process
    ) -> None:
        self.distribution = distribution
        self.peer = peer
        self.number = number
        self.process = process

    def fire(self, _process: Any, reason: Any) -> None:
        """Send the Down; called when the process has ended."""
        if self.peer.watchers.pop(self.number, None) is not None:
            encoded = self.distribution.payloads.encode_reason(reason)
            self.distribution.send(self.peer, frames.Down(self.number, encoded))

    def forget(self) -> None:
        """Watch no longer: the monitor was taken back, or the peer was lost."""
        self.peer.watchers.pop(self.number, None)
        unwatch(self.process, self)


class Subscriber:
    """A process that monitors nodes, as often as it asked to."""

    __slots__ = ("process", "subscribers", "times")

    def __init__(self, process: Process, subscribers: dict[Process, Subscriber]) -> None:
        self.process = process
        self.subscribers = subscribers
        self.times = 0

    def fire(self, _process: Any, _reason: Any) -> None:
        """Forget the process; called when it has ended."""
        self.subscribers.pop(self.process, None)
