"""Links and exit signals between nodes (OTP: erlang)."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest

from supervisors import Exit
from supervisors.errors import NotLocal, PayloadError
from supervisors.reasons import Opaque, RemoteCrash, Shutdown
from tests.supervisors.remote.cluster import SimulatedCluster, ThreadCluster
from tests.supervisors.remote.probe import Probe
from tests.supervisors.world import REAL_PATIENCE_S

if TYPE_CHECKING:
    from supervisors import Ref
    from tests.supervisors.remote.cluster import Cluster


def linked(cluster: Cluster, *, traps: bool = True) -> tuple[Ref[Any], Ref[Any]]:
    """Start a process on a that is linked to one on b."""
    one, other = cluster.start("a", Probe, traps=traps), cluster.start("b", Probe)
    far = cluster.seen_from("a", other)
    cluster.do(one, lambda process: process.link(far))
    cluster.settle()
    return one, other


def links_of(ref: Ref[Any]) -> list[Any]:
    return list(ref._process.extras.links or ())


def test_a_linked_process_dies_with_its_peer_on_the_other_node(cluster: Cluster) -> None:
    one, other = linked(cluster, traps=False)
    other.exit("broken")
    cluster.settle()
    assert one._process.exit_reason == "broken"


def test_a_link_works_in_both_directions(cluster: Cluster) -> None:
    one, other = linked(cluster, traps=False)
    one.exit("broken")
    cluster.settle()
    assert other._process.exit_reason == "broken"


def test_a_process_that_traps_exits_gets_the_reason_as_a_message(cluster: Cluster) -> None:
    one, other = linked(cluster)
    other.exit(Shutdown("moving"))
    assert cluster.seen(one) == [Exit(other, Shutdown("moving"))]
    assert links_of(one) == []


def test_a_killed_peer_is_seen_as_killed(cluster: Cluster) -> None:
    one, other = linked(cluster)
    cluster.seen_from("a", other).kill()
    assert cluster.seen(one) == [Exit(other, "killed")]


def test_a_normal_exit_is_ignored_by_a_peer_that_does_not_trap(cluster: Cluster) -> None:
    one, other = linked(cluster, traps=False)
    cluster.wait(other.stop(block=False))
    cluster.settle()
    assert one.is_alive()
    assert links_of(one) == []


def test_a_crash_crosses_as_data(cluster: Cluster) -> None:
    one, other = linked(cluster)
    other.call("crash")
    assert cluster.seen(one) == [Exit(other, RemoteCrash("ValueError", "boom"))]


def test_a_reason_with_a_part_that_cannot_cross_keeps_the_rest(cluster: Cluster) -> None:
    one, other = linked(cluster)
    cluster.on_shard("b", lambda: other.exit(("why", frozenset({1}))))
    ((_, reason),) = cluster.seen(one)
    assert reason == ("why", Opaque("frozenset", "frozenset({1})"))
    with pytest.raises(PayloadError, match="frozenset is not registered"):
        cluster.seen_from("a", other).exit(frozenset())


def test_a_link_to_a_process_that_is_gone_gives_noproc(cluster: Cluster) -> None:
    one, other = cluster.start("a", Probe, traps=True), cluster.start("b", Probe)
    far = cluster.seen_from("a", other)
    other.kill()
    cluster.settle()
    cluster.do(one, lambda process: process.link(far))
    assert cluster.seen(one) == [Exit(far, "noproc")]
    assert links_of(one) == []


def test_a_link_without_a_connection_gives_noconnection(cluster: Cluster) -> None:
    one, other = cluster.start("a", Probe, traps=True), cluster.start("b", Probe)
    far = cluster.seen_from("a", other)
    cluster.part("ab")
    cluster.do(one, lambda process: process.link(far))
    assert cluster.seen(one) == [Exit(far, "noconnection")]
    assert links_of(one) == []


def test_a_second_link_of_a_pair_is_none(cluster: Cluster) -> None:
    one, other = linked(cluster)
    here = cluster.seen_from("b", one)
    cluster.do(other, lambda process: process.link(here))
    cluster.do(one, lambda process: process.link(cluster.seen_from("a", other)))
    cluster.settle()
    assert (links_of(one), links_of(other)) == ([other], [one])
    other.kill()
    assert len(cluster.seen(one)) == 1


def test_after_unlink_no_exit_comes_from_the_link(cluster: Cluster) -> None:
    one, other = linked(cluster)
    far = cluster.seen_from("a", other)
    cluster.do(one, lambda process: process.unlink(far))
    cluster.settle()
    assert links_of(other) == []
    other.kill()
    assert cluster.seen(one) == []
    assert cluster.distribution("a").peers["b"].unlinking == {}


def test_an_exit_that_crosses_the_unlink_is_dropped(simulated_nodes: SimulatedCluster) -> None:
    one, other = linked(simulated_nodes)
    far = simulated_nodes.seen_from("a", other)
    other.kill()
    one._process.unlink(far)
    assert simulated_nodes.seen(one) == []


def test_a_link_that_crosses_an_unlink_leaves_both_sides_alike(
    simulated_nodes: SimulatedCluster,
) -> None:
    one, other = simulated_nodes.start("a", Probe), simulated_nodes.start("b", Probe)
    far, here = simulated_nodes.seen_from("a", other), simulated_nodes.seen_from("b", one)
    one._process.link(far)
    one._process.unlink(far)
    other._process.link(here)
    simulated_nodes.settle()
    assert (links_of(one), links_of(other)) == ([], [])
    one._process.link(far)
    one._process.unlink(far)
    one._process.link(far)
    simulated_nodes.settle()
    assert (links_of(one), links_of(other)) == ([far], [here])


def test_an_exit_signal_by_hand_is_trapped_unless_it_is_kill(cluster: Cluster) -> None:
    sender, target = cluster.start("a", Probe), cluster.start("b", Probe, traps=True)
    far = cluster.seen_from("a", target)
    cluster.do(sender, lambda _: far.exit("please"))
    assert cluster.seen(target) == [Exit(sender, "please")]
    cluster.do(sender, lambda _: far.kill())
    cluster.settle()
    assert target._process.exit_reason == "killed"


def test_an_exit_signal_from_no_process_has_no_sender(cluster: Cluster) -> None:
    target = cluster.start("b", Probe, traps=True)
    cluster.seen_from("a", target).exit("please")
    assert cluster.seen(target) == [Exit(None, "please")]


class Busy(Probe):
    """Holds its node's thread until the test lets go, as no handler should."""

    def handle_cast(self, message: Any) -> None:
        running, go_on = message
        running.set()
        assert go_on.wait(REAL_PATIENCE_S)


