"""Casts, tells, calls and asks from one node to another."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pykka
import pytest
from pykka._envelope import Envelope

from supervisors import (
    ChildSpec,
    Flags,
    Future,
    GenServer,
    Supervisor,
    count_children,
    terminate_child,
    which_children,
)
from supervisors._pykka import ActorStop
from supervisors.errors import (
    CallExit,
    CallTimeout,
    ChildError,
    MailboxFull,
    NotLocal,
    PayloadError,
    RemoteError,
    WouldDeadlock,
)
from supervisors.reasons import RemoteCrash, Shutdown
from supervisors.remote.peer_link import Bounds
from supervisors.remote.refs import RemoteRef
from tests.supervisors.remote.cluster import SimulatedCluster
from tests.supervisors.remote.probe import Probe

if TYPE_CHECKING:
    from tests.supervisors.remote.cluster import Cluster


def test_a_cast_and_a_tell_arrive_in_the_order_they_were_sent(cluster: Cluster) -> None:
    probe = cluster.start("b", Probe)
    far = cluster.seen_from("a", probe)
    sender = cluster.start("a", Probe)

    def send(_: Any) -> None:
        for number in range(50):
            far.cast(number)
            far.send(number)

    cluster.do(sender, send)
    sent = [message for n in range(50) for message in (("cast", n), n)]
    assert cluster.seen(probe) == sent


def test_a_call_is_answered_from_the_other_node(cluster: Cluster) -> None:
    far = cluster.seen_from("a", cluster.start("b", Probe))
    value = {"disk": [1, 2.5, None, True, b"raw", (1, 2)], 7: "seven"}
    assert cluster.wait(far.call(("echo", value))) == value


def test_a_handler_awaits_a_call_to_another_node(cluster: Cluster) -> None:
    here = cluster.start("a", Probe)
    far = cluster.seen_from("a", cluster.start("b", Probe))
    assert cluster.wait(here.call(("pass on", far, ("echo", "hello")))) == "hello"


def test_a_ref_crosses_as_its_pid_and_is_local_where_it_is_at_home(cluster: Cluster) -> None:
    home = cluster.start("b", Probe)
    far = cluster.seen_from("a", home)
    assert isinstance(far, RemoteRef)
    assert far == home
    assert home == far
    assert hash(far) == hash(home)
    assert {far, home} == {home}
    back = cluster.wait(far.call("ref"))
    assert isinstance(back, RemoteRef)
    assert back.pid == home.pid
    there = cluster.start("b", Probe)
    cluster.seen_from("a", there).send(far)
    ((arrived),) = cluster.seen(there)
    assert arrived._process is home._process


def test_nothing_is_shared_by_reference(cluster: Cluster) -> None:
    probe = cluster.start("b", Probe)
    message = [1, [2]]
    cluster.seen_from("a", probe).send(message)
    message[1].append(3)  # type: ignore[attr-defined]
    assert cluster.seen(probe) == [[1, [2]]]


@dataclass(frozen=True)
class Disk:
    uid: str
    size_bytes: int = 0


def test_a_class_that_is_not_registered_is_refused_at_the_sender(cluster: Cluster) -> None:
    probe = cluster.start("b", Probe)
    far = cluster.seen_from("a", probe)
    for send in (far.cast, far.send, far.call, far.tell):
        with pytest.raises(PayloadError, match=r"Disk is not registered .*\(at payload\[1\]"):
            send(("add", Disk("d1")))
    cluster.payloads.register(Disk)
    far.cast(Disk("d1", 5))
    assert cluster.seen(probe) == [("cast", Disk("d1", 5))]


def test_a_call_to_a_process_that_is_gone_exits_with_noproc(cluster: Cluster) -> None:
    home = cluster.start("b", Probe)
    far = cluster.seen_from("a", home)
    home.kill()
    with pytest.raises(CallExit) as caught:
        cluster.wait(far.call("hold"))
    assert caught.value.reason == "noproc"
    assert caught.value.target == far


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        (("stop", "normal"), "normal"),
        (("stop", Shutdown("moving")), Shutdown("moving")),
        ("crash", RemoteCrash("ValueError", "boom")),
    ],
)
def test_a_call_exits_with_the_reason_of_the_process_that_served_it(
    cluster: Cluster, message: Any, reason: Any
) -> None:
    far = cluster.seen_from("a", cluster.start("b", Probe))
    with pytest.raises(CallExit) as caught:
        cluster.wait(far.call(message))
    assert caught.value.reason == reason


def test_a_call_exits_when_the_process_is_killed_before_it_answers(cluster: Cluster) -> None:
    home = cluster.start("b", Probe)
    answer = cluster.seen_from("a", home).call("hold")
    waiting = cluster.seen_from("a", home).call(("sleep", 60), timeout_s=None)
    cluster.settle()
    home.kill()
    for future in (answer, waiting):
        with pytest.raises(CallExit) as caught:
            cluster.wait(future)
        assert caught.value.reason == "killed"


def test_a_call_times_out_and_a_late_answer_is_dropped(cluster: Cluster) -> None:
    home = cluster.start("b", Probe)
    answer = cluster.seen_from("a", home).call("hold", timeout_s=1.0)
    with pytest.raises(CallTimeout):
        cluster.wait(answer)
    home._process.held[0].reply("too late")
    cluster.settle()
    assert cluster.distribution("a").counts["late_answers"] == 1
    with pytest.raises(CallTimeout):
        answer.result()


def test_an_answer_given_later_from_elsewhere_reaches_the_caller(cluster: Cluster) -> None:
    home = cluster.start("b", Probe)
    answer = cluster.seen_from("a", home).call("hold")
    cluster.settle()
    home._process.held[0].reply([1, 2])
    assert cluster.wait(answer) == [1, 2]


def test_a_refusal_crosses_as_itself_if_its_class_is_known_and_as_text_if_not(
    cluster: Cluster,
) -> None:
    home = cluster.start("b", Probe)
    far = cluster.seen_from("a", home)
    refused = far.call("hold"), far.call("hold")
    cluster.settle()
    home._process.held[0].fail(ChildError("terminate_child", "disk", "not_found"))
    home._process.held[1].fail(LookupError("no such disk"))
    with pytest.raises(ChildError) as known:
        cluster.wait(refused[0])
    assert (known.value.child, known.value.reason) == ("disk", "not_found")
    with pytest.raises(RemoteError) as unknown:
        cluster.wait(refused[1])
    assert (unknown.value.type_name, unknown.value.text) == ("LookupError", "no such disk")


def test_a_reply_that_cannot_cross_is_the_repliers_error(cluster: Cluster) -> None:
    home = cluster.start("b", Probe)
    with pytest.raises(CallExit) as caught:
        cluster.wait(cluster.seen_from("a", home).call(("unsendable", 1)))
    assert caught.value.reason.type_name == "PayloadError"
    assert "object is not registered" in caught.value.reason.text
    assert isinstance(home._process.exit_reason.error, PayloadError)


def test_messages_for_a_process_that_is_gone_are_dead_letters_there(cluster: Cluster) -> None:
    home = cluster.start("b", Probe)
    far = cluster.seen_from("a", home)
    home.kill()
    cluster.settle()
    far.cast("hello")
    cluster.settle()
    letters = cluster.nodes["b"].dead_letters
    assert letters.causes["dead"] == 1
    assert letters.recent[-1].message == "hello"


def test_without_a_connection_casts_are_dead_letters_and_calls_exit(cluster: Cluster) -> None:
    far = cluster.seen_from("a", cluster.start("b", Probe))
    cluster.part("ab")
    far.cast("hello")
    with pytest.raises(CallExit) as caught:
        cluster.wait(far.call("hold"))
    assert caught.value.reason == "noconnection"
    assert cluster.nodes["a"].dead_letters.causes["noconnection"] == 1
    assert not far.is_alive()


def test_a_call_exits_with_noconnection_when_the_peer_is_lost(cluster: Cluster) -> None:
    far = cluster.seen_from("a", cluster.start("b", Probe))
    answer = far.call("hold", timeout_s=None)
    cluster.part("ab")
    with pytest.raises(CallExit) as caught:
        answer.result()
    assert caught.value.reason == "noconnection"


def test_a_payload_the_receiver_does_not_know_is_counted_and_answered() -> None:
    cluster = SimulatedCluster()
    cluster.add("a")
    registry, cluster.payloads = cluster.payloads, type(cluster.payloads)()
    cluster.add("b")
    registry.register(Disk)
    cluster.connect("ab")
    probe = cluster.start("b", Probe)
    far = cluster.seen_from("a", probe)
    far.cast(Disk("d1"))
    with pytest.raises(PayloadError, match="'Disk' is not registered on this node"):
        cluster.wait(far.call(Disk("d1")))
    assert cluster.seen(probe) == []
    assert cluster.distribution("b").counts["unreadable"] == 2
    assert cluster.nodes["b"].dead_letters.causes["unreadable"] == 1
    assert probe.is_alive()


class Narrow(GenServer):
    mailbox_limit = 2

    async def handle_call(self, message: Any, caller: Any) -> Any:
        await self.sleep(60)


def test_a_call_to_a_full_mailbox_is_refused_and_a_cast_is_counted(
    simulated_nodes: SimulatedCluster,
) -> None:
    home = simulated_nodes.start("b", Narrow)
    far = simulated_nodes.seen_from("a", home)
    for _ in range(3):
        far.call("wait", timeout_s=None)
    refused = far.call("wait")
    far.cast("lost")
    with pytest.raises(MailboxFull):
        simulated_nodes.wait(refused)
    assert simulated_nodes.nodes["b"].dead_letters.causes["mailbox full"] == 1


def test_a_link_with_a_full_window_refuses_messages_at_the_sender() -> None:
    cluster = SimulatedCluster(bounds=Bounds(window_frames=3))
    cluster.add("a")
    cluster.add("b")
    cluster.connect("ab")
    probe, sender = cluster.start("b", Probe), cluster.start("a", Probe)
    far = cluster.seen_from("a", probe)

    def flood(_: Any) -> Future[Any]:
        for number in range(3):
            far.send(number)
        with pytest.raises(MailboxFull):
            far.send("too much")
        return far.call("too much")

    refused = cluster.do(sender, flood)
    with pytest.raises(MailboxFull):
        refused.result()
    assert cluster.seen(probe) == [0, 1, 2]
    far.send("room again")
    assert cluster.seen(probe)[-1] == "room again"


def test_pykkas_verbs_reach_a_process_on_another_node(cluster: Cluster) -> None:
    home = cluster.start("b", Probe)
    far = cluster.seen_from("a", home)
    assert isinstance(far, pykka.ActorRef)
    assert far.is_alive()
    assert far.actor_urn == f"urn:remote:{home.pid}"
    far.tell("hello")
    asked = far.ask(("echo", 5), block=False)
    with pytest.raises(RemoteError, match="LookupError: no such call: 'nonsense'"):
        cluster.wait(far.ask("nonsense", block=False))
    assert cluster.wait(asked) == 5
    assert cluster.seen(home) == ["hello"]
    with pytest.raises(NotLocal, match="no proxy"):
        far.proxy()
    assert cluster.wait(far.stop(block=False)) is True
    assert home._process.exit_reason == "normal"
    assert cluster.wait(far.stop(block=False)) is False
    with pytest.raises(pykka.ActorDeadError):
        cluster.wait(far.ask("anything", block=False))


def test_pykkas_view_of_a_ref_reaches_the_other_node(cluster: Cluster) -> None:
    home = cluster.start("b", Probe)
    far = cluster.seen_from("a", home)
    answers: list[pykka.Future[Any]] = [pykka.ThreadingFuture() for _ in range(2)]
    far.actor_inbox.put(Envelope("hello"))
    far.actor_inbox.put(Envelope(("echo", 1), reply_to=answers[0]))
    far.actor_inbox.put(Envelope("nonsense", reply_to=answers[1]))
    assert cluster.seen(home) == ["hello"]
    assert answers[0].get(timeout=0) == 1
    with pytest.raises(RemoteError):
        answers[1].get(timeout=0)
    assert far.actor_inbox.empty()
    with pytest.raises(NotLocal):
        far.actor_inbox.get()
    with pytest.raises(NotLocal, match="send it a message"):
        far.tell(pykka.messages.ProxyGetAttr(attr_path=("seen",)))
    assert not far.actor_stopped.is_set()
    far.tell(ActorStop())
    cluster.settle()
    assert home._process.exit_reason == "normal"
    cluster.part("ab")
    assert far.actor_stopped.is_set()


def test_a_supervisor_on_another_node_answers_and_refuses(cluster: Cluster) -> None:
    home = cluster.start("b", Supervisor, Flags(), [ChildSpec("disk", (Probe, ()))])
    far = cluster.seen_from("a", home)
    ((child_id, ref, kind, _),) = cluster.wait(which_children(far))
    assert (child_id, kind, type(ref)) == ("disk", "worker", RemoteRef)
    assert cluster.wait(count_children(far))["active"] == 1
    cluster.wait(terminate_child(far, "disk"))
    assert cluster.wait(which_children(far))[0][1] is None
    with pytest.raises(ChildError) as caught:
        cluster.wait(terminate_child(far, "nonsense"))
    assert caught.value.reason == "not_found"


def test_an_ask_that_would_block_a_handler_is_refused(cluster: Cluster) -> None:
    far = cluster.seen_from("a", cluster.start("b", Probe))
    here = cluster.start("a", Probe)
    with pytest.raises(WouldDeadlock, match="would block the thread"):
        cluster.do(here, lambda _: far.ask(("echo", 1)))


def test_a_reply_that_cannot_cross_is_the_askers_when_it_was_asked(cluster: Cluster) -> None:
    home = cluster.start("b", Probe)
    with pytest.raises(PayloadError, match="object is not registered"):
        cluster.wait(cluster.seen_from("a", home).ask(("unsendable", 1), block=False))
    assert home.is_alive()
