"""The link to one peer as a state machine: epochs, suspension, acknowledgement, resumption.

A link belongs to an epoch: the identities of both nodes, each a creation and how often the node has
given a link to this peer up. Within an epoch every frame has a number; what was sent is kept until
it is acknowledged, so that a new connection goes on where the old one broke. An epoch that is over
never comes back, and frames that carry it are refused. Whoever starts a node again under its name
gives it a higher creation.

Pure: no clock, no connection, no callbacks. A transport feeds it what happened and carries what it
gives. Both greet first on each connection; whoever has heard the other's hello may send batches.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

from supervisors import limits
from supervisors.errors import ProtocolError
from supervisors.remote.frames import size_bytes
from supervisors.remote.transport import Event, PeerLost, PeerResumed, PeerSuspended, PeerUp

if TYPE_CHECKING:
    from supervisors.remote.frames import Frame

# States.
DOWN: Final = "down"
"""No epoch: never connected, or lost. Nothing is kept."""
UP: Final = "up"
"""Connected: frames flow."""
SUSPENDED: Final = "suspended"
"""The connection broke a while ago: frames are kept, the peer counts as there."""

# What happens to a link.
BEGIN: Final = "begin"
CUT: Final = "cut"
RESUME: Final = "resume"
LOSE: Final = "lose"

TRANSITIONS: Final = {
    (DOWN, BEGIN): UP,
    (UP, CUT): SUSPENDED,
    (SUSPENDED, RESUME): UP,
    (UP, LOSE): DOWN,
    (SUSPENDED, LOSE): DOWN,
}
"""The whole machine: (state, what happens) -> state; any other pair cannot happen."""

# Why an epoch ends.
TIMEOUT: Final = "timeout"
"""Suspended for longer than `limits.PEER_SUSPENDED_S`."""
OVERFLOW: Final = "overflow"
"""More frames to keep than the bounds allow."""
NEW_CREATION: Final = "new_creation"
"""The peer is back as another incarnation."""
GIVEN_UP: Final = "peer_lost"
"""The peer has given this epoch up and came back with a new one."""

# What became of a frame to send.
KEPT: Final = "kept"
REFUSED: Final = "refused"
DROPPED: Final = "dropped"
OVERRUN: Final = "overrun"


class Identity(NamedTuple):
    """A node as one link knows it: its creation, and how often it gave this link up."""

    creation: int
    generation: int


class Epoch(NamedTuple):
    """The life of a link, as the one who says it sees it."""

    own: Identity
    peer: Identity

    def seen_by_peer(self) -> Epoch:
        """Give the same epoch from the other side."""
        return Epoch(self.peer, self.own)


@dataclass(frozen=True, slots=True)
class Hello:
    """The first thing each side says on a connection."""

    node: str
    identity: Identity
    held: Epoch | None
    """The epoch the speaker could go on with."""
    received: int
    """The last frame of it that arrived."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Frames in order, numbered from `first`, and the last frame received in return."""

    epoch: Epoch
    first: int
    frames: tuple[Frame, ...]
    received: int


@dataclass(frozen=True, slots=True)
class Bounds:
    """The bounds of a link; tests use small ones."""

    suspended_frames: int = limits.PEER_FRAMES
    suspended_bytes: int = limits.PEER_BYTES
    window_frames: int = limits.PEER_WINDOW_FRAMES
    window_bytes: int = limits.PEER_WINDOW_BYTES
    signal_frames: int = limits.PEER_SIGNAL_FRAMES
    batch_frames: int = limits.BATCH_FRAMES
    batch_bytes: int = limits.BATCH_BYTES


