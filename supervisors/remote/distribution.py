"""The distribution: what a node knows of its peers, and what it sends them.

One `Distribution` a node. Refs to other nodes hand it what they want done; its transport tells it
which peers are there and gives it their frames, which `inbound` acts on. Everything but `post`,
`request` and `exit` runs on the shard's thread.

A frame for this node itself takes the same way without the transport: names here may be addressed
like names anywhere, and a ref to a process here that is gone behaves like one to a process there.
"""

from __future__ import annotations

import itertools
from collections import Counter
from functools import partial
from typing import TYPE_CHECKING, Any

from supervisors import closing, context, fencing, limits
from supervisors.errors import CallExit, MailboxFull
from supervisors.future import ERROR, Future
from supervisors.messages import INFO, SYSTEM, NodeDown, NodeUp
from supervisors.reasons import NOCONNECTION, NOPROC
from supervisors.remote import frames, inbound
from supervisors.remote.peers import Peer, Subscriber
from supervisors.remote.refs import RemoteName, RemoteRef
from supervisors.signals import linked_exit, unwatch, watch
from supervisors.timers import patience

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from supervisors.node import Node
    from supervisors.pid import Pid
    from supervisors.process import Process
    from supervisors.ref import Ref
    from supervisors.remote.frames import Frame
    from supervisors.remote.payloads import Payloads
    from supervisors.remote.refs import RemoteAddress
    from supervisors.remote.transport import Transport
    from supervisors.signals import Monitor


