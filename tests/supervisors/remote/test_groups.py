"""Process groups over several nodes; the cases are named after OTP's pg_SUITE.

Of its list, the cases about one node (errors, pg, single, group_leave, monitor) are with the
groups themselves, and those about several scopes (overlay_missing, scope_restart,
missing_scope_join) have no counterpart: a node has one scope. process_owner_check has none either,
since only a process of this node can be joined. forced_sync and dyn_distribution are about pg's
recovery from lost discovery messages, which links here cannot lose.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from supervisors.errors import PayloadError
from supervisors.groups import Joined, Left
from tests.supervisors.remote.cluster import SimulatedCluster
from tests.supervisors.remote.probe import Probe

if TYPE_CHECKING:
    from supervisors import Ref
    from tests.supervisors.remote.cluster import Cluster


def joined(cluster: Cluster, node: str, *groups: Any) -> Ref[Any]:
    """Start a process that joins groups."""
    ref = cluster.start(node, Probe)

    def join(process: Any) -> None:
        for group in groups:
            process.node.groups.join(group, process)

    cluster.do(ref, join)
    cluster.settle()
    return ref


def leave(cluster: Cluster, ref: Ref[Any], group: Any) -> None:
    cluster.do(ref, lambda process: process.node.groups.leave(group, process))
    cluster.settle()


def members(cluster: Cluster, node: str, group: Any = "vms") -> list[Any]:
    """List a group as a node sees it, by pid in order, since order differs between nodes."""
    found = cluster.on_shard(node, lambda: cluster.nodes[node].groups.members(group))
    return sorted(ref.pid for ref in found)


def pids(*refs: Ref[Any]) -> list[Any]:
    return sorted(ref.pid for ref in refs)


def test_two(cluster: Cluster) -> None:
    """Members of two nodes are seen on both, joins are counted, leaves are seen."""
    here, there = joined(cluster, "a", "vms"), joined(cluster, "b", "vms")
    assert members(cluster, "a") == members(cluster, "b") == pids(here, there)
    cluster.do(there, lambda process: process.node.groups.join("vms", process))
    cluster.settle()
    assert members(cluster, "a") == members(cluster, "b") == pids(here, there, there)
    leave(cluster, there, "vms")
    assert members(cluster, "a") == pids(here, there)
    far = next(r for r in cluster.nodes["a"].groups.members("vms") if r == there)
    assert cluster.wait(far.call(("echo", 1))) == 1


def test_initial(cluster: Cluster) -> None:
    """What was joined before the nodes met is exchanged when they meet."""
    cluster.add("c")
    third = joined(cluster, "c", "vms", "vms", "disks")
    first = joined(cluster, "a", "vms")
    cluster.connect("ac")
    assert members(cluster, "a") == pids(third, third, first)
    assert members(cluster, "c") == pids(third, third, first)
    assert members(cluster, "a", "disks") == pids(third)
    assert members(cluster, "b") == pids(first)


def test_netsplit(cluster: Cluster) -> None:
    """A lost node's members go, its own stay; after healing all see what changed meanwhile."""
    here, there = joined(cluster, "a", "vms"), joined(cluster, "b", "vms", "disks")
    cluster.cut("ab")
    assert members(cluster, "a") == pids(here, there)
    cluster.advance(6)
    assert members(cluster, "a") == pids(here)
    assert members(cluster, "b") == pids(there)
    assert cluster.nodes["a"].groups.which() == ["vms"]
    leave(cluster, there, "vms")
    late = joined(cluster, "b", "vms")
    cluster.connect("ab")
    assert members(cluster, "a") == members(cluster, "b") == pids(here, late)
    assert members(cluster, "a", "disks") == pids(there)


def test_trisplit(three: SimulatedCluster) -> None:
    """Groups are not transitive: a node sees the members of those it is connected to."""
    refs = {name: joined(three, name, "vms") for name in "abc"}
    three.part("ac")
    assert members(three, "a") == pids(refs["a"], refs["b"])
    assert members(three, "b") == pids(*refs.values())
    assert members(three, "c") == pids(refs["b"], refs["c"])
    three.connect("ac")
    for name in "abc":
        assert members(three, name) == pids(*refs.values())


def test_foursplit(three: SimulatedCluster) -> None:
    """Two halves that lose each other keep their own and agree again after healing."""
    three.add("d")
    three.connect("ad", "bd", "cd")
    refs = {name: joined(three, name, "vms") for name in "abcd"}
    three.part("ac", "ad", "bc", "bd")
    for name in "ab":
        assert members(three, name) == pids(refs["a"], refs["b"])
    for name in "cd":
        assert members(three, name) == pids(refs["c"], refs["d"])
    three.connect("ac", "ad", "bc", "bd")
    for name in "abcd":
        assert members(three, name) == pids(*refs.values())


