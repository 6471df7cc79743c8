"""How instances end: the keeper tells, it is written down, and then whoever waits or subscribes.

An end is recorded in the instance's directory before the keeper may forget it, so that it is told
once: to a subscriber that is there, or to the next one. A disk without room holds up no news of it
(`ends`).
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from contextlib import aclosing
from typing import TYPE_CHECKING, Final

import msgspec

from fifo.hypervisors.driver import Broken, Ended, Inventory
from fifo.hypervisors.linux import init, limits
from fifo.hypervisors.linux.ends import Ends
from fifo.hypervisors.linux.keeper import processes
from fifo.model.errors import FifoError, HistoryGone, Unavailable
from fifo.model.instance import Exit
from fifo.model.names import is_uid

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from fifo.hypervisors.driver import Event, Observed
    from fifo.hypervisors.linux.keeper_client import Exit as KeeperExit
    from fifo.hypervisors.linux.keeper_client import KeeperClient, Watched
    from fifo.hypervisors.linux.layout import Kept, Layout

RETRY_S: Final = 1.0
"""Between attempts to find a keeper, besides the client's own."""

_log = logging.getLogger(__name__)


class Watch:
    """Follows the keeper's exits. Used on the node's loop.

    `revive` starts a keeper when none answers; `look` gives the inventory that a subscriber hears
    first; `on_end` is told of each end once it is recorded, to clean up behind it.
    """

    def __init__(
        self,
        keeper: KeeperClient,
        layout: Layout,
        boot_id: str,
        wall: Callable[[], float],
        revive: Callable[[], Awaitable[object]],
    ) -> None:
        self._keeper = keeper
        self._layout = layout
        self.ends = Ends(layout)
        self._boot_id = boot_id
        self._wall = wall
        self._revive = revive
        self._forced: set[str] = set()
        self._looped: dict[str, int] = {}
        self._starting: set[str] = set()
        self._waiters: dict[str, set[asyncio.Future[None]]] = {}
        self._listeners: list[Listening] = []
        self._sessions: dict[str, asyncio.Future[KeeperExit]] = {}
        self._following: asyncio.Task[None] | None = None
        self.on_end: Callable[[str], None] = lambda _: None

    # -- following the keeper ------------------------------------------------------------------

    async def open(self) -> None:
        """Learn what ended while nobody followed, then follow. Raises what the keeper raises."""
        await self.catch_up()
        self._following = asyncio.create_task(self._follow())

    async def close(self) -> None:
        """Follow no more; what comes later is told to the next."""
        for listening in list(self._listeners):
            listening.cancel()
        if self._following is not None:
            self._following.cancel()
            await asyncio.gather(self._following, return_exceptions=True)
        await self.ends.close()

    async def catch_up(self) -> list[Watched]:
        """Record every end that the keeper knows of, and those that it does not; give its table.

        Raises OSError for a record that cannot be read.
        """
        watched = await self._keeper.inventory()
        table = {each.instance: each for each in watched}
        for uid in self._layout.uids():
            kept = self.ends.read(uid)
            if kept is not None and kept.is_open:
                self._compare(kept, table.get(uid))
        return watched

    def _compare(self, kept: Kept, found: Watched | None) -> None:
        """Record the end of an open start if the keeper knows it, or if nobody does."""
        if found is not None and found.start_id == str(kept.start_id):
            if found.exit is not None:
                self.ended(found.exit)
        elif kept.uid not in self._starting and not alive(kept, self._boot_id):
            self._record(kept, Exit(at=self._wall()))

    async def _follow(self) -> None:
        first = 0
        while True:
            try:
                await self._hear(first)
                await self._lost(Unavailable("the connection to the keeper has ended"))
                first = 0
            except HistoryGone as error:
                # Those before it were acknowledged since the connection was made.
                first = int(error.details.get("first", 0))
            except FifoError as error:
                await self._lost(error)
                first = 0
            except OSError as error:
                # It is not acknowledged, so that the keeper tells it again.
                _log.error("an instance that has ended cannot be looked up: %s", error)
                await asyncio.sleep(RETRY_S)
            except Exception as error:  # noqa: BLE001 -- a fault of ours must not end it in silence
                # Whoever listens is told, and looks again.
                _log.exception("the keeper is not followed: begun anew in %g s", RETRY_S)
                self._blind(f"its ends cannot be followed ({error!r})")
                await asyncio.sleep(RETRY_S)

    async def _hear(self, first: int) -> None:
        """Take ends until the connection does, from number `first`, 0 for the first there was."""
        line = await self._keeper.line()
        await self.catch_up()
        for listening in self._listeners:
            listening.resume()
        async with aclosing(self._keeper.exits(first or line.hello["first_seq"])) as ends:
            async for end in ends:
                if end is None:
                    return
                self.ended(end)
                if not self.ends.owing:
                    # Those that were owed before it too.
                    await self._keeper.ack(end.seq)

    def _blind(self, reason: str) -> None:
        for listening in list(self._listeners):
            try:
                listening.broken(reason)
            except Exception:  # noqa: BLE001 -- one that cannot hear keeps no other from it
                _log.exception("a listener is not told that ends cannot be seen")

    async def _lost(self, error: FifoError) -> None:
        self._blind(str(error))
        try:
            await self._revive()
        except FifoError as again:
            _log.error("no keeper can be started: %s", again)
            await asyncio.sleep(RETRY_S)

    # -- ends ----------------------------------------------------------------------------------

    def ended(self, end: KeeperExit) -> None:
        """Take an end from the keeper; one that is known already changes nothing."""
        if not is_uid(end.instance):
            session = self._sessions.pop(end.instance, None)
            if session is not None and not session.done():
                session.set_result(end)
            return
        kept = self.ends.read(end.instance)
        if kept is None or str(kept.start_id) != end.start_id or kept.exit is not None:
            return
        code, number = init.ending(kept.stop_signal, end.status, end.signal)
        forced, resets = end.instance in self._forced, self._looped.get(end.instance, 0)
        self._record(
            kept, Exit(at=end.time, code=code, signal=number, forced=forced, resets=resets)
        )

    def _record(self, kept: Kept, end: Exit) -> None:
        self.ends.write(msgspec.structs.replace(kept, exit=end, told=False, pid=0))
        self._forced.discard(kept.uid)
        self._looped.pop(kept.uid, None)
        self._wake(kept.uid)
        if kept.uid not in self._starting:
            self.on_end(kept.uid)
            self._announce(kept.uid)

    def _wake(self, uid: str) -> None:
        for waiter in self._waiters.pop(uid, ()):
            if not waiter.done():
                waiter.set_result(None)

    def _announce(self, uid: str) -> None:
        """Tell everybody who listens of an end that nobody was told of."""
        kept = self.ends.read(uid)
        if kept is None or kept.exit is None or kept.told or not self._listeners:
            return
        event = Ended(uid, kept.start_id, kept.exit)
        heard = sum(listening.tell(event) for listening in self._listeners)
        if heard:
            self.mark_told(uid, kept.start_id)

    def mark_told(self, uid: str, start_id: int) -> None:
        """Note that somebody has heard of an end."""
        kept = self.ends.read(uid)
        if kept is not None and kept.start_id == start_id and not kept.told:
            self.ends.write(msgspec.structs.replace(kept, told=True))

    def untold(self) -> Iterable[Ended]:
        """Yield the ends nobody was told of."""
        for uid in self._layout.uids():
            kept = self.ends.read(uid)
            if kept is not None and kept.exit is not None and not kept.told:
                yield Ended(uid, kept.start_id, kept.exit)

    # -- starts and stops ----------------------------------------------------------------------

    def begin(self, uid: str) -> None:
        """Hold an end back while its start is under way: who starts says what came of it."""
        self._starting.add(uid)

    def done(self, uid: str) -> None:
        """Tell of an end that came during its start."""
        self._starting.discard(uid)
        kept = self.ends.read(uid)
        if kept is not None and kept.exit is not None and not kept.told:
            self._announce(uid)
            self.on_end(uid)

    def force(self, uid: str) -> None:
        """Count the end to come as forced."""
        self._forced.add(uid)

    def looped(self, uid: str, resets: int) -> None:
        """Have the end to come say that the guest had started anew so often."""
        self._looped[uid] = resets

    async def end_of(self, uid: str, timeout_s: float | None = None) -> Exit | None:
        """Wait until the latest start of an instance is over; None if it is not by then."""
        waiter = asyncio.get_running_loop().create_future()
        self._waiters.setdefault(uid, set()).add(waiter)
        try:
            async with asyncio.timeout(timeout_s):
                while (end := self.ends.find(uid).exit) is None:
                    await waiter
                return end
        except TimeoutError:
            return None
        finally:
            if waiters := self._waiters.get(uid):
                waiters.discard(waiter)

    def session(self, name: str) -> asyncio.Future[KeeperExit]:
        """Give how a command in a terminal of the keeper's will have ended."""
        return self._sessions.setdefault(name, asyncio.get_running_loop().create_future())

    def drop_session(self, name: str) -> None:
        """Wait no more for the end of a command: nobody asks for it."""
        self._sessions.pop(name, None)

    # -- subscribers ---------------------------------------------------------------------------

    def listen(
        self,
        deliver: Callable[[Event], None],
        look: Callable[[], Awaitable[tuple[Observed, ...]]],
    ) -> Listening:
        """Deliver the inventory, ends that nobody was told of, and then what happens."""
        return Listening(self, self._listeners, deliver, look)


