from __future__ import annotations

import os
import resource
import shutil
from typing import TYPE_CHECKING, Any

import pytest

from fifo.hypervisors.linux.keeper import limits
from fifo.hypervisors.linux.keeper.fields import Refusal
from fifo.hypervisors.linux.keeper.journal import Journal, line

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

WATCH = {"entry": "watch", "instance": "a", "start_id": "s1", "boot_id": "b", "pid": 5}


class Opened:
    """A journal, what it announced and what it logged."""

    def __init__(self, path: Path) -> None:
        self.announced: list[int] = []
        self.logged: list[str] = []
        self.journal = Journal(
            path, "j1", lambda record: self.announced.append(record["seq"]), self.logged.append
        )

    def end(self, instance: str = "a") -> None:
        self.journal.record(
            {"entry": "exit", "instance": instance, "start_id": "s1", "how": "exited", "status": 0}
        )


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal"


def test_what_was_written_is_read_again(path: Path) -> None:
    opened = Opened(path)
    opened.journal.require(dict(WATCH))
    opened.end()
    assert opened.announced == []
    opened.journal.flush()
    assert opened.announced == [1]
    again = Opened(path)
    assert again.journal.ledger.journal == "j1"
    assert list(again.journal.ledger.exits) == list(opened.journal.ledger.exits)
    assert again.journal.ledger.instances == opened.journal.ledger.instances
    again.end()
    again.journal.flush()
    assert again.announced == [2]


def test_a_file_cut_off_anywhere_is_read_up_to_its_last_whole_line(path: Path) -> None:
    opened = Opened(path)
    for number in range(3):
        opened.end(f"zone{number}")
    opened.journal.flush()
    content = path.read_bytes()
    head = len(content.partition(b"\n")[0]) + 1
    # Every place in the last line, and some in those before.
    last = content.rindex(b"\n", 0, -1)
    for size_bytes in (*range(head, last, 7), *range(last, len(content))):
        path.write_bytes(content[:size_bytes])
        again = Opened(path)
        whole = content[head:size_bytes].count(b"\n")
        assert [record["seq"] for record in again.journal.ledger.exits] == list(range(1, whole + 1))
        again.end()
        again.journal.flush()
        assert again.announced == [whole + 1]
        assert len(Opened(path).journal.ledger.exits) == whole + 1


def test_a_damaged_line_costs_itself_alone_and_a_copy_is_kept(path: Path) -> None:
    opened = Opened(path)
    for number in range(3):
        opened.end(f"zone{number}")
    opened.journal.flush()
    damaged = path.read_bytes().replace(b'"zone1"', b'"zo\0e1')
    path.write_bytes(damaged)
    again = Opened(path)
    assert [record["seq"] for record in again.journal.ledger.exits] == [1, 3]
    assert again.journal.ledger.next_seq == 4
    assert any("damaged" in text for text in again.logged)
    assert path.with_suffix(".damaged").read_bytes() == damaged
    assert Opened(path).logged == []


def test_the_file_stays_small_when_what_is_in_it_is_outdated(path: Path) -> None:
    opened = Opened(path)
    for seq in range(1, 5_000):
        opened.end()
        opened.journal.record({"entry": "ack", "seq": seq})
        if seq % 100 == 0:
            opened.journal.flush()
    assert path.stat().st_size < 2 * limits.JOURNAL_SLACK_BYTES
    assert Opened(path).journal.ledger.next_seq == opened.journal.ledger.next_seq


@pytest.fixture
def small_files() -> Iterator[None]:
    """Let no file grow beyond 1,000 bytes; the journal cannot tell it from a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


def grow(opened: Opened) -> None:
    """Write until the disk refuses."""
    while not opened.journal.owes:
        opened.end()
        opened.journal.flush()


@pytest.mark.usefixtures("small_files")
def test_with_a_full_disk_exits_are_owed_and_nothing_else_is_promised(path: Path) -> None:
    opened = Opened(path)
    grow(opened)
    told = list(opened.announced)
    opened.end()
    opened.journal.flush()
    assert opened.announced == told
    with pytest.raises(Refusal, match="make room there") as caught:
        opened.journal.require(dict(WATCH))
    assert caught.value.code == "journal_full"
    # What is on disk has no torn end meanwhile: a keeper that dies now loses what is owed alone.
    copy = path.with_name("copy")
    shutil.copy(path, copy)
    assert [record["seq"] for record in Opened(copy).journal.ledger.exits] == told
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    opened.journal.require(dict(WATCH))
    assert opened.announced == list(range(1, len(told) + 3))
    assert opened.journal.trouble is None
    assert Opened(path).journal.ledger.instances.keys() == {"a"}


def test_after_a_failed_flush_to_the_disk_the_file_is_made_anew(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = Opened(path)
    opened.end()
    opened.journal.flush()
    before = path.stat().st_ino

    def refuse(_: int) -> None:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fdatasync", refuse)
        opened.end()
        opened.journal.flush()
    assert opened.announced == [1]
    opened.journal.flush()
    assert opened.announced == [1, 2]
    assert path.stat().st_ino != before
    assert [record["seq"] for record in Opened(path).journal.ledger.exits] == [1, 2]


def test_a_line_ends_where_the_entry_does() -> None:
    entry: dict[str, Any] = {"entry": "forget", "instance": "two\nlines"}
    assert line(entry).count(b"\n") == 1