class PeerLink:
    """One side of one link; owned by a transport, touched on its shard's thread."""

    def __init__(self, node: str, creation: int, peer: str, bounds: Bounds | None = None) -> None:
        self.state = DOWN
        self.peer = peer
        self.overrun = False
        """A bound was overrun: the transport closes the connection and calls `lose(OVERFLOW)`."""
        self.refused = 0
        """Frames that came with an epoch that is not the present one."""
        self.repeated = 0
        """Frames that came again after a resumption; each was given once."""
        self.dropped = 0
        """Frames to send that were given up with their epoch."""
        self._node = node
        self._identity = Identity(creation, 0)
        self._newest = Identity(0, 0)
        self._epoch: Epoch | None = None
        self._said: Hello | None = None
        self._bounds = bounds if bounds is not None else Bounds()
        self._clear()

    def _clear(self) -> None:
        self._waiting: deque[Frame] = deque()
        self._sent: deque[Frame] = deque()
        self._kept_bytes = 0
        self._acknowledged = 0
        self._highest_sent = 0
        self._received = 0
        self._owes_answer = False
        self.overrun = False

    def _move(self, happening: str) -> None:
        self.state = TRANSITIONS[self.state, happening]

    @property
    def kept(self) -> int:
        """Frames kept until they are acknowledged."""
        return len(self._sent) + len(self._waiting)

    # -- connections -------------------------------------------------------------------------

    def hello(self) -> Hello:
        """Say who we are and what we could resume; the first thing on a new connection.

        Before it `disconnected` has ended the connection before this one, and `lose` an overrun.
        """
        assert self.state != UP, "the connection before this one was not reported as gone"
        assert not self.overrun, "an overrun link is lost before it is connected again"
        self._said = self._greeting()
        return self._said

    def _greeting(self) -> Hello:
        return Hello(self._node, self._identity, self._epoch, self._received)

    def connected(self, hello: Hello) -> list[Event]:
        """Go on or begin anew, by what both sides said on this connection.

        Both resume exactly if both said that they hold the same epoch. Raises ProtocolError for a
        connection that must be closed: to somebody else, to an incarnation that a newer one
        replaced, or one on which we said what is no longer so.
        """
        if hello.node != self.peer or hello.identity < self._newest:
            raise ProtocolError(
                f"expected node {self.peer} at {self._newest} or later, "
                f"was greeted by {hello.node} at {hello.identity}"
            )
        if self._said != self._greeting():
            raise ProtocolError(f"the link to {self.peer} was lost while it was being resumed")
        ours = self._epoch
        if ours is not None and hello.held is not None and hello.held.seen_by_peer() == ours:
            return self._resume(hello.received)
        events: list[Event] = []
        if ours is not None:
            reborn = hello.identity.creation != ours.peer.creation
            events.append(self._end(NEW_CREATION if reborn else GIVEN_UP))
        self._newest = hello.identity
        self._epoch = Epoch(self._identity, hello.identity)
        self._move(BEGIN)
        return [*events, PeerUp(hello.identity.creation)]

    def _resume(self, received: int) -> list[Event]:
        self._acknowledge(received)
        self._waiting.extendleft(reversed(self._sent))
        self._sent.clear()
        self._move(RESUME)
        return [PeerResumed()]

    def disconnected(self) -> list[Event]:
        """Suspend the link, or lose it at once if more is kept than a suspended link may."""
        if self.state != UP:
            return []
        if self.overrun or self._is_full_suspended(0):
            return [self.lose(OVERFLOW)]
        self._move(CUT)
        return [PeerSuspended()]

    def lose(self, reason: str) -> PeerLost:
        """Give the epoch up: suspended too long, or overrun. The connection is closed first."""
        self._identity = Identity(self._identity.creation, self._identity.generation + 1)
        return self._end(reason)

    def _end(self, reason: str) -> PeerLost:
        dropped = self.kept
        self.dropped += dropped
        self._epoch = None
        self._move(LOSE)
        self._clear()
        return PeerLost(reason, dropped)

    # -- sending -----------------------------------------------------------------------------

    def keep(self, frame: Frame) -> str:
        """Take a frame to send; says KEPT, REFUSED, DROPPED or, once, OVERRUN."""
        if self.state == DOWN or self.overrun:
            self.dropped += 1
            return DROPPED
        size = size_bytes(frame)
        if self.state == SUSPENDED:
            self.overrun = self._is_full_suspended(size)
        elif frame.refusable:
            bounds = self._bounds
            if self.kept >= bounds.window_frames or self._kept_bytes + size > bounds.window_bytes:
                return REFUSED
        else:
            self.overrun = self.kept >= self._bounds.signal_frames
        if self.overrun:
            self.dropped += 1
            return OVERRUN
        self._waiting.append(frame)
        self._kept_bytes += size
        return KEPT

    def _is_full_suspended(self, size: int) -> bool:
        """Tell whether a suspended link would keep too much with one more frame of a size."""
        bounds = self._bounds
        more = 1 if size else 0
        return (
            self.kept + more > bounds.suspended_frames
            or self._kept_bytes + size > bounds.suspended_bytes
        )

    def next_batch(self) -> Batch | None:
        """Give what is to be sent now, None if nothing is; call until None."""
        if self.state != UP or self._epoch is None or not (self._waiting or self._owes_answer):
            return None
        first = self._acknowledged + len(self._sent) + 1
        frames: list[Frame] = []
        total = 0
        while self._waiting and len(frames) < self._bounds.batch_frames:
            total += size_bytes(self._waiting[0])
            if frames and total > self._bounds.batch_bytes:
                break
            frames.append(self._waiting.popleft())
        self._sent.extend(frames)
        self._highest_sent = max(self._highest_sent, first + len(frames) - 1)
        self._owes_answer = False
        return Batch(self._epoch, first, tuple(frames), self._received)

    # -- receiving ---------------------------------------------------------------------------

    def receive(self, batch: Batch) -> tuple[Frame, ...]:
        """Give the frames of a batch that are new, in order.

        A batch of another epoch is refused and counted. Raises ProtocolError, upon which the
        connection is to be closed, for a gap and for an acknowledgement of what was never sent.
        """
        if self.state != UP or self._epoch is None or batch.epoch.seen_by_peer() != self._epoch:
            self.refused += len(batch.frames)
            return ()
        self._acknowledge(batch.received)
        if not batch.frames:
            return ()
        known = self._received + 1 - batch.first
        if known < 0:
            raise ProtocolError(
                f"{self.peer} sent frame {batch.first} after frame {self._received}"
            )
        self._owes_answer = True
        self.repeated += min(known, len(batch.frames))
        new = batch.frames[known:]
        self._received += len(new)
        return new

    def _acknowledge(self, received: int) -> None:
        if not self._acknowledged <= received <= self._highest_sent:
            raise ProtocolError(
                f"{self.peer} acknowledged frame {received}; "
                f"{self._acknowledged} was acknowledged, {self._highest_sent} sent last"
            )
        while self._acknowledged < received:
            # After a resumption frames that had arrived may wait to be sent a second time.
            queue = self._sent or self._waiting
            self._kept_bytes -= size_bytes(queue.popleft())
            self._acknowledged += 1