def test_an_exit_signal_from_a_thread_is_not_taken_for_one_of_whoever_runs_then() -> None:
    cluster = ThreadCluster()
    for name in "ab":
        cluster.add(name)
    cluster.connect("ab")
    try:
        busy = cluster.start("a", Busy)
        here, there = (cluster.start(name, Probe, traps=True) for name in "ab")
        far = cluster.seen_from("a", there)
        running, go_on = threading.Event(), threading.Event()
        busy.cast((running, go_on))
        assert running.wait(REAL_PATIENCE_S)
        here.exit("please")
        far.exit("please")
        go_on.set()
        assert cluster.seen(here) == cluster.seen(there) == [Exit(None, "please")]
    finally:
        cluster.close()


def test_on_a_lost_node_each_link_gives_noconnection_once(cluster: Cluster) -> None:
    one, other = linked(cluster)
    far = cluster.seen_from("a", other)
    cluster.part("ab")
    assert cluster.seen(one) == [Exit(far, "noconnection")]
    assert other._process.exit_reason == "noconnection"
    cluster.connect("ab")
    cluster.part("ab")
    assert len(cluster.seen(one)) == 1


def test_a_ref_of_another_node_in_the_same_program_is_taken_for_what_it_is(
    cluster: Cluster,
) -> None:
    one, other = cluster.start("a", Probe, traps=True), cluster.start("b", Probe)
    cluster.do(one, lambda process: process.link(other))
    monitor = cluster.do(one, lambda process: process.monitor(other))
    cluster.settle()
    other.kill()
    exited, down = sorted(cluster.seen(one), key=len)
    assert exited == Exit(other, "killed")
    assert down == (monitor, other, "killed")


def test_a_node_of_its_own_links_to_nobody_elsewhere() -> None:
    cluster = SimulatedCluster()
    cluster.add("a")
    alone = cluster.host.node("alone", log_reports=False)
    one, other = cluster.wait(alone.start(Probe)), cluster.start("a", Probe)
    with pytest.raises(NotLocal, match="has no Distribution"):
        one._process.link(other)
    with pytest.raises(NotLocal, match="knows no other node"):
        alone.remote("probe", "a")
    assert alone.nodes() == []
