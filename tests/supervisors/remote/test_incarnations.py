"""A node that is born again under its name is another node to all who knew the first."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from supervisors import Down, Exit
from supervisors.errors import CallExit
from supervisors.messages import NodeDown, NodeUp
from tests.supervisors.remote.probe import Probe

if TYPE_CHECKING:
    from supervisors import Ref
    from tests.supervisors.remote.cluster import Cluster, SimulatedCluster


def reborn(cluster: Cluster) -> tuple[Ref[Any], Ref[Any]]:
    """Crash b and start it again; gives a's old ref and the process that has its serial now."""
    old = cluster.seen_from("a", cluster.start("b", Probe))
    cluster.crash("b")
    cluster.settle()
    cluster.add("b", creation=2)
    cluster.connect("ab")
    new = cluster.start("b", Probe)
    assert (old.pid.node, old.pid.serial) == (new.pid.node, new.pid.serial)
    assert old != new
    return old, new


def test_a_reborn_node_receives_nothing_for_its_predecessors_pids(cluster: Cluster) -> None:
    old, new = reborn(cluster)
    sender = cluster.start("a", Probe, traps=True)

    def send(_: Any) -> None:
        old.cast(1)
        old.send(2)
        old.exit("broken")
        old.kill()

    cluster.do(sender, send)
    with pytest.raises(CallExit) as caught:
        cluster.wait(old.call("hold"))
    assert caught.value.reason == "noproc"
    monitor = cluster.do(sender, lambda process: process.monitor(old))
    cluster.do(sender, lambda process: process.link(old))
    assert cluster.seen(sender) == [Down(monitor, old, "noproc"), Exit(old, "noproc")]
    assert cluster.seen(new) == []
    assert new.is_alive()
    assert not old.is_alive()
    assert cluster.nodes["a"].dead_letters.causes["noproc"] == 2


def test_a_name_reaches_whoever_has_it_in_the_reborn_node(cluster: Cluster) -> None:
    cluster.start("b", Probe, name="disks")
    disks = cluster.nodes["a"].remote("disks", "b")
    cluster.crash("b")
    cluster.settle()
    cluster.add("b", creation=2)
    cluster.connect("ab")
    new = cluster.start("b", Probe, name="disks")
    disks.cast("hello")
    assert cluster.seen(new) == [("cast", "hello")]


def test_the_old_node_is_down_before_the_new_one_is_up(cluster: Cluster) -> None:
    watcher = cluster.start("a", Probe)
    far = cluster.seen_from("a", cluster.start("b", Probe))
    monitor = cluster.do(watcher, lambda process: process.monitor(far))
    cluster.do(watcher, lambda process: process.node.monitor_nodes(process))
    cluster.crash("b")
    assert cluster.seen(watcher) == []
    cluster.add("b", creation=2)
    cluster.connect("ab")
    assert cluster.seen(watcher) == [
        Down(monitor, far, "noconnection"),
        NodeDown("b", "new_creation"),
        NodeUp("b", 2),
    ]


def test_what_was_kept_for_the_predecessor_is_dropped_and_counted(cluster: Cluster) -> None:
    far = cluster.seen_from("a", cluster.start("b", Probe))
    cluster.crash("b")
    cluster.settle()
    for number in range(3):
        far.cast(number)
    cluster.settle()
    cluster.add("b", creation=2)
    cluster.connect("ab")
    assert cluster.seen(cluster.start("b", Probe)) == []
    assert cluster.distribution("a").counts["frames_dropped"] == 3


def test_a_reborn_node_gets_its_predecessors_pids_back_as_refs_to_nobody(
    cluster: Cluster,
) -> None:
    old, new = reborn(cluster)
    holder = cluster.start("a", Probe)
    back = cluster.seen_from("a", new)
    cluster.do(holder, lambda _: back.send(old))
    ((mine),) = cluster.seen(new)
    mine.cast("hello")
    with pytest.raises(CallExit) as caught:
        cluster.wait(mine.call("hold"))
    assert caught.value.reason == "noproc"
    assert cluster.seen(new) == [old]


def test_a_predecessor_that_still_lives_is_not_talked_to(
    simulated_nodes: SimulatedCluster,
) -> None:
    watcher = simulated_nodes.start("a", Probe)
    watcher._process.node.monitor_nodes(watcher._process)
    simulated_nodes.part("ab")
    simulated_nodes.network.leave("b")
    ghost = simulated_nodes.nodes["b"]
    simulated_nodes.add("b", creation=2)
    simulated_nodes.connect("ab")
    simulated_nodes.network.leave("b")
    simulated_nodes.advance(6)
    assert ghost.distribution is not None
    ghost.distribution.transport = returned = simulated_nodes.network.join(ghost)
    returned.attach(ghost.distribution)
    simulated_nodes.connect("ab")
    assert simulated_nodes.nodes["a"].nodes() == []
    assert simulated_nodes.transports["a"].broken_rules == 1
    assert simulated_nodes.seen(watcher)[-1] == NodeDown("b", "timeout")


def test_a_pid_of_an_incarnation_not_met_yet_has_no_connection(cluster: Cluster) -> None:
    young = cluster.start("b", Probe).pid._replace(creation=2)
    with pytest.raises(CallExit) as caught:
        cluster.wait(cluster.distribution("a").ref(young).call("hold"))
    assert caught.value.reason == "noconnection"


def test_a_ref_outlives_a_partition_of_nodes_that_both_live_on(cluster: Cluster) -> None:
    far = cluster.seen_from("a", cluster.start("b", Probe))
    cluster.part("ab")
    assert not far.is_alive()
    cluster.connect("ab")
    assert far.is_alive()
    assert cluster.wait(far.call(("echo", 1))) == 1
