"""A circuit breaker: stop calling what does not answer, and try it again ever more rarely.

After Akka's CircuitBreaker. The rules are a table from a state and an event to a
function of values (`TABLE`); `CircuitBreaker` only applies it to real calls and a real clock.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import Enum
from typing import TYPE_CHECKING, Any, Final, TypeVar

from supervisors import context, limits
from supervisors.backoff import Backoff
from supervisors.deadline import within
from supervisors.errors import CircuitOpen, SupervisorsError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

T = TypeVar("T")


class State(Enum):
    """Where a circuit stands."""

    CLOSED = "closed"
    """Calls go through; failures in a row are counted."""
    OPEN = "open"
    """Calls are refused until the reset time is over."""
    HALF_OPEN = "half_open"
    """One call, the probe, is on its way; its outcome decides, and all others are refused."""


class Event(Enum):
    """What a circuit hears of."""

    ATTEMPT = "attempt"
    """Somebody wants to call."""
    SUCCESS = "success"
    """A call that was let through was answered."""
    FAILURE = "failure"
    """A call that was let through failed, or got no answer in time."""
    ABANDONED = "abandoned"
    """A call that was let through will have no outcome: its caller was ended."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What makes a circuit open and how long it stays so; checked when made (ValueError).

    `max_failures` failures in a row open it. `reset` gives the time until the first probe, longer
    after each probe that fails, up to its cap, with its jitter; after `reset.reset_after_s` of
    calm the times begin anew. A call without an answer after `call_timeout_s` has failed.
    """

    max_failures: int = limits.BREAKER_FAILURES
    call_timeout_s: float = limits.CALL_TIMEOUT_S
    reset: Backoff = field(default_factory=lambda: Backoff(min_s=1.0, max_s=60.0))

    def __post_init__(self) -> None:
        """Refuse what could never open, or never time out."""
        if self.max_failures < 1:
            raise ValueError(f"max_failures={self.max_failures} must be at least 1")
        if not self.call_timeout_s > 0:
            raise ValueError(f"call_timeout_s={self.call_timeout_s} must be above 0")
        if self.reset.max_restarts is not None:
            raise ValueError("reset.max_restarts must be None: a breaker never gives up for good")


@dataclass(frozen=True, slots=True)
class Circuit:
    """One circuit as a value; times are the shard's seconds.

    `generation` numbers the stretches between changes of state, so that the outcome of a call let
    through in an earlier one is recognised as late news. `trips` counts the openings in a row.
    """

    state: State = State.CLOSED
    generation: int = 0
    failures: int = 0
    trips: int = 0
    since_s: float = 0.0
    retry_at_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Moment:
    """What a transition may know of the world: the settings, the time, and a draw from 0 to 1."""

    settings: Settings
    now_s: float
    draw: Callable[[], float]


def _move(circuit: Circuit, state: State, moment: Moment, **changes: Any) -> Circuit:
    generation = circuit.generation + 1
    return replace(
        circuit, state=state, generation=generation, since_s=moment.now_s, failures=0, **changes
    )


def _stay(circuit: Circuit, _: Moment) -> Circuit:
    return circuit


def _forget_failures(circuit: Circuit, _: Moment) -> Circuit:
    return replace(circuit, failures=0) if circuit.failures else circuit


def _count_failure(circuit: Circuit, moment: Moment) -> Circuit:
    failures = circuit.failures + 1
    if failures < moment.settings.max_failures:
        return replace(circuit, failures=failures)
    calm_s = moment.now_s - circuit.since_s
    return _trip(circuit, moment, moment.settings.reset.next_attempt(circuit.trips, calm_s))


def _trip(circuit: Circuit, moment: Moment, trips: int) -> Circuit:
    wait_s = moment.settings.reset.delay_s(trips, moment.draw)
    return _move(circuit, State.OPEN, moment, trips=trips, retry_at_s=moment.now_s + wait_s)


def _probe_when_due(circuit: Circuit, moment: Moment) -> Circuit:
    if moment.now_s < circuit.retry_at_s:
        return circuit
    return _move(circuit, State.HALF_OPEN, moment)


def _close(circuit: Circuit, moment: Moment) -> Circuit:
    return _move(circuit, State.CLOSED, moment)


def _trip_again(circuit: Circuit, moment: Moment) -> Circuit:
    return _trip(circuit, moment, circuit.trips + 1)


def _give_the_probe_up(circuit: Circuit, moment: Moment) -> Circuit:
    return _move(circuit, State.OPEN, moment, retry_at_s=moment.now_s)


TABLE: Final[dict[tuple[State, Event], Callable[[Circuit, Moment], Circuit]]] = {
    (State.CLOSED, Event.ATTEMPT): _stay,
    (State.CLOSED, Event.SUCCESS): _forget_failures,
    (State.CLOSED, Event.FAILURE): _count_failure,
    (State.CLOSED, Event.ABANDONED): _stay,
    (State.OPEN, Event.ATTEMPT): _probe_when_due,
    (State.OPEN, Event.SUCCESS): _stay,
    (State.OPEN, Event.FAILURE): _stay,
    (State.OPEN, Event.ABANDONED): _stay,
    (State.HALF_OPEN, Event.ATTEMPT): _stay,
    (State.HALF_OPEN, Event.SUCCESS): _close,
    (State.HALF_OPEN, Event.FAILURE): _trip_again,
    (State.HALF_OPEN, Event.ABANDONED): _give_the_probe_up,
}
"""The whole behaviour of a circuit; outcomes reach it only in the generation they belong to."""


def is_let_through(before: Circuit, after: Circuit) -> bool:
    """Tell whether an attempt that moved `before` to `after` may call."""
    return after.state is State.CLOSED or (
        before.state is State.OPEN and after.state is State.HALF_OPEN
    )


class CircuitBreaker:
    """Guards calls to one thing that may be down; lives on one shard, used in its handlers.

    `counts` tells errors that mean trouble from those that are an answer like any other, by
    default all are trouble. `on_change(name, before, after)` is called on the shard's thread after
    each change of state and must not raise.
    """

    def __init__(
        self,
        name: str,
        settings: Settings | None = None,
        *,
        counts: Callable[[Exception], bool] = lambda _: True,
        on_change: Callable[[str, State, State], None] | None = None,
    ) -> None:
        self.name = name
        self.settings = settings if settings is not None else Settings()
        self.circuit = Circuit()
        self.refused = 0
        self._counts = counts
        self._on_change = on_change

    def __repr__(self) -> str:
        return f"<CircuitBreaker {self.name!r} {self.circuit.state.value}>"

    @property
    def state(self) -> State:
        """Where the circuit stands; an open one whose time is over is open until somebody calls."""
        return self.circuit.state

    async def call(self, function: Callable[[], Awaitable[T]]) -> T:
        """Call `function` and await what it gives, if the circuit lets it through.

        `await breaker.call(lambda: ref.call("status"))`. Raises CircuitOpen at once if not,
        CallTimeout after the settings' call timeout, and else what the call raises.
        """
        shard = context.running_shard()
        if shard is None:
            raise SupervisorsError(f"{self!r} runs on a shard's clock: call it in a handler")
        generation = self._admit(shard)
        outcome = Event.ABANDONED
        try:
            answer = await within(self.settings.call_timeout_s, function())
            outcome = Event.SUCCESS
        except Exception as error:
            outcome = Event.FAILURE if self._counts(error) else Event.SUCCESS
            raise
        finally:
            if self.circuit.generation == generation:
                self._hear(outcome, shard)
        return answer

    def _admit(self, shard: Any) -> int:
        before = self.circuit
        after = self._hear(Event.ATTEMPT, shard)
        if not is_let_through(before, after):
            self.refused += 1
            probing = after.state is State.HALF_OPEN
            due_s = after.since_s + self.settings.call_timeout_s if probing else after.retry_at_s
            raise CircuitOpen(self.name, max(0.0, due_s - shard.now_s()))
        return after.generation

    def _hear(self, event: Event, shard: Any) -> Circuit:
        before = self.circuit
        moment = Moment(self.settings, shard.now_s(), shard.node.random.random)
        self.circuit = after = TABLE[before.state, event](before, moment)
        if after.state is not before.state and self._on_change is not None:
            self._on_change(self.name, before.state, after.state)
        return after
