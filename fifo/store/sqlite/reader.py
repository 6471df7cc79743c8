"""The reader thread: reads of the past and of what has changed, one after the other."""

from __future__ import annotations

import logging
import sqlite3
import threading
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, NamedTuple

from fifo.model.errors import FifoError, StoreClosed, StoreCorrupt, StoreOverloaded
from fifo.store import limits
from fifo.store.sqlite.connection import connect_to_read, damaged, explain_use

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


logger = logging.getLogger("fifo.store")


class Read(NamedTuple):
    """A function of a connection, and who is told what it gave or the error it met."""

    function: Callable[[sqlite3.Connection], Any]
    done: Callable[[Any], None]


class Reader:
    """A thread that owns the connection which reads.

    `post` runs a function on the shard's thread; every `done` is called there.
    """

    def __init__(self, directory: Path, post: Callable[[Callable[[], None]], None]) -> None:
        self._directory = directory
        self._post = post
        self._queue: SimpleQueue[Read | None] = SimpleQueue()
        self.pending = 0
        self._thread = threading.Thread(target=self._run, name="store-reader", daemon=True)
        self._thread.start()

    def submit(self, read: Read) -> None:
        """Read soon; on the shard's thread. Raises StoreOverloaded when too much waits."""
        if self.pending >= limits.PENDING_READS:
            raise StoreOverloaded(
                f"{self.pending} reads of the past wait", "store", "slow down, and try again"
            )
        self.pending += 1
        self._queue.put(read)

    def close(self) -> None:
        """End after what waits, and wait for that; on the writer's thread."""
        self._queue.put(None)
        self._thread.join()

    def _run(self) -> None:
        connection: sqlite3.Connection | None = None
        while (read := self._queue.get()) is not None:
            try:
                if connection is None:
                    connection = connect_to_read(self._directory)
                result = read.function(connection)
            except sqlite3.Error as error:
                result = explain_use(error, self._directory)
            except StoreCorrupt as error:
                result = damaged(error, self._directory)
            except FifoError as error:
                result = error
            except Exception as error:
                logger.exception("a read of %s has failed", self._directory)
                result = StoreClosed(f"the read has failed ({error!r})", "store", "report it")
            self._answer(read, result)
        if connection is not None:
            connection.close()

    def _answer(self, read: Read, result: Any) -> None:
        def answer() -> None:
            self.pending -= 1
            read.done(result)

        self._post(answer)
