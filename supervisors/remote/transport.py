"""What carries frames between nodes: the contract of a transport with its node.

A transport keeps one link per peer, whose rules (epochs, suspension, acknowledgement, resumption)
are `peer_link`'s; what remains for the transport is to dial, to move greetings and batches as
bytes, and to tell the time. `memory_transport` is the smallest one.

Both sides live on the node's shard thread: every method below is called there, and a transport that
hears of something on another thread comes over by `shard.run_on_shard` first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from supervisors.remote.frames import Frame


class Receiver(Protocol):
    """What a node's `Distribution` is to its transport.

    For each peer the calls come in this order, again and again:
    `peer_up (on_frames | peer_suspended peer_resumed)* peer_suspended? peer_lost`.
    """

    def peer_up(self, peer: str, creation: int) -> None:
        """Begin an epoch: the peer, in this incarnation, can be spoken to. Before its frames."""

    def on_frames(self, peer: str, frames: Sequence[Frame]) -> None:
        """Act on frames of the present epoch, each given once, in the order they were sent."""

    def peer_suspended(self, peer: str) -> None:
        """Note that the connection is gone for now: frames are kept, nobody is told."""

    def peer_resumed(self, peer: str) -> None:
        """Note that the connection is back and the epoch goes on without a gap."""

    def peer_lost(self, peer: str, reason: str, dropped: int) -> None:
        """End the epoch, after all its frames: links and monitors fire `noconnection`.

        `reason` is one of `peer_link`'s, `dropped` counts frames kept for the peer that will
        never arrive (those it had received without acknowledging are among them).
        """


class Transport(Protocol):
    """What a node's `Distribution` asks of its transport."""

    def attach(self, receiver: Receiver) -> None:
        """Take who is told; called once, before any peer is up."""

    def send(self, peer: str, frame: Frame) -> bool:
        """Send to a peer that is up or suspended, in order, keeping it until acknowledged.

        False refuses the frame, which only a `refusable` one can meet, because too many wait
        already. Never calls back: a bound that is overrun shows as a `peer_lost` later.
        """


class PeerUp(NamedTuple):
    """An epoch began."""

    creation: int


class PeerSuspended(NamedTuple):
    """The connection is gone for now; a clock of `limits.PEER_SUSPENDED_S` begins."""


class PeerResumed(NamedTuple):
    """The connection is back in the same epoch; the clock stops."""


class PeerLost(NamedTuple):
    """An epoch ended."""

    reason: str
    dropped: int


Event = PeerUp | PeerSuspended | PeerResumed | PeerLost


def announce(receiver: Receiver, peer: str, events: Iterable[Event]) -> None:
    """Tell a receiver what became of a link, in order; called by transports on the shard."""
    for event in events:
        match event:
            case PeerUp(creation):
                receiver.peer_up(peer, creation)
            case PeerSuspended():
                receiver.peer_suspended(peer)
            case PeerResumed():
                receiver.peer_resumed(peer)
            case PeerLost(reason, dropped):
                receiver.peer_lost(peer, reason, dropped)
