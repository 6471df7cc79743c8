"""The rules of a state machine's transition, without a process, a clock or a timer (gen_statem).

`Step` collects what the callbacks of one event decide. `Agenda` is what a machine has yet to
handle; `Agenda.complete` carries a step out in OTP's order:

1. the actions act in their order (`Step.add`; replies are sent by whoever drives the step);
2. a state that is new, first or repeated gets its enter call, whose actions act too;
3. a postponed event goes behind those put aside before it;
4. after a change of state everything put aside is retried, oldest first, before the queue;
5. inserted events go before all of that, the first one first;
6. timeouts are cancelled and set: any event ends the event timeout, a new state the state timeout;
7. the next event is the queue's first, then a timeout of time zero, else the machine waits.
"""

from __future__ import annotations

import math
from collections import deque
from typing import TYPE_CHECKING, Any

from supervisors.errors import CallbackError
from supervisors.results import Hibernate
from supervisors.state_machine.actions import (
    CancelTimeout,
    KeepState,
    NextEvent,
    NextState,
    Postpone,
    RepeatState,
    SetTimeout,
    SetTimeoutAt,
    StayAwake,
    UpdateTimeout,
)
from supervisors.state_machine.events import (
    STATE_TIMEOUT,
    TIMEOUT,
    Event,
    is_event_type,
    is_timeout,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from supervisors.state_machine.actions import Action, TimeoutAction
    from supervisors.state_machine.events import TimeoutType

TimerOrder = tuple["TimeoutType", SetTimeout | SetTimeoutAt | None]
"""What to do with a real timer: start it as the action says, or stop it (None)."""


class Step:
    """The transition of one event, while its callbacks decide it.

    `old_state` is the state the event met, `state` the one decided on. `enters` tells that an
    enter call is due (if the machine makes them), `entering` that one has the say now.
    """

    __slots__ = (
        "entering", "enters", "event", "hibernates", "inserted", "old_state", "postpones", "state",
        "timeouts",
    )  # fmt: skip

    def __init__(self, state: Any, event: Event) -> None:
        self.event = event
        self.old_state = state
        self.state = state
        self.enters = False
        self.entering = False
        self.postpones = False
        self.hibernates = False
        self.inserted: list[Event] = []
        self.timeouts: list[TimeoutAction] = []

    def enter(self) -> None:
        """Note that the enter call due is made now: until the end of the step it has the say."""
        self.enters = False
        self.entering = True

    def accept(self, result: Any) -> tuple[Action, ...]:
        """Take over what a callback's result says of the state, and give its actions.

        None keeps the state. Raises CallbackError for a result that is none, and for an enter
        call that would change the state.
        """
        kind = result.__class__
        if kind is NextState:
            if result.state != self.state:
                if self.entering:
                    raise CallbackError("bad_state_enter_return_from_state_function", result)
                self.state = result.state
                self.enters = True
        elif kind is RepeatState:
            self.enters = True
        elif result is None:
            return ()
        elif kind is not KeepState:
            raise CallbackError("bad_return_from_state_function", result)
        return result.actions  # type: ignore[no-any-return]

    def add(self, action: Any) -> None:
        """Take over one action other than a reply or a change of callbacks.

        Raises CallbackError for anything else, and for what an enter call may not do.
        """
        kind = action.__class__
        if kind in _TIMEOUT_ACTIONS:
            if not _is_sound(action):
                raise CallbackError("bad_action_from_state_function", action)
            self.timeouts.append(action)
        elif kind is NextEvent and is_event_type(action.event_type):
            self.refuse_entering(action)
            self.inserted.append(Event(action.event_type, action.content))
        elif kind is Postpone:
            if action.wanted:
                self.refuse_entering(action)
            self.postpones = action.wanted
        elif kind is Hibernate or kind is StayAwake:
            self.hibernates = kind is Hibernate
        else:
            raise CallbackError("bad_action_from_state_function", action)

    def refuse_entering(self, action: Any) -> None:
        """Raise CallbackError if an enter call asks for this: it may not redirect events."""
        if self.entering:
            raise CallbackError("bad_state_enter_action_from_state_function", action)


_TIMEOUT_ACTIONS = frozenset({SetTimeout, SetTimeoutAt, UpdateTimeout, CancelTimeout})


def _is_sound(action: Any) -> bool:
    """Tell whether an action on a timeout names one, and a time that can be."""
    if not is_timeout(action.timeout):
        return False
    kind = action.__class__
    if kind is SetTimeout:
        return isinstance(action.after_s, (int, float)) and action.after_s >= 0
    if kind is SetTimeoutAt:
        return isinstance(action.at_s, (int, float)) and not math.isnan(action.at_s)
    return True


class Agenda:
    """The events a machine has yet to handle and the timeouts it waits for.

    `queue` holds events inserted or retried, next first; `postponed` those put aside, oldest
    first; `timeouts` the content of each timeout that is set; `zeroes` those of time zero among
    them, in order of request.
    """

    __slots__ = ("postponed", "queue", "timeouts", "zeroes")

    def __init__(self) -> None:
        self.queue: deque[Event] = deque()
        self.postponed: list[Event] = []
        self.timeouts: dict[TimeoutType, Any] = {}
        self.zeroes: dict[TimeoutType, None] = {}

    def __bool__(self) -> bool:
        """Tell whether anything is kept here."""
        return bool(self.queue or self.postponed or self.timeouts)

    @property
    def waiting(self) -> int:
        """Count the events that were inserted, retried or put aside."""
        return len(self.queue) + len(self.postponed)

    @property
    def ready(self) -> bool:
        """Tell whether an event can be taken without receiving one."""
        return bool(self.queue or self.zeroes)

    def take(self) -> Event | None:
        """Give the next event that needs no receiving; a time-zero timeout has then run out."""
        if self.queue:
            return self.queue.popleft()
        for timeout in self.zeroes:
            return self.expire(timeout)
        return None

    def expire(self, timeout: TimeoutType) -> Event:
        """Give the event of a timeout that has run out."""
        self.zeroes.pop(timeout, None)
        return Event(timeout, self.timeouts.pop(timeout))

    def complete(self, step: Step) -> list[TimerOrder]:
        """Carry a decided step out; gives what is to be done with real timers, in order."""
        orders: list[TimerOrder] = []
        if step.postpones:
            self.postponed.append(step.event)
        if step.state != step.old_state:
            if self.postponed:
                self.queue.extendleft(reversed(self.postponed))
                self.postponed.clear()
            self._cancel(STATE_TIMEOUT, orders)
        self._cancel(TIMEOUT, orders)
        for action in _last_of_each(step.timeouts):
            self._set(action, orders)
        self.queue.extendleft(reversed(step.inserted))
        return orders

    def _set(self, action: TimeoutAction, orders: list[TimerOrder]) -> None:
        timeout = action.timeout
        if isinstance(action, UpdateTimeout):
            if timeout not in self.timeouts:
                self.zeroes[timeout] = None
            self.timeouts[timeout] = action.content
            return
        self._cancel(timeout, orders)
        if isinstance(action, CancelTimeout):
            return
        if isinstance(action, SetTimeoutAt):
            if action.at_s == math.inf:
                return
            orders.append((timeout, action))
        elif action.after_s == 0:
            self.zeroes[timeout] = None
        elif action.after_s == math.inf:
            return
        else:
            orders.append((timeout, action))
        self.timeouts[timeout] = action.content

    def _cancel(self, timeout: TimeoutType, orders: list[TimerOrder]) -> None:
        if timeout not in self.timeouts:
            return
        del self.timeouts[timeout]
        if timeout in self.zeroes:
            del self.zeroes[timeout]
        else:
            orders.append((timeout, None))


def _last_of_each(actions: Iterable[TimeoutAction]) -> Iterable[TimeoutAction]:
    """Keep of each timeout the last action, where it stands: that one wins (OTP)."""
    last: dict[TimeoutType, TimeoutAction] = {}
    for action in actions:
        last.pop(action.timeout, None)
        last[action.timeout] = action
    return last.values()
