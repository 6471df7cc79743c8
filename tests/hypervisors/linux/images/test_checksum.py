"""Sizes and checksums of files and trees: told of, given up, and of nothing that changes."""

from __future__ import annotations

import asyncio
import hashlib
import os
import threading
from typing import TYPE_CHECKING

import pytest

from fifo.hypervisors.linux.images import checksum
from fifo.hypervisors.linux.images.checksum import Summing
from fifo.model.errors import Cancelled, Conflict, NoRoom

if TYPE_CHECKING:
    from pathlib import Path

ENDLESS_BYTES = 2**42
"""A sparse file that no test has the time to read."""


async def test_a_file_is_told_about_as_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checksum, "READ_BYTES", 10)
    monkeypatch.setattr(checksum, "TOLD_BYTES", 100)
    data = os.urandom(1001)
    (tmp_path / "x").write_bytes(data)
    told: list[tuple[int, int]] = []
    found = await Summing(tmp_path / "x", lambda *step: told.append(step), 1001).of_file()
    assert found == (1001, hashlib.sha256(data).hexdigest())
    assert told == [(done, 1001) for done in range(100, 1001, 100)]


async def test_a_reading_that_is_given_up_ends_by_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (tmp_path / "x").open("wb") as file:
        file.truncate(ENDLESS_BYTES)
    begun, ended = asyncio.Event(), threading.Event()
    told = Summing._go_on

    def going_on(own: Summing) -> None:
        try:
            told(own)
        except Cancelled:
            ended.set()
            raise

    monkeypatch.setattr(Summing, "_go_on", going_on)
    reading = asyncio.create_task(Summing(tmp_path / "x", lambda *_: begun.set()).of_file())
    await begun.wait()
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    assert await asyncio.to_thread(ended.wait, 20.0)


async def test_a_file_that_changes_while_it_is_read_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "x"
    path.write_bytes(bytes(1000))

    expect = Summing._expect

    def changing(own: Summing, size_bytes: int) -> None:
        expect(own, size_bytes)
        # It grows, and the second time it shrinks.
        os.truncate(path, 1500 if size_bytes == 1000 else 1000)

    monkeypatch.setattr(Summing, "_expect", changing)
    for _ in range(2):
        with pytest.raises(Conflict, match="changed while it was read"):
            await Summing(path).of_file()


async def test_a_tree_is_summed_up_and_bounded_by_all_its_files(tmp_path: Path) -> None:
    for name, data in (("a", b"1"), ("b/c", b"22"), ("b/d", b"")):
        (tmp_path / "t" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "t" / name).write_bytes(data)
    (tmp_path / "t" / "link").symlink_to("/etc/passwd")
    found = await Summing(tmp_path / "t").of_tree()
    assert found.size_bytes == 3
    assert await Summing(tmp_path / "t", most_bytes=3).of_tree() == found
    (tmp_path / "t" / "b" / "c").write_bytes(b"23")
    assert (await Summing(tmp_path / "t").of_tree()).sha256 != found.sha256
    with pytest.raises(NoRoom, match="the 2 bytes"):
        await Summing(tmp_path / "t", most_bytes=2).of_tree()
