"""A transport within one Python process: for tests, and for many simulated nodes at once.

It is a transport like any other: greetings and batches cross as plain tuples of numbers, texts and
bytes, so that nothing is shared by reference; a connection that is cut loses what was on its way;
a link is suspended, resumed and lost by `peer_link`. The network is told when nodes are connected
and cut, and how long its wires are.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final

from supervisors import limits
from supervisors.errors import ProtocolError
from supervisors.messages import SYSTEM
from supervisors.remote import frames
from supervisors.remote.peer_link import (
    OVERFLOW,
    OVERRUN,
    REFUSED,
    SUSPENDED,
    TIMEOUT,
    Batch,
    Bounds,
    Epoch,
    Hello,
    Identity,
    PeerLink,
)  # fmt: skip
from supervisors.remote.transport import announce
from supervisors.timers import Deadline

if TYPE_CHECKING:
    from collections.abc import Callable

    from supervisors.node import Node
    from supervisors.remote.frames import Frame
    from supervisors.remote.transport import Receiver

HELLO: Final = "hello"
BATCH: Final = "batch"


class Wire:
    """One connection between two nodes, both ways; once cut it carries nothing more."""

    def __init__(
        self,
        first: MemoryTransport,
        second: MemoryTransport,
        latency_s: Callable[[], float] | None,
    ) -> None:
        self.ends = (first, second)
        self.whole = True
        self._latency_s = latency_s
        self._clear_at_s = {first.name: 0.0, second.name: 0.0}

    def other(self, end: MemoryTransport) -> MemoryTransport:
        """Give the far end of an end."""
        first, second = self.ends
        return second if end is first else first

    def carry(self, source: MemoryTransport, plain: tuple[Any, ...]) -> None:
        """Bring something to the far end's thread, in order; called on the near end's."""
        source.moved += 1
        target = self.other(source)
        delay_s = self._latency_s() if self._latency_s is not None else None
        target.run_later(partial(self._arrive, source, target, plain, delay_s))

    def _arrive(
        self,
        source: MemoryTransport,
        target: MemoryTransport,
        plain: tuple[Any, ...],
        delay_s: float | None,
    ) -> None:
        arrive = partial(target.arrived, self, source.name, plain)
        if delay_s is None:
            arrive()
            return
        now_s = target.node.shard.now_s()
        # A wire does not let one thing overtake another.
        due_s = max(now_s + delay_s, self._clear_at_s[target.name])
        self._clear_at_s[target.name] = due_s
        Deadline(target.node.shard, due_s - now_s, arrive)


class MemoryTransport:
    """One node's side of a `MemoryNetwork`; lives on the node's shard thread."""

    def __init__(self, node: Node, bounds: Bounds | None = None) -> None:
        self.node = node
        self.name = node.name
        self.links: dict[str, PeerLink] = {}
        self.broken_rules = 0
        """Connections closed because the peer broke the rules, or was too old to talk to."""
        self.moved = 0
        """Things that left or arrived, for who waits until nothing is on its way."""
        self._bounds = bounds
        self._wires: dict[str, Wire] = {}
        self._deadlines: dict[str, Deadline] = {}
        self._flushing: set[str] = set()
        self._receiver: Receiver | None = None

    # -- asked by the node -------------------------------------------------------------------

    def attach(self, receiver: Receiver) -> None:
        """Take who is told."""
        self._receiver = receiver

    @property
    def receiver(self) -> Receiver:
        """Who is told; a transport without a Distribution cannot be connected."""
        assert self._receiver is not None, f"node {self.name} has no Distribution"
        return self._receiver

    def send(self, peer: str, frame: Frame) -> bool:
        """Keep a frame for a peer and send it with what else this slice has for it."""
        kept = self.links[peer].keep(frame)
        if kept == OVERRUN:
            self.run_later(partial(self._give_up, peer))
        self._flush_later(peer)
        return kept != REFUSED

    def run_later(self, function: Callable[[], None]) -> None:
        """Run a function on the node's thread, after what runs there now; from any thread."""
        self.node.shard.post_from_outside(None, SYSTEM, function, None)

    # -- told by the network, on the node's thread -------------------------------------------

    def dial(self, wire: Wire) -> None:
        """Open a connection on both sides, the far one before it hears the greeting."""
        far = wire.other(self)
        self.moved += 1
        far.run_later(partial(far.opened, wire))
        self.opened(wire)

    def opened(self, wire: Wire) -> None:
        """Greet on a new connection, which takes the place of the one before."""
        if not wire.whole:
            return
        peer = wire.other(self).name
        link = self.links.get(peer)
        if link is None:
            link = self.links[peer] = PeerLink(self.name, self.node.creation, peer, self._bounds)
        if peer in self._wires:
            self.broken(self._wires[peer])
        self._give_up(peer)
        self._wires[peer] = wire
        wire.carry(self, hello_to_plain(link.hello()))

    def broken(self, wire: Wire) -> None:
        """Suspend the link whose connection is gone; after a while it is lost."""
        peer = wire.other(self).name
        if self._wires.get(peer) is not wire:
            return
        del self._wires[peer]
        link = self.links[peer]
        announce(self.receiver, peer, link.disconnected())
        if link.state == SUSPENDED and peer not in self._deadlines:
            self._deadlines[peer] = Deadline(
                self.node.shard, limits.PEER_SUSPENDED_S, partial(self._too_long, peer)
            )

    def arrived(self, wire: Wire, peer: str, plain: tuple[Any, ...]) -> None:
        """Take what a connection brought, unless it was cut meanwhile."""
        self.moved += 1
        if not wire.whole or self._wires.get(peer) is not wire:
            return
        link = self.links[peer]
        try:
            if plain[0] == HELLO:
                events = link.connected(hello_from_plain(plain))
                self._stop_deadline(peer)
                announce(self.receiver, peer, events)
            else:
                new = link.receive(batch_from_plain(plain))
                if new:
                    self.receiver.on_frames(peer, new)
        except ProtocolError:
            self.broken_rules += 1
            self._close(wire)
        else:
            self._flush_later(peer)

    # -- within ------------------------------------------------------------------------------

    def _close(self, wire: Wire) -> None:
        wire.whole = False
        self.moved += 1
        far = wire.other(self)
        far.run_later(partial(far.broken, wire))
        self.broken(wire)

    def _flush_later(self, peer: str) -> None:
        if peer not in self._flushing:
            self._flushing.add(peer)
            self.run_later(partial(self._flush, peer))

    def _flush(self, peer: str) -> None:
        self._flushing.discard(peer)
        wire, link = self._wires.get(peer), self.links[peer]
        while wire is not None and (batch := link.next_batch()) is not None:
            wire.carry(self, batch_to_plain(batch))

    def _stop_deadline(self, peer: str) -> None:
        deadline = self._deadlines.pop(peer, None)
        if deadline is not None:
            deadline.cancel()

    def _too_long(self, peer: str) -> None:
        del self._deadlines[peer]
        announce(self.receiver, peer, [self.links[peer].lose(TIMEOUT)])

    def _give_up(self, peer: str) -> None:
        """Lose a link if it overran a bound, its connection first."""
        link = self.links[peer]
        if not link.overrun:
            return
        self._stop_deadline(peer)
        if peer in self._wires:
            self._close(self._wires[peer])
        if link.overrun:
            announce(self.receiver, peer, [link.lose(OVERFLOW)])


