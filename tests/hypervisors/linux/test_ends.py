"""An end that is known is known, whatever the disk says, and written down as soon as it can be."""

from __future__ import annotations

import asyncio
import errno
import os
from typing import TYPE_CHECKING

import msgspec
import pytest

from fifo.hypervisors.linux import ends as ending
from fifo.hypervisors.linux.ends import Ends
from fifo.hypervisors.linux.layout import RECORD, Kept, Layout
from fifo.model.instance import Claim, Exit, InstanceSpec, Shares

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

UID = "00000000-0000-4000-8000-000000000001"
END = Exit(at=1.0, code=3)


class Cramped(Layout):
    """Records on a disk that is full when it is said to be."""

    refusals = 0
    full = False

    def write(self, kept: Kept, directory: Path | None = None) -> None:
        """Refuse it, or write it."""
        if self.full:
            self.refusals += 1
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "instance.json")
        super().write(kept, directory)


@pytest.fixture
def layout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cramped:
    monkeypatch.setattr(ending, "RETRY_S", 0.001)
    made = Cramped(tmp_path / "state", tmp_path / "run")
    made.instance(UID).mkdir()
    spec = InstanceSpec(
        uid=UID, id="zone", org="default", generation=1, wanted="running", brand="lx",
        create_time=0.0,
    )  # fmt: skip
    claim = Claim(uid=UID, host="here", shares=Shares(), addresses={})
    made.write(Kept(spec=spec, claim=claim, start_id=1, pid=7))
    return made


async def until(condition: Callable[[], bool]) -> None:
    while not condition():  # noqa: ASYNC110 -- what tries again tells nobody of it
        await asyncio.sleep(0)


def ended(layout: Layout) -> Kept:
    return msgspec.structs.replace(layout.find(UID), exit=END, told=True, pid=0)


async def test_what_the_disk_refuses_is_known_at_once_and_written_when_there_is_room(
    layout: Cramped, caplog: pytest.LogCaptureFixture
) -> None:
    ends = Ends(layout)
    layout.full = True
    ends.write(ended(layout))
    await until(lambda: layout.refusals >= 3)
    assert ends.owing
    assert ends.owes(layout.find(UID))
    assert (layout.find(UID).exit, ends.find(UID)) == (None, ended(layout))
    layout.full = False
    await until(lambda: not ends.owing)
    assert layout.find(UID) == ended(layout)
    # Once is enough to be told, without a number.
    why = "no room on the disk of instance.json; make room on the host's disk"
    told = [record.getMessage() for record in caplog.records]
    assert told == [f"{ending.UNWRITTEN}: {UID}: {why}"]
    await ends.close()


def start_anew(layout: Cramped) -> None:
    layout.full = False
    layout.write(msgspec.structs.replace(layout.find(UID), start_id=2))
    layout.full = True


def remove(layout: Cramped) -> None:
    (layout.instance(UID) / RECORD).unlink()
    layout.instance(UID).rmdir()


def damage(layout: Cramped) -> None:
    (layout.instance(UID) / RECORD).write_bytes(b"{")


@pytest.mark.parametrize("change", [start_anew, remove, damage])
async def test_an_end_that_nobody_can_ask_for_any_more_is_let_go(
    layout: Cramped, change: Callable[[Cramped], None]
) -> None:
    ends = Ends(layout)
    layout.full = True
    ends.write(ended(layout))
    change(layout)
    await until(lambda: not ends.owing)
    await ends.close()


async def test_a_record_that_cannot_be_read_for_a_while_is_written_after_it(
    layout: Cramped, monkeypatch: pytest.MonkeyPatch
) -> None:
    ends, failures = Ends(layout), iter((OSError(errno.EMFILE, "no"), OSError(errno.EMFILE, "no")))
    layout.full = True
    ends.write(ended(layout))
    layout.full = False
    read = layout.read

    def reading(uid: str) -> Kept | None:
        for failure in failures:
            raise failure
        return read(uid)

    monkeypatch.setattr(layout, "read", reading)
    await until(lambda: not ends.owing)
    assert layout.find(UID).exit == END
    await ends.close()


async def test_of_an_instance_that_is_gone_nothing_is_held(layout: Cramped) -> None:
    ends = Ends(layout)
    layout.full = True
    ends.write(ended(layout))
    ends.drop(UID)
    assert not ends.owing
    assert ends.find(UID).exit is None
    await ends.close()
