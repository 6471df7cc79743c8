"""What demos without real zones have left goes with the next one, and nothing else does."""

from __future__ import annotations

import os
import tempfile
from typing import TYPE_CHECKING

import pytest

from fifo.cli.demo import plain_directory, remains
from fifo.cli.demo.plain_directory import DIRECTORY, clear_earlier
from fifo.model.errors import DriverFailed

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give the directory that demos make theirs in."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def left(place: Path, name: str) -> Path:
    """Leave what a killed demo does; no process holds its lock."""
    made = place / name
    (made / "data").mkdir(parents=True)
    (made / "lock").write_text("1\n")
    return made


def test_a_directory_is_there_as_long_as_its_demo(place: Path) -> None:
    with plain_directory.make() as base:
        (base / "data").mkdir()
        assert list(place.iterdir()) == [base]
        assert clear_earlier() == []
        assert (base / "data").exists()
    assert list(place.iterdir()) == []


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
