"""Three ways to run a program: the pure core alone, a plain model of the rules, a real machine.

Core and model count whole milliseconds, as the timer wheel does: sums of seconds would part what is
due at one time. Of timers that are, the one that was set first comes first.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any, NamedTuple

from supervisors.hosts.simulated import SimulatedHost
from supervisors.state_machine.actions import (
    CancelTimeout,
    NextEvent,
    NextState,
    Postpone,
    RepeatState,
    SetTimeout,
    UpdateTimeout,
)
from supervisors.state_machine.callbacks import HANDLE_EVENT_FUNCTION, STATE_FUNCTIONS
from supervisors.state_machine.events import CAST, INTERNAL, STATE_TIMEOUT, TIMEOUT, Enter, Event
from supervisors.state_machine.machine import StateMachine
from supervisors.state_machine.transitions import Agenda, Step
from tests.supervisors.state_machine.programs import REST_MS, Program, Reader, Trace

if TYPE_CHECKING:
    from collections.abc import Generator

# -- the pure core, with a list for a mailbox and a number for a clock ------------------------


class Core:
    """Drives `Step` and `Agenda` as a process would."""

    def __init__(self, program: Program) -> None:
        self.reader = Reader(program)
        self.enters = program["enter"]
        self.state = program["first_state"]
        self.agenda = Agenda()
        self.mailbox: deque[Any] = deque()
        self.timers: dict[Any, tuple[int, int]] = {}
        self.now_ms = 0
        self.armed = 0
        first = RepeatState(*self.reader.first(), Postpone(wanted=False))
        self.step(Event(INTERNAL, "init"), first)
        self.go_on()

    def step(self, event: Event, result: Any) -> None:
        step = Step(self.state, event)
        while True:
            for action in step.accept(result):
                step.add(action)
            if not (step.enters and self.enters):
                break
            step.enter()
            result = self.reader.answer(step.state, Enter(step.old_state), None)
        self.state = step.state
        for timeout, order in self.agenda.complete(step):
            if order is None:
                del self.timers[timeout]
                self.mailbox = deque(one for one in self.mailbox if one != timeout)
            else:
                assert isinstance(order, SetTimeout)
                self.armed += 1
                self.timers[timeout] = (self.now_ms + ms(order.after_s), self.armed)

    def go_on(self) -> None:
        while True:
            event = self.agenda.take()
            if event is None:
                if not self.mailbox:
                    return
                received = self.mailbox.popleft()
                if isinstance(received, Event):
                    event = received
                else:
                    del self.timers[received]
                    event = self.agenda.expire(received)
            self.step(event, self.reader.answer(self.state, *event))

    def cast(self, contents: list[str]) -> None:
        self.mailbox.extend(Event(CAST, content) for content in contents)
        self.go_on()

    def advance(self, after_ms: int) -> None:
        until_ms = self.now_ms + after_ms
        while self.timers:
            timeout, (due_ms, _) = min(self.timers.items(), key=lambda item: item[1])
            if due_ms > until_ms:
                break
            self.now_ms = due_ms
            self.mailbox.append(timeout)
            self.go_on()
        self.now_ms = until_ms


# -- the model: one line of events, in the order in which they will be handled ----------------


class Waiting(NamedTuple):
    """One event in the line; `kind` says why it is there."""

    kind: str  # "queued", "zero" or "received"
    event_type: Any
    content: Any


class Model:
    """The rules of gen_statem, said about a single line of events and slowly."""

    def __init__(self, program: Program) -> None:
        self.reader = Reader(program)
        self.enters = program["enter"]
        self.state = program["first_state"]
        self.line: list[Waiting] = []
        self.aside: list[Waiting] = []
        self.running: list[list[Any]] = []  # [due_ms, timeout, content], as they were set
        self.now_ms = 0
        before = self.state
        actions = self.reader.first()
        if self.enters:
            actions += self.enter(before)
        self.act(actions)
        self.go_on()

    def enter(self, before: str) -> list[Any]:
        actions: list[Any] = []
        again = True
        while again:
            result = self.reader.answer(self.state, Enter(before), None)
            actions += result.actions if result is not None else ()
            again = isinstance(result, RepeatState)
        return actions

    def handle(self, waiting: Waiting) -> None:
        before = self.state
        result = self.reader.answer(before, waiting.event_type, waiting.content)
        actions = list(result.actions) if result is not None else []
        if isinstance(result, NextState):
            self.state = result.state
        if self.enters and (self.state != before or isinstance(result, RepeatState)):
            actions += self.enter(before)
        if Postpone() in actions:
            self.aside.append(waiting._replace(kind="queued"))
        if self.state != before:
            self.line[:0] = self.aside
            self.aside = []
            self.forget(STATE_TIMEOUT)
        self.forget(TIMEOUT)
        self.act(actions)

    def act(self, actions: list[Any]) -> None:
        for place, action in enumerate(actions):
            if isinstance(action, (NextEvent, Postpone)):
                continue
            later = actions[place + 1 :]
            if any(getattr(other, "timeout", None) == action.timeout for other in later):
                continue
            self.time(action)
        inserted = [action for action in actions if isinstance(action, NextEvent)]
        self.line[:0] = [Waiting("queued", one.event_type, one.content) for one in inserted]

    def time(self, action: Any) -> None:
        if isinstance(action, UpdateTimeout):
            for entry in self.running:
                if entry[1] == action.timeout:
                    entry[2] = action.content
                    return
            for place, waiting in enumerate(self.line):
                if waiting.kind == "zero" and waiting.event_type == action.timeout:
                    self.line[place] = waiting._replace(content=action.content)
                    return
        else:
            self.forget(action.timeout)
        if isinstance(action, CancelTimeout):
            return
        after_ms = ms(action.after_s) if isinstance(action, SetTimeout) else 0
        if after_ms:
            self.running.append([self.now_ms + after_ms, action.timeout, action.content])
        else:
            received = [one.kind == "received" for one in self.line]
            place = received.index(True) if True in received else len(received)
            self.line.insert(place, Waiting("zero", action.timeout, action.content))

    def forget(self, timeout: Any) -> None:
        self.running = [entry for entry in self.running if entry[1] != timeout]
        self.line = [one for one in self.line if one.kind != "zero" or one.event_type != timeout]

    def go_on(self) -> None:
        while self.line:
            self.handle(self.line.pop(0))

    def cast(self, contents: list[str]) -> None:
        self.line += [Waiting("received", CAST, content) for content in contents]
        self.go_on()

    def advance(self, after_ms: int) -> None:
        until_ms = self.now_ms + after_ms
        while due := [entry for entry in self.running if entry[0] <= until_ms]:
            first = min(due, key=lambda entry: entry[0])
            self.running.remove(first)
            self.now_ms, timeout, content = first
            self.handle(Waiting("received", timeout, content))
            self.go_on()
        self.now_ms = until_ms


# -- the real machine, on the simulated host ---------------------------------------------------


class Pause:
    """What a callback awaits to give up its turn once."""

    def __await__(self) -> Generator[None, None, None]:
        yield


class EventMachine(StateMachine):
    """A program in mode HANDLE_EVENT_FUNCTION."""

    callback_mode = HANDLE_EVENT_FUNCTION

    def init(self, reader: Reader) -> Any:
        self.reader = reader
        return (reader.program["first_state"], *reader.first())

    def handle_event(self, event_type: Any, content: Any, state: Any) -> Any:
        return self.reader.answer(state, event_type, content)


class StateFunctionMachine(EventMachine):
    """The same in mode STATE_FUNCTIONS."""

    callback_mode = STATE_FUNCTIONS

    def a(self, event_type: Any, content: Any) -> Any:
        return self.reader.answer("a", event_type, content)

    async def b(self, event_type: Any, content: Any) -> Any:
        await Pause()
        return self.reader.answer("b", event_type, content)

    def c(self, event_type: Any, content: Any) -> Any:
        return self.reader.answer("c", event_type, content)


class EnteringEventMachine(EventMachine):
    state_enter = True


class EnteringStateFunctionMachine(StateFunctionMachine):
    state_enter = True


class Real:
    """Runs a StateMachine under the simulated host."""

    def __init__(self, program: Program, machine_class: type[StateMachine]) -> None:
        self.reader = Reader(program)
        self.host = SimulatedHost()
        node = self.host.node(log_reports=False)
        self.machine = node.start(machine_class, self.reader).get()
        self.host.run_ready()

    def cast(self, contents: list[str]) -> None:
        for content in contents:
            self.machine.cast(content)
        self.host.run_ready()

    def advance(self, after_ms: int) -> None:
        self.host.advance(after_ms / 1000)


def ms(seconds: float) -> int:
    """Give a time of a program, which is of whole milliseconds, as them."""
    return round(seconds * 1000)


def run(runner: Any) -> Trace:
    """Let a runner work through its program's script, then come to rest; gives the trace."""
    for verb, argument in (*runner.reader.program["script"], ("pass", REST_MS)):
        if verb == "cast":
            runner.cast(argument)
        else:
            runner.advance(argument)
    trace: Trace = runner.reader.trace
    return trace


def machine_class(program: Program, *, state_functions: bool) -> type[StateMachine]:
    """Choose the class that runs a program in a callback mode."""
    if program["enter"]:
        return EnteringStateFunctionMachine if state_functions else EnteringEventMachine
    return StateFunctionMachine if state_functions else EventMachine
