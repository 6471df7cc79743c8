"""Refs: addresses of processes, safe to hand to anyone and to any thread."""

from __future__ import annotations

from _thread import get_ident
from typing import TYPE_CHECKING, Any, TypeVar

import pykka

from supervisors import context, limits
from supervisors._pykka import PYKKA_MESSAGES, ActorStop, LeanRef
from supervisors.errors import WouldDeadlock
from supervisors.future import ERROR, Future
from supervisors.messages import ASK, CALL, CAST, INFO, PYKKA
from supervisors.timers import patience

if TYPE_CHECKING:
    from supervisors.pid import Pid

A = TypeVar("A", bound=pykka.Actor)


def _refuse_to_block(ref: Ref[Any], verb: str, instead: str) -> None:
    """Raise inside a handler, before anything is sent: its thread would wait for itself."""
    running = context.running_shard()
    if running is not None:
        raise WouldDeadlock(
            f"{running.current or running.node} {verb} {ref} and would block its own thread; "
            f"use await ref.{instead}"
        )


_PATIENCE_S = limits.CALL_TIMEOUT_S

# The scheduler's states, by value: process.py names them and builds on this module.
_IDLE = 0
_READY = 1
_DEAD = 8


class Ref(LeanRef[A]):
    """The address of one life of one process on this node; equal and hashed by pid.

    `tell`, `ask`, `stop` and `proxy` are Pykka's. `cast`, `call`, `exit` and `kill` are OTP's.
    All may be used from any thread. Refs to processes of other nodes are `RemoteRef`s.
    """

    __slots__ = ()

    @property
    def pid(self) -> Pid:
        """The process's address as a value."""
        return self._process.pid  # type: ignore[no-any-return]

    @property
    def name(self) -> Any:
        """The name the process is registered under, or None."""
        return self._process._name

    @property
    def exit_reason(self) -> Any:
        """Why the process ended; None while it lives, and for a process of another node."""
        process = self._process
        return None if process is None else process.exit_reason

    def is_alive(self) -> bool:
        """Tell whether the process has not ended."""
        return self._process._state != _DEAD  # type: ignore[no-any-return]

    def __eq__(self, other: object) -> bool:
        if other.__class__ is self.__class__:
            return other._process is self._process
        return isinstance(other, LeanRef) and other.pid == self.pid  # type: ignore[attr-defined]

    def __hash__(self) -> int:
        return hash(self.pid)

    def __repr__(self) -> str:
        return f"<Ref {self}>"

    def __str__(self) -> str:
        return str(self._process)

    # -- OTP's verbs -------------------------------------------------------------------------

    def cast(self, message: Any) -> None:
        """Send a request that wants no answer; to a dead process it is a dead letter.

        Raises MailboxFull if the process refuses more (its `mailbox_policy`).
        """
        process = self._process
        shard = process._shard
        if get_ident() != shard.thread_id:
            shard.post_from_outside(process, CAST, message, None)
            return
        queue = process._queue
        if queue is not None and len(queue) < process.mailbox_limit:
            queue.append((CAST, message, None))
        elif process._state == _IDLE:
            process._state = _READY
            shard.runq.append((process, CAST, message, None))
            if shard.asleep:
                shard.wake()
        else:
            shard.post(process, CAST, message, None)

    def send(self, message: Any) -> None:
        """Send a plain message (Erlang's `!`); to a dead process it is a dead letter."""
        process = self._process
        shard = process._shard
        if get_ident() != shard.thread_id:
            shard.post_from_outside(process, INFO, message, None)
        elif process._state == _IDLE:
            process._state = _READY
            shard.runq.append((process, INFO, message, None))
            if shard.asleep:
                shard.wake()
        else:
            shard.post(process, INFO, message, None)

    def call(self, message: Any, timeout_s: float | None = limits.CALL_TIMEOUT_S) -> Future[Any]:
        """Send a request and give a future of its answer: await it in a handler.

        The future fails with CallExit when the process is dead or dies first, with CallTimeout
        after `timeout_s` (None or infinity: never), with MailboxFull if the process refuses it.
        Raises WouldDeadlock if the process calls itself, or its starter from its own init, and
        ValueError or TypeError for a timeout that is no number.
        """
        process = self._process
        shard = process._shard
        future: Future[Any] = Future(shard, self, timeout_s)
        if get_ident() != shard.thread_id:
            if timeout_s is not _PATIENCE_S:
                future._timeout_s = patience(timeout_s)
            shard.post_from_outside(process, CALL, message, future)
            return future
        current = shard.current
        if current is process or (current is not None and current._state != _READY):
            shard.refuse_deadlock(process)
        if shard.asleep:
            shard.wake()
        if timeout_s is not None:
            shard.timers.insert(shard.now + timeout_s, future)
        if process._state == _IDLE:
            process._state = _READY
            shard.runq.append((process, CALL, message, future))
        else:
            shard.post(process, CALL, message, future)
        return future

    def exit(self, reason: Any) -> None:
        """Send an exit signal (`exit/2`); reason "kill" cannot be trapped."""
        self._process._shard.exit_signal(self._process, reason)

    def kill(self) -> None:
        """End the process without asking it."""
        self.exit("kill")

    # -- Pykka's verbs -----------------------------------------------------------------------

    def tell(self, message: Any) -> None:
        """Send a message without waiting; raises pykka.ActorDeadError if the process is dead."""
        process = self._process
        if process._state == _DEAD:
            raise pykka.ActorDeadError(f"{self} not found")
        if message.__class__ in PYKKA_MESSAGES:
            process._shard.post_any(process, PYKKA, message, None)
        else:
            self.send(message)

    def ask(self, message: Any, *, block: bool = True, timeout: float | None = None) -> Any:
        """Send a message and wait for the answer, or with `block=False` give its future.

        An exception in the handler comes back to the asker and the process lives on (Pykka).
        Raises WouldDeadlock when it would block inside a handler.
        """
        process = self._process
        shard = process._shard
        if block:
            _refuse_to_block(self, "asked", "ask(message, block=False)")
        future: Future[Any] = Future(shard, self)
        if process._state == _DEAD:
            future.resolve(ERROR, pykka.ActorDeadError(f"{self} not found"))
        else:
            shard.post_any(process, ASK, message, future)
        return future.get(timeout=timeout) if block else future

    def stop(self, *, block: bool = True, timeout: float | None = None) -> Any:
        """Ask the process to stop after the messages it has; True if it was alive (Pykka).

        Raises WouldDeadlock when it would block inside a handler.
        """
        if block:
            _refuse_to_block(self, "stopped", "stop(block=False)")
        asked = self.ask(ActorStop(), block=False)
        future: Future[bool] = Future(self._process._shard)

        def settle(answer: Future[Any]) -> None:
            try:
                answer.result()
            except pykka.ActorDeadError:
                future.set(value=False)
            except Exception as error:  # noqa: BLE001 - whatever went wrong is the asker's to see
                future.resolve(ERROR, error)
            else:
                future.set(value=True)

        asked.add_done_callback(settle)
        return future.get(timeout=timeout) if block else future
