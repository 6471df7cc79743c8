"""Ends of instances as they are written down, and those that the disk has had no room for.

An end that is known is known to everybody, whatever the disk says: it is held here meanwhile, and
written as soon as it can be. The keeper is told nothing of it before, so that a node that is killed
loses none either.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from fifo.hypervisors.linux.commands import disk_error
from fifo.model.errors import DataLoss

if TYPE_CHECKING:
    from fifo.hypervisors.linux.layout import Kept, Layout
    from fifo.model.instance import Exit

RETRY_S: Final = 1.0
"""Between attempts to write down what the disk had no room for: it has some soon after a delete."""
UNWRITTEN: Final = "the end of an instance cannot be written down"
_log = logging.getLogger(__name__)


class _Held(NamedTuple):
    """What an instance's record is to say of the end of a start."""

    exit: Exit | None
    told: bool


class Ends:
    """The records of a host's instances, with ends that are not in them yet. On the node's loop."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        # By instance and start; those of an earlier start than the latest are dropped.
        self._held: dict[tuple[str, int], _Held] = {}
        self._writing: asyncio.Task[None] | None = None

    @property
    def owing(self) -> bool:
        """Whether an end is known and not written down."""
        return bool(self._held)

    def owes(self, kept: Kept) -> bool:
        """Tell whether that of an instance's latest start is one of them."""
        return (kept.uid, kept.start_id) in self._held

    def known(self, kept: Kept) -> Kept:
        """Give a record with the end that it does not say yet."""
        held = self._held.get((kept.uid, kept.start_id))
        if held is None:
            return kept
        return msgspec.structs.replace(kept, exit=held.exit, told=held.told, pid=0)

    def read(self, uid: str) -> Kept | None:
        """Read what is known of an instance, None if it is not there; raises DataLoss."""
        kept = self._layout.read(uid)
        return None if kept is None else self.known(kept)

    def find(self, uid: str) -> Kept:
        """Read what is known of an instance; raises NotFound, DataLoss."""
        return self.known(self._layout.find(uid))

    def write(self, kept: Kept) -> None:
        """Write down a record with an end; what the disk refuses is held, and written later."""
        key = kept.uid, kept.start_id
        try:
            self._layout.write(kept)
        except OSError as error:
            if key not in self._held:
                _log.error("%s: %s", UNWRITTEN, disk_error(error, kept.uid))
            self._held[key] = _Held(kept.exit, kept.told)
            if self._writing is None or self._writing.done():
                self._writing = asyncio.create_task(self._write_in_time())
        else:
            self._held.pop(key, None)

    def drop(self, uid: str) -> None:
        """Hold nothing of an instance that is gone."""
        for key in [key for key in self._held if key[0] == uid]:
            del self._held[key]

    async def close(self) -> None:
        """Write no more; the keeper tells the next node what is not written."""
        if self._writing is not None:
            self._writing.cancel()
            await asyncio.gather(self._writing, return_exceptions=True)

    async def _write_in_time(self) -> None:
        while self._held:
            await asyncio.sleep(RETRY_S)
            for key in list(self._held):
                self._write_again(*key)

    def _write_again(self, uid: str, start_id: int) -> None:
        try:
            kept = self.read(uid)
        except DataLoss as error:
            # Nobody can be told anything of it, and whoever asks hears why.
            _log.error("%s: %s", UNWRITTEN, error)
            kept = None
        except OSError:
            # As the disk's refusal to take it was: tried again, and told already.
            return
        if kept is None or kept.start_id != start_id:
            del self._held[uid, start_id]
        else:
            self.write(kept)
