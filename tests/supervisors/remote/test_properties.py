"""Random lives of three nodes.

Whatever is cut, lost, healed, killed and born again, each monitor gives one Down, and nothing from
one process to another is repeated or overtaken.
"""

from __future__ import annotations

import random
from itertools import combinations
from typing import TYPE_CHECKING, Any, NamedTuple

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from supervisors import Down, Exit
from supervisors.errors import CallExit
from supervisors.messages import NodeDown, NodeUp
from supervisors.remote.peer_link import Bounds
from supervisors.remote.peers import Watcher
from tests.supervisors.remote.cluster import SimulatedCluster
from tests.supervisors.remote.probe import Probe

if TYPE_CHECKING:
    from supervisors import Future, Pid, Ref
    from supervisors.signals import Monitor

NAMES = "abc"
PAIRS = tuple(combinations(NAMES, 2))
LOST = ("noconnection", "noproc")


def outcome(call: Future[Any]) -> Any:
    """Give the answer of a call, or why it exited."""
    try:
        return call.result()
    except CallExit as error:
        return error.reason


class Held(NamedTuple):
    """A monitor that was made and not taken back."""

    watcher: Ref[Any]
    target: Pid
    monitor: Monitor


class Lives(RuleBasedStateMachine):
    """Three nodes, their processes, and what a test knows of them."""

    @initialize(seed=st.integers(0, 2**32), slow=st.booleans())
    def begin(self, seed: int, *, slow: bool) -> None:
        draw = random.Random(seed)
        self.cluster = SimulatedCluster(
            seed=seed,
            bounds=Bounds(suspended_frames=12, batch_frames=3),
            latency_s=(lambda: draw.choice((0.0, 0.001, 0.02))) if slow else None,
        )
        self.creations = dict.fromkeys(NAMES, 0)
        self.probes: list[Ref[Any]] = []
        self.all: list[Ref[Any]] = []
        self.there_at_start: dict[Ref[Any], set[str]] = {}
        self.sent: dict[tuple[Pid, Pid], int] = {}
        self.links: dict[tuple[Pid, Pid], int] = {}
        self.held: list[Held] = []
        self.calls: list[Future[Any]] = []
        for name in NAMES:
            self.bear(name)
        self.cluster.connect(*("".join(pair) for pair in PAIRS))
        for name in NAMES:
            self.spawn(name)
            self.spawn(name)

    # -- lives -------------------------------------------------------------------------------

    def bear(self, name: str) -> None:
        self.creations[name] += 1
        self.cluster.add(name, self.creations[name])

    @rule(name=st.sampled_from(NAMES))
    def spawn(self, name: str) -> None:
        node = self.cluster.nodes[name]
        future = node.start(Probe, traps=True)
        while not future.done():
            node.shard.run_slice(100)
        ref = future.result()
        node.monitor_nodes(ref._process)
        self.probes.append(ref)
        self.all.append(ref)
        self.there_at_start[ref] = set(node.nodes())

    @rule(name=st.sampled_from(NAMES))
    def crash_and_bear(self, name: str) -> None:
        self.cluster.crash(name)
        self.probes = [ref for ref in self.probes if ref.pid.node != name]
        self.held = [held for held in self.held if held.watcher.pid.node != name]
        self.calls = [call for call in self.calls if call._shard.node.name != name]
        self.bear(name)

    @rule(data=st.data(), reason=st.sampled_from(["kill", "broken", "normal"]))
    def end(self, data: st.DataObject, reason: str) -> None:
        _, target, far = self.two(data)
        if target is not None and far is not None:
            (target if reason == "normal" else far).exit("kill" if reason != "broken" else reason)

    # -- signals -----------------------------------------------------------------------------

    def two(self, data: st.DataObject) -> tuple[Any, Any, Any]:
        """Draw a live process, another, and the other's ref on the first one's node."""
        living = [ref for ref in self.probes if ref.is_alive()]
        if not living:
            return None, None, None
        one = data.draw(st.sampled_from(living), "process")
        other = data.draw(st.sampled_from(self.all), "other")
        if one == other:
            return None, None, None
        return one, other, self.cluster.seen_from(one.pid.node, other)

    @rule(data=st.data(), times=st.integers(1, 8))
    def send(self, data: st.DataObject, times: int) -> None:
        one, other, far = self.two(data)
        for _ in range(times if one is not None else 0):
            pair = (one.pid, other.pid)
            self.sent[pair] = self.sent.get(pair, 0) + 1
            far.send(("said", one.pid, self.sent[pair]))

    @rule(data=st.data())
    def call(self, data: st.DataObject) -> None:
        one, _, far = self.two(data)
        if one is not None:
            self.calls.append(far.call(("echo", 1), timeout_s=None))

    @rule(data=st.data())
    def monitor(self, data: st.DataObject) -> None:
        one, other, far = self.two(data)
        if one is not None:
            self.held.append(Held(one, other.pid, one._process.monitor(far)))

    @precondition(lambda self: self.held)
    @rule(data=st.data(), flush=st.booleans())
    def demonitor(self, data: st.DataObject, *, flush: bool) -> None:
        held = data.draw(st.sampled_from(self.held), "monitor")
        if held.watcher.is_alive() and held.monitor.watcher is not None:
            held.watcher._process.demonitor(held.monitor, flush=flush)
            self.held.remove(held)

    @rule(data=st.data())
    def link(self, data: st.DataObject) -> None:
        one, other, far = self.two(data)
        if one is not None:
            for pair in ((one.pid, other.pid), (other.pid, one.pid)):
                self.links[pair] = self.links.get(pair, 0) + 1
            one._process.link(far)

    @rule(data=st.data())
    def unlink(self, data: st.DataObject) -> None:
        one, _, far = self.two(data)
        if one is not None:
            one._process.unlink(far)

    # -- the network and time ----------------------------------------------------------------

    @rule(pair=st.sampled_from(PAIRS))
    def cut(self, pair: tuple[str, str]) -> None:
        self.cluster.network.cut(*pair)

    @rule(pair=st.sampled_from(PAIRS))
    def heal(self, pair: tuple[str, str]) -> None:
        self.cluster.network.connect(*pair)

    @rule(name=st.sampled_from(NAMES), turns=st.integers(1, 6))
    def run_one_node_a_little(self, name: str, turns: int) -> None:
        self.cluster.nodes[name].shard.run_slice(turns)

    @rule()
    def run_all(self) -> None:
        self.cluster.settle()

    @rule(duration_s=st.sampled_from([0.01, 1.0, 6.0]))
    def let_time_pass(self, duration_s: float) -> None:
        self.cluster.advance(duration_s)

    # -- what must hold ----------------------------------------------------------------------

    def teardown(self) -> None:
        if not hasattr(self, "cluster"):
            return
        self.cluster.connect(*("".join(pair) for pair in PAIRS))
        self.cluster.advance(1.0)
        self.both_sides_agree()
        self.cluster.part(*("".join(pair) for pair in PAIRS))
        self.each_monitor_gave_one_down_or_its_target_is_here()
        self.calls_are_settled()
        self.nothing_remote_is_left()
        for ref in self.all:
            self.the_story_is_in_order(ref)

    def both_sides_agree(self) -> None:
        for one, other in PAIRS:
            ours = self.cluster.distribution(one).peers[other]
            theirs = self.cluster.distribution(other).peers[one]
            assert {(serial, pid.serial) for serial, pid in ours.links} == {
                (pid.serial, serial) for serial, pid in theirs.links
            }
            assert set(ours.monitors) == set(theirs.watchers)
            assert set(theirs.monitors) == set(ours.watchers)
            assert not ours.unlinking
            assert not theirs.unlinking

    def each_monitor_gave_one_down_or_its_target_is_here(self) -> None:
        for held in self.held:
            if not held.watcher.is_alive():
                continue
            seen = self.cluster.seen(held.watcher)
            downs = [m for m in seen if isinstance(m, Down) and m.monitor is held.monitor]
            local = self.cluster.nodes[held.watcher.pid.node].ref(held.target)
            here = held.watcher.pid.node == held.target.node and local is not None
            assert len(downs) == (0 if here else 1)
            assert all(down.process.pid == held.target for down in downs)

    def calls_are_settled(self) -> None:
        for call in self.calls:
            assert call.done()
            assert outcome(call) in (1, *LOST, "killed")

    def nothing_remote_is_left(self) -> None:
        for node in self.cluster.nodes.values():
            assert node.nodes() == []
            for process in node.shard.processes.values():
                extras = process.extras
                assert all(not hasattr(peer, "to") for peer in extras.links or ())
                assert all(not hasattr(peer, "to") for peer in (extras.watching or {}).values())
                assert not any(isinstance(one, Watcher) for one in extras.watchers or ())

    def the_story_is_in_order(self, ref: Ref[Any]) -> None:
        """Walk what one process saw: messages, Exits, Downs, nodes that came and went."""
        there = set(self.there_at_start[ref])
        heard: dict[Pid, int] = {}
        ended: set[Pid] = set()
        exits: dict[Pid, int] = {}
        fired: set[int] = set()
        for message in ref._process.seen:
            match message:
                case NodeUp(node, _):
                    assert node not in there
                    there.add(node)
                case NodeDown(node, _):
                    assert node in there
                    there.discard(node)
                case ("said", sender, number):
                    assert number > heard.get(sender, 0), "repeated or overtaken"
                    heard[sender] = number
                    assert sender not in ended, "spoke after its end was told"
                    assert sender.node in {*there, ref.pid.node}
                case Down(monitor, target, reason):
                    assert id(monitor) not in fired
                    fired.add(id(monitor))
                    if reason != "noconnection":
                        ended.add(target.pid)
                case Exit(sender, reason):
                    if reason != "noconnection" and sender is not None:
                        exits[sender.pid] = exits.get(sender.pid, 0) + 1
        for sender, count in exits.items():
            # One by hand from `end` has no sender; each link gives one at the most.
            assert count <= self.links.get((ref.pid, sender), 0)


Lives.TestCase.settings = settings(
    max_examples=120,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
TestLives = Lives.TestCase
