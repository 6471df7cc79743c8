"""A broken connection suspends a link; only time, an overflow or a new creation loses it."""

from __future__ import annotations

from typing import Any

import pytest

from supervisors import Down, Exit, limits
from supervisors.errors import CallExit
from supervisors.messages import NodeDown, NodeUp
from supervisors.remote.peer_link import Bounds
from tests.supervisors.remote.cluster import Cluster, SimulatedCluster
from tests.supervisors.remote.probe import Probe


def bounded(**bounds: int) -> SimulatedCluster:
    cluster = SimulatedCluster(bounds=Bounds(**bounds))
    cluster.add("a")
    cluster.add("b")
    cluster.connect("ab")
    return cluster


def watching(cluster: Cluster) -> tuple[Any, Any, Any]:
    """Start a process on a that monitors nodes and one process on b; gives its ref too."""
    watcher = cluster.start("a", Probe, traps=True)
    target = cluster.start("b", Probe)
    far = cluster.seen_from("a", target)
    cluster.do(watcher, lambda process: process.node.monitor_nodes(process))
    cluster.do(watcher, lambda process: process.monitor(far))
    cluster.settle()
    return watcher, target, far


def test_while_suspended_nobody_is_told_and_frames_are_kept(cluster: Cluster) -> None:
    watcher, target, far = watching(cluster)
    cluster.cut("ab")
    far.cast("kept")
    answer = far.call(("echo", 1))
    cluster.advance(limits.PEER_SUSPENDED_S - 0.5)
    assert cluster.seen(watcher) == []
    assert cluster.seen(target) == []
    assert cluster.nodes["a"].nodes() == ["b"]
    assert far.is_alive()
    assert not answer.done()
    cluster.connect("ab")
    assert cluster.wait(answer) == 1
    assert cluster.seen(target) == [("cast", "kept")]
    assert cluster.seen(watcher) == []


def test_a_link_that_resumed_is_not_lost_later(cluster: Cluster) -> None:
    watcher, _, far = watching(cluster)
    cluster.cut("ab")
    cluster.advance(limits.PEER_SUSPENDED_S - 0.5)
    cluster.connect("ab")
    cluster.advance(2 * limits.PEER_SUSPENDED_S)
    assert cluster.seen(watcher) == []
    assert cluster.wait(far.call(("echo", 1))) == 1


def test_a_call_in_progress_is_answered_after_the_link_resumed(cluster: Cluster) -> None:
    target = cluster.start("b", Probe)
    answer = cluster.seen_from("a", target).call("hold")
    cluster.settle()
    cluster.cut("ab")
    cluster.on_shard("b", lambda: target._process.held[0].reply("kept too"))
    cluster.connect("ab")
    assert cluster.wait(answer) == "kept too"


def test_what_was_on_its_way_when_the_connection_broke_arrives_once(
    simulated_nodes: SimulatedCluster,
) -> None:
    target = simulated_nodes.start("b", Probe)
    far = simulated_nodes.seen_from("a", target)
    for number in range(20):
        far.send(number)
        # The cut finds the batch on the wire, or its acknowledgement.
        simulated_nodes.nodes["a"].shard.run_slice(100)
        if number % 2:
            simulated_nodes.nodes["b"].shard.run_slice(100)
        simulated_nodes.network.connect("a", "b")
        if number % 3 == 0:
            simulated_nodes.settle()
    assert simulated_nodes.seen(target) == list(range(20))


def test_a_link_suspended_too_long_is_lost_on_both_sides(cluster: Cluster) -> None:
    watcher, target, far = watching(cluster)
    here = cluster.seen_from("b", watcher)
    back = cluster.do(target, lambda process: process.monitor(here))
    cluster.settle()
    cluster.cut("ab")
    far.cast("kept in vain")
    cluster.advance(limits.PEER_SUSPENDED_S + 0.01)
    down, node_down = cluster.seen(watcher)
    assert (down.process, down.reason) == (far, "noconnection")
    assert node_down == NodeDown("b", "timeout")
    assert cluster.seen(target) == [Down(back, here, "noconnection")]
    assert cluster.distribution("a").counts["frames_dropped"] == 1
    assert (cluster.nodes["a"].nodes(), cluster.nodes["b"].nodes()) == ([], [])
    cluster.connect("ab")
    assert cluster.seen(watcher)[2:] == [NodeUp("b", 1)]
    assert cluster.seen(target) == [Down(back, here, "noconnection")]


def test_more_frames_than_a_suspended_link_may_keep_lose_it_at_once() -> None:
    cluster = bounded(suspended_frames=4)
    watcher, target, far = watching(cluster)
    answer = far.call("hold")
    cluster.settle()
    cluster.cut("ab")
    for number in range(4):
        far.cast(number)
    assert cluster.seen(watcher) == []
    far.cast("one too many")
    (down, node_down) = cluster.seen(watcher)
    assert (down.reason, node_down) == ("noconnection", NodeDown("b", "overflow"))
    with pytest.raises(CallExit) as caught:
        answer.result()
    assert caught.value.reason == "noconnection"
    assert cluster.distribution("a").counts["frames_dropped"] == 4
    assert cluster.transports["a"].links["b"].dropped == 5
    assert cluster.seen(target) == []


