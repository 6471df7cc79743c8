"""The ledger on disk: a file of JSON lines, appended to, rewritten when most of it is outdated.

What has to survive `kill -9` is written; only exits are flushed to the disk (`fdatasync`) too, and
before anybody hears of them: what a loss of power takes with it besides is about processes that are
gone as well.

When the disk refuses, entries are owed and tried again; the last line never stays torn in the
middle, and after a failed flush, of which Linux forgets which bytes it lost, the file is made anew.
"""

from __future__ import annotations

import json
import os
from collections import deque
from typing import TYPE_CHECKING

from fifo.hypervisors.linux.keeper.fields import Refusal
from fifo.hypervisors.linux.keeper.ledger import Ledger
from fifo.hypervisors.linux.keeper.limits import JOURNAL_SLACK_BYTES
from fifo.hypervisors.linux.keeper.logs import APPEND

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from fifo.hypervisors.linux.keeper.ledger import Entry


def line(entry: Entry) -> bytes:
    """Give the line of an entry."""
    return json.dumps(entry, separators=(",", ":")).encode() + b"\n"


class Journal:
    """The file and the ledger it holds. Used on the keeper's thread alone.

    `seq` numbers are given when an exit is recorded and never again: a number is on disk before it
    is announced.
    """

    def __init__(
        self,
        path: Path,
        new_id: str,
        announce: Callable[[Entry], None],
        log: Callable[[str], None],
    ) -> None:
        """Read the file, or begin it under `new_id`; raises OSError if it cannot be opened.

        `announce` is called with each exit when it is on disk.
        """
        self.ledger = Ledger(new_id)
        self.trouble: OSError | None = None
        self._path = path
        self._announce = announce
        self._log = log
        self._owed: deque[Entry] = deque()
        self._suspect = False
        self._descriptor = os.open(path, APPEND, 0o600)
        self._load(path.read_bytes())
        self._next_seq = self.ledger.next_seq

    # --- reading ---------------------------------------------------------------------------------

    def _load(self, content: bytes) -> None:
        *whole, torn = content.split(b"\n")
        self._size_bytes = len(content) - len(torn)
        self._compact_at_bytes = JOURNAL_SLACK_BYTES
        if torn:
            self._log(f"{self._path}: the last line was cut off; it was never announced\n")
            os.ftruncate(self._descriptor, self._size_bytes)
        damaged = sum(not self._applied(text) for text in whole)
        if damaged:
            aside = self._path.with_suffix(".damaged")
            self._log(f"{self._path}: {damaged} lines are damaged; {aside} will be a copy\n")
            aside.write_bytes(content)
        if not whole or damaged:
            self._rewrite()
        elif self._size_bytes > self._compact_at_bytes:
            self._compact()

    def _applied(self, text: bytes) -> bool:
        try:
            self.ledger.apply(json.loads(text))
        except (ValueError, KeyError, TypeError):
            return False
        return True

    # --- writing ---------------------------------------------------------------------------------

    def require(self, entry: Entry) -> None:
        """Write an entry now; raises Refusal `journal_full`, and then it is not owed."""
        self.flush()
        if not self._owed:
            self._owed.append(entry)
            self.flush()
            if not self._owed:
                return
            self._owed.pop()
        raise Refusal(
            "journal_full",
            f"the keeper cannot write {self._path} ({self.trouble}), so nothing is started;"
            " make room there",
        )

    def record(self, entry: Entry) -> None:
        """Owe an entry, which `flush` writes; an exit gets its number here."""
        if entry["entry"] == "exit":
            entry["seq"] = self._next_seq
            self._next_seq += 1
        self._owed.append(entry)

    @property
    def owes(self) -> bool:
        """Whether entries wait for the disk."""
        return bool(self._owed)

    def flush(self) -> None:
        """Write what is owed, apply it to the ledger and announce the exits in it.

        On a failure `trouble` says why, all stays owed, and the next call tries again.
        """
        if not self._owed:
            return
        try:
            if self._suspect:
                self._rewrite(self._owed)
            else:
                self._append(self._owed)
        except OSError as error:
            if self.trouble is None:
                self._log(f"{self._path} cannot be written: {error}\n")
            self.trouble = error
            return
        self.trouble = None
        while self._owed:
            entry = self._owed.popleft()
            self.ledger.apply(entry)
            if entry["entry"] == "exit":
                self._announce(entry)
        if self._size_bytes > self._compact_at_bytes:
            self._compact()

    def _append(self, entries: Iterable[Entry]) -> None:
        data = b"".join(map(line, entries))
        try:
            self._write(self._descriptor, data)
        except OSError:
            # If the torn end cannot be cut off either, the file has to be made anew.
            self._suspect = True
            os.ftruncate(self._descriptor, self._size_bytes)
            self._suspect = False
            raise
        if any(entry["entry"] == "exit" for entry in entries):
            try:
                os.fdatasync(self._descriptor)
            except OSError:
                self._suspect = True
                raise
        self._size_bytes += len(data)

    @staticmethod
    def _write(descriptor: int, data: bytes) -> None:
        view = memoryview(data)
        while view:
            view = view[os.write(descriptor, view) :]

    def _compact(self) -> None:
        try:
            self._rewrite()
        except OSError as error:
            # The old file is whole and stays; no sooner than after as much again.
            self._compact_at_bytes += JOURNAL_SLACK_BYTES
            self._log(f"{self._path} cannot be rewritten: {error}\n")

    def _rewrite(self, owed: Iterable[Entry] = ()) -> None:
        """Make the file anew of the ledger and what is owed, whole before it has the name."""
        data = b"".join(map(line, (*self.ledger.entries(), *owed)))
        draft = self._path.with_suffix(".new")
        descriptor = os.open(draft, APPEND | os.O_TRUNC, 0o600)
        try:
            self._write(descriptor, data)
            os.fsync(descriptor)
            draft.replace(self._path)
        except OSError:
            os.close(descriptor)
            raise
        os.close(self._descriptor)
        self._descriptor = descriptor
        self._size_bytes = len(data)
        self._compact_at_bytes = 2 * len(data) + JOURNAL_SLACK_BYTES
        self._suspect = False
        directory = os.open(self._path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
