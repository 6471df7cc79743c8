"""The one error tree: each says what happened, to what, and what to do next.

SupervisorsError
|- CallExit (also pykka.ActorDeadError)      the process called is dead, or died before it answered
|- CallTimeout (also pykka.Timeout)          no answer in time
|- WouldDeadlock                             waiting here can never end
|- MailboxFull                               the receiver's mailbox is at its bound
|- NotStarted                                an object of a process class that was never started
|- NoNode                                    no node is active here
|- StartError                                a start did not give a process
|  `- AlreadyStarted                         the name, or the child, is taken
|- ChildError                                a supervisor refused a request
|  `- TaskOverload                           its tasks are as many as it may have
|- PayloadError                              a value cannot cross to another node
|- RemoteError                               a process on another node answered with an error
|- NotLocal                                  what was asked works only within one node
|- ProtocolError                             a peer broke the rules between nodes
|- SpecError                                 a child spec or a supervisor flag is wrong
|- CallbackError                             a state machine's callback is missing or out of line
|- PortError                                 a port could not do a job
|  |- PortTimeout, PortCrashed, PortClosed, PortFailed, PortRefused
|  `- PortOverload                           too many jobs wait
|     `- PortStuck                           too many threads of the port never came back
|- BlockingCall                              a handler called what can block its shard
|- CircuitOpen                               a breaker refuses calls for now
|- ObserveError                              a tree cannot be watched from outside
`- ScenarioFault                             a scenario is malformed

`ProcessExit`, `Throw` and `StuckTurn` are control flow, not errors: they derive from BaseException,
so that an `except Exception` in a handler does not keep a process alive that was told to end.
"""

from __future__ import annotations

from typing import Any

import pykka

from supervisors.reasons import shown, text


class SupervisorsError(Exception):
    """The root of every error this library raises on purpose."""


class CallExit(SupervisorsError, pykka.ActorDeadError):
    """A call's target was dead or died before it answered; `reason` is why."""

    def __init__(self, target: object, reason: Any) -> None:
        self.target = target
        self.reason = reason
        super().__init__(f"{target} did not answer: {text(reason)}; look its successor up by name")


class CallTimeout(SupervisorsError, pykka.Timeout):
    """A call got no answer within its timeout; a late answer is dropped (OTP 24: process alias)."""

    def __init__(self, target: object, timeout_s: float) -> None:
        self.target = target
        self.timeout_s = timeout_s
        super().__init__(
            f"{target} did not answer within {timeout_s} s; it may still do the work: "
            "ask again only if that is harmless"
        )


class WouldDeadlock(SupervisorsError):
    """The wait asked for here could never end, so it is refused at once."""


class MailboxFull(SupervisorsError):
    """The receiver's mailbox is at its bound."""

    def __init__(self, target: object, limit: int) -> None:
        self.target = target
        self.limit = limit
        super().__init__(
            f"the mailbox of {target} holds {limit} messages; slow down, or raise mailbox_limit"
        )


class NotStarted(SupervisorsError):
    """A process object was made by hand; only `start` gives it a pid and a mailbox."""


class NoNode(SupervisorsError):
    """A process class was started where no node is active."""


class StartError(SupervisorsError):
    """A process could not be started; `reason` is its exit reason, `ignored` tells an ignore."""

    def __init__(self, what: object, reason: Any, *, ignored: bool = False) -> None:
        self.reason = reason
        self.ignored = ignored
        said = "its init asked to be ignored" if ignored else f"its init failed: {text(reason)}"
        super().__init__(f"{what} was not started: {said}")


class AlreadyStarted(StartError):
    """The name is taken, or the child runs already; `ref` is who has it."""

    def __init__(self, what: object, ref: Any) -> None:
        super().__init__(what, ("already_started", ref))
        self.ref = ref


class ChildError(SupervisorsError):
    """A supervisor refused a request; `reason` is OTP's term, such as "not_found" or "running"."""

    def __init__(self, request: str, child: object, reason: Any) -> None:
        self.request = request
        self.child = child
        self.reason = reason
        super().__init__(f"{request} of child {shown(child)} refused: {text(reason)}")


class TaskOverload(ChildError):
    """A task supervisor runs as many tasks as it may; nothing was started, try later."""

    def __init__(self, supervisor: object, limit: int) -> None:
        self.limit = limit
        super().__init__("start_task", supervisor, f"max_tasks={limit} are running; try later")


