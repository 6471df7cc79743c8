"""What demos without real zones have left goes with the next one, and nothing else does."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

import pytest

from fifo.cli.demo import plain_directory, remains
from fifo.cli.demo.plain_directory import DIRECTORY, clear_earlier
from fifo.model.errors import DriverFailed


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give the directory that demos make theirs in."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def left(place: Path, name: str) -> Path:
    """Leave what a killed demo does; no process holds its lock."""
    made = place / name
    (made / "data").mkdir(parents=True)
    return made


def test_a_directory_is_there_as_long_as_its_demo(place: Path) -> None:
    with plain_directory.make() as base:
        (base / "data").mkdir()
        assert list(place.iterdir()) == [base]
        assert clear_earlier() == []
        assert (base / "data").exists()
    assert list(place.iterdir()) == []


def test_a_demo_ends_while_others_begin(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    remove, cleared = os.rmdir, list[str]()

    def begin_beside(path: Any, *, dir_fd: int | None = None) -> None:
        cleared.extend(clear_earlier())
        remove(path, dir_fd=dir_fd)
        cleared.extend(clear_earlier())

    with plain_directory.make() as base:
        (base / "data").mkdir()
        monkeypatch.setattr(os, "rmdir", begin_beside)
    assert (cleared, list(place.iterdir())) == ([], [])


def test_a_directory_that_another_clears_before_it_is_held_is_made_anew(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make, lock, begun = tempfile.mkdtemp, fcntl.flock, list[str]()

    def made(prefix: str) -> str:
        path = make(prefix=prefix)
        begun.append(path)
        if len(begun) == 1:
            assert clear_earlier() == [path]
        return path

    def locked(opened: int, how: int) -> None:
        if len(begun) == 2:
            Path(begun[-1]).rmdir()
        lock(opened, how)

    monkeypatch.setattr(tempfile, "mkdtemp", made)
    monkeypatch.setattr(fcntl, "flock", locked)
    with plain_directory.make() as base:
        assert list(place.iterdir()) == [base]
    assert (len(begun), list(place.iterdir())) == (3, [])


def test_a_demo_whose_directory_never_stays_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    make = tempfile.mkdtemp

    def made(prefix: str) -> str:
        path = make(prefix=prefix)
        clear_earlier()
        return path

    monkeypatch.setattr(tempfile, "mkdtemp", made)
    with pytest.raises(DriverFailed, match="each time"), plain_directory.make():
        pass


def test_what_is_removed_while_it_is_looked_at_is_passed_over(place: Path) -> None:
    for name in "ab":
        left(place, f"{DIRECTORY}{name}")
    found = remains.directories(DIRECTORY)
    for other in set(place.iterdir()) - {next(found)}:
        shutil.rmtree(other)
    assert list(found) == []


def test_what_nobody_holds_is_removed_and_named(place: Path) -> None:
    first, second = left(place, f"{DIRECTORY}a"), left(place, f"{DIRECTORY}b")
    with plain_directory.make() as base:
        assert clear_earlier() == [str(first), str(second)]
        assert list(place.iterdir()) == [base]


def test_what_only_looks_like_a_demos_stays(place: Path) -> None:
    elsewhere = left(place, "elsewhere")
    (place / f"{DIRECTORY}link").symlink_to(elsewhere)
    (place / f"{DIRECTORY}file").touch()
    real = left(place, f"{remains.DIRECTORY}x")
    before = sorted(place.rglob("*"))
    if os.geteuid() == 0:
        os.chown(left(place, f"{DIRECTORY}stranger"), 65_534, 65_534)
        before = sorted(place.rglob("*"))
    assert clear_earlier() == []
    assert sorted(place.rglob("*")) == before
    assert real.exists()


def test_what_cannot_be_removed_is_told_with_its_reason(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stays = left(place, f"{DIRECTORY}a")

    def refuse(path: Path) -> None:
        raise PermissionError(1, "Operation not permitted", str(path))

    monkeypatch.setattr("shutil.rmtree", refuse)
    with pytest.raises(DriverFailed, match="Operation not permitted") as failure:
        clear_earlier()
    assert failure.value.subject == str(stays)
