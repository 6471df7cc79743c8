"""Whose a storage directory is: a real host does not start where its instances are not."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from fifo.cli.serving.directories import Directories, NodeIdentity
from fifo.cli.settings import Settings
from fifo.model import records
from fifo.model.errors import DataLoss, NotReady
from tests.cli.test_hypervisors import let_linux, opened, settings_in

HOST = "00000000-0000-4000-a000-000000000001"


def directories(base: Path, storage: str = "storage") -> Directories:
    return Directories(Settings(data_dir=base / "data", storage_dir=base / storage, run_dir=base))


def used(base: Path, driver: str = "linux") -> Directories:
    """Give the directories of a node that has started with a driver."""
    made = directories(base)
    made.require_storage()
    made.identity(1, driver)
    (made.instances / "instances").mkdir()
    return made


def by_an_older_node(made: Directories) -> None:
    """Leave what a node did that made no mark."""
    (made.instances / "storage-id").unlink(missing_ok=True)
    known = NodeIdentity(node_id=HOST, hosts=(HOST,), driver="linux")
    (made.private / "node.json").write_bytes(records.encode(known))


def obey(remedy: str) -> None:
    """Write the mark that a refusal offers, as a shell would."""
    echo, mark, to, file = shlex.split(remedy.rpartition(": ")[2])
    assert (echo, to) == ("echo", ">")
    Path(file).write_text(f"{mark}\n", encoding="ascii")


@pytest.mark.parametrize("before", ["marked", "older"])
def test_a_storage_that_is_away_is_refused_until_it_is_back_or_given_up(
    tmp_path: Path, before: str
) -> None:
    made = used(tmp_path)
    if before == "older":
        by_an_older_node(made)
    made.instances.rename(tmp_path / "away")
    empty = directories(tmp_path)
    for _ in range(2):
        with pytest.raises(NotReady, match="it is not the storage") as refusal:
            empty.require_storage()
        assert refusal.value.subject == f"storage_dir {made.instances}"
        assert "there is no storage-id in it" in refusal.value.what
        assert "mount it" in refusal.value.remedy
    assert list(empty.instances.iterdir()) == []

    directories(tmp_path, "away").require_storage()
    obey(refusal.value.remedy)
    empty.require_storage()
    empty.identity(1, "linux")
    directories(tmp_path).require_storage()


def test_another_node_s_storage_is_refused(tmp_path: Path) -> None:
    used(tmp_path / "one")
    other = used(tmp_path / "two")
    other.instances.rename(tmp_path / "one" / "other")
    with pytest.raises(NotReady, match="the mark of another") as refusal:
        directories(tmp_path / "one", "other").require_storage()
    obey(refusal.value.remedy)
    directories(tmp_path / "one", "other").require_storage()


def test_a_node_that_made_no_mark_makes_one_where_its_instances_are(tmp_path: Path) -> None:
    made = used(tmp_path)
    by_an_older_node(made)
    made.require_storage()
    made.identity(1, "linux")
    mark = (made.instances / "storage-id").read_text().strip()
    assert records.decode(NodeIdentity, (made.private / "node.json").read_bytes()).storage == mark


def test_a_node_that_begins_anew_takes_over_a_storage_with_its_mark(tmp_path: Path) -> None:
    made = used(tmp_path)
    mark = (made.instances / "storage-id").read_text()
    made.private.rename(tmp_path / "lost")
    used_again = directories(tmp_path)
    used_again.require_storage()
    used_again.identity(1, "linux")
    used_again.require_storage()
    assert (made.instances / "storage-id").read_text() == mark


def test_simulated_hosts_have_no_storage_to_miss(tmp_path: Path) -> None:
    made = used(tmp_path, "simulated")
    assert not (made.instances / "storage-id").exists()
    made.instances.rename(tmp_path / "away")
    directories(tmp_path).require_storage()


def test_a_mark_that_cannot_be_read_is_no_reason_to_begin_anew(tmp_path: Path) -> None:
    made = used(tmp_path)
    (made.instances / "storage-id").unlink()
    (made.instances / "storage-id").mkdir()
    with pytest.raises(NotReady, match="it cannot be read: Is a directory"):
        made.require_storage()


def test_a_damaged_identity_is_told_with_the_mark_of_its_storage(tmp_path: Path) -> None:
    made = used(tmp_path)
    mark = (made.instances / "storage-id").read_text().strip()
    (made.private / "node.json").write_text("{")
    with pytest.raises(DataLoss) as refusal:
        made.require_storage()
    assert f'"storage":"{mark}"' in refusal.value.remedy


@pytest.mark.parametrize("driver", ["auto", "linux"])
def test_a_start_without_its_storage_makes_nothing_there_and_becomes_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, driver: str
) -> None:
    let_linux(monkeypatch, None)
    settings = settings_in(tmp_path, driver)
    assert opened(settings).driver == "linux"
    instances = tmp_path / "data" / "instances"
    instances.rename(tmp_path / "away")
    with pytest.raises(NotReady, match="it is not the storage"):
        opened(settings)
    assert list(instances.iterdir()) == []
    instances.rmdir()
    (tmp_path / "away").rename(instances)
    assert opened(settings).driver == "linux"
