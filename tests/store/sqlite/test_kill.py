"""`kill -9` at any moment: what was acknowledged is there, and a watcher sees no gap."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

from fifo.store.intervals import TO_END
from tests.store.engines import PATIENCE_S, Watcher

if TYPE_CHECKING:
    from tests.store.engines import SqliteEngine

ROOT = Path(__file__).parents[3]


def run_and_kill(directory: Path, round_number: int, acknowledged: int) -> dict[bytes, int]:
    """Let a process write, kill it, and give all that it had said before it died."""
    arguments = [sys.executable, "-m", "tests.store.sqlite.kill_child", str(directory)]
    child = subprocess.Popen(
        [*arguments, str(round_number)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    with child:
        assert child.stdout is not None
        lines = [child.stdout.readline() for _ in range(acknowledged)]
        child.kill()
        lines += child.stdout.readlines()
    whole = (line.split() for line in lines if line.endswith("\n"))
    return {key.encode(): int(revision) for key, revision in whole}


def test_what_was_acknowledged_outlives_any_kill(sqlite: SqliteEngine) -> None:
    random = Random(3)
    seen: list[tuple[bytes, int]] = []
    acknowledged: dict[bytes, int] = {}
    last = 1
    for round_number in range(4):
        told = run_and_kill(sqlite.directory, round_number, random.randrange(1, 400))
        acknowledged |= told
        store = sqlite.open()
        assert store.revision >= max(told.values()) > last
        events = Watcher(store, b"\0", b"last", from_revision=last + 1).events(
            store.revision - last
        )
        # No gap and no repetition for who goes on from where it stopped.
        assert [kv.mod_revision for kv in events] == list(range(last + 1, store.revision + 1))
        seen += [(kv.key, kv.mod_revision) for kv in events]
        last = store.revision
        # Whole txns: the second key of the last one names its first.
        (latest,) = store.get(b"last").get(timeout=PATIENCE_S).kvs
        assert (latest.value, latest.mod_revision) == (seen[-1][0], last)
        sqlite.close(store)
        sqlite.store = None
    assert acknowledged.items() <= dict(seen).items()
    store = sqlite.open()
    kvs = store.range(b"0", b"last").get(timeout=PATIENCE_S).kvs
    kept = {kv.key: kv.mod_revision for kv in kvs}
    assert kept == dict(seen)
    assert store.range(b"z", TO_END).get(timeout=PATIENCE_S).kvs == ()
