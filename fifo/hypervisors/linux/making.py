"""Making an instance's directory and removing it, each in one step for whoever looks."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from fifo.hypervisors.linux import limits
from fifo.hypervisors.linux.commands import ROOM, disk_error
from fifo.model.errors import FifoError, WrongState

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from fifo.hypervisors.linux.host import Host
    from fifo.hypervisors.linux.layout import Kept


@asynccontextmanager
async def making(host: Host, kept: Kept) -> AsyncIterator[Path]:
    """Give a place beside the instances, to make one in; at the end it is one of them, or gone.

    Raises FifoError, also for what the disk refuses.
    """
    place = host.layout.new(kept.uid)
    await host.storage.destroy(place)
    try:
        yield place
        host.layout.write(kept, place)
        place.rename(host.layout.instance(kept.uid))
    except OSError as error:
        await host.storage.destroy(place)
        raise disk_error(error, kept.uid) from error
    except FifoError:
        await host.storage.destroy(place)
        raise


async def destroy(host: Host, kept: Kept) -> None:
    """Remove all of an instance that does not run; a rename first, so that half of it is none.

    The keeper forgets it before that: of half an instance nobody would tell it to.
    """
    await forget(host, kept.uid)
    await host.storage.destroy(_set_aside(host, kept.uid))
    host.layout.make_spare()


def _set_aside(host: Host, uid: str) -> Path:
    """Rename an instance's directory, and give where it is then.

    A new name may need a block of the disk; one that is there needs nothing of it.
    """
    directory, gone, spare = host.layout.instance(uid), host.layout.gone(uid), host.layout.spare
    try:
        return directory.rename(gone)
    except OSError as error:
        if error.errno not in ROOM:
            raise
        try:
            return directory.rename(spare)
        except OSError:
            # It is in use: there is room when that is over.
            raise error from None


async def forget(host: Host, uid: str) -> None:
    """Have the keeper forget an instance that was ended; raises WrongState if it runs on."""
    try:
        await host.keeper.forget(uid)
    except WrongState:
        # It was killed just now; the keeper has yet to see it end.
        await host.watch.end_of(uid, limits.FORCE_S)
        await host.keeper.forget(uid)
