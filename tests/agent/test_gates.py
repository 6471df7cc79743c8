"""Admission: what holds of any orders, in whatever order they come and end."""

from __future__ import annotations

import dataclasses
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fifo.agent import limits, names
from fifo.agent.gates import Gates
from fifo.agent.orders import BOOTS, CREATES, OTHERS, STARTS, STOPS, Order
from fifo.model.errors import Unavailable
from tests.agent.world import HOST, AgentWorld

MOST = {STARTS: 2, BOOTS: 1, CREATES: 1, OTHERS: limits.PARALLEL_OTHERS}
VERBS = {STARTS: "start", BOOTS: "start", CREATES: "create", STOPS: "stop", OTHERS: "delete"}
ORDERS = st.tuples(st.sampled_from(sorted(VERBS)), st.sampled_from(["", "a", "b", "c"]))
STEPS = st.lists(st.one_of(ORDERS, st.integers(0, 20)), max_size=60)
"""Either an order is given, or one of those that run ends."""


@pytest.fixture(scope="module")
def world() -> AgentWorld:
    """Whose settings are taken; its driver's owner is only named."""
    return AgentWorld()


def gates_of(world: AgentWorld) -> Gates:
    """Make gates that are soon full."""
    few = dataclasses.replace(world.settings, parallel_starts=2, boot_starts=1, parallel_creates=1)
    return Gates(few, world.node.address(names.driver(HOST)))


def give(gates: Gates, gate: str, subject: str = "") -> tuple[Order, bool]:
    """Give an order; gives it and whether it runs."""
    order = Order(VERBS[gate], (), 1.0, subject=subject, gate=gate)
    return order, gates.admit(order)


def check(running: list[Order]) -> None:
    """No gate lets more through than it may, and of one subject only stops run beside a stop."""
    for gate, count in Counter(order.gate for order in running if not order.beside).items():
        assert count <= MOST.get(gate, limits.PARALLEL_STOPS)
    for subject in {order.subject for order in running} - {""}:
        verbs = [order.verb for order in running if order.subject == subject]
        assert len(verbs) == 1 or set(verbs) == {"stop"}


@given(STEPS)
def test_every_order_runs_once_and_none_beside_what_it_has_to_wait_for(
    world: AgentWorld, steps: list[tuple[str, str] | int]
) -> None:
    gates = gates_of(world)
    orders: list[Order] = []
    ran: list[Order] = []
    running: list[Order] = []
    for step in [*steps, *[0] * len(steps)]:
        if isinstance(step, tuple):
            order, runs = give(gates, *step)
            orders.append(order)
            began: tuple[Order, ...] = (order,) if runs else ()
        elif running:
            began = gates.leave(running.pop(step % len(running)))
        else:
            continue
        ran += began
        running += began
        check(running)
    assert sorted(map(id, ran)) == sorted(map(id, orders))


def test_a_refused_order_takes_no_place(world: AgentWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "ORDERS_WAITING", 1)
    gates = gates_of(world)
    first, runs = give(gates, CREATES, "a")
    behind, waits = give(gates, CREATES, "b")
    assert (runs, waits) == (True, False)
    with pytest.raises(Unavailable, match="1 orders wait"):
        give(gates, CREATES, "c")
    own = Order("probe", (), 1.0, gate=CREATES, to=world.node.address(names.driver(HOST)))
    assert not gates.admit(own)
    assert gates.leave(first) == (behind,)
    assert gates.leave(behind) == (own,)
    assert gates.leave(own) == ()
    assert give(gates, CREATES, "c")[1]