class SpecError(SupervisorsError):
    """A child spec or a supervisor flag is wrong; `reason` is OTP's term: (what, value)."""

    def __init__(self, reason: Any) -> None:
        self.reason = reason
        told = reason if isinstance(reason, str) else ": ".join(map(shown, reason))
        super().__init__(f"bad specification, {told}")


class PayloadError(SupervisorsError):
    """A value cannot cross to another node: not registered, too large, too deep, or unreadable."""


class RemoteError(SupervisorsError):
    """A process on another node answered with an error that crossed as text.

    Its class, of which `type_name` is the name, is not registered as a payload.
    """

    def __init__(self, type_name: str, text: str) -> None:
        self.type_name = type_name
        self.text = text
        super().__init__(f"{type_name}: {text} (raised on another node)")


class NotLocal(SupervisorsError):
    """What was asked works only within one node; send a message instead."""


class ProtocolError(SupervisorsError):
    """A peer broke the rules between nodes; its connection is to be closed."""


class CallbackError(SupervisorsError):
    """A state machine's callback is missing, or returned what it may not; ends the machine.

    `reason` is OTP's term, such as ("bad_return_from_state_function", result).
    """

    def __init__(self, fault: str, what: object) -> None:
        self.reason = (fault, what)
        super().__init__(
            f"{fault}: {shown(what)}; supervisors.state_machine.actions says what callbacks may say"
        )


class PortError(SupervisorsError):
    """A port could not do a job."""


class PortTimeout(PortError):
    """A job ran past its deadline.

    If it was `started` its worker was given up and the work may be half done; if not, it never
    began.
    """

    def __init__(self, message: str, *, started: bool) -> None:
        self.started = started
        super().__init__(message)


class PortOverload(PortError):
    """The port's queue is full; nothing was started, try later."""


class PortStuck(PortOverload):
    """Too many threads of the port never came back; nothing was started, see what they wait for."""


class PortCrashed(PortError):
    """The worker died while it did the job; the work may be half done."""


class PortClosed(PortError):
    """The port was closed or has broken; its owner's supervisor opens a new one."""


class PortRefused(PortError):
    """The call is not one this port takes; nothing was started, correct the call."""


class PortFailed(PortError):
    """The function raised: `kind` names the exception's class, `message` its text, `place` where.

    The exception itself stays with the worker: nothing a worker sends is unpickled.
    """

    def __init__(self, function: str, port: str, kind: str, message: str, place: str) -> None:
        self.function = function
        self.kind = kind
        self.message = message
        self.place = place
        at = f" at {place}" if place else ""
        super().__init__(f"{function} on port {port} raised {kind}{at}: {message}")


class BlockingCall(SupervisorsError):
    """A handler called what can block its shard, and `forbid_blocking` was on; use a port."""

    def __init__(self, process: object, event: str, detail: str) -> None:
        self.event = event
        super().__init__(
            f"{process} called {event} {detail} in a handler and could block every process of its "
            "shard; do it through a port"
        )


class CircuitOpen(SupervisorsError):
    """A circuit breaker refuses calls; `retry_after_s` says when it lets the next one through."""

    def __init__(self, name: str, retry_after_s: float) -> None:
        self.name = name
        self.retry_after_s = retry_after_s
        super().__init__(f"the circuit of {name} is open; try again in {retry_after_s:.3f} s")


class ScenarioFault(SupervisorsError):
    """A scenario cannot be run; `pointer` is the place (RFC 6901) and `reason` the fault there."""

    def __init__(self, pointer: str, reason: str) -> None:
        self.pointer = pointer
        self.reason = reason
        place = pointer or '""'
        super().__init__(f"{place}: {reason}")


class ObserveError(SupervisorsError):
    """A tree cannot be watched: the socket is taken or gone, or a line on it makes no sense."""


class ProcessExit(BaseException):
    """Raised by `Process.exit`: ends the process with this reason (OTP: `exit/1`)."""

    def __init__(self, reason: Any) -> None:
        self.reason = reason
        super().__init__(reason)


class Throw(BaseException):
    """Raised in a state machine's callback: `result` is its result (OTP: a throw is a return)."""

    def __init__(self, result: Any) -> None:
        self.result = result
        super().__init__(result)


class StuckTurn(BaseException):
    """Raised into a turn that the watchdog gave up on."""
