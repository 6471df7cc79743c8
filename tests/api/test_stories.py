"""A story is bounded, and says that it was cut when it was, and not before."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fifo.fleet.ownership import Ownership
from fifo.fleet.reports import Reporting
from fifo.model import limits
from fifo.model.link import JournalEntry, Report
from fifo.model.story import StoryEvent
from tests.api.calls import call
from tests.api.stage import HOST
from tests.api.test_instances import WEB, create

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.api.stage import Stage

    Play = Callable[..., None]


def reporting(stage: Stage) -> Reporting:
    """Give what a session that has just begun writes reports with."""
    own = Ownership(HOST, stage.store)
    own._revision = stage.world.hosts.owners_fence(HOST)
    return Reporting(HOST, stage.world, own)


def report(uid: str, *numbers: int, at: float = 0.0) -> Report:
    entries = tuple(
        JournalEntry(
            sequence=number,
            at=at or float(number),
            uid=uid,
            event=StoryEvent(uid=uid, at=at or float(number), kind="started", text=str(number)),
        )
        for number in numbers
    )
    return Report(host=HOST, entries=entries)


async def story(channel: Any) -> Any:
    return await call(channel, "EventService.ListEvents", parent=WEB, page_size=1000)


def test_a_story_is_truncated_from_the_first_event_that_was_dropped(play: Play) -> None:
    async def scene(stage: Stage) -> None:
        async with stage.channel() as channel:
            uid = (await create(channel)).uid
            had = len((await story(channel)).events)
            assert had
            before = reporting(stage)
            full = range(1000, 1000 + limits.STORY_EVENTS - had)
            await before.take(report(uid, *full))
            listed = await story(channel)
            assert (len(listed.events), listed.truncated) == (limits.STORY_EVENTS, False)
            await before.take(report(uid, full.stop))
            listed = await story(channel)
            assert (len(listed.events), listed.truncated) == (limits.STORY_EVENTS, True)
            # A repeat by the next owner, who was not told that it had been taken.
            await reporting(stage).take(report(uid, full.stop))
            again = await story(channel)
            assert (again.events, again.truncated) == (listed.events, True)

    play(scene)


def test_a_page_of_a_story_says_the_same_and_another_story_is_whole(play: Play) -> None:
    async def scene(stage: Stage) -> None:
        async with stage.channel() as channel:
            uid = (await create(channel)).uid
            await create(channel, "other")
            await reporting(stage).take(report(uid, *range(1000, 1000 + limits.STORY_EVENTS)))
            page = await call(channel, "EventService.ListEvents", parent=WEB, page_size=2)
            assert (len(page.events), page.truncated) == (2, True)
            other = await call(channel, "EventService.ListEvents", parent=WEB[:-3] + "other")
            assert not other.truncated

    play(scene)


def test_a_clock_that_was_set_back_turns_no_story_round(play: Play) -> None:
    async def scene(stage: Stage) -> None:
        async with stage.channel() as channel:
            uid = (await create(channel)).uid
            reports = reporting(stage)
            await reports.take(report(uid, 1000, at=2e9))
            await reports.take(report(uid, 1001, at=1e9))
            newest = (
                await call(channel, "EventService.ListEvents", parent=WEB, page_size=2)
            ).events
            assert [own.message for own in newest] == ["1001", "1000"]
            everything = (await call(channel, "EventService.ListEvents", order_by="time")).events
            assert [own.message for own in everything][-2:] == ["1000", "1001"]

    play(scene)
