"""A hashed timer wheel: a million timers at a list entry each.

Slots of one tick hold plain lists, so arming a timer is an append and cancelling one is a flag;
cancelled entries, and timers whose process has ended, are skipped when their slot comes up and
swept when there are too many. Timers beyond one turn of the wheel wait in a dictionary by turn and
move into the slots when it begins (Varghese and Lauck's scheme with an unbounded second level). The
wheel reads no clock.
"""

from __future__ import annotations

import heapq
from collections import deque
from math import ceil, inf, isnan
from typing import TYPE_CHECKING, Any, Protocol

from supervisors import limits

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_TICKS_PER_S = round(1 / limits.TIMER_TICK_S)
_MASK = limits.TIMER_SLOTS - 1
_SHIFT = limits.TIMER_SLOTS.bit_length() - 1
assert limits.TIMER_SLOTS == 1 << _SHIFT, "the wheel's size is a power of two"


def patience(timeout_s: float | None) -> float | None:
    """Give a timeout as a number, None for one that never ends: None itself, or infinity.

    Called where a timeout is given, on any thread, so that a wrong one is that caller's error and
    not the shard's. Raises ValueError for what is no number of seconds.
    """
    if timeout_s is None:
        return None
    try:
        wrong = isnan(timeout_s)
    except (TypeError, OverflowError):
        wrong = True
    if wrong:
        raise ValueError(f"{timeout_s!r} is no number of seconds to wait; None waits for ever")
    return None if timeout_s == inf else float(timeout_s)


class Entry(Protocol):
    """What the wheel holds: anything with a status, zero while it still waits to fire."""

    _status: int


class Timer:
    """One armed timer that will send `message` to a process (see `Process.send_after`).

    It knows its process by `serial`, so that one which has ended is not kept until the time comes.
    """

    __slots__ = ("_status", "message", "serial", "shard")

    def __init__(self, shard: Any, serial: int, message: Any) -> None:
        self.shard = shard
        self.serial = serial
        self.message = message
        self._status = 0

    def cancel(self) -> bool:
        """Stop the timer; True if it had not fired yet. Call it on the process's own shard."""
        if self._status:
            return False
        self._status = 1
        self.message = None
        self.shard.timers.stale += 1
        return True


class Deadline:
    """A function to be called on the shard's thread after a delay, for what is no process."""

    __slots__ = ("_status", "function", "shard")

    def __init__(self, shard: Any, delay_s: float, function: Callable[[], None]) -> None:
        self.shard = shard
        self.function = function
        self._status = 0
        shard.timers.insert(shard.now_s() + delay_s, self)

    def expire(self) -> None:
        """Call the function; called by the shard."""
        self._status = 1
        self.function()

    def cancel(self) -> None:
        """Drop the deadline if it has not come; call it on the shard's thread."""
        if not self._status:
            self._status = 1
            self.shard.timers.stale += 1


def _waits(entry: Any) -> bool:
    """Tell whether an entry is still to fire: not settled, and not a timer of a dead process."""
    if entry._status:
        return False
    return entry.__class__ is not Timer or entry.serial in entry.shard.processes