def test_exchange(three: SimulatedCluster) -> None:
    """All groups and all counts survive a full split and exchange, whatever changed."""
    groups = [("vms", zone) for zone in range(5)]
    refs = {name: [joined(three, name, *groups) for _ in range(3)] for name in "abc"}
    three.part("ab", "ac", "bc")
    for name in "abc":
        leave(three, refs[name][0], groups[0])
        refs[name][1].kill()
    three.settle()
    three.connect("ab", "ac", "bc")
    left = [refs[name][2] for name in "abc"]
    for name in "abc":
        assert members(three, name, groups[0]) == pids(*left)
        for group in groups[1:]:
            assert members(three, name, group) == pids(*left, *(refs[n][0] for n in "abc"))


def test_a_large_exchange_goes_in_several_frames(
    simulated_nodes: SimulatedCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("supervisors.limits.MEMBERSHIP_MEMBERS", 3)
    monkeypatch.setattr("supervisors.limits.MEMBERSHIP_GROUPS", 2)
    simulated_nodes.part("ab")
    crowd = [joined(simulated_nodes, "a", "vms") for _ in range(8)]
    for number in range(5):
        joined(simulated_nodes, "a", number)
    assert len(list(simulated_nodes.distribution("a")._memberships())) == 5
    simulated_nodes.connect("ab")
    assert members(simulated_nodes, "b") == pids(*crowd)
    assert len(simulated_nodes.nodes["b"].groups.which()) == 6


def test_nolocal(cluster: Cluster) -> None:
    """A group may have remote members only."""
    there = joined(cluster, "b", "vms")
    assert members(cluster, "a") == pids(there)
    assert cluster.nodes["a"].groups.local_members("vms") == []
    assert cluster.nodes["a"].groups.which() == ["vms"]


def test_double(cluster: Cluster) -> None:
    """A node that is met again without a loss between is not counted twice."""
    there = joined(cluster, "b", "vms")
    for _ in range(3):
        cluster.connect("ab")
    assert members(cluster, "a") == pids(there)


def test_leave_exit_race(cluster: Cluster) -> None:
    """A process that leaves one of its memberships and ends at once leaves none behind."""
    there = joined(cluster, "b", "vms", "vms", "vms")
    cluster.do(
        there, lambda process: [process.node.groups.leave("vms", process), process.ref.kill()]
    )
    cluster.settle()
    assert members(cluster, "a") == members(cluster, "b") == []
    assert cluster.nodes["a"].groups.which() == []


def test_empty_group_by_remote_leave(cluster: Cluster) -> None:
    """A group whose last, remote member leaves is gone."""
    there = joined(cluster, "b", "vms")
    assert cluster.nodes["a"].groups.which() == ["vms"]
    leave(cluster, there, "vms")
    assert cluster.nodes["a"].groups.which() == []


def test_disconnected_start(cluster: Cluster) -> None:
    """Joining needs no connection to anyone."""
    cluster.part("ab")
    here = joined(cluster, "a", "vms")
    assert members(cluster, "a") == pids(here)
    assert members(cluster, "b") == []


def test_thundering_herd(three: SimulatedCluster) -> None:
    """Very many members of one group are exchanged and go with their node."""
    herd = [three.start("a", Probe) for _ in range(2_000)]
    for ref in herd:
        ref._process.node.groups.join("vms", ref._process)
    three.settle()
    assert members(three, "b") == pids(*herd)
    three.crash("a")
    three.advance(6)
    assert members(three, "b") == []


def test_monitor_sees_remote_members_come_and_go(cluster: Cluster) -> None:
    """A subscriber hears of remote joins, leaves, ends and of a lost node."""
    watcher = cluster.start("a", Probe)
    cluster.do(watcher, lambda process: process.node.groups.subscribe("vms", process))
    first, second = joined(cluster, "b", "vms"), joined(cluster, "b", "vms")
    leave(cluster, first, "vms")
    cluster.part("ab")
    assert cluster.seen(watcher) == [
        Joined("vms", (first,)),
        Joined("vms", (second,)),
        Left("vms", (first,)),
        Left("vms", (second,)),
    ]


def test_a_group_whose_name_cannot_cross_is_refused_on_a_node_with_peers(
    cluster: Cluster,
) -> None:
    ref = cluster.start("a", Probe)
    with pytest.raises(PayloadError, match="frozenset"):
        cluster.do(ref, lambda process: process.node.groups.join(frozenset(), process))
    assert cluster.nodes["a"].groups.which() == []


def test_a_distribution_refuses_a_node_with_a_group_that_cannot_cross() -> None:
    cluster = SimulatedCluster()
    node = cluster.host.node("a", log_reports=False)
    process = cluster.wait(node.start(Probe))._process
    node.groups.join(frozenset(), process)
    cluster.host.nodes.remove(node)
    cluster._make_node = lambda *_: node  # type: ignore[method-assign]
    with pytest.raises(PayloadError, match="frozenset"):
        cluster.add("a")
    assert node.distribution is None
