"""Futures that a process awaits without blocking and a thread may wait for.

One thread resolves, any thread may wait. There is no lock until a thread really waits: both sides
write first and look second, so at least one of them sees the other (Dekker's handshake, sound
under the GIL because attribute reads and writes are sequentially consistent there).
"""

from __future__ import annotations

import asyncio
import functools
import logging
import queue
import sys
import threading
from _thread import get_ident
from typing import TYPE_CHECKING, Any, Final, TypeVar

from supervisors._pykka import LeanFuture
from supervisors.context import RUNNING
from supervisors.errors import CallTimeout, WouldDeadlock
from supervisors.timers import patience

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable
    from types import TracebackType

    OptExcInfo = tuple[type[BaseException] | None, BaseException | None, TracebackType | None]

logger = logging.getLogger("supervisors")

T = TypeVar("T")

PENDING: Final = 0
VALUE: Final = 1
ERROR: Final = 2
HOOKED: Final = 3
"""A get hook computes the value each time it is asked for; nothing settles it."""


class Future(LeanFuture[T]):
    """A value that is there now or later; `await` it in a handler, `get` it from another thread.

    Made by `ref.ask`, `ref.call`, `node.start` and by hand. `Future()` needs no arguments, as
    Pykka's map, join and stop require.
    """

    __slots__ = (
        "_callbacks",
        "_gate",
        "_shard",
        "_status",
        "_target",
        "_timeout_s",
        "_value",
        "_waiter",
    )

    _status: int
    _value: Any

    def __init__(
        self, shard: Any = None, target: Any = None, timeout_s: float | None = None
    ) -> None:
        self._status = PENDING
        self._value = None
        self._shard = shard
        self._target = target
        self._timeout_s = timeout_s
        self._waiter: Any = None
        self._callbacks: list[Callable[[Future[T]], None]] | None = None
        self._gate: threading.Event | None = None

    def __repr__(self) -> str:
        return f"<Future {('pending', 'value', 'error', 'hooked')[self._status]}>"

    def done(self) -> bool:
        """Tell whether a value or an error is there."""
        return self._status in (VALUE, ERROR)

    # -- resolving ---------------------------------------------------------------------------

    def set(self, value: T | None = None) -> None:
        """Set the value; raises queue.Full when there is one already (Pykka)."""
        if not self._is_fenced(value) and not self.resolve(VALUE, value):
            raise queue.Full

    def set_exception(self, exc_info: OptExcInfo | None = None) -> None:
        """Set an error, by default the one being handled (Pykka)."""
        kind, error, trace = exc_info or sys.exc_info()
        if error is None and kind is not None:
            error = kind()
        if error is None:
            raise TypeError("set_exception needs an exception: none given, none being handled")
        if not self._is_fenced(error) and not self.resolve(ERROR, error.with_traceback(trace)):
            raise queue.Full

    def reply(self, value: T) -> None:
        """Answer a call; a second answer, or one after the timeout, is dropped (OTP 24)."""
        if not self._is_fenced(value):
            self.resolve(VALUE, value)

    def fail(self, error: Exception) -> None:
        """Answer a call with an error that is the caller's to handle; the server lives on."""
        if not self._is_fenced(error):
            self.resolve(ERROR, error)

    def _is_fenced(self, answer: Any) -> bool:
        """Drop what a turn that the watchdog abandoned would tell those who wait."""
        shard = self._shard
        if shard is None or not shard.abandoned or get_ident() not in shard.abandoned:
            return False
        shard.fence(self._target or "a future", answer)
        return True

    def resolve(self, status: int, value: Any) -> bool:
        """Settle the future from any thread and wake who waits; False if it was settled."""
        if self._status:
            return False
        self._value = value
        self._status = status
        shard = self._shard
        if shard is not None:
            waiter = self._waiter
            if get_ident() != shard.thread_id:
                shard.settled_outside(self)
            elif waiter is not None or self._timeout_s is not None:
                self._wake(shard, waiter)
        try:
            if self._callbacks is not None:
                self._call_back(self._callbacks)
        finally:
            if self._gate is not None:
                self._gate.set()
        return True

    def _wake(self, shard: Any, waiter: Any) -> None:
        """Resume the process that awaits this; on the shard's thread."""
        if self._timeout_s is not None:
            shard.timers.stale += 1
        if waiter is None:
            return
        self._waiter = None
        shard.resume(waiter, self)

    def _call_back(self, callbacks: list[Callable[[Future[T]], None]]) -> None:
        while callbacks:
            try:
                callback = callbacks.pop(0)
            except IndexError:  # `add_done_callback` on another thread took the last one
                break
            self._tell(callback)

    def _tell(self, callback: Callable[[Future[T]], None]) -> None:
        """Call one back; who settles a future, and who else is told, cannot help its errors."""
        try:
            callback(self)
        except Exception:
            logger.exception("a callback of %r failed", self)

    def expire(self) -> None:
        """Fail with CallTimeout; called by the timer wheel of the shard that armed it."""
        if not self._status:
            self.resolve(ERROR, CallTimeout(self._target, self._timeout_s or 0.0))

    def add_done_callback(self, callback: Callable[[Future[T]], None]) -> None:
        """Call back once when settled, on the settling thread, or at once if it is already.

        Callbacks run in the order in which they were added; what one raises is logged.

        Raises TypeError for a mapped or joined future: it is computed when somebody asks, so it
        settles at no moment of its own.
        """
        if self._status == HOOKED:
            raise TypeError("a mapped or joined future never settles: call back from its source")
        if self._callbacks is None:
            self._callbacks = []
        self._callbacks.append(callback)
        if self._status:
            try:
                self._callbacks.remove(callback)
            except ValueError:
                return
            self._tell(callback)

    # -- waiting -----------------------------------------------------------------------------

    def result(self) -> T:
        """Give the value or raise the error of a settled future."""
        assert self.done(), "result() is for settled futures: await it, or get() it"
        if self._status == ERROR:
            raise self._error()
        return self._value  # type: ignore[no-any-return]

    def _error(self) -> BaseException:
        """Give the error with the traceback it was set with, however often it is raised."""
        error = self._value
        trace = self.__dict__.setdefault("_trace", error.__traceback__)
        return error.with_traceback(trace)  # type: ignore[no-any-return]

    def get(self, *, timeout: float | None = None) -> T:
        """Wait for the value from outside the actors (Pykka).

        In a handler, and on the thread of an asyncio loop that runs the actors, nobody could
        settle it meanwhile, so there a pending future raises WouldDeadlock. On the simulated
        host's thread the actors are run until it is settled. Raises pykka.Timeout after `timeout`
        seconds.
        """
        if self._status == HOOKED:
            return self.get_by_hook(timeout)
        if not self._status:
            timeout = patience(timeout)
            running = RUNNING.shard
            if running is not None:
                raise WouldDeadlock(
                    f"{running.current or running.node} called get() in a handler on a future "
                    "that is not settled: its thread would wait for itself; use await"
                )
            home = self._shard
            if home is not None and home.thread_id == get_ident():
                home.host.run_until(self, timeout)
            elif not self._wait(timeout):
                raise CallTimeout(self._target or "the future", timeout or 0.0)
        return self.result()

    def _wait(self, timeout_s: float | None) -> bool:
        gate = self._gate
        if gate is None:
            self._gate = gate = threading.Event()
        longest_s = None if timeout_s is None else min(timeout_s, threading.TIMEOUT_MAX)
        return bool(self._status) or gate.wait(longest_s)

    def __await__(self) -> Generator[Any, None, T]:
        if not self._status:
            if RUNNING.shard is not None:
                yield self
            else:
                yield from self._await_in_task()
        if self._status == VALUE:
            return self._value  # type: ignore[no-any-return]
        if self._status == HOOKED:
            return (yield from self._await_sources())
        raise self._error()

    __iter__ = __await__

    def _await_in_task(self) -> Generator[Any, None, None]:
        loop = asyncio.get_running_loop()
        waiter: asyncio.Future[None] = loop.create_future()

        def settle() -> None:
            if not waiter.done():
                waiter.set_result(None)

        def wake(_: Future[T]) -> None:
            loop.call_soon_threadsafe(settle)

        self.add_done_callback(wake)
        yield from waiter

    def _await_sources(self) -> Generator[Any, None, T]:
        for source in self.__dict__.get("_sources", ()):
            if isinstance(source, Future) and not source.done():
                try:
                    yield from source.__await__()
                except Exception:
                    if not source.done():
                        raise  # The wait itself was refused.
                    break  # The hook raises it again, in its own order.
        return self.get(timeout=0)

    # -- combining ---------------------------------------------------------------------------

    def _derive(self, hook: Callable[[float | None], Any], *sources: Any) -> Future[Any]:
        derived: Future[Any] = Future(self._shard)
        derived.set_get_hook(hook)
        derived.__dict__["_sources"] = sources
        return derived

    def set_get_hook(self, func: Callable[[float | None], T]) -> None:
        """Compute the value by `func(timeout)` when it is asked for (Pykka)."""
        if self.done():
            raise queue.Full
        self._status = HOOKED
        super().set_get_hook(func)

    def map(self, func: Callable[[T], Any]) -> Future[Any]:
        """Pass the result through a function, in the thread or handler that asks for it."""
        return self._derive(lambda timeout: func(self.get(timeout=timeout)), self)

    def filter(self, func: Callable[[Any], bool]) -> Future[Any]:
        """Keep the items of an iterable result that pass `func`, as a list."""
        whole: Future[Any] = self
        return self._derive(lambda timeout: list(filter(func, whole.get(timeout=timeout))), self)

    def join(self, *futures: Any) -> Future[Any]:
        """Collect this result and the others' into one list."""
        joined = (self, *futures)
        return self._derive(lambda timeout: [one.get(timeout=timeout) for one in joined], *joined)

    def reduce(self, func: Callable[[Any, Any], Any], *args: Any) -> Future[Any]:
        """Fold an iterable result by `func`, from an initial value if one is given."""
        return self._derive(
            lambda timeout: functools.reduce(
                func,
                self.get(timeout=timeout),  # type: ignore[call-overload]
                *args,
            ),
            self,
        )


class Sleep(Future[None]):
    """A future that the timer wheel settles with None."""

    __slots__ = ()

    def expire(self) -> None:
        """Wake the sleeper."""
        self.resolve(VALUE, None)


class EndFuture(Future[Any]):
    """Settles with the exit reason of the process it watches."""

    __slots__ = ()

    def fire(self, process: Any, reason: Any) -> None:
        """Take the end of the process; called by the scheduler."""
        del process
        self.resolve(VALUE, reason)

    def expire(self) -> None:
        """Settle with None: the process outlived the patience it was given."""
        self.resolve(VALUE, None)


def gather(futures: Iterable[Future[Any]]) -> Future[list[Any]]:
    """Join any number of futures into one, also none."""
    futures = tuple(futures)
    if not futures:
        empty: Future[list[Any]] = Future()
        empty.set([])
        return empty
    return futures[0].join(*futures[1:])