def test_a_link_that_overflows_while_it_is_connected_again_is_lost_first() -> None:
    cluster = bounded(suspended_frames=2)
    watcher, target, far = watching(cluster)
    cluster.cut("ab")
    cluster.network.connect("a", "b")
    for number in range(3):
        far.cast(number)
    assert cluster.seen(watcher)[1:] == [NodeDown("b", "overflow"), NodeUp("b", 1)]
    assert cluster.seen(target) == []


def test_more_bytes_than_a_suspended_link_may_keep_lose_it_at_once() -> None:
    cluster = bounded(suspended_bytes=1_000)
    watcher, _, far = watching(cluster)
    cluster.cut("ab")
    far.cast("x" * 500)
    assert cluster.seen(watcher) == []
    far.cast("x" * 500)
    assert cluster.seen(watcher)[-1] == NodeDown("b", "overflow")


def test_the_default_bound_is_the_documented_one(simulated_nodes: SimulatedCluster) -> None:
    watcher, _, far = watching(simulated_nodes)
    simulated_nodes.cut("ab")
    for number in range(limits.PEER_FRAMES):
        far.cast(number)
    assert simulated_nodes.seen(watcher) == []
    far.cast("one too many")
    assert simulated_nodes.seen(watcher)[-1] == NodeDown("b", "overflow")


def test_a_peer_that_gave_up_alone_makes_the_other_side_give_up_when_they_meet() -> None:
    cluster = bounded(suspended_frames=2)
    watcher, target, far = watching(cluster)
    here = cluster.seen_from("b", watcher)
    back = cluster.do(target, lambda process: process.monitor(here))
    cluster.do(target, lambda process: process.node.monitor_nodes(process))
    cluster.settle()
    cluster.cut("ab")
    for number in range(3):
        far.cast(number)
    assert cluster.seen(watcher)[-1] == NodeDown("b", "overflow")
    assert cluster.seen(target) == []
    cluster.on_shard("b", lambda: here.cast("of the old epoch"))
    cluster.connect("ab")
    assert cluster.seen(target) == [
        Down(back, here, "noconnection"),
        NodeDown("a", "peer_lost"),
        NodeUp("a", 1),
    ]
    assert cluster.seen(watcher)[-1] == NodeUp("b", 1)
    assert cluster.distribution("b").counts["frames_dropped"] == 1
    far.cast("new epoch")
    assert cluster.seen(target)[-1] == ("cast", "new epoch")


def test_signals_beyond_the_bound_of_a_link_that_is_up_lose_it() -> None:
    cluster = bounded(signal_frames=3)
    watcher, _, far = watching(cluster)

    def flood(process: Any) -> None:
        for _ in range(4):
            process.monitor(far)

    cluster.do(watcher, flood)
    seen = cluster.seen(watcher)
    assert [message.reason for message in seen] == ["noconnection"] * 5 + ["overflow"]
    cluster.connect("ab")
    assert cluster.seen(watcher)[-1] == NodeUp("b", 1)


def test_a_cut_that_finds_more_than_may_be_kept_loses_the_link() -> None:
    cluster = bounded(suspended_frames=2)
    watcher, _, far = watching(cluster)
    for number in range(3):
        far.cast(number)
    cluster.network.cut("a", "b")
    assert cluster.seen(watcher)[-1] == NodeDown("b", "overflow")


def test_exits_and_downs_that_happen_while_suspended_are_told_after_the_resumption(
    cluster: Cluster,
) -> None:
    watcher, target, far = watching(cluster)
    cluster.do(watcher, lambda process: process.link(far))
    cluster.settle()
    cluster.cut("ab")
    target.exit("broken")
    cluster.settle()
    assert cluster.seen(watcher) == []
    cluster.connect("ab")
    first, second = sorted(cluster.seen(watcher), key=len)
    assert first == Exit(target, "broken")
    assert second.reason == "broken"


def test_a_slow_wire_keeps_the_order(simulated_nodes: SimulatedCluster) -> None:
    del simulated_nodes
    delays = iter([0.5, 0.5, 0.3, 0.1, 0.4, 0.2] * 100)
    cluster = SimulatedCluster(latency_s=lambda: next(delays))
    cluster.add("a")
    cluster.add("b")
    cluster.connect("ab")
    cluster.advance(2)
    target = cluster.start("b", Probe)
    far = cluster.seen_from("a", target)
    for number in range(10):
        far.send(number)
        cluster.advance(0.05)
    assert len(cluster.seen(target)) < 10
    cluster.advance(2)
    assert cluster.seen(target) == list(range(10))
