"""Await anything, but no longer than so many seconds."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from supervisors import context, fencing
from supervisors.errors import CallTimeout, SupervisorsError
from supervisors.future import HOOKED, VALUE, EndFuture, Future

if TYPE_CHECKING:
    from collections.abc import Awaitable, Generator

    from supervisors.shard import Shard

T = TypeVar("T")


def within(timeout_s: float, awaitable: Awaitable[T]) -> Awaitable[T]:
    """Await a future, a coroutine or another awaitable in a handler for at most `timeout_s`.

    Raises CallTimeout when the time is over. A coroutine gets it at the await it stands at and so
    may clean up; a future of this library is left alone, an asyncio one is cancelled. Raises
    TypeError at once for what cannot be awaited.
    """
    if not inspect.isawaitable(awaitable):
        raise TypeError(f"{awaitable!r} cannot be awaited: give a call, a future or a coroutine")
    return _Within(timeout_s, awaitable)


class _Within(Generic[T]):
    __slots__ = ("_awaitable", "_timeout_s")

    def __init__(self, timeout_s: float, awaitable: Awaitable[T]) -> None:
        self._timeout_s = timeout_s
        self._awaitable = awaitable

    def __await__(self) -> Generator[Any, None, T]:
        shard = context.running_shard()
        if shard is None:
            raise SupervisorsError("a deadline runs on a shard's clock: await it in a handler")
        if shard.abandoned:
            fencing.leave(shard)
        future = self._awaitable
        if isinstance(future, Future) and future._status != HOOKED:
            yield from _settled(shard, future, self._timeout_s)
            return future.result()  # type: ignore[no-any-return]
        deadline = EndFuture(shard, None, self._timeout_s)
        shard.timers.insert(shard.now_s() + self._timeout_s, deadline)
        steps = self._awaitable.__await__()
        over = False
        try:
            awaited = next(steps)
            while True:
                error = yield from _wait(shard, awaited, None if over else deadline)
                if error is None and not over and deadline.done() and not _has_settled(awaited):
                    over = True  # It is told once; what it does then is its clean-up.
                    target = getattr(awaited, "_target", None) or awaited
                    error = CallTimeout(target, self._timeout_s)
                awaited = next(steps) if error is None else steps.throw(error)
        except StopIteration as stopped:
            return stopped.value  # type: ignore[no-any-return]
        finally:
            steps.close()
            deadline.resolve(VALUE, None)


def _settled(shard: Shard, awaited: Future[Any], timeout_s: float) -> Generator[Any, None, None]:
    """Wait for a future of this library: a second one stands in for it, and is what expires."""
    if awaited.done():
        return
    instead: Future[None] = Future(shard, awaited._target, timeout_s)

    def settle(_: Any) -> None:
        instead.resolve(VALUE, None)

    awaited.add_done_callback(settle)
    shard.timers.insert(shard.now_s() + timeout_s, instead)
    try:
        yield instead
    finally:
        instead.resolve(VALUE, None)
    if not awaited.done():
        raise CallTimeout(awaited._target or awaited, timeout_s)


def _wait(
    shard: Shard, awaited: Any, deadline: Future[Any] | None
) -> Generator[Any, None, Exception | None]:
    """Wait for what comes first; gives the error of a host that cannot wait for it."""
    waited_for = awaited
    if deadline is not None and isinstance(awaited, Future):
        waited_for = Future(shard, awaited._target)

        def settle(_: Any) -> None:
            waited_for.resolve(VALUE, None)

        awaited.add_done_callback(settle)
        deadline.add_done_callback(settle)
    elif deadline is not None and hasattr(awaited, "cancel"):
        deadline.add_done_callback(lambda _: awaited.cancel())
    try:
        yield waited_for
    except Exception as error:  # noqa: BLE001 - raised again where the await is written
        return error
    return None


def _has_settled(awaited: Any) -> bool:
    """Tell whether what was awaited has an outcome of its own; None is a mere giving way."""
    if awaited is None:
        return False
    return bool(awaited.done()) and (isinstance(awaited, Future) or not awaited.cancelled())
