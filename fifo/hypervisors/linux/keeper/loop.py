"""One thread's events: descriptors, timers and signals.

asyncio would do, at 8 MB more; the keeper has to be small and to live for years.
"""

from __future__ import annotations

import heapq
import os
import selectors
import signal
import traceback
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable

    Ready = Callable[[int], None]

READ: Final = selectors.EVENT_READ
WRITE: Final = selectors.EVENT_WRITE


class Timer:
    """A call to come; cancelled, it is dropped when its time comes."""

    __slots__ = ("at_s", "callback", "number")

    def __init__(self, at_s: float, number: int, callback: Callable[[], object]) -> None:
        self.at_s = at_s
        self.number = number
        self.callback: Callable[[], object] | None = callback

    def __lt__(self, other: Timer) -> bool:
        return (self.at_s, self.number) < (other.at_s, other.number)

    def cancel(self) -> None:
        """Forget the call."""
        self.callback = None


class Loop:
    """Calls who waits for a descriptor, a time or a signal. Used on one thread alone.

    A callback that raises is logged by `log`, and a descriptor whose callback raised is no longer
    watched: one broken client or console never ends or spins the keeper.
    """

    def __init__(self, clock: Callable[[], float], log: Callable[[str], None]) -> None:
        self._clock = clock
        self._log = log
        self._selector = selectors.DefaultSelector()
        self._timers: list[Timer] = []
        self._made = 0
        self._running = False
        # Called at the end of each turn, when all that was ready has been seen to.
        self.on_turn: Callable[[], object] = self._ignore
        self._signals: dict[int, Callable[[], object]] = {}
        self._woken, wake = os.pipe()
        for end in (self._woken, wake):
            os.set_blocking(end, False)
        # A full pipe has woken the loop already: nothing is lost by the byte that does not fit.
        signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
        self.watch(self._woken, READ, self._on_signals)

    def watch(self, descriptor: int, events: int, ready: Ready) -> None:
        """Call `ready` with READ, WRITE or both whenever it applies, or change what is waited for.

        A hang-up counts as readable. No events: wait for nothing. Raises OSError.
        """
        known = descriptor in self._selector.get_map()
        if known and events:
            self._selector.modify(descriptor, events, ready)
        elif events:
            self._selector.register(descriptor, events, ready)
        elif known:
            self._selector.unregister(descriptor)

    def forget(self, descriptor: int) -> None:
        """Stop waiting for a descriptor: before it is closed and its number means another."""
        self.watch(descriptor, 0, self._ignore)

    def after(self, delay_s: float, callback: Callable[[], object]) -> Timer:
        """Call once, after a delay."""
        self._made += 1
        timer = Timer(self._clock() + delay_s, self._made, callback)
        heapq.heappush(self._timers, timer)
        return timer

    def on_signal(self, number: int, callback: Callable[[], object]) -> None:
        """Call whenever a signal has come; several of a kind may be one call."""
        self._signals[number] = callback
        # The handler exists because an ignored signal would stay ignored in every child.
        signal.signal(number, self._ignore)

    def stop(self) -> None:
        """Return from `run` when the present callback ends."""
        self._running = False

    def run(self) -> None:
        """Serve until `stop`."""
        self._running = True
        while self._running:
            for key, events in self._selector.select(self._patience_s()):
                # An earlier callback of this turn may have closed it, and opened another in its
                # place: then its key is not the registered one.
                if self._selector.get_map().get(key.fd) is key and self._running:
                    self._guard(key.fd, key.data, events)
            self._fire()
            self._guard(None, self.on_turn)

    def _patience_s(self) -> float | None:
        while self._timers and self._timers[0].callback is None:
            heapq.heappop(self._timers)
        return max(0.0, self._timers[0].at_s - self._clock()) if self._timers else None

    def _fire(self) -> None:
        now_s = self._clock()
        while self._running and self._timers and self._timers[0].at_s <= now_s:
            timer = heapq.heappop(self._timers)
            if timer.callback is not None:
                self._guard(None, timer.callback)

    def _guard(self, descriptor: int | None, callback: Callable[..., object], *args: int) -> None:
        try:
            callback(*args)
        except Exception:  # noqa: BLE001 -- the keeper outlives every fault of one of its parts
            self._log(traceback.format_exc())
            if descriptor is not None and descriptor != self._woken:
                self.forget(descriptor)

    def _on_signals(self, _: int) -> None:
        numbers = set(os.read(self._woken, 4096))
        for number in sorted(numbers):
            if number in self._signals:
                self._guard(None, self._signals[number])

    @staticmethod
    def _ignore(*_: Any) -> None:
        pass
