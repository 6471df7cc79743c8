"""Reports: what an agent saw, written into the store in its order, once, and then acknowledged."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fifo.fleet import limits
from fifo.fleet.stories import Stories
from fifo.model import keys, records
from fifo.model.errors import Conflict
from fifo.model.limits import STORY_EVENT_BYTES
from fifo.model.story import StoryEvent
from fifo.store.contract import Put, Txn

if TYPE_CHECKING:
    from fifo.fleet.ownership import Ownership
    from fifo.model.instance import InstanceStatus
    from fifo.model.link import JournalEntry, Report
    from fifo.model.story import EventKind
    from fifo.store.contract import Delete
    from fifo.workflows.world import World


class Reporting:
    """Writes statuses and stories as the owner of a host; part of its session."""

    def __init__(self, host: str, world: World, ownership: Ownership) -> None:
        self.host = host
        self.world = world
        self.ownership = ownership
        self.taken = -1
        """The highest sequence number that is written; -1 before the first report."""
        self.stories = Stories(world.store)

    async def take(self, report: Report) -> int | None:
        """Write a report down; gives what may be acknowledged. Raises Conflict when replaced."""
        entries = [entry for entry in report.entries if entry.sequence > self.taken]
        for entry in entries:
            if entry.dropped:
                await self._tell_dropped(entry)
        for first in range(0, len(entries), limits.REPORT_ENTRIES):
            await self._write(entries[first : first + limits.REPORT_ENTRIES])
        return report.entries[-1].sequence if report.entries else None

    async def _write(self, entries: list[JournalEntry]) -> None:
        """Write entries in one transaction; of several statuses of an instance the last."""
        writes: dict[bytes, Put | Delete] = {}
        for entry in entries:
            if entry.status is not None and self._is_ours(entry.uid):
                key = keys.by_uid(keys.INSTANCE_STATUS, entry.uid)
                writes[key] = Put(key, records.encode(entry.status))
            if entry.event is not None and self.world.catalog.specs.get(entry.uid) is not None:
                await self.stories.know(entry.uid)
                for write in self.stories.add(entry.event, entry.sequence):
                    writes[write.key] = write
        if writes:
            await self.write(tuple(writes.values()))
        self.taken = entries[-1].sequence
        for entry in entries:
            if entry.status is not None and entry.status.state == "deleted":
                self.stories.forget(entry.uid)

    async def _tell_dropped(self, mark: JournalEntry) -> None:
        """Say in the stories of the host's instances that something may be missing there.

        Not of those that were made since: nothing of them was dropped. A repeat writes the same.
        """
        text = (
            f"its host dropped the oldest {mark.dropped} reports that nobody had taken over: what "
            "they told of its instances is missing"
        )
        for chunk in self._chunks():
            writes: list[Put | Delete] = []
            for uid in chunk:
                spec = self.world.catalog.specs.record(uid)
                if spec is None or spec.create_time > mark.at:
                    continue
                await self.stories.know(uid)
                figures = {"dropped": str(mark.dropped)}
                event = self._event(uid, "reports_dropped", mark.at, text, figures)
                # What it stands for may be written, where only the acknowledgement was lost.
                writes += await self.stories.add_beside(event, mark.sequence)
            if writes:
                await self.write(tuple(writes))

    async def cut_off(self, text: str, figures: dict[str, str]) -> list[tuple[Put | Delete, ...]]:
        """Give what tells the host's instances that it is lost, or back, in chunks of one txn."""
        chunks: list[tuple[Put | Delete, ...]] = []
        for uids in self._chunks():
            chunk: list[Put | Delete] = []
            for uid in uids:
                await self.stories.know(uid)
                event = self._event(uid, "cut_off", self.world.utc(), text, figures)
                chunk += self.stories.add_own(event)
            chunks.append(tuple(chunk))
        return chunks

    def _chunks(self) -> list[list[str]]:
        """Give the host's instances, as many at once as one transaction has the events of."""
        most = limits.REPORT_ENTRIES
        uids = [claim.record.uid for claim in self.world.catalog.claims]
        uids = [uid for uid in uids if self._is_ours(uid)]
        return [uids[first : first + most] for first in range(0, len(uids), most)]

    def _event(
        self, uid: str, kind: EventKind, at: float, text: str, figures: dict[str, str]
    ) -> StoryEvent:
        return StoryEvent(
            uid=uid,
            at=at,
            kind=kind,
            text=text[: STORY_EVENT_BYTES // 4],
            host=self.host,
            figures=figures,
        )

    async def write(self, writes: tuple[Put | Delete, ...]) -> None:
        """Write as the host's owner; raises Conflict when replaced."""
        reply = await self.world.store.txn(Txn((self.ownership.own(),), writes))
        if not reply.succeeded:
            raise Conflict("the host has a newer owner", self.host)

    def _is_ours(self, uid: str) -> bool:
        """Tell whether an instance is known and has its place on this host.

        What an agent says of an instance elsewhere, or of one that is deleted, is not written.
        """
        claim = self.world.catalog.claims.record(uid)
        spec = self.world.catalog.specs.get(uid)
        return spec is not None and claim is not None and claim.host == self.host

    async def take_statuses(self, statuses: tuple[InstanceStatus, ...]) -> None:
        """Write the statuses that a greeting carries where they differ from what is stored."""
        known = self.world.catalog.statuses
        fresh = [
            status
            for status in statuses
            if self._is_ours(status.uid) and known.record(status.uid) != status
        ]
        for first in range(0, len(fresh), limits.REPORT_ENTRIES):
            some = fresh[first : first + limits.REPORT_ENTRIES]
            puts = tuple(
                Put(keys.by_uid(keys.INSTANCE_STATUS, status.uid), records.encode(status))
                for status in some
            )
            reply = await self.world.store.txn(Txn((self.ownership.own(),), puts))
            if not reply.succeeded:
                raise Conflict("the host has a newer owner", self.host)
            await self.world.catalog.at(reply.revision)
