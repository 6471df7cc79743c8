"""OTP's sys functions: looking into a running process, pausing and ending it, from anywhere.

Each gives a future: `await` it in a handler, `.get()` it elsewhere. What is asked happens in the
process's own turn ahead of its mailbox, so between two messages; a process that awaits in a handler
is first done with that. A dead process raises CallExit with `noproc`. A suspended one answers.

The functions that speak of a state are for state machines.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from supervisors import closing, resting, turns
from supervisors.context import running_shard
from supervisors.errors import CallExit, WouldDeadlock
from supervisors.future import ERROR, VALUE, Future
from supervisors.messages import SYSTEM
from supervisors.process import SUSPENDED, Process
from supervisors.reasons import NORMAL, same
from supervisors.ref import Ref
from supervisors.state_machine.machine import StateMachine

if TYPE_CHECKING:
    from collections.abc import Callable

Data = dict[str, Any]
"""A machine's data: its attributes by name."""


def suspend(process: Any) -> Future[None]:
    """Let a process, or the one of a name, handle nothing until it is resumed."""
    target = _target(process)

    def pause() -> None:
        resting.suspend(target)
        if isinstance(target, StateMachine):
            target._doze_again()

    return target.in_turn(pause)


def resume(process: Any) -> Future[None]:
    """Let a suspended process handle messages again, those that waited first."""
    target = _target(process)
    return target.in_turn(lambda: resting.unsuspend(target._shard, target))


def terminate(process: Any, reason: Any = NORMAL) -> Future[None]:
    """Let a process clean up and end for a reason, as `gen_statem:stop` does.

    The value comes when it is dead; CallExit if it was already, or ended for another reason.
    """
    target = _target(process)
    shard = target._shard
    ended: Future[None] = Future(shard, target.ref)
    inner: Future[Any] = Future(shard, target.ref)

    def settle(_: Any) -> None:
        try:
            inner.result()
        except CallExit as error:
            if same(error.reason, reason):
                ended.resolve(VALUE, None)
            else:
                ended.resolve(ERROR, error)

    def end() -> None:
        if target._state == SUSPENDED:
            turns.hold_back(target, SYSTEM, lambda: target.exit(reason), inner)
            resting.unsuspend(shard, target)
        else:
            turns.push_front(shard, target, SYSTEM, lambda: target.exit(reason), inner)

    inner.add_done_callback(settle)
    shard.run_on_shard(end, lambda: closing.fail(shard, inner))
    return ended


def get_state(machine: Any) -> Future[tuple[Any, Data]]:
    """Give a machine's state and its data, a new dict of its attributes."""
    target = _machine(machine)
    return _peek(target, lambda: (target.state, dict(vars(target))))


def replace_state(
    machine: Any, replace: Callable[[Any, Data], tuple[Any, Data]]
) -> Future[tuple[Any, Data]]:
    """Replace a machine's state and data by what `replace(state, data)` gives, and give that.

    As in OTP no enter call is made, no timeout cancelled and no event retried. When `replace`
    raises, the future fails with that and nothing has changed.
    """
    target = _machine(machine)

    def replaced() -> tuple[Any, Data]:
        state, data = replace(target.state, dict(vars(target)))
        target._restore(state, data)
        return state, data

    return _peek(target, replaced)


def get_status(machine: Any) -> Future[Data]:
    """Give what a machine's format_status shows of it."""
    target = _machine(machine)
    return _peek(target, lambda: target.crash_status(None))


def change_code(machine: Any, new_class: type[StateMachine], extra: Any = None) -> Future[None]:
    """Let a machine go on as another class, whose `code_change(old_class, state, extra)` adapts it.

    It gives the state to be in. When it raises, the future fails with that, and class, state and
    data are as before.
    """
    target = _machine(machine)

    def changed() -> None:
        old_class, state, data = type(target), target.state, dict(vars(target))
        target.__class__ = new_class
        try:
            new_state = target.code_change(old_class, state, extra)
        except BaseException:
            target.__class__ = old_class
            target._restore(state, data)
            raise
        target._restore(new_state, vars(target))

    return _peek(target, changed)


def _target(process: Any) -> Process:
    ref = process if isinstance(process, Ref) else Process.node_here().address(process)
    return ref._process  # type: ignore[no-any-return]


def _machine(machine: Any) -> StateMachine:
    target = _target(machine)
    if not isinstance(target, StateMachine):
        raise TypeError(f"{target} is no StateMachine: it has no state to look at")
    return target


def _peek(target: StateMachine, function: Callable[[], Any]) -> Future[Any]:
    """Look at a machine in its turn; one that hibernated goes on hibernating."""
    shard = running_shard()
    if shard is not None and shard is target._shard and shard.current is target:
        raise WouldDeadlock(f"{target} looked at itself and would wait for its own turn")

    def look() -> Any:
        try:
            return function()
        finally:
            target._doze_again()

    return target.in_turn(look)