class Distribution:
    """A node among others. Made once, on the node's thread, before any peer is up."""

    def __init__(self, node: Node, transport: Transport, payloads: Payloads) -> None:
        self.node = node
        self.transport = transport
        self.payloads = payloads
        self.peers: dict[str, Peer] = {}
        self.counts: Counter[str] = Counter()
        """What was not acted on: frames_dropped, frames_refused, late_answers, unreadable."""
        self._self = Peer(node.name, node.creation)
        self._numbers = itertools.count(1)
        self._subscribers: dict[Process, Subscriber] = {}
        for _ in self._memberships():
            """Every group joined so far has a name that can cross, or this raises."""
        node.distribution = self
        node.groups.listener = self
        transport.attach(self)

    # -- addresses and peers -----------------------------------------------------------------

    def ref(self, pid: Pid) -> RemoteRef:
        """Make a ref to a process of another node."""
        return RemoteRef(self, pid)

    def address(self, pid: Pid) -> Ref[Any]:
        """Make a ref from any pid; of a process here that is gone, a ref that reaches nobody."""
        found = self.node.ref(pid)
        return found if found is not None else RemoteRef(self, pid)

    def remote(self, name: Any, node_name: str) -> RemoteName:
        """Address whoever has a name on a node, this one included, when a message arrives."""
        return RemoteName(self, name, node_name)

    def whereis(
        self, name: Any, node_name: str, timeout_s: float | None = limits.CALL_TIMEOUT_S
    ) -> Future[Ref[Any] | None]:
        """Ask a node who has a name there; fails as a call does, but never with `noproc`."""
        address = self.remote(name, node_name)
        return self.request(address, lambda n: frames.Lookup(address.to, n), timeout_s)

    def nodes(self) -> list[str]:
        """List the peers that are there, suspended ones included."""
        return list(self.peers)

    def reaches(self, address: RemoteAddress) -> bool:
        """Tell whether an address is on a node that is there, in the right incarnation."""
        peer = self.peers.get(address.node_name)
        return peer is not None and address.creation in (None, peer.creation)

    def monitor_nodes(self, process: Process, *, wanted: bool = True) -> None:
        """Send NodeUp and NodeDown to a process of this node, or no longer.

        Each request adds one more copy of every message; a withdrawal ends them all (OTP).
        """
        if self.node.shard.abandoned:
            fencing.refuse(self.node.shard, process, "monitor_nodes")
        if not wanted:
            subscriber = self._subscribers.pop(process, None)
            if subscriber is not None:
                unwatch(process, subscriber)
            return
        subscriber = self._subscribers.get(process)
        if subscriber is None:
            subscriber = self._subscribers[process] = Subscriber(process, self._subscribers)
            watch(process, subscriber)
        subscriber.times += 1

    def _tell_subscribers(self, message: NodeUp | NodeDown) -> None:
        for process, subscriber in tuple(self._subscribers.items()):
            for _ in range(subscriber.times):
                self.node.shard.post_system(process, INFO, message)

    # -- told by the transport ---------------------------------------------------------------

    def peer_up(self, peer: str, creation: int) -> None:
        """Begin an epoch: tell who monitors nodes, then exchange group members (pg)."""
        assert peer not in self.peers, f"{peer} came up twice without being lost"
        self.peers[peer] = known = Peer(peer, creation)
        self._tell_subscribers(NodeUp(peer, creation))
        for members in self._memberships():
            self.send(known, members)

    def on_frames(self, peer: str, frames: Sequence[Frame]) -> None:
        """Act on frames of the present epoch."""
        known = self.peers.get(peer)
        for frame in frames:
            if known is None or self.peers.get(peer) is not known:
                self.counts["frames_refused"] += 1
            else:
                inbound.act(self, known, frame)

    def peer_suspended(self, peer: str) -> None:
        """Note that a peer is out of reach for now; nobody is told."""
        self.peers[peer].suspended = True

    def peer_resumed(self, peer: str) -> None:
        """Note that a peer is back without a gap."""
        self.peers[peer].suspended = False

    def peer_lost(self, peer: str, reason: str, dropped: int) -> None:
        """End an epoch: everything that waited for the peer gets `noconnection`, once.

        Order as in OTP: the node leaves `nodes()`, the signals come, who monitors nodes is told.
        """
        known = self.peers.pop(peer)
        self.counts["frames_dropped"] += dropped
        for future in tuple(known.calls.values()):
            future.resolve(ERROR, CallExit(future._target, NOCONNECTION))
        for process, ref in tuple(known.links.values()):
            linked_exit(process, ref, NOCONNECTION)
        for monitor, address in tuple(known.monitors.values()):
            monitor.fire(address.shown, NOCONNECTION)
        for watcher in tuple(known.watchers.values()):
            watcher.forget()
        self.node.groups.peer_lost(peer)
        self._tell_subscribers(NodeDown(peer, reason))

    # -- sending -----------------------------------------------------------------------------

    def route(self, address: RemoteAddress) -> tuple[Peer | None, Any]:
        """Find the peer an address is on, or say why it cannot be reached.

        A pid of an incarnation that is over is `noproc` for good; one of an incarnation that has
        not connected yet has no connection.
        """
        own = address.node_name == self.node.name
        peer = self._self if own else self.peers.get(address.node_name)
        if peer is None:
            return None, NOCONNECTION
        if address.creation is None or address.creation == peer.creation:
            return peer, None
        return None, NOPROC if address.creation < peer.creation else NOCONNECTION

    def send(self, peer: Peer, frame: Frame) -> bool:
        """Send a frame in this peer's epoch; False if the transport refuses it."""
        if peer is self._self:
            shard = self.node.shard
            shard.post_from_outside(None, SYSTEM, lambda: inbound.act(self, peer, frame), None)
            return True
        if self.peers.get(peer.name) is not peer:
            self.counts["frames_dropped"] += 1
            return True
        return self.transport.send(peer.name, frame)

    def post(self, address: RemoteAddress, frame: Frame, message: Any) -> None:
        """Send a message that wants no answer; from any thread."""
        letters = self.node.dead_letters
        self.node.shard.run_on_shard(
            lambda: self._post(address, frame, message),
            lambda: letters.record(str(address), message, "closed"),
        )

    def _post(self, address: RemoteAddress, frame: Frame, message: Any) -> None:
        peer, why = self.route(address)
        if peer is None:
            self.node.dead_letters.record(str(address), message, why)
        elif not self.send(peer, frame):
            if self.node.shard.current is not None:
                raise MailboxFull(address, limits.PEER_WINDOW_FRAMES)
            self.node.dead_letters.record(str(address), message, "mailbox full")

    def request(
        self,
        address: RemoteAddress,
        make: Callable[[int], Frame],
        timeout_s: float | None,
    ) -> Future[Any]:
        """Send what `make` gives for a number and give the future of its answer; any thread."""
        shard = self.node.shard
        future: Future[Any] = Future(shard, address, patience(timeout_s))
        shard.run_on_shard(
            lambda: self._request(address, make, future), lambda: closing.fail(shard, future)
        )
        return future

    def calls(self) -> Iterator[Future[Any]]:
        """Give the requests sent to peers that have no answer yet; on the shard's thread."""
        for peer in self.peers.values():
            yield from tuple(peer.calls.values())

    def _request(
        self, address: RemoteAddress, make: Callable[[int], Frame], future: Future[Any]
    ) -> None:
        shard = self.node.shard
        if future._timeout_s is not None:
            shard.timers.insert(shard.now_s() + future._timeout_s, future)
        peer, why = self.route(address)
        if peer is None:
            future.resolve(ERROR, CallExit(address, why))
            return
        number = next(self._numbers)
        if not self.send(peer, make(number)):
            future.resolve(ERROR, MailboxFull(address, limits.PEER_WINDOW_FRAMES))
            return
        peer.calls[number] = future
        future.add_done_callback(partial(_forget_call, peer, number))

    def exit(self, address: RemoteAddress, reason: bytes) -> None:
        """Send an exit signal (`exit/2`); from any thread."""
        shard = self.node.shard
        sending = shard.current if context.running_shard() is shard else None
        sender = sending._serial if sending is not None else 0

        def signal() -> None:
            peer, _ = self.route(address)
            if peer is not None:
                self.send(peer, frames.Exit(address.to, sender, reason))

        shard.run_on_shard(signal)

    # -- links and monitors held by processes here -------------------------------------------

    def link(self, ref: RemoteRef, process: Process) -> None:
        """Link a process here, which has noted it, to one there."""
        peer, why = self.route(ref)
        if peer is None:
            linked_exit(process, ref, why)
            return
        key = (process._serial, ref.pid)
        peer.unlinking.pop(key, None)
        peer.links[key] = (process, ref)
        self.send(peer, frames.Link(ref.to, process._serial))

    def unlink(self, ref: RemoteRef, process: Process) -> None:
        """Take the link away; what the other side said before it heard of it is dropped."""
        peer, _ = self.route(ref)
        key = (process._serial, ref.pid)
        if peer is not None and peer.links.pop(key, None) is not None:
            peer.unlinking[key] = number = next(self._numbers)
            self.send(peer, frames.Unlink(ref.to, process._serial, number))

    def linked_exit(self, ref: RemoteRef, dead: Process, reason: Any) -> None:
        """Tell the other side of a link that a process here has ended."""
        peer, _ = self.route(ref)
        if peer is not None and peer.links.pop((dead._serial, ref.pid), None) is not None:
            encoded = self.payloads.encode_reason(reason)
            self.send(peer, frames.LinkedExit(ref.to, dead._serial, encoded))

    def monitor(self, address: RemoteAddress, monitor: Monitor) -> None:
        """Watch a process there for a monitor held here."""
        peer, why = self.route(address)
        if peer is None:
            monitor.fire(address.shown, why)
            return
        number = next(self._numbers)
        peer.monitors[number] = (monitor, address)
        peer.numbers[monitor] = number
        self.send(peer, frames.Monitor(address.to, number))

    def demonitor(self, address: RemoteAddress, monitor: Monitor) -> None:
        """Watch no longer."""
        peer, _ = self.route(address)
        number = peer.numbers.pop(monitor, None) if peer is not None else None
        if peer is not None and number is not None:
            del peer.monitors[number]
            self.send(peer, frames.Demonitor(number))

    # -- groups: told by `supervisors.groups` about local members -------------------------------

    def joined(self, group: Any, process: Process) -> None:
        """Tell every peer; raises PayloadError for a group whose name cannot cross."""
        frame = frames.Join(self.payloads.encode(group), process._serial)
        for peer in self.peers.values():
            self.send(peer, frame)

    def left(self, group: Any, process: Process, times: int) -> None:
        """Tell every peer."""
        frame = frames.Leave(self.payloads.encode(group), process._serial, times)
        for peer in self.peers.values():
            self.send(peer, frame)

    def _memberships(self) -> Iterator[frames.Members]:
        """Give all local memberships, in frames of bounded size."""
        held: list[tuple[bytes, tuple[int, ...]]] = []
        count = 0
        for group in self.node.groups.which_local():
            encoded = self.payloads.encode(group)
            serials = [ref.pid.serial for ref in self.node.groups.local_members(group)]
            for begin in range(0, len(serials), limits.MEMBERSHIP_MEMBERS):
                part = tuple(serials[begin : begin + limits.MEMBERSHIP_MEMBERS])
                held.append((encoded, part))
                count += len(part)
                if count >= limits.MEMBERSHIP_MEMBERS or len(held) >= limits.MEMBERSHIP_GROUPS:
                    yield frames.Members(tuple(held))
                    held, count = [], 0
        if held:
            yield frames.Members(tuple(held))


def _forget_call(peer: Peer, number: int, _settled: Future[Any]) -> None:
    """Make an answer that comes after the timeout a late one, which is dropped (OTP 24)."""
    peer.calls.pop(number, None)