class Listening:
    """One subscription: what happens before its inventory is delivered waits for it."""

    def __init__(
        self,
        watch: Watch,
        listeners: list[Listening],
        deliver: Callable[[Event], None],
        look: Callable[[], Awaitable[tuple[Observed, ...]]],
    ) -> None:
        self._watch = watch
        self._listeners = listeners
        self._deliver = deliver
        self._look = look
        self._pending: deque[Ended] = deque(maxlen=limits.EXITS_PENDING)
        self._seen = False
        self._looking = asyncio.create_task(self._begin())
        listeners.append(self)

    async def _begin(self) -> None:
        while not self._seen:
            try:
                self._show(await self._look())
            except FifoError as error:
                await self._blind(str(error))
            except Exception as error:  # noqa: BLE001 -- nobody awaits this task
                # A fault of ours would leave its listener waiting for ever.
                _log.exception("the host cannot be looked at: again in %g s", RETRY_S)
                await self._blind(f"the host cannot be looked at ({error!r})")

    def _show(self, found: tuple[Observed, ...]) -> None:
        self._seen = True
        self._deliver(Inventory(found))
        told = dict.fromkeys((*self._watch.untold(), *self._pending))
        self._pending.clear()
        for event in told:
            self._deliver(event)
            self._watch.mark_told(event.uid, event.start_id)

    async def _blind(self, reason: str) -> None:
        self._seen = False
        self._deliver(Broken(reason))
        await asyncio.sleep(RETRY_S)

    def tell(self, event: Ended) -> bool:
        """Deliver an end, or keep it for after the inventory; True if it was delivered."""
        if self._seen:
            self._deliver(event)
        else:
            self._pending.append(event)
        return self._seen

    def broken(self, reason: str) -> None:
        """Say that sight was lost; nothing if it was not there."""
        if self._seen:
            self._seen = False
            self._deliver(Broken(reason))

    def resume(self) -> None:
        """Say the inventory again after sight was lost."""
        if not self._seen and self._looking.done():
            self._looking = asyncio.create_task(self._begin())

    def cancel(self) -> None:
        """Hear no more."""
        if self in self._listeners:
            self._listeners.remove(self)
        self._looking.cancel()


def alive(kept: Kept, boot_id: str) -> bool:
    """Tell whether the process of an instance's latest start is there, this boot, and no zombie."""
    if kept.boot_id != boot_id or not kept.pid:
        return False
    found = processes.stat(kept.pid)
    return found is not None and found.start_time == kept.start_time and found.state != "Z"
