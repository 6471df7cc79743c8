"""The SQLite engine: the contract over a database in a data directory of its own."""

from __future__ import annotations

import secrets
from functools import partial
from typing import TYPE_CHECKING

from fifo.model.errors import Compacted, StoreCorrupt, StoreOverloaded
from fifo.store import limits
from fifo.store.embedded import EmbeddedStore, Image
from fifo.store.sqlite.history import read_chunk, read_past
from fifo.store.sqlite.reader import Read, Reader
from fifo.store.sqlite.writer import Writer
from supervisors import Future
from supervisors.future import ERROR, VALUE
from supervisors.messages import SYSTEM

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable
    from pathlib import Path

    from fifo.model.errors import FifoError
    from fifo.store.contract import RangeReply
    from fifo.store.embedded import PastRead
    from fifo.store.pipeline import Commit
    from fifo.store.watching import Chunk, EmbeddedWatch
    from supervisors import Node


def open_store(
    node: Node,
    directory: Path,
    *,
    live_limit_bytes: int = limits.LIVE_BYTES,
    max_bytes: int = limits.DATABASE_BYTES,
    reserve_bytes: int = limits.RESERVE_BYTES,
    must_exist: bool = False,
    if_damaged: str = "",
) -> Future[SqliteStore]:
    """Open the store in a data directory, or make it; from any thread.

    `must_exist` refuses to make it, for who knows that it was there. `if_damaged` is what to do
    about damage, where that is not to restore a backup.
    Fails with StoreTaken, StoreDenied, StoreTooNew, StoreCorrupt or StoreFull.
    """
    courier = _Courier(
        node,
        directory,
        live_limit_bytes=live_limit_bytes,
        max_bytes=max_bytes,
        reserve_bytes=reserve_bytes,
        must_exist=must_exist,
        if_damaged=if_damaged,
    )
    courier.writer.start()
    return courier.future


class SqliteStore(EmbeddedStore):
    """A store on disk; made by `open_store`."""

    def __init__(
        self,
        courier: _Courier,
        image: Image,
        directory: Path,
        live_limit_bytes: int,
        max_bytes: int,
    ) -> None:
        super().__init__(courier.node, image, live_limit_bytes=live_limit_bytes)
        self.directory = directory
        self.reader = Reader(directory, self.run_on_shard)
        self._writer = courier.writer
        self._max_bytes = max_bytes
        self._outgoing: list[Commit] = []

    # -- told by the courier, on the shard's thread -----------------------------------------------

    def written(self, count: int) -> None:
        """Settle the oldest commits."""
        if self._failure is None:
            self._pipeline.durable(count)

    def not_written(self, error: FifoError) -> None:
        """Undo all that waits."""
        self._outgoing.clear()
        self._writer.resume()
        if self._failure is None:
            self._refused(error)

    def stopped(self, error: FifoError) -> None:
        """Stop, since the disk cannot be trusted."""
        self._stop(error)

    def released(self) -> None:
        """Note that the files are closed."""
        self._gone()

    # -- the disk ---------------------------------------------------------------------------------

    def write(self, commit: Commit) -> None:
        """Take the next commit; those of one slice of turns go to the writer together.

        To wake its thread for each costs more than to write it, and so does a batch of each.
        """
        self._outgoing.append(commit)
        if len(self._outgoing) == 1:
            self.run_on_shard(self._hand_over)

    def _hand_over(self) -> None:
        commits, self._outgoing = self._outgoing, []
        if commits:
            self._writer.submit(commits)

    def _let_go(self) -> None:
        self._writer.close()

    def _measure(self) -> tuple[int, int, int]:
        return self._writer.size_bytes, self._max_bytes, self.reader.pending

    def read_changes(
        self, watch: EmbeddedWatch, upto: int, done: Callable[[Chunk | Exception], None]
    ) -> None:
        """Read a watch's events from the database."""
        start, end, first = watch.start, watch.end, watch.next_revision

        def read(connection: sqlite3.Connection) -> Chunk:
            return read_chunk(connection, start, end, first, upto)

        def answer(result: Chunk | FifoError) -> None:
            gone = first < self.compacted
            done(Compacted(first, self.compacted) if gone else result)

        self._read(Read(read, answer), done)

    def _read_past(self, read: PastRead, future: Future[RangeReply]) -> None:
        def answer(result: RangeReply | FifoError) -> None:
            if read.revision < self.compacted:
                future.fail(Compacted(read.revision, self.compacted))
            elif isinstance(result, Exception):
                future.fail(result)
            else:
                future.resolve(VALUE, result)

        self._read(Read(lambda connection: read_past(connection, read), answer), future.fail)

    def _read(self, read: Read, refuse: Callable[[FifoError], None]) -> None:
        try:
            self.reader.submit(read)
        except StoreOverloaded as error:
            refuse(error)


class _Courier:
    """Carries what the writer's thread says over to the shard's, one wake for a batch."""

    def __init__(
        self,
        node: Node,
        directory: Path,
        *,
        live_limit_bytes: int,
        max_bytes: int,
        reserve_bytes: int,
        must_exist: bool,
        if_damaged: str,
    ) -> None:
        self.node = node
        self._if_damaged = if_damaged
        self.future: Future[SqliteStore] = Future(node.shard)
        self._directory = directory
        self._live_limit_bytes = live_limit_bytes
        self._max_bytes = max_bytes
        self._store: SqliteStore | None = None
        self._failure: FifoError | None = None
        self.writer = Writer(
            directory,
            self,
            incarnation=secrets.token_hex(16),
            max_bytes=max_bytes,
            reserve_bytes=reserve_bytes,
            must_exist=must_exist,
            clock=node.shard.host.clock,
        )

    def _post(self, function: Callable[[], None]) -> None:
        self.node.shard.post_from_outside(None, SYSTEM, function, None)

    def opened(self, image: Image) -> None:
        """Make the store of what the database holds."""

        def make() -> None:
            self._store = store = SqliteStore(
                self, image, self._directory, self._live_limit_bytes, self._max_bytes
            )
            self.future.resolve(VALUE, store)

        self._post(make)

    def durable(self, count: int) -> None:
        """Settle commits."""
        self._post(partial(self._opened_store().written, count))

    def refused(self, error: FifoError) -> None:
        """Undo commits."""
        self._post(partial(self._opened_store().not_written, error))

    def failed(self, error: FifoError) -> None:
        """Stop the store, or let the opening fail."""
        if isinstance(error, StoreCorrupt) and self._if_damaged:
            error.remedy = self._if_damaged

        def fail() -> None:
            if self._store is None:
                self._failure = error
                self.writer.close()
            else:
                self._store.stopped(error)

        self._post(fail)

    def closing(self) -> None:
        """Wait until nobody reads any more; the writer's connection is the last."""
        if self._store is not None:
            self._store.reader.close()

    def released(self) -> None:
        """Say that the directory is free again, and only now that it could not be opened."""

        def release() -> None:
            if self._store is None:
                self.future.resolve(ERROR, self._failure)
            else:
                self._store.released()

        self._post(release)

    def _opened_store(self) -> SqliteStore:
        assert self._store is not None, "nothing is written before the store is there"
        return self._store
