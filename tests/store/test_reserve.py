"""The reserve: room is held back while there is some, and given up a piece at a time."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from fifo.store.reserve import NAME, PIECE_BYTES, Reserve
from tests.hypervisors.linux.full_disk import PAGE_BYTES, mounted

if TYPE_CHECKING:
    from pathlib import Path

SIZE_BYTES = 4 * PIECE_BYTES
mounts = pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount a small file system")


def free_bytes(directory: Path) -> int:
    found = os.statvfs(directory)
    return found.f_bavail * found.f_frsize


@mounts
def test_it_is_room_that_nobody_else_gets_until_it_is_given_up() -> None:
    with mounted(4 * 1024**2) as disk:
        reserve = Reserve(disk.place, SIZE_BYTES)
        reserve.make()
        assert not reserve.short()
        disk.leave(0)
        assert reserve.short()
        for pieces in range(1, 5):
            assert reserve.give_up()
            assert free_bytes(disk.place) == pieces * PIECE_BYTES
        assert not reserve.give_up()


@mounts
def test_it_is_made_again_only_where_as_much_is_left_for_others() -> None:
    with mounted(4 * 1024**2) as disk:
        reserve = Reserve(disk.place, SIZE_BYTES)
        reserve.make()
        assert reserve.give_up()
        disk.leave((PIECE_BYTES + SIZE_BYTES) // PAGE_BYTES - 1)
        reserve.make()
        assert reserve.short()
        disk.leave((PIECE_BYTES + SIZE_BYTES) // PAGE_BYTES)
        reserve.make()
        assert not reserve.short()
        assert free_bytes(disk.place) == SIZE_BYTES


@mounts
def test_a_later_life_finds_what_is_left_of_it_and_room_to_start_with() -> None:
    with mounted(4 * 1024**2) as disk:
        Reserve(disk.place, SIZE_BYTES).make()
        disk.leave(0)
        later = Reserve(disk.place, SIZE_BYTES)
        later.open()
        assert free_bytes(disk.place) == PIECE_BYTES
        assert [later.give_up() for _ in range(4)] == [True, True, True, False]


def test_where_it_can_never_be_made_the_disk_does_without(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / NAME).mkdir()
    reserve = Reserve(tmp_path, SIZE_BYTES)
    reserve.make()
    assert "No room can be held back" in caplog.text
    assert not reserve.short()
    assert not reserve.give_up()


def test_one_that_was_removed_meanwhile_gives_nothing(tmp_path: Path) -> None:
    reserve = Reserve(tmp_path, SIZE_BYTES)
    reserve.make()
    (tmp_path / NAME).unlink()
    assert reserve.give_up()
    assert not reserve.give_up()
