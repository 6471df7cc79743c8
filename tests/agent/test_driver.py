"""The owner of the driver: one order about an instance at a time, gates, sight, crashes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from fifo.agent import limits, names
from fifo.agent.orders import Order
from fifo.hypervisors.simulated.faults import EVENTS, Fault
from fifo.hypervisors.simulated.settings import HostSettings
from fifo.model.errors import Cancelled, DeadlineExceeded, DriverFailed, Unavailable
from supervisors import Future
from tests.agent.world import HOST, AgentWorld, CountingDriver, newer, spec_of, uid_of

if TYPE_CHECKING:
    from fifo.hypervisors.driver import Stats


@pytest.fixture
def world() -> AgentWorld:
    """An agent on a host whose deletes take a second."""
    return AgentWorld(host=HostSettings(latency_s={"delete": (1.0, 1.0)}))


def order(world: AgentWorld, verb: str, *args: Any, **more: Any) -> tuple[Order, Future[Any]]:
    """Give an order; gives it and the future of its answer."""
    answer: Future[Any] = Future(world.node.shard)
    given = Order(verb, args, more.pop("deadline_s", 60.0), caller=answer, **more)
    world.node.address(names.driver(HOST)).cast(given)
    return given, answer


def test_orders_about_one_instance_run_one_after_the_other(world: AgentWorld) -> None:
    answers = [order(world, "delete", uid_of(1), subject=uid_of(1))[1] for _ in range(3)]
    other = order(world, "delete", uid_of(2), subject=uid_of(2))[1]
    done = []
    for moment_s in (1.5, 2.5, 3.5):
        world.time.advance(moment_s - world.time.now_s)
        done.append((sum(answer.done() for answer in answers), other.done()))
    assert done == [(1, True), (2, True), (3, True)]


def test_an_order_that_hangs_ends_at_its_deadline_and_the_next_goes_on(world: AgentWorld) -> None:
    world.host.faults.add(Fault("delete", "hang", times=1))
    hung = order(world, "delete", uid_of(1), subject=uid_of(1), deadline_s=5.0)[1]
    behind = order(world, "delete", uid_of(1), subject=uid_of(1))[1]
    with pytest.raises(DeadlineExceeded, match="delete was not done within 5 s"):
        hung.get()
    assert world.time.now_s == pytest.approx(5.0, abs=0.1)
    behind.get()
    assert world.time.now_s == pytest.approx(6.0, abs=0.1)


def test_a_deadline_counts_from_the_call_and_not_from_the_order(world: AgentWorld) -> None:
    answers = [
        order(world, "delete", uid_of(1), subject=uid_of(1), deadline_s=1.5)[1] for _ in range(5)
    ]
    assert [answer.get() for answer in answers] == [None] * 5


def test_a_withdrawn_order_is_not_carried_out(world: AgentWorld) -> None:
    order(world, "delete", uid_of(1), subject=uid_of(1))
    given, answer = order(world, "delete", uid_of(1), subject=uid_of(1))
    given.withdrawn = True
    with pytest.raises(Cancelled):
        answer.get()
    assert world.time.now_s < 1.5


def test_a_gate_lets_so_many_through_and_no_more() -> None:
    world = AgentWorld(host=HostSettings(latency_s={"start": (1.0, 2.0)}), seed=1)
    world.time.advance(1.0)
    under_way = world.watch_starts()
    world.realise_all(spec_of(number) for number in range(50))
    for number in range(50):
        world.await_state(uid_of(number), "running")
    assert max(under_way) == limits.PARALLEL_STARTS
    assert len(under_way) == 50


def test_what_hangs_at_one_gate_holds_up_no_other(world: AgentWorld) -> None:
    world.host.faults.add(Fault("start", "hang", times=limits.PARALLEL_STARTS))
    running = spec_of(900)
    world.realise_all(spec_of(number) for number in range(limits.PARALLEL_STARTS))
    world.time.advance(1.0)
    world.realise(running)
    world.realise(newer(running, wanted="stopped"))
    world.time.advance(1.0)
    assert world.command("remove", uid_of(901)).failure is None
    world.await_state(running.uid, "stopped")


class BrokenDriver(CountingDriver):
    """A driver with a mistake in it."""

    async def stats(self) -> tuple[Stats, ...]:
        raise ZeroDivisionError("a mistake")


def test_a_driver_that_crashes_fails_the_call_and_nothing_else(world: AgentWorld) -> None:
    world.time.run_ready()
    owner = world.node.address(names.driver(HOST))
    owner._process.driver = BrokenDriver(world.host)
    with pytest.raises(DriverFailed, match="the driver crashed"):
        order(world, "stats")[1].get()
    assert owner.is_alive()
    assert world.crashes() == ["ZeroDivisionError: a mistake"]


def test_a_call_that_is_interrupted_may_have_been_done(world: AgentWorld) -> None:
    answer = order(world, "delete", uid_of(1), subject=uid_of(1))[1]
    world.time.advance(0.5)
    world.kill_if_there(names.tasks(HOST))
    with pytest.raises(Unavailable, match="interrupted"):
        answer.get()


def test_a_host_out_of_sight_is_asked_again_until_it_is_seen() -> None:
    world = AgentWorld(host=HostSettings(faults=(Fault(EVENTS, "broken", times=3),)))
    spec = spec_of(1)
    world.realise(spec)
    world.await_state(spec.uid, "running")
    world.host.end(spec.uid)
    world.until(lambda: world.host.find(spec.uid).running, patience_s=300.0)


def test_what_no_event_tells_of_is_noticed_in_a_minute(world: AgentWorld) -> None:
    spec = spec_of(1, wanted="stopped")
    world.realise(spec)
    world.await_state(spec.uid, "stopped")
    guest = world.host.find(spec.uid)
    world.host.boot(guest, 7)
    world.until(lambda: not guest.running, patience_s=limits.ROUND_S + 1.0)
    world.await_state(spec.uid, "stopped")


def test_more_orders_than_may_wait_are_refused_and_the_others_are_done(
    world: AgentWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "ORDERS_WAITING", 10)
    world.time.advance(1.0)
    running = limits.PARALLEL_OTHERS
    answers = [
        order(world, "delete", uid_of(number), subject=uid_of(number))[1]
        for number in range(running + 12)
    ]
    behind = order(world, "delete", uid_of(1), subject=uid_of(1))[1]
    world.time.run_ready()
    refused = [answer for answer in answers if answer.done()]
    assert refused == answers[-2:]
    for answer in (*refused, behind):
        with pytest.raises(Unavailable, match="10 orders wait"):
            answer.get()
    assert [answer.get() for answer in answers[:-2]] == [None] * (running + 10)
    again = [
        order(world, "delete", uid_of(number), subject=uid_of(number))[1]
        for number in range(running + 10)
    ]
    assert [answer.get() for answer in again] == [None] * (running + 10)


def test_a_call_that_was_withdrawn_while_it_ran_is_counted_and_one_before_its_turn_is_not(
    world: AgentWorld,
) -> None:
    running, answer = order(world, "delete", uid_of(1), subject=uid_of(1))
    waiting, later = order(world, "delete", uid_of(1), subject=uid_of(1))
    world.time.advance(0.5)
    running.withdrawn = waiting.withdrawn = True
    answer.get()
    with pytest.raises(Cancelled):
        later.get()
    assert world.settings.calls.counts["delete", "ok"] == 1
    assert world.settings.calls.counts["delete", "failed"] == 0
