"""NodeUp and NodeDown: their order among the signals of the node (OTP: pg, net_kernel)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from supervisors import Down
from supervisors.messages import NodeDown, NodeUp
from tests.supervisors.remote.probe import Probe

if TYPE_CHECKING:
    from tests.supervisors.remote.cluster import Cluster, SimulatedCluster


class Greeter(Probe):
    """Says hello to the process "host" of each node that comes up, in the turn that hears it."""

    def handle_info(self, message: Any) -> None:
        if isinstance(message, NodeUp):
            self.node.remote("host", message.node).send(f"hello, {message.node}")


class Host(Probe):
    """Notes which nodes are there when a message comes."""

    def handle_info(self, message: Any) -> None:
        self.seen.append((message, self.node.nodes()))


def subscribed(cluster: Cluster, node: str, process_class: type[Probe], **options: Any) -> Any:
    ref = cluster.start(node, process_class, **options)
    cluster.do(ref, lambda process: process.node.monitor_nodes(process))
    return ref


def test_a_node_is_up_before_any_signal_from_it_and_is_listed_then(cluster: Cluster) -> None:
    cluster.part("ab")
    host = subscribed(cluster, "a", Host, name="host")
    subscribed(cluster, "b", Greeter)
    cluster.connect("ab")
    assert cluster.seen(host) == [(NodeUp("b", 1), ["b"]), ("hello, a", ["b"])]


def test_a_node_is_down_after_all_its_signals_and_is_not_listed_then(cluster: Cluster) -> None:
    host = subscribed(cluster, "a", Host, name="host")
    target = cluster.start("b", Probe)
    far = cluster.seen_from("a", target)
    monitor = cluster.do(host, lambda process: process.monitor(far))
    cluster.settle()
    cluster.on_shard("b", lambda: cluster.nodes["b"].remote("host", "a").send("last words"))
    cluster.settle()
    cluster.part("ab")
    assert cluster.seen(host) == [
        ("last words", ["b"]),
        (Down(monitor, far, "noconnection"), []),
        (NodeDown("b", "timeout"), []),
    ]


def test_ups_and_downs_alternate_however_often_the_node_comes_and_goes(
    cluster: Cluster,
) -> None:
    watcher = subscribed(cluster, "a", Probe)
    for _ in range(3):
        cluster.part("ab")
        cluster.connect("ab")
    assert cluster.seen(watcher) == [NodeDown("b", "timeout"), NodeUp("b", 1)] * 3


def test_subscriptions_stack_and_one_withdrawal_ends_them_all(cluster: Cluster) -> None:
    watcher = subscribed(cluster, "a", Probe)
    cluster.do(watcher, lambda process: process.node.monitor_nodes(process))
    cluster.part("ab")
    assert cluster.seen(watcher) == [NodeDown("b", "timeout")] * 2
    cluster.do(watcher, lambda process: process.node.monitor_nodes(process, wanted=False))
    cluster.connect("ab")
    assert len(cluster.seen(watcher)) == 2
    assert not watcher._process.extras.watchers


def test_a_subscriber_that_ended_is_forgotten(simulated_nodes: SimulatedCluster) -> None:
    watcher = subscribed(simulated_nodes, "a", Probe)
    watcher.kill()
    simulated_nodes.settle()
    assert not simulated_nodes.distribution("a")._subscribers
    simulated_nodes.part("ab")
    assert simulated_nodes.nodes["a"].dead_letters.causes == {}


def test_many_nodes_come_and_go(simulated_nodes: SimulatedCluster) -> None:
    watcher = subscribed(simulated_nodes, "a", Probe)
    names = "cdefghij"
    for name in names:
        simulated_nodes.add(name)
        simulated_nodes.connect(f"a{name}")
    assert simulated_nodes.nodes["a"].nodes() == ["b", *names]
    for name in names:
        simulated_nodes.crash(name)
    simulated_nodes.advance(6)
    ups = [NodeUp(name, 1) for name in names]
    downs = [NodeDown(name, "timeout") for name in names]
    assert simulated_nodes.seen(watcher) == ups + downs