class MemoryNetwork:
    """The wires between nodes of one Python process; driven from one thread, the test's.

    `latency_s` gives the delay of each thing carried, in seconds of the receiving node's clock;
    without it things arrive as soon as the receiving node runs. The nodes may have any hosts.
    """

    def __init__(
        self, *, latency_s: Callable[[], float] | None = None, bounds: Bounds | None = None
    ) -> None:
        self._latency_s = latency_s
        self._bounds = bounds
        self._transports: dict[str, MemoryTransport] = {}
        self._wires: dict[frozenset[str], Wire] = {}

    def join(self, node: Node) -> MemoryTransport:
        """Give the transport for a node's Distribution; a name joins again after it left."""
        assert node.name not in self._transports, f"{node.name} is on this network already"
        self._transports[node.name] = made = MemoryTransport(node, self._bounds)
        return made

    def connect(self, one: str, other: str) -> None:
        """Connect two nodes, anew if they are connected: resumes or begins an epoch."""
        self.cut(one, other)
        ends = self._transports[one], self._transports[other]
        wire = self._wires[frozenset((one, other))] = Wire(*ends, self._latency_s)
        ends[0].run_later(partial(ends[0].dial, wire))

    def cut(self, one: str, other: str) -> None:
        """Cut the connection of two nodes, if there is one; what is on its way is gone."""
        wire = self._wires.pop(frozenset((one, other)), None)
        if wire is not None:
            wire.whole = False
            for end in wire.ends:
                end.run_later(partial(end.broken, wire))

    def leave(self, name: str) -> None:
        """Take a node off the network, as if it had crashed; it is told nothing."""
        gone = self._transports.pop(name)
        for pair in [pair for pair in self._wires if name in pair]:
            wire = self._wires.pop(pair)
            wire.whole = False
            far = wire.other(gone)
            far.run_later(partial(far.broken, wire))


# -- greetings and batches as plain values ----------------------------------------------------


def hello_to_plain(hello: Hello) -> tuple[Any, ...]:
    """Take a greeting apart."""
    held = None if hello.held is None else (tuple(hello.held.own), tuple(hello.held.peer))
    return (HELLO, hello.node, tuple(hello.identity), held, hello.received)


def hello_from_plain(plain: tuple[Any, ...]) -> Hello:
    """Put a greeting together."""
    _, node, identity, held, received = plain
    return Hello(node, Identity(*identity), None if held is None else _epoch(held), received)


def batch_to_plain(batch: Batch) -> tuple[Any, ...]:
    """Take a batch apart."""
    epoch = (tuple(batch.epoch.own), tuple(batch.epoch.peer))
    return (BATCH, epoch, batch.first, tuple(map(frames.to_plain, batch.frames)), batch.received)


def batch_from_plain(plain: tuple[Any, ...]) -> Batch:
    """Put a batch together; raises ProtocolError for a frame that is none."""
    _, epoch, first, parts, received = plain
    return Batch(_epoch(epoch), first, tuple(map(frames.from_plain, parts)), received)


def _epoch(plain: tuple[Any, Any]) -> Epoch:
    own, peer = plain
    return Epoch(Identity(*own), Identity(*peer))
