"""The circuit breaker: its whole table, its rules under random use, and real calls through it."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from itertools import product
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from supervisors import Backoff, GenServer
from supervisors.breaker import (
    TABLE,
    Circuit,
    CircuitBreaker,
    Event,
    Moment,
    Settings,
    State,
    is_let_through,
)
from supervisors.errors import CallExit, CallTimeout, CircuitOpen, SupervisorsError

if TYPE_CHECKING:
    from supervisors import Ref
    from tests.supervisors.world import World

CLOSED, OPEN, HALF = State.CLOSED, State.OPEN, State.HALF_OPEN
SETTINGS = Settings(max_failures=3, reset=Backoff(min_s=1, max_s=8, jitter=0, reset_after_s=100))


def at(now_s: float, draw: float = 0.5, settings: Settings = SETTINGS) -> Moment:
    return Moment(settings, now_s, lambda: draw)


def apply(circuit: Circuit, event: Event, now_s: float) -> Circuit:
    return TABLE[circuit.state, event](circuit, at(now_s))


# --- the table -----------------------------------------------------------------------------------

BEFORE = {
    "closed": Circuit(CLOSED),
    "closed, one to go": Circuit(CLOSED, failures=2),
    "open, waiting": Circuit(OPEN, trips=1, retry_at_s=11.0),
    "open, due": Circuit(OPEN, trips=1, retry_at_s=10.0),
    "half open": Circuit(HALF, trips=1),
}
MATRIX: list[tuple[str, Event, State, bool]] = [
    ("closed", Event.ATTEMPT, CLOSED, True),
    ("closed", Event.SUCCESS, CLOSED, False),
    ("closed", Event.FAILURE, CLOSED, False),
    ("closed", Event.ABANDONED, CLOSED, False),
    ("closed, one to go", Event.ATTEMPT, CLOSED, True),
    ("closed, one to go", Event.SUCCESS, CLOSED, False),
    ("closed, one to go", Event.FAILURE, OPEN, False),
    ("closed, one to go", Event.ABANDONED, CLOSED, False),
    ("open, waiting", Event.ATTEMPT, OPEN, False),
    ("open, waiting", Event.SUCCESS, OPEN, False),
    ("open, waiting", Event.FAILURE, OPEN, False),
    ("open, waiting", Event.ABANDONED, OPEN, False),
    ("open, due", Event.ATTEMPT, HALF, True),
    ("open, due", Event.SUCCESS, OPEN, False),
    ("open, due", Event.FAILURE, OPEN, False),
    ("open, due", Event.ABANDONED, OPEN, False),
    ("half open", Event.ATTEMPT, HALF, False),
    ("half open", Event.SUCCESS, CLOSED, False),
    ("half open", Event.FAILURE, OPEN, False),
    ("half open", Event.ABANDONED, OPEN, False),
]


def test_the_table_and_its_test_cover_every_state_and_event() -> None:
    assert set(TABLE) == set(product(State, Event))
    assert {(name, event) for name, event, _, _ in MATRIX} == set(product(BEFORE, Event))


@pytest.mark.parametrize(("name", "event", "expected", "let_through"), MATRIX)
def test_each_event_in_each_state_leads_where_the_table_says(
    name: str, event: Event, expected: State, let_through: bool
) -> None:
    before = BEFORE[name]
    after = apply(before, event, 10.0)
    assert after.state is expected
    assert after.generation == before.generation + (after.state is not before.state)
    if event is Event.ATTEMPT:
        assert is_let_through(before, after) is let_through


def test_a_success_between_failures_begins_the_count_anew() -> None:
    circuit = Circuit()
    for event in (Event.FAILURE, Event.FAILURE, Event.SUCCESS, Event.FAILURE, Event.FAILURE):
        circuit = apply(circuit, event, 0.0)
    assert (circuit.state, circuit.failures) == (CLOSED, 2)


def test_each_failed_probe_waits_longer_up_to_the_cap() -> None:
    circuit, waits = Circuit(CLOSED, failures=2), []
    circuit = apply(circuit, Event.FAILURE, 0.0)
    for _ in range(6):
        waits.append(circuit.retry_at_s - circuit.since_s)
        circuit = apply(circuit, Event.ATTEMPT, circuit.retry_at_s)
        circuit = apply(circuit, Event.FAILURE, circuit.since_s)
    assert waits == [1, 2, 4, 8, 8, 8]


@pytest.mark.parametrize(("calm_s", "wait_s"), [(99.0, 4.0), (100.0, 1.0)])
def test_a_calm_time_makes_the_waits_begin_anew(calm_s: float, wait_s: float) -> None:
    closed = Circuit(CLOSED, failures=2, trips=2, since_s=0.0)
    opened = apply(closed, Event.FAILURE, calm_s)
    assert opened.retry_at_s - calm_s == wait_s


@pytest.mark.parametrize(("draw", "wait_s"), [(0.0, 0.8), (0.5, 1.0), (0.75, 1.1)])
def test_the_wait_is_drawn_within_its_jitter(draw: float, wait_s: float) -> None:
    settings = replace(SETTINGS, reset=Backoff(min_s=1, max_s=8, jitter=0.2))
    opened = TABLE[CLOSED, Event.FAILURE](Circuit(CLOSED, failures=2), at(0.0, draw, settings))
    assert opened.retry_at_s == pytest.approx(wait_s)


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"max_failures": 0}, "max_failures=0"),
        ({"call_timeout_s": 0.0}, "call_timeout_s=0.0"),
        ({"reset": Backoff(max_restarts=3)}, "max_restarts"),
    ],
)
def test_settings_that_could_not_work_are_refused(wrong: dict[str, Any], field: str) -> None:
    with pytest.raises(ValueError, match=field):
        Settings(**wrong)


class RandomUse(RuleBasedStateMachine):
    """Calls come, end well or badly or never, time passes; the promises hold throughout."""

    def __init__(self) -> None:
        super().__init__()
        self.circuit = Circuit()
        self.now_s = 0.0
        self.let_through: list[int] = []
        self.failures_in_a_row = 0

    def hear(self, event: Event, draw: float = 0.5) -> None:
        before = self.circuit
        moment = Moment(self.settings, self.now_s, lambda: draw)
        self.circuit = TABLE[before.state, event](before, moment)

    settings = Settings(max_failures=2, reset=Backoff(min_s=1, max_s=4, jitter=0.2))

    @rule()
    def attempt(self) -> None:
        before = self.circuit
        self.hear(Event.ATTEMPT)
        if is_let_through(before, self.circuit):
            assert before.state is not HALF
            assert before.state is CLOSED or self.now_s >= before.retry_at_s
            self.let_through.append(self.circuit.generation)
        else:
            assert self.circuit == before

    @precondition(lambda self: self.let_through)
    @rule(
        data=st.data(),
        event=st.sampled_from([Event.SUCCESS, Event.FAILURE, Event.ABANDONED]),
        draw=st.floats(0, 1, exclude_max=True),
    )
    def end_of_a_call(self, data: st.DataObject, event: Event, draw: float) -> None:
        which = data.draw(st.integers(0, len(self.let_through) - 1))
        generation = self.let_through.pop(which)
        before = self.circuit
        if generation != before.generation:
            return
        if before.state is CLOSED:
            counted = {Event.SUCCESS: 0, Event.FAILURE: self.failures_in_a_row + 1}
            self.failures_in_a_row = counted.get(event, self.failures_in_a_row)
        self.hear(event, draw)
        if before.state is CLOSED:
            opens = self.failures_in_a_row == self.settings.max_failures
            assert (self.circuit.state is OPEN) == opens
        if self.circuit.state is not before.state:
            self.failures_in_a_row = 0

    @rule(passes_s=st.floats(0, 10))
    def time(self, passes_s: float) -> None:
        self.now_s += passes_s

    @invariant()
    def a_half_open_circuit_has_one_probe_at_most(self) -> None:
        if self.circuit.state is HALF:
            assert self.let_through.count(self.circuit.generation) <= 1

    @invariant()
    def an_open_circuit_waits_within_its_bounds(self) -> None:
        if self.circuit.state is OPEN:
            assert self.circuit.retry_at_s - self.circuit.since_s <= 4 * 1.2 + 1e-9
            assert self.circuit.generation not in self.let_through

    @invariant()
    def the_count_never_reaches_the_limit_unnoticed(self) -> None:
        assert self.circuit.failures < self.settings.max_failures
        assert self.circuit.failures == self.failures_in_a_row


TestRandomUse = RandomUse.TestCase
TestRandomUse.settings = settings(deadline=None)


# --- real calls ----------------------------------------------------------------------------------


class Backend(GenServer):
    """Answers, fails or is slow, as it was told last."""

    def init(self) -> None:
        self.mood: Any = "well"
        self.calls = 0

    def handle_cast(self, message: Any) -> None:
        self.mood = message

    async def handle_call(self, message: Any, caller: Any) -> Any:
        self.calls += 1
        if self.mood == "slow":
            await self.sleep(60)
        if self.mood == "bad":
            caller.fail(LookupError("bad"))
        return self.calls


class Client(GenServer):
    def init(self, backend: Ref[Any], changes: list[Any], counts: Any = lambda _: True) -> None:
        self.backend = backend
        self.breaker = CircuitBreaker(
            "backend",
            replace(SETTINGS, call_timeout_s=2.0),
            counts=counts,
            on_change=lambda *change: changes.append(change),
        )

    async def handle_call(self, message: Any, caller: Any) -> Any:
        if message == "breaker":
            return self.breaker
        try:
            return await self.breaker.call(lambda: self.backend.call("x", None))
        except (LookupError, CallTimeout, CallExit, CircuitOpen) as error:
            return error


class Case:
    """A client with a breaker in front of a backend."""

    def __init__(self, world: World, **options: Any) -> None:
        self.world = world
        self.changes: list[Any] = []
        self.backend = world.start(Backend)
        self.client = world.start(Client, self.backend, self.changes, **options)

    def call(self, mood: str) -> Any:
        self.backend.cast(mood)
        return self.world.call(self.client, "go", None)

    @property
    def breaker(self) -> CircuitBreaker:
        return self.world.call(self.client, "breaker")  # type: ignore[no-any-return]


def test_answers_go_through_a_closed_circuit(world: World) -> None:
    case = Case(world)
    assert [case.call("well") for _ in range(3)] == [1, 2, 3]
    assert case.breaker.state is CLOSED


def test_failures_in_a_row_open_the_circuit_and_calls_are_refused_at_once(world: World) -> None:
    case = Case(world)
    assert all(isinstance(case.call("bad"), LookupError) for _ in range(3))
    now_s = world.now_s()
    error = case.call("well")
    assert isinstance(error, CircuitOpen)
    assert error.name == "backend"
    assert error.retry_after_s == pytest.approx(1.0)
    assert world.now_s() == now_s
    assert case.breaker.refused == 1
    assert case.changes == [("backend", CLOSED, OPEN)]


def test_a_call_without_an_answer_is_a_failure_after_the_call_timeout(world: World) -> None:
    case = Case(world)
    assert isinstance(case.call("slow"), CallTimeout)
    assert world.now_s() == pytest.approx(2.0, abs=0.01)
    assert case.breaker.circuit.failures == 1


def test_a_dead_backend_opens_the_circuit(world: World) -> None:
    case = Case(world)
    case.backend.kill()
    assert all(isinstance(case.call("well"), CallExit) for _ in range(3))
    assert case.breaker.state is OPEN


def test_the_probe_closes_the_circuit_when_it_is_answered(world: World) -> None:
    case = Case(world)
    for _ in range(3):
        case.call("bad")
    world.advance(1.0)
    assert case.call("well") == 4
    assert case.changes == [
        ("backend", CLOSED, OPEN),
        ("backend", OPEN, HALF),
        ("backend", HALF, CLOSED),
    ]


def test_a_probe_that_fails_opens_the_circuit_for_longer(world: World) -> None:
    case = Case(world)
    for _ in range(3):
        case.call("bad")
    world.advance(1.0)
    assert isinstance(case.call("bad"), LookupError)
    error = case.call("well")
    assert isinstance(error, CircuitOpen)
    assert error.retry_after_s == pytest.approx(2.0, abs=0.01)


def test_errors_that_are_answers_do_not_count(world: World) -> None:
    case = Case(world, counts=lambda error: not isinstance(error, LookupError))
    assert all(isinstance(case.call("bad"), LookupError) for _ in range(10))
    assert case.breaker.state is CLOSED


class Shares(GenServer):
    """Uses a breaker that others use as well."""

    async def handle_call(self, message: Any, caller: Any) -> Any:
        breaker, function = message
        try:
            return await breaker.call(function)
        except CircuitOpen as error:
            return error


def test_half_open_lets_exactly_one_through(world: World) -> None:
    case = Case(world)
    for _ in range(3):
        case.call("bad")
    case.backend.cast("slow")
    world.advance(1.0)
    breaker = case.breaker
    sharers = [world.start(Shares) for _ in range(4)]
    ask = (breaker, lambda: case.backend.call("x", None))
    answers = [sharer.call(ask, None) for sharer in sharers]
    world.settle()
    refused = [answer.result() for answer in answers if answer.done()]
    assert len(refused) == 3
    assert all(isinstance(error, CircuitOpen) for error in refused)
    assert all(error.retry_after_s == pytest.approx(2.0, abs=0.1) for error in refused)


def test_a_probe_whose_caller_is_killed_leaves_the_way_to_the_next(world: World) -> None:
    case = Case(world)
    for _ in range(3):
        case.call("bad")
    case.backend.cast("slow")
    world.advance(1.0)
    breaker, sharer, well = case.breaker, world.start(Shares), world.start(Backend)
    sharer.call((breaker, lambda: case.backend.call("x", None)), None)
    world.settle()
    assert breaker.state is HALF
    sharer.kill()
    world.settle()
    assert breaker.state is OPEN
    assert world.call(world.start(Shares), (breaker, lambda: well.call("x")), None) == 1


def test_late_news_of_an_earlier_time_changes_nothing(world: World) -> None:
    case = Case(world)
    breaker, late = case.breaker, world.start(Shares)
    breaker.settings = replace(breaker.settings, call_timeout_s=600.0)
    pending = world.start(Backend)
    pending.cast("slow")
    answer = late.call((breaker, lambda: pending.call("x", None)), None)
    world.settle()
    for _ in range(3):
        case.call("bad")
    opened = breaker.circuit
    assert opened.state is OPEN
    assert world.wait(answer) == 1
    assert breaker.circuit == opened


def test_outside_of_a_handler_a_breaker_has_no_clock() -> None:
    async def outside() -> None:
        await CircuitBreaker("x").call(lambda: asyncio.sleep(0))

    with pytest.raises(SupervisorsError, match="in a handler"):
        asyncio.run(outside())
