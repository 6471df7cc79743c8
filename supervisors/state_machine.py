"""A process with OTP's gen_statem callbacks: states, events, timeouts, postponed events."""

from __future__ import annotations

from types import CoroutineType
from typing import TYPE_CHECKING, Any, ClassVar, Final, Self

from supervisors import callbacks, limits
from supervisors.actions import (
    ChangeCallbacks,
    PopCallbacks,
    Postpone,
    PushCallbacks,
    RepeatState,
    ReplyTo,
    StartIn,
    StopAndReply,
)
from supervisors.alarms import DROWSE, Alarm, Alarms
from supervisors.callbacks import STATE_FUNCTIONS
from supervisors.errors import CallbackError, Throw
from supervisors.events import CAST, INFO, INTERNAL, Ask, Call, Enter, Event
from supervisors.gen_server import start_and_wait
from supervisors.messages import INFO as INFO_KIND
from supervisors.process import DOOMED, Process
from supervisors.results import NOTHING, Continue, Hibernate, Ignore, NoReply, Stop
from supervisors.transitions import Agenda, Step

if TYPE_CHECKING:
    from collections.abc import Generator

    from supervisors.ref import Ref

_GO_ON: Final = object()
"""A continuation: take up the events that are queued."""
_DOZE: Final = object()
"""A message to itself: hibernate, if that was what the last event asked for."""


