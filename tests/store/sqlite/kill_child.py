"""A process to be killed: writes as fast as it can and says which revisions were acknowledged."""

from __future__ import annotations

import sys
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from fifo.store.contract import Put, Txn
from fifo.store.sqlite.store import open_store
from supervisors import ThreadHost

if TYPE_CHECKING:
    from fifo.store.contract import TxnReply
    from supervisors import Future

IN_FLIGHT = 16


def main(directory: str, round_number: str, output: TextIO) -> None:
    """Write until killed; a line tells key and revision, and nothing before it is durable."""
    host = ThreadHost(tune_gc=False)
    store = open_store(host.node(log_reports=False), Path(directory)).get()
    flying: deque[tuple[str, Future[TxnReply]]] = deque()
    number = 0
    while True:
        key = f"{round_number}/{number:06d}"
        puts = (Put(key.encode(), b"v" * 300), Put(b"last", key.encode()))
        flying.append((key, store.txn(Txn(then=puts))))
        number += 1
        if number % 50 == 0:
            store.compact(max(1, store.revision - 2_000))
            store.grant(60)
        if len(flying) == IN_FLIGHT:
            key, done = flying.popleft()
            output.write(f"{key} {done.get().revision}\n")
            output.flush()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.stdout)
