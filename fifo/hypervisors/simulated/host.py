"""The truth of a simulated host: what is there, whoever looks, and what happens by itself.

It outlives every driver that looks at it, as a machine outlives its agent. All on one thread.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

from fifo.hypervisors.driver import Broken, Ended, Inventory
from fifo.hypervisors.simulated.faults import EVENTS, GUEST, Faults
from fifo.hypervisors.simulated.guest import Guest
from fifo.hypervisors.simulated.settings import HostSettings
from fifo.model.errors import NoRoom, NotFound
from fifo.model.instance import Exit, Shares

if TYPE_CHECKING:
    from collections.abc import Callable

    from fifo.hypervisors.driver import Event, Observed, Wanted
    from fifo.hypervisors.simulated.clockwork import Clockwork, Settable
    from fifo.model.image import Image


class Sight:
    """One subscriber's sight of the host (`Subscription`)."""

    __slots__ = ("_host", "clear", "deliver")

    def __init__(self, host: SimulatedHost, deliver: Callable[[Event], None]) -> None:
        self._host = host
        self.deliver = deliver
        self.clear = True

    def cancel(self) -> None:
        """Hear no more."""
        self.clear = False
        self._host.sights.pop(self, None)


class SimulatedHost:
    """A host with its guests, its images and its subscribers."""

    def __init__(self, clockwork: Clockwork, settings: HostSettings | None = None) -> None:
        self.clockwork = clockwork
        self.settings = settings if settings is not None else HostSettings()
        self.faults = Faults(self.settings.faults, clockwork.random)
        self.guests: dict[str, Guest] = {}
        self.images: dict[str, Image] = {}
        self.sights: dict[Sight, None] = {}
        self.used = Shares()
        self.boots = 1
        self.boot_time = clockwork.utc()
        self._pids = itertools.count(1_000)

    def next_pid(self) -> int:
        """Take the next number of a process."""
        return next(self._pids)

    def number_pids_from(self, first: int) -> None:
        """Number processes from here on, as a host does that was written down."""
        self._pids = itertools.count(first)

    @property
    def boot_id(self) -> str:
        """The name of the time since the host was switched on last."""
        return f"{self.settings.name}-boot-{self.boots}"

    # -- for tests and simulations -----------------------------------------------------------

    def end(self, uid: str, end: Exit | None = None) -> None:
        """End a running guest from outside, by default by signal 9; else NotFound."""
        guest = self.guests.get(uid)
        if guest is None or not guest.running:
            raise NotFound("no such guest runs", uid, "start it first")
        self.finish(guest, end or Exit(at=self.clockwork.utc(), signal=9))

    def reboot_host(self) -> None:
        """Switch the host off and on: everything stops, nobody saw how, and sight is lost.

        Who subscribed hears Broken, and an Inventory when it subscribes anew.
        """
        self.boots += 1
        self.boot_time = self.clockwork.utc()
        for guest in self.guests.values():
            if guest.running:
                self._halt(guest, Exit(at=self.boot_time))
                guest.told = True
        for sight in tuple(self.sights):
            sight.cancel()
            sight.deliver(Broken("the host was rebooted"))

    def break_events(self, reason: str, lasts_s: float = 0.0) -> None:
        """Take the sight of the host from everyone, for a time or (0) for ever."""
        for sight in tuple(self.sights):
            self._break(sight, reason, lasts_s)

    # -- looking -----------------------------------------------------------------------------

    def inventory(self) -> tuple[Observed, ...]:
        """List every guest whose create was finished."""
        return tuple([guest.observed() for guest in self.guests.values() if guest.whole])

    def find(self, uid: str) -> Guest:
        """Find a guest; raises NotFound."""
        guest = self.guests.get(uid)
        if guest is None or not guest.whole:
            raise NotFound("no such instance on this host", uid, "create it first")
        return guest

    def watch(self, deliver: Callable[[Event], None]) -> Sight:
        """Tell a subscriber what is there, what ended untold, and what ends from now on."""
        sight = Sight(self, deliver)
        self.sights[sight] = None
        fault = self.faults.strike(EVENTS)
        if fault is not None:
            self.clockwork.after(
                fault.after_s, lambda: self._break(sight, fault.text, fault.lasts_s)
            )
        self._show(sight)
        return sight

    def _show(self, sight: Sight) -> None:
        sight.clear = True
        sight.deliver(Inventory(self.inventory()))
        for guest in self.guests.values():
            if not guest.told and guest.exit is not None:
                guest.told = True
                sight.deliver(Ended(guest.uid, guest.start_id, guest.exit))

    def _break(self, sight: Sight, reason: str, lasts_s: float) -> None:
        if sight not in self.sights or not sight.clear:
            return
        sight.clear = False
        sight.deliver(Broken(reason))
        if lasts_s:
            self.clockwork.after(lasts_s, lambda: self._heal(sight))

    def _heal(self, sight: Sight) -> None:
        if sight in self.sights and not sight.clear:
            self._show(sight)

    # -- changing ----------------------------------------------------------------------------

    def make(self, wanted: Wanted) -> Guest:
        """Make room for a guest, or find it; raises NoRoom."""
        guest = self.guests.get(wanted.spec.uid)
        if guest is None:
            self._take(wanted, Shares())
            guest = self.guests[wanted.spec.uid] = Guest(wanted)
        return guest

    def change(self, guest: Guest, wanted: Wanted) -> None:
        """Give a guest another specification; raises NoRoom."""
        self._take(wanted, guest.wanted.claim.shares)
        guest.wanted = wanted

    def drop(self, guest: Guest) -> None:
        """Remove a guest with all it had; it is ended first."""
        if guest.running:
            self.finish(guest, Exit(at=self.clockwork.utc(), signal=9, forced=True))
        if self.guests.pop(guest.uid, None) is not None:
            self.used = _sum(self.used, Shares(), guest.wanted.claim.shares)

    def _take(self, wanted: Wanted, instead_of: Shares) -> None:
        used = _sum(self.used, wanted.claim.shares, instead_of)
        room = self.settings.capacity
        for what in ("cpu", "memory", "disk"):
            if getattr(used, what) > getattr(room, what):
                raise NoRoom(
                    f"no {what} left on the host: {getattr(used, what)} wanted of "
                    f"{getattr(room, what)}",
                    wanted.spec.uid,
                    "place it on another host",
                )
        self.used = used

    def boot(self, guest: Guest, start_id: int) -> None:
        """Let a stopped guest run; what its image does by itself is drawn now."""
        guest.pid = next(self._pids)
        guest.start_id = start_id
        guest.started = self.clockwork.now()
        guest.boot_id = self.boot_id
        guest.exit = None
        guest.told = True
        guest.write_log(b"start %d\r\n" % start_id)
        fault = self.faults.strike(GUEST, guest.uid, guest.wanted.spec.image)
        if fault is not None:
            code = None if fault.signal is not None else fault.code
            guest.alarm = self.clockwork.after(
                fault.after_s, lambda: self._exit(guest, start_id, code, fault.signal)
            )

    def _exit(self, guest: Guest, start_id: int, code: int | None, signal: int | None) -> None:
        guest.alarm = None
        if guest.running and guest.start_id == start_id:
            self.finish(guest, Exit(at=self.clockwork.utc(), code=code, signal=signal))

    def when_ended(self, guest: Guest) -> Settable:
        """Give something to await until a running guest has ended."""
        waiter = self.clockwork.future()
        if guest.waiters is None:
            guest.waiters = []
        guest.waiters.append(waiter)
        return waiter

    def finish(self, guest: Guest, end: Exit) -> None:
        """End a running guest and tell whoever watches, once."""
        self._halt(guest, end)
        for sight in tuple(self.sights):
            if sight.clear:
                guest.told = True
                sight.deliver(Ended(guest.uid, guest.start_id, end))

    def _halt(self, guest: Guest, end: Exit) -> None:
        guest.pid = 0
        guest.exit = end
        guest.told = False
        if guest.alarm is not None:
            guest.alarm.cancel()
            guest.alarm = None
        channels, guest.channels = guest.channels, None
        for channel in channels or ():
            channel.end()
        waiters, guest.waiters = guest.waiters, None
        for waiter in waiters or ():
            waiter.reply(None)


def _sum(used: Shares, more: Shares, less: Shares) -> Shares:
    return Shares(
        cpu=used.cpu + more.cpu - less.cpu,
        memory=used.memory + more.memory - less.memory,
        disk=used.disk + more.disk - less.disk,
    )