class StateMachine(Process):
    """A state machine with gen_statem's rules (otp.md 4.13).

    `init` gives the first state. In mode STATE_FUNCTIONS an event in state "locked" goes to
    `locked(event_type, content)`, in mode HANDLE_EVENT_FUNCTION every event to
    `handle_event(event_type, content, state)`. Callbacks are plain or `async def`; one that awaits
    parks the machine. `supervisors.events` has the event types, `supervisors.actions` what they
    return; `raise Throw(result)` returns from any depth. Data lives on `self`.

    A callback that raises ends the machine, and the callers it has not answered get CallExit;
    Pykka's `ask` keeps Pykka's rule instead. `enter_loop` has no analogue, since a process here
    cannot become another behaviour half way: begin in the state wanted.
    """

    __slots__ = ("_active_s", "_agenda", "_hibernates", "_now", "_stack", "_step")

    callback_mode: ClassVar[str] = STATE_FUNCTIONS
    """STATE_FUNCTIONS or HANDLE_EVENT_FUNCTION."""
    state_enter: ClassVar[bool] = False
    """Whether entering a state is an event too, of type `Enter(old_state)`."""
    hibernate_after_s: ClassVar[float | None] = None
    """Idle time after which the machine hibernates by itself (`hibernate_after`)."""

    _active_s: float
    _agenda: Agenda | None
    _hibernates: bool
    _now: Any
    _stack: callbacks.Stack
    _step: Step | None

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if "state" in vars(cls):
            raise CallbackError("name_is_taken", f"{cls.__name__}.state, the present state")

    # -- what a machine defines --------------------------------------------------------------

    def init(self, *args: Any, **kwargs: Any) -> Any:
        """Set up. Return (state, *actions), StartIn(state, *actions), IGNORE or Stop(reason)."""
        del args, kwargs
        raise CallbackError("undef", f"{type(self).__name__}.init")

    def handle_event(self, event_type: Any, content: Any, state: Any) -> Any:
        """Handle an event in mode HANDLE_EVENT_FUNCTION."""
        del event_type, content, state
        raise CallbackError("undef", f"{type(self).__name__}.handle_event")

    def terminate(self, reason: Any) -> Any:
        """Clean up before the end (not when killed); a pushed object's `terminate` by default."""
        top = self._top()
        if top is not self and hasattr(top, "terminate"):
            return top.terminate(reason)
        return None

    def format_status(self, status: dict[str, Any]) -> dict[str, Any]:
        """Choose what crash reports and `system.get_status` show: secrets are taken out here.

        `status` is a new dict with state, data, event, queue, postponed, timeouts and reason.
        """
        return status

    def code_change(self, old_class: type[StateMachine], state: Any, extra: Any) -> Any:
        """Adapt the data to this class, which replaces another; return the state to be in."""
        del old_class, state, extra
        raise CallbackError("undef", f"{type(self).__name__}.code_change")

    # -- what callbacks may ask --------------------------------------------------------------

    @property
    def state(self) -> Any:
        """The state the machine is in; in an enter call the one entered."""
        step = self._step
        return self._now if step is None else step.state

    def now_s(self) -> float:
        """Give the time on the shard's clock, for SetTimeoutAt."""
        return self._shard.now_s()  # type: ignore[no-any-return]

    # -- starting ----------------------------------------------------------------------------

    @classmethod
    def start(
        cls, *args: Any, name: Any = None, timeout_s: float | None = None, **kwargs: Any
    ) -> Ref[Self]:
        """Start on the active node, wait for init and give the ref; as `GenServer.start`."""
        return start_and_wait(cls, args, kwargs, name, timeout_s)

    def begin(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Run init in the machine's own turn."""
        self._agenda = self._step = self._now = None
        self._hibernates = False
        self._stack = callbacks.ITSELF
        try:
            result = self.init(*args, **kwargs)
        except Throw as thrown:
            result = thrown.result
        if result.__class__ is CoroutineType:
            return self._begin_later(result)
        return self._begun(result)

    async def _begin_later(self, init: Any) -> Any:
        try:
            result = await init
        except Throw as thrown:
            result = thrown.result
        return self._begun(result)

    def _begun(self, result: Any) -> Any:
        if isinstance(result, (Ignore, Stop)):
            return result
        if result.__class__ is tuple and result:
            result = StartIn(*result)
        if result.__class__ is not StartIn:
            return Stop(("bad_return_from_init", result))
        self._now = result.state
        if result.actions or self.state_enter:
            return Continue(RepeatState(*result.actions, Postpone(wanted=False)))
        self._rest()
        return None

    # -- the scheduler's view ----------------------------------------------------------------

    def handle_cast(self, message: Any) -> Any:
        """Take a cast as an event."""
        return self._run(Event(CAST, message))

    def handle_call(self, message: Any, caller: Any) -> Any:
        """Take a call as an event."""
        return self._run(Event(Call(caller), message))

    def handle_ask(self, message: Any, caller: Any) -> Any:
        """Take Pykka's ask as an event, in a turn where an error of others is not the asker's."""
        if self._agenda is None:
            self._agenda = Agenda()
        self._agenda.queue.append(Event(Ask(caller), message))
        return NoReply(Continue(_GO_ON))

    def handle_info(self, message: Any) -> Any:
        """Take any other message as an event; a timer's as its timeout."""
        if message is _DOZE:
            return self._hibernate() if self._hibernates else None
        if message.__class__ is not Alarm:
            return self._run(Event(INFO, message))
        if not self._alarms().accept(message):
            return None
        if message.timeout is DROWSE:
            return self._drowse()
        assert self._agenda is not None, "a timer runs, so the agenda knows of it"
        return self._run(self._agenda.expire(message.timeout))

    def handle_continue(self, argument: Any) -> Any:
        """Enter the first state, or go on with queued events."""
        if argument is _GO_ON:
            return self._run(None)
        return self._run(Event(INTERNAL, "init_state"), argument)

    def on_receive(self, message: Any) -> Any:
        """Take a plain message; a machine's are infos."""
        return self.handle_info(message)

    def crash_status(self, reason: Any) -> dict[str, Any]:
        """Show the machine's inside, as its format_status wants it shown."""
        step, agenda = self._step, self._agenda or Agenda()
        status = {
            "state": self.state,
            "data": dict(vars(self)),
            "event": None if step is None else step.event,
            "queue": list(agenda.queue),
            "postponed": list(agenda.postponed),
            "timeouts": dict(agenda.timeouts),
            "reason": reason,
        }
        top = self._top()
        try:
            shown = getattr(top, "format_status", self.format_status)(status)
        except Exception as error:  # noqa: BLE001 - told instead; the data may be secret
            return {"format_status": f"raised {type(error).__name__}"}
        return dict(shown)

    # -- events ------------------------------------------------------------------------------

    def _run(self, event: Event | None, result: Any = NOTHING) -> Any:
        """Handle an event, then those it left ready; gives what the scheduler is to do.

        `result` stands for the result of the event's callback, which is then not called.
        """
        steps = self._steps(event, result)
        try:
            coroutine = next(steps)
        except StopIteration as done:
            return done.value
        return self._finish(steps, coroutine)

    async def _finish(self, steps: Generator[Any, Any, Any], coroutine: Any) -> Any:
        """Go on with events whose callbacks await."""
        while True:
            try:
                try:
                    value = await coroutine
                except BaseException as error:  # noqa: BLE001 - raised in the step it belongs to
                    coroutine = steps.throw(error)
                else:
                    coroutine = steps.send(value)
            except StopIteration as done:
                return done.value

    def _steps(self, event: Event | None, result: Any) -> Generator[Any, Any, Any]:
        """Take the steps of one message; yields the coroutines of callbacks for their results."""
        first = event
        for _ in range(limits.MACHINE_EVENTS_PER_MESSAGE):
            if event is None:
                event = self._agenda.take() if self._agenda is not None else None
            if event is None or self._state == DOOMED:
                break
            self._step = step = Step(self._now, event)
            if result is NOTHING:
                result = yield from self._called(event)
            stopped = yield from self._decide(step, result)
            if stopped is not None:
                return stopped
            self._now = step.state
            self._carry_out(step)
            self._step = None
            self._hibernates = step.hibernates
            event, result = None, NOTHING
        return self._outcome(first)

    def _called(self, event: Event) -> Generator[Any, Any, Any]:
        """Call back for an event and give the result; yields a coroutine for its result."""
        event_type, content = event
        try:
            top = self._top()
            reserved = RESERVED if top is self else ()
            result = callbacks.call_back(top, self.state, event_type, content, reserved)
            if result.__class__ is CoroutineType:
                result = yield result
        except Throw as thrown:
            return thrown.result
        except Exception as error:
            if event_type.__class__ is not Ask:
                raise
            event_type.caller.fail(error)
            return None
        return result

    def _decide(self, step: Step, result: Any) -> Generator[Any, Any, Stop | None]:
        """Act on a callback's result and on those of enter calls; gives a Stop if one says so."""
        while True:
            if isinstance(result, (Stop, StopAndReply)):
                return self._stopped(step, result)
            for action in step.accept(result):
                if action.__class__ is ReplyTo:
                    _reply(action, "bad_action_from_state_function")
                elif isinstance(action, (ChangeCallbacks, PushCallbacks, PopCallbacks)):
                    step.refuse_entering(action)
                    self._stack = callbacks.changed(self._stack, action, self)
                else:
                    step.add(action)
            if not step.enters or not getattr(self._top(), "state_enter", False):
                return None
            step.enter()
            result = yield from self._called(Event(Enter(step.old_state), None))

    def _stopped(self, step: Step, result: Stop | StopAndReply) -> Stop:
        if isinstance(result, StopAndReply):
            for reply in result.replies:
                _reply(reply, "bad_reply_action_from_state_function")
        elif result.reply is not NOTHING:
            event_type = step.event.event_type
            if not isinstance(event_type, Call):
                raise CallbackError("bad_return_from_state_function", result)
            event_type.caller.reply(result.reply)
        return Stop(result.reason)

    def _outcome(self, first: Event | None) -> Any:
        """Say what the scheduler is to do after the steps of a message."""
        if self._agenda is not None and self._agenda.ready:
            return NoReply(Continue(_GO_ON))
        if self._hibernates:
            return self._hibernate()
        self._rest()
        if first is not None and isinstance(first.event_type, Call):
            return None if first.event_type.caller.done() else NoReply()
        return None

    # -- timers, hibernation, callback objects -----------------------------------------------

    def _carry_out(self, step: Step) -> None:
        agenda = self._agenda
        if agenda is None:
            if not (step.postpones or step.inserted or step.timeouts):
                return
            self._agenda = agenda = Agenda()
        orders = agenda.complete(step)
        if orders:
            self._alarms().obey(orders, self.now_s())
        if not agenda:
            self._agenda = None

    def _alarms(self) -> Alarms:
        extras = self.extras
        if extras.timer is None:
            # Where the scheduler looks for a timer to cancel when a process has ended.
            extras.timer = Alarms(self)
        return extras.timer  # type: ignore[no-any-return]

    def _rest(self) -> None:
        """Note the time of the last activity, for a machine that hibernates by itself."""
        if self.hibernate_after_s is not None:
            self._active_s = self.now_s()
            alarms = self._alarms()
            if DROWSE not in alarms:
                alarms.start(DROWSE, self._active_s + self.hibernate_after_s)

    def _drowse(self) -> Any:
        """Hibernate if nothing has happened for long enough, else look again later."""
        assert self.hibernate_after_s is not None
        due_s = self._active_s + self.hibernate_after_s
        if self.now_s() < due_s:
            self._alarms().start(DROWSE, due_s)
            return None
        return self._hibernate()

    def _hibernate(self) -> Any:
        self._hibernates = True
        if self._ext is not None and self._ext.timer is not None:
            self._ext.timer.stop(DROWSE)
        return NoReply(Hibernate())

    def _doze_again(self) -> None:
        """Go back to hibernation after a look from outside has ended it."""
        if self._hibernates:
            self._shard.post_system(self, INFO_KIND, _DOZE)

    def _restore(self, state: Any, data: dict[str, Any]) -> None:
        """Be in this state with this data, as if it had always been so."""
        data = dict(data)
        self._now = state
        vars(self).clear()
        vars(self).update(data)

    def _top(self) -> Any:
        top = self._stack[-1]
        return self if top is None else top


RESERVED: Final = frozenset(dir(StateMachine))
"""Names that mean something else on every machine and cannot name a state in STATE_FUNCTIONS."""


def _reply(action: Any, fault: str) -> None:
    if action.__class__ is not ReplyTo or not hasattr(action.caller, "reply"):
        raise CallbackError(fault, action)
    action.caller.reply(action.value)
