"""Monitors of processes and names on other nodes: one Down each (OTP: erlang)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from supervisors import Down, Exit
from supervisors.errors import CallExit, NotLocal
from tests.supervisors.remote.probe import Probe

if TYPE_CHECKING:
    from supervisors import Ref
    from supervisors.signals import Monitor
    from tests.supervisors.remote.cluster import Cluster


def monitored(cluster: Cluster) -> tuple[Ref[Any], Ref[Any], Monitor]:
    """Start a process on a that monitors one on b."""
    watcher, target = cluster.start("a", Probe), cluster.start("b", Probe)
    far = cluster.seen_from("a", target)
    monitor = cluster.do(watcher, lambda process: process.monitor(far))
    cluster.settle()
    return watcher, target, monitor


def nothing_is_kept(cluster: Cluster) -> bool:
    """Tell whether neither node remembers a monitor, a link or a call."""
    peers = [peer for name in cluster.nodes for peer in cluster.distribution(name).peers.values()]
    return not any(
        table
        for peer in peers
        for table in (peer.monitors, peer.numbers, peer.watchers, peer.links, peer.calls)
    )


def test_a_monitor_gives_the_true_reason(cluster: Cluster) -> None:
    watcher, target, monitor = monitored(cluster)
    target.exit("broken")
    assert cluster.seen(watcher) == [Down(monitor, target, "broken")]
    assert nothing_is_kept(cluster)


def test_a_monitor_of_a_dead_process_gives_noproc(cluster: Cluster) -> None:
    watcher, target = cluster.start("a", Probe), cluster.start("b", Probe)
    far = cluster.seen_from("a", target)
    target.kill()
    cluster.settle()
    monitor = cluster.do(watcher, lambda process: process.monitor(far))
    assert cluster.seen(watcher) == [Down(monitor, far, "noproc")]
    assert nothing_is_kept(cluster)


def test_a_monitor_without_a_connection_gives_noconnection(cluster: Cluster) -> None:
    watcher, target = cluster.start("a", Probe), cluster.start("b", Probe)
    far = cluster.seen_from("a", target)
    cluster.part("ab")
    monitor = cluster.do(watcher, lambda process: process.monitor(far))
    assert cluster.seen(watcher) == [Down(monitor, far, "noconnection")]
    assert not watcher._process.extras.watching


def test_each_of_several_monitors_has_its_own_down(cluster: Cluster) -> None:
    watcher, target, first = monitored(cluster)
    far = cluster.seen_from("a", target)
    second = cluster.do(watcher, lambda process: process.monitor(far))
    target.kill()
    assert cluster.seen(watcher) == [
        Down(first, target, "killed"),
        Down(second, target, "killed"),
    ]


def test_a_monitor_taken_back_gives_nothing(cluster: Cluster) -> None:
    watcher, target, monitor = monitored(cluster)
    cluster.do(watcher, lambda process: process.demonitor(monitor))
    cluster.settle()
    assert nothing_is_kept(cluster)
    target.kill()
    assert cluster.seen(watcher) == []


def test_a_watcher_that_dies_takes_its_monitors_back(cluster: Cluster) -> None:
    watcher, target, _ = monitored(cluster)
    watcher.kill()
    cluster.settle()
    assert nothing_is_kept(cluster)
    assert not target._process.extras.watchers


def test_on_a_lost_node_each_monitor_gives_noconnection_once_and_last(cluster: Cluster) -> None:
    watcher, target, monitor = monitored(cluster)
    here = cluster.seen_from("b", watcher)

    def send(_: Any) -> None:
        for number in range(3):
            here.send(number)

    cluster.do(target, send)
    cluster.part("ab")
    assert cluster.seen(watcher) == [0, 1, 2, Down(monitor, target, "noconnection")]
    assert not target._process.extras.watchers
    target.kill()
    cluster.connect("ab")
    cluster.part("ab")
    assert len(cluster.seen(watcher)) == 4
    assert not target._process.is_running()


def test_a_name_on_another_node_is_resolved_when_a_message_arrives(cluster: Cluster) -> None:
    disks = cluster.nodes["a"].remote("disks", "b")
    with pytest.raises(CallExit) as caught:
        cluster.wait(disks.call("hold"))
    assert caught.value.reason == "noproc"
    assert cluster.wait(cluster.distribution("a").whereis("disks", "b")) is None
    first = cluster.start("b", Probe, name="disks")
    disks.cast("one")
    disks.tell("two")
    assert cluster.wait(disks.call(("echo", 3))) == 3
    assert cluster.seen(first) == [("cast", "one"), "two"]
    disks.exit("broken")
    cluster.settle()
    assert first._process.exit_reason == "broken"
    second = cluster.start("b", Probe, name="disks")
    assert cluster.wait(cluster.distribution("a").whereis("disks", "b")) == second
    disks.cast("one")
    assert cluster.seen(second) == [("cast", "one")]
    assert cluster.nodes["b"].dead_letters.causes["dead"] == 0


def test_the_down_of_a_monitored_name_says_the_name_and_its_node(cluster: Cluster) -> None:
    watcher = cluster.start("a", Probe)
    disks = cluster.nodes["a"].remote("disks", "b")
    absent = cluster.do(watcher, lambda process: process.monitor(disks))
    cluster.settle()
    target = cluster.start("b", Probe, name="disks")
    present = cluster.do(watcher, lambda process: process.monitor(disks))
    cluster.settle()
    target.kill()
    assert cluster.seen(watcher) == [
        Down(absent, ("disks", "b"), "noproc"),
        Down(present, ("disks", "b"), "killed"),
    ]


def test_a_name_of_this_node_may_be_addressed_like_any_other(cluster: Cluster) -> None:
    target = cluster.start("a", Probe, name="disks")
    watcher = cluster.start("a", Probe, traps=True)
    disks = cluster.nodes["a"].remote("disks", "a")
    disks.cast("hello")
    assert cluster.wait(disks.call(("echo", 1))) == 1
    monitor = cluster.do(watcher, lambda process: process.monitor(disks))
    assert cluster.seen(target) == [("cast", "hello")]
    target.kill()
    assert cluster.seen(watcher) == [Down(monitor, ("disks", "a"), "killed")]


def test_a_name_is_not_a_process(cluster: Cluster) -> None:
    one = cluster.start("a", Probe, traps=True)
    disks = cluster.nodes["a"].remote("disks", "b")
    with pytest.raises(NotLocal, match="cannot link to 'disks' on b"):
        cluster.do(one, lambda process: process.link(disks))
    with pytest.raises(NotLocal, match="is a name"):
        assert disks.pid
    assert disks == cluster.nodes["a"].remote("disks", "b")
    assert disks != one
    assert one != disks
    assert len({disks, cluster.nodes["a"].remote("disks", "b")}) == 1


def test_a_dead_process_of_this_node_is_noproc_wherever_its_ref_has_been(
    cluster: Cluster,
) -> None:
    gone, holder = cluster.start("a", Probe), cluster.start("b", Probe)
    watcher = cluster.start("a", Probe, traps=True)
    far = cluster.seen_from("b", gone)
    gone.kill()
    cluster.settle()
    cluster.do(holder, lambda _: cluster.seen_from("b", watcher).send(far))
    (back,) = cluster.seen(watcher)
    assert back == gone
    assert not back.is_alive()
    monitor = cluster.do(watcher, lambda process: process.monitor(back))
    cluster.do(watcher, lambda process: process.link(back))
    back.cast("hello")
    with pytest.raises(CallExit) as caught:
        cluster.wait(back.call("hold"))
    assert caught.value.reason == "noproc"
    down, exited = sorted(cluster.seen(watcher)[1:], key=len, reverse=True)
    assert down == Down(monitor, gone, "noproc")
    assert exited == Exit(gone, "noproc")
    assert cluster.nodes["a"].dead_letters.causes["dead"] == 1
