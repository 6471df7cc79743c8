from __future__ import annotations

import contextlib
import resource
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fifo.hypervisors.linux.keeper.logs import LogFile, TurnedLog, trim

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextlib.contextmanager
def file_bytes(most: int) -> Iterator[None]:
    """Have the kernel take no more than so many bytes into any file of this process."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@given(chunks=st.lists(st.integers(1, 40), max_size=30), kept=st.integers(0, 3))
def test_the_files_hold_the_end_of_what_was_written_and_no_more_than_they_may(
    tmp_path_factory: pytest.TempPathFactory, chunks: list[int], kept: int
) -> None:
    directory = tmp_path_factory.mktemp("log")
    log = LogFile(str(directory / "log"), 100, kept)
    turned, written = TurnedLog(log), b""
    for number, size_bytes in enumerate(chunks):
        data = bytes([number]) * size_bytes
        turned.write(data)
        written += data
    tail = turned.tail(100)
    turned.close()
    files = [log.older(number) for number in range(kept, 0, -1)]
    found = b"".join(path.read_bytes() for path in files if path.exists())
    found += (directory / "log").read_bytes()
    assert written.endswith(found)
    assert written.endswith(tail)
    assert all(path.stat().st_size <= 100 for path in directory.iterdir())
    assert len(list(directory.iterdir())) <= 1 + kept
    if kept:
        assert len(tail) >= min(len(written), 60)


def test_a_log_goes_on_where_it_ended_before(tmp_path: Path) -> None:
    log = LogFile(str(tmp_path / "log"), 100)
    for data in (b"one", b"two"):
        turned = TurnedLog(log)
        turned.write(data)
        turned.close()
    assert (tmp_path / "log").read_bytes() == b"onetwo"


def test_what_the_disk_refuses_is_dropped_and_never_raised() -> None:
    turned = TurnedLog(LogFile("/dev/full", 100))
    for _ in range(2):
        turned.write(b"words")
    turned.close()


def test_a_log_says_how_much_is_missing_where_the_disk_did_not_take_it(tmp_path: Path) -> None:
    turned = TurnedLog(LogFile(str(tmp_path / "log"), 200))
    turned.write(b"first")
    with file_bytes(7):
        for data in (b" words", b" lost", b" as well"):
            turned.write(data)
    turned.write(b"here")
    turned.write(b" again")
    turned.close()
    text = (tmp_path / "log").read_bytes()
    assert (
        text == b"first w\r\n[17 bytes are missing here: the disk did not take them]\r\nhere again"
    )


@pytest.mark.parametrize("kept", [0, 2])
def test_a_log_that_another_appends_to_is_cut_off_and_its_writer_goes_on(
    tmp_path: Path, kept: int
) -> None:
    path = tmp_path / "log"
    log = LogFile(str(path), 10, kept)
    with path.open("ab", buffering=0) as writer:
        for text in (b"first lines", b"second lines", b"third lines", b"few"):
            writer.write(text)
            trim(log)
        assert path.read_bytes() == b"few"
    older = [log.older(number).read_bytes() for number in range(1, kept + 1)]
    assert older == [b"third lines", b"second lines"][:kept]


def test_a_log_that_is_not_there_needs_no_trim(tmp_path: Path) -> None:
    trim(LogFile(str(tmp_path / "none")))
    assert list(tmp_path.iterdir()) == []
