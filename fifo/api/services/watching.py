"""EventService.Watch: every change from a point on, no gap and no repetition."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

from fifo.api import limits, places
from fifo.api.faults import Faults
from fifo.api.matching import Matching
from fifo.api.replay import Replays
from fifo.api.resources import events
from fifo.api.resources.kinds import EventParts
from fifo.api.resources.values import seconds_of
from fifo.api.tables import Change, Tables
from fifo.model import keys
from fifo.model.errors import HistoryGone, NoRoom
from fifo.store.pages import pages
from fifo.v1 import event_service_pb2

if TYPE_CHECKING:
    from fifo.api.backend import Backend
    from fifo.api.calls import Call
    from fifo.api.changes import Changes

Response = event_service_pb2.WatchResponse
TOKEN_KEY: Final = "fifo-resume-token"  # noqa: S105 - the name of a metadata entry


class Watching:
    """Serves Watch."""

    def __init__(self, backend: Backend, changes: Changes) -> None:
        self._backend = backend
        self._changes = changes
        self._replays = Replays(backend.store)

    async def watch(self, request: event_service_pb2.WatchRequest, call: Call) -> None:
        """Tell changes until the caller leaves, lags too far, or the node goes."""
        matching = self._asked(request)
        self._changes.follow()
        watcher = Watcher(self._backend, self._changes, matching, call, request)
        match request.WhichOneof("start"):
            case "snapshot" if request.snapshot:
                position = await watcher.snapshot()
            case "resume_token":
                position = await self._resume(watcher, self._revision(request, matching))
            case "since":
                position = self._since(request)
            case _:
                position = self._changes.end
        await watcher.follow(position)

    def check_watch(self, request: event_service_pb2.WatchRequest, call: Call) -> None:
        """Raise InvalidInput with all that is wrong with what is to be watched, and from where."""
        del call
        self._asked(request)

    def _asked(self, request: event_service_pb2.WatchRequest) -> Matching:
        faults, matching = Faults(), None
        with faults:
            matching = Matching(request)
        if request.resume_token:
            with faults:
                self._revision(request, matching)
        faults.refuse("Watch")
        assert matching is not None
        return matching

    def _revision(self, request: event_service_pb2.WatchRequest, matching: Matching | None) -> int:
        """Give the revision that a token stands for; of a wrong watch any sealed one is right."""
        own = None if matching is None else matching.hash
        incarnation = self._backend.store.incarnation
        return places.read(self._backend.seals, request.resume_token, own, incarnation)

    async def _resume(self, watcher: Watcher, revision: int) -> int:
        """Tell what memory has no more, and give the position from which it has all."""
        changes = self._changes
        watcher.reach(revision)
        while revision < changes.floor:
            async for tables, missed in self._replays.since(revision, changes.floor):
                await watcher.tell(tables, missed, tables.revision)
                revision = tables.revision
        return changes.position_after(revision)

    def _since(self, request: event_service_pb2.WatchRequest) -> int:
        wanted = request.since.seconds + request.since.nanos / 1e9
        if wanted < self._changes.since:
            raise HistoryGone(
                "changes are kept by time only since this node began to watch",
                "since",
                "begin with a snapshot, or go on from a token",
                details={"oldest_time": f"{self._changes.since:.3f}"},
            )
        return self._changes.position_at(wanted)


class Watcher:
    """One watch: where it stands, and the frames it sends; in the call's own task."""

    def __init__(
        self,
        backend: Backend,
        changes: Changes,
        matching: Matching,
        call: Call,
        request: event_service_pb2.WatchRequest,
    ) -> None:
        self._backend = backend
        self._changes = changes
        self._matching = matching
        self._call = call
        settings = backend.settings
        self._delay_s = settings.watch_delay_s
        if request.HasField("max_delay"):
            self._delay_s = seconds_of(request.max_delay)
        self._heartbeat_s = settings.heartbeat_s
        if request.HasField("heartbeat"):
            self._heartbeat_s = seconds_of(request.heartbeat)
        self._woken = asyncio.Event()
        self._position = changes.end
        self._allowed = settings.watch_lag
        self.reach(changes.revision)

    # -- frames ------------------------------------------------------------------------------

    def reach(self, revision: int) -> None:
        """Note that all up to a revision is told, or about to be: the token for the end."""
        self._token = places.token(
            self._backend.seals,
            places.Place(self._backend.store.incarnation, revision),
            self._matching.hash,
        )
        self._call.trailing = ((TOKEN_KEY, self._token),)

    async def tell(self, view: Any, changes: list[Change], revision: int) -> None:
        """Send the frames of some changes, whole commits each; `revision` is then reached."""
        frame = Response()
        size = 0
        for index, change in enumerate(changes):
            event = self._matching.event(view, change)
            if event is not None:
                frame.events.append(event)
                size += event.ByteSize()
            ends = index + 1 == len(changes) or changes[index + 1].revision != change.revision
            full = len(frame.events) >= limits.FRAME_EVENTS or size >= limits.FRAME_WATCH_BYTES
            if ends and full:
                await self._send(frame, change.revision)
                frame, size = Response(), 0
        if frame.events:
            await self._send(frame, revision)
        else:
            self.reach(revision)

    async def _send(self, frame: Response, revision: int) -> None:
        self.reach(revision)
        frame.resume_token = self._token
        await self._call.send(frame)

    # -- beginnings --------------------------------------------------------------------------

    async def snapshot(self) -> int:
        """Tell all that there is, and give the position of what comes after it."""
        changes = self._changes
        position, tables = changes.end, Tables.of(changes.tables)
        # Until all is told there is no place to go on from.
        self._call.trailing = ()
        frame = Response()
        size = 0
        for count, (kind, parts) in enumerate(tables.resources(self._matching.kinds)):
            if not (count + 1) % limits.LIST_SLICE:
                await asyncio.sleep(0)
            event = self._matching.current(tables, kind, parts)
            if event is None:
                continue
            frame.events.append(event)
            size += event.ByteSize()
            if len(frame.events) >= limits.FRAME_EVENTS or size >= limits.FRAME_WATCH_BYTES:
                await self._call.send(frame)
                frame, size = Response(), 0
        if events.TYPE in self._matching.kinds:
            frame = await self._stories(tables, frame)
        frame.snapshot_done = True
        await self._send(frame, tables.revision)
        return position

    async def _stories(self, tables: Tables, frame: Response) -> Response:
        """Tell the events that are kept, a page at a time."""
        end = keys.end_of(keys.STORY)
        most, revision, store = limits.FRAME_EVENTS, tables.revision, self._backend.store
        async for page in pages(store, keys.STORY, end, limit=most, revision=revision):
            for kv in page.kvs:
                event = self._matching.current(tables, events.TYPE, EventParts(kv))
                if event is not None:
                    frame.events.append(event)
            if page.more:
                await self._call.send(frame)
                frame = Response()
        return frame

    # -- following ---------------------------------------------------------------------------

    async def follow(self, position: int) -> None:
        """Tell changes as they come; ends only by an error or the caller's leaving."""
        changes = self._changes
        self._position = position
        self._allowed += changes.end - position
        changes.watchers.add(self._wake)
        try:
            while True:
                if changes.end == self._position:
                    await self._wait()
                await self._tell_next()
        finally:
            changes.watchers.discard(self._wake)

    async def _tell_next(self) -> None:
        changes = self._changes
        self._check()
        batch = changes.read(self._position, limits.FRAME_EVENTS)
        self._position += len(batch)
        last = self._position == changes.end
        revision = changes.revision if last or not batch else batch[-1].revision
        await self.tell(changes.tables, batch, revision)
        behind = changes.end - self._position
        self._allowed = min(self._allowed, self._backend.settings.watch_lag + behind)

    async def _wait(self) -> None:
        """Wait for a change and a moment more; send a sign of life when none comes for long."""
        while self._changes.end == self._position:
            self._woken.clear()
            try:
                async with asyncio.timeout(self._heartbeat_s):
                    await self._woken.wait()
            except TimeoutError:
                await self._send(Response(), self._changes.revision)
            else:
                if self._changes.end == self._position:
                    self.reach(self._changes.revision)
        if self._delay_s and self._changes.end - self._position < limits.FRAME_EVENTS:
            await asyncio.sleep(self._delay_s)

    def _wake(self) -> None:
        self._woken.set()
        if self._changes.end - self._position > self._allowed:
            self._call.end(self._lagging())

    def _check(self) -> None:
        if self._position < self._changes.first:
            raise self._lagging()

    def _lagging(self) -> NoRoom:
        return NoRoom(
            f"the watcher is more than {self._backend.settings.watch_lag} changes behind",
            "Watch",
            "go on from the token in the trailing metadata, and read faster or ask for less",
            reason="WATCH_OVERFLOW",
        )