class TimerWheel:
    """Entries by due time; owned by one shard and touched on its thread alone."""

    __slots__ = ("_count", "_heap", "_later", "_slots", "_tick", "due", "stale")

    def __init__(self, now_s: float) -> None:
        self._tick = int(now_s * _TICKS_PER_S)
        self._slots: list[list[Any] | None] = [None] * limits.TIMER_SLOTS
        self._heap: list[int] = []
        self._later: dict[int, list[tuple[int, Any]]] = {}
        self._count = 0
        self.stale = 0
        """Entries that no longer wait, roughly: whoever settles one early counts it here."""
        self.due: deque[list[Any]] = deque()
        """Lists of entries whose time has come, oldest first; the shard takes them from here."""

    def __len__(self) -> int:
        """Count the entries held, cancelled ones that were not swept yet included."""
        return self._count

    def __iter__(self) -> Iterator[Any]:
        """Give the entries that are held and wait, in no order."""
        for entries in (*self.due, *self._slots):
            yield from filter(_waits, entries or ())
        for held in self._later.values():
            yield from (entry for _, entry in held if _waits(entry))

    def insert(self, due_s: float, entry: Entry) -> None:
        """Hold an entry until `due_s` on the shard's clock; never fires early.

        What is due at infinity never fires and is not held. Raises ValueError for NaN.
        """
        try:
            tick = ceil(due_s * _TICKS_PER_S - 1e-6)
        except OverflowError:
            if due_s > 0:
                return
            tick = self._tick
        ahead = tick - self._tick
        self._count += 1
        if ahead < limits.TIMER_SLOTS:
            if ahead <= 0:
                tick = self._tick + 1
            slot = self._slots[tick & _MASK]
            if slot is None:
                self._slots[tick & _MASK] = [entry]
                heapq.heappush(self._heap, tick)
            else:
                slot.append(entry)
        else:
            turn = self._later.get(tick >> _SHIFT)
            if turn is None:
                self._later[tick >> _SHIFT] = [(tick, entry)]
            else:
                turn.append((tick, entry))

    def advance(self, now_s: float) -> None:
        """Move every entry due by `now_s` into `due`, in order of time and then of arming."""
        target = int(now_s * _TICKS_PER_S + 1e-6)
        if self.stale > limits.TIMER_STALE_ENTRIES and self.stale * 2 > self._count:
            self._sweep()
        heap, slots = self._heap, self._slots
        while True:
            begins = (min(self._later) << _SHIFT) if self._later else target + 1
            while heap and heap[0] <= target and heap[0] < begins:
                tick = heapq.heappop(heap)
                entries = slots[tick & _MASK]
                slots[tick & _MASK] = None
                self._tick = tick
                if entries:
                    self._count -= len(entries)
                    self.due.append(entries)
            if begins > target:
                break
            self._tick = max(self._tick, begins - 1)
            self._cascade(begins >> _SHIFT)
        self._tick = max(self._tick, target)

    def next_due_s(self) -> float | None:
        """Say when to look again: at or before the earliest entry, None when there is none."""
        tick = self._heap[0] if self._heap else None
        if self._later:
            begins = min(self._later) << _SHIFT
            tick = begins if tick is None else min(tick, begins)
        return None if tick is None else tick / _TICKS_PER_S

    def next_live_s(self) -> float | None:
        """Say when the earliest entry that still waits is due, dropping stale ones before it.

        For the simulated host, whose clock must not stop where nothing happens.
        """
        tick = self._first_live_tick()
        while self._later:
            turn = min(self._later)
            if tick is not None and tick < turn << _SHIFT:
                break
            waiting = [due for due, entry in self._later[turn] if _waits(entry)]
            if waiting:
                first = min(waiting)
                tick = first if tick is None else min(tick, first)
                break
            self._drop(len(self._later.pop(turn)))
        return None if tick is None else tick / _TICKS_PER_S

    def _first_live_tick(self) -> int | None:
        while self._heap:
            tick = self._heap[0]
            entries = self._slots[tick & _MASK] or []
            if any(_waits(entry) for entry in entries):
                return tick
            heapq.heappop(self._heap)
            self._slots[tick & _MASK] = None
            self._drop(len(entries))
        return None

    def _drop(self, count: int) -> None:
        self._count -= count
        self.stale = max(0, self.stale - count)

    def _cascade(self, turn: int) -> None:
        held: dict[int, list[Any]] = {}
        for tick, entry in self._later.pop(turn):
            held.setdefault(tick, []).append(entry)
        for tick, entries in held.items():
            slot = self._slots[tick & _MASK]
            if slot is None:
                self._slots[tick & _MASK] = entries
                heapq.heappush(self._heap, tick)
            else:
                # They were armed from farther off than those that are in the slot: earlier.
                slot[:0] = entries

    def _sweep(self) -> None:
        live_ticks = []
        count = 0
        for tick in self._heap:
            entries = self._slots[tick & _MASK] or ()
            kept = [entry for entry in entries if _waits(entry)]
            self._slots[tick & _MASK] = kept or None
            if kept:
                live_ticks.append(tick)
                count += len(kept)
        heapq.heapify(live_ticks)
        self._heap = live_ticks
        for turn, held in list(self._later.items()):
            waiting = [(tick, entry) for tick, entry in held if _waits(entry)]
            count += len(waiting)
            if waiting:
                self._later[turn] = waiting
            else:
                del self._later[turn]
        self.stale = 0
        self._count = count
