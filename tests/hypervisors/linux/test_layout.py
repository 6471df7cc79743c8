"""A host's files are of one root, and no driver with another takes them for its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from fifo.hypervisors.linux.layout import Layout
from fifo.hypervisors.linux.settings import UID_BASE
from fifo.model.errors import InvalidInput

if TYPE_CHECKING:
    from pathlib import Path


def layout(directory: Path) -> Layout:
    return Layout(directory / "state", directory / "run")


def test_files_of_one_root_are_refused_to_another(tmp_path: Path) -> None:
    layout(tmp_path).take_users(200_000)
    (tmp_path / "state/images/one").mkdir()
    layout(tmp_path).take_users(200_000)
    with pytest.raises(InvalidInput, match="uid_base: 200000, which"):
        layout(tmp_path).take_users(300_000)


def test_an_empty_directory_takes_any_root(tmp_path: Path) -> None:
    layout(tmp_path).take_users(200_000)
    layout(tmp_path).take_users(0)
    (tmp_path / "state/images/one").mkdir()
    layout(tmp_path).take_users(0)


def test_files_from_before_roots_were_remembered_are_the_default_s(tmp_path: Path) -> None:
    (tmp_path / "state/instances/one").mkdir(parents=True)
    with pytest.raises(InvalidInput, match="uid_base"):
        layout(tmp_path).take_users(200_000)
    layout(tmp_path).take_users(UID_BASE)
