"""A process with OTP's gen_statem callbacks: states, events, timeouts, postponed events."""

from __future__ import annotations

from types import CoroutineType
from typing import TYPE_CHECKING, Any, ClassVar, Final, Self

from supervisors import reserved
from supervisors.errors import CallbackError, Throw
from supervisors.gen_server import start_and_wait
from supervisors.messages import STEP
from supervisors.process import Process
from supervisors.results import Continue, Hibernate, Ignore, NoReply, Stop
from supervisors.state_machine import callbacks, stepping
from supervisors.state_machine.actions import Postpone, RepeatState, StartIn
from supervisors.state_machine.alarms import Alarm, Alarms
from supervisors.state_machine.callbacks import STATE_FUNCTIONS
from supervisors.state_machine.events import CAST, INFO, INTERNAL, Ask, Call, Event
from supervisors.state_machine.transitions import Agenda, Step

if TYPE_CHECKING:
    from supervisors.ref import Ref


class StateMachine(Process):
    """A state machine with gen_statem's rules (OTP: gen_statem).

    `init` gives the first state. In mode STATE_FUNCTIONS an event in state "locked" goes to
    `locked(event_type, content)`, in mode HANDLE_EVENT_FUNCTION every event to
    `handle_event(event_type, content, state)`. Callbacks are plain or `async def`; one that awaits
    parks the machine. `events` has the event types, `actions` what callbacks return;
    `raise Throw(result)` returns from any depth. Data lives on `self`.

    Events put aside or inserted count as a mailbox of their own: more than `mailbox_limit` of them
    end the machine.

    A callback that raises ends the machine, and the callers it has not answered get CallExit;
    Pykka's `ask` keeps Pykka's rule instead. `enter_loop` has no analogue, since a process here
    cannot become another behaviour half way: begin in the state wanted.
    """

    __slots__ = (
        "_agenda", "_callback_stack", "_current_event", "_current_state", "_current_step",
        "_wants_hibernation",
    )  # fmt: skip

    callback_mode: ClassVar[str] = STATE_FUNCTIONS
    """STATE_FUNCTIONS or HANDLE_EVENT_FUNCTION."""
    state_enter: ClassVar[bool] = False
    """Whether entering a state is an event too, of type `Enter(old_state)`."""
    reserved_names: ClassVar[frozenset[str]]
    """Names that mean something else on every machine and cannot name a state as a function."""

    _agenda: Agenda | None
    _callback_stack: callbacks.Stack
    _current_event: Event | None
    _current_state: Any
    _current_step: Step | None
    _wants_hibernation: bool

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        reserved.refuse_taken(cls, StateMachine, _RESERVED)

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
        step = self._current_step
        return self._current_state if step is None else step.state

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
        self._agenda = self._current_event = self._current_step = self._current_state = None
        self._wants_hibernation = False
        self._callback_stack = callbacks.ITSELF
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
        self._current_state = result.state
        if result.actions or self.state_enter:
            return Continue(RepeatState(*result.actions, Postpone(wanted=False)))
        return None

    # -- the scheduler's view ----------------------------------------------------------------

    def handle_cast(self, message: Any) -> Any:
        """Take a cast as an event."""
        return stepping.handle(self, Event(CAST, message))

    def handle_call(self, message: Any, caller: Any) -> Any:
        """Take a call as an event."""
        return stepping.handle(self, Event(Call(caller), message))

    def handle_ask(self, message: Any, caller: Any) -> Any:
        """Take Pykka's ask as an event, in a turn where an error of others is not the asker's."""
        if self._agenda is None:
            self._agenda = Agenda()
        self._agenda.queue.append(Event(Ask(caller), message))
        return NoReply(Continue(stepping.GO_ON))

    def handle_info(self, message: Any) -> Any:
        """Take any other message as an event; a timer's as its timeout."""
        if message.__class__ is not Alarm:
            return stepping.handle(self, Event(INFO, message))
        if not self._alarms().accept(message):
            return None
        assert self._agenda is not None, "a timer runs, so the agenda knows of it"
        return stepping.handle(self, self._agenda.expire(message.timeout))

    def handle_continue(self, argument: Any) -> Any:
        """Enter the first state, or go on with queued events."""
        if argument is stepping.GO_ON:
            return stepping.handle(self, None)
        return stepping.handle(self, Event(INTERNAL, "init_state"), argument)

    def on_receive(self, message: Any) -> Any:
        """Take a plain message; a machine's are infos."""
        return self.handle_info(message)

    def crash_status(self, reason: Any) -> dict[str, Any]:
        """Show the machine's inside, as its format_status wants it shown."""
        agenda = self._agenda or Agenda()
        status = {
            "state": self.state,
            "data": dict(vars(self)),
            "event": self._current_event,
            "queue": list(agenda.queue),
            "postponed": list(agenda.postponed),
            "timeouts": dict(agenda.timeouts),
            "reason": reason,
        }
        top = self._top()
        try:
            return dict(getattr(top, "format_status", self.format_status)(status))
        except Exception as error:  # noqa: BLE001 - told instead; the data may be secret
            return {"format_status": f"raised {type(error).__name__}"}

    # -- what the steps need -----------------------------------------------------------------

    def _carry_out(self, step: Step) -> None:
        agenda = self._agenda
        if agenda is None:
            if not (step.postpones or step.inserted or step.timeouts):
                return
            self._agenda = agenda = Agenda()
        orders = agenda.complete(step)
        if agenda.waiting > self.mailbox_limit:
            raise CallbackError("too_many_events_postponed_or_inserted", agenda.waiting)
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

    def _doze_again(self) -> None:
        """Go back to the hibernation that a look from outside has ended."""

        def doze() -> Any:
            return Hibernate() if self._wants_hibernation else None

        if self._wants_hibernation:
            self._shard.post_system(self, STEP, doze)

    def _restore(self, state: Any, data: dict[str, Any]) -> None:
        """Be in this state with this data, as if it had always been so."""
        data = dict(data)
        self._current_state = state
        vars(self).clear()
        vars(self).update(data)

    def _top(self) -> Any:
        top = self._callback_stack[-1]
        return self if top is None else top


StateMachine.reserved_names = frozenset(dir(StateMachine))

_RESERVED: Final = frozenset(StateMachine.__slots__) | {"state"}
