"""What a damaged file is told as: which it is, and what works, tried here."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from tests.house.source import ROOT
from tests.system.node_process import COMMAND_S, NodeProcess, fifo, rows

if TYPE_CHECKING:
    from pathlib import Path


def refusal(node: NodeProcess) -> str:
    """Start a node that cannot be, and give what it says."""
    done = subprocess.run(
        [sys.executable, "-m", "fifo", "serve", *node.arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=COMMAND_S,
        env=node.environment(),
        check=False,
    )
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr
    return done.stderr


def with_instances(node: NodeProcess) -> set[tuple[str, str]]:
    """Have a zone that runs and one that does not on a node, and tell of them."""
    (node.base / "zone.tar").write_bytes(b"a simulated host never reads this")
    for words in (
        f"image import tiny --file {node.base}/zone.tar --format rootfs_tar --brand lx",
        "instance create web --brand lx --image tiny",
        "instance create off --brand lx --image tiny",
        "instance stop off",
    ):
        done = node.fifo(*words.split())
        assert done.returncode == 0, done.stderr
    return states(node)


def states(node: NodeProcess) -> set[tuple[str, str]]:
    """Tell the uid and state of each instance."""
    return {(row["uid"], row["state"]) for row in rows(node.fifo("-o", "json", "instance", "list"))}


def await_states(node: NodeProcess, wanted: set[tuple[str, str]]) -> None:
    """Wait until the instances are as they were: a new agent looks at its host first."""
    until = time.monotonic() + COMMAND_S
    while (found := states(node)) != wanted:
        assert time.monotonic() < until, found


def spoil(path: Path) -> None:
    """Turn a bit of what a row holds."""
    content = bytearray(path.read_bytes())
    content[content.rindex(b"kind")] ^= 1
    path.write_bytes(content)


def test_of_what_is_damaged_the_place_is_told_and_a_way_out_that_works(tmp_path: Path) -> None:
    tmp_path.chmod(0o711)
    private = tmp_path / "data" / "private"
    with NodeProcess(tmp_path) as node:
        before = with_instances(node)
        assert {state for _, state in before} == {"RUNNING", "STOPPED"}
        backup = tmp_path / "good.tar"
        assert node.fifo("store", "backup", str(backup)).returncode == 0
        assert node.stop() == 0
        (agent,) = (private / "agents").iterdir()
        spoil(agent / "store.db")
        told = refusal(node)
        assert told.startswith(f"fifo: {agent}: row ")
        assert "move this directory away, then start the node" in told
        agent.rename(tmp_path / "away")
        node.start()
        await_states(node, before)
        assert node.stop() == 0

        (private / "node.json").write_text("{")
        told = refusal(node)
        assert told.startswith(f"fifo: {private}/node.json: ")
        (private / "node.json").write_text(told.partition("write it anew: ")[2].strip())
        node.start()
        await_states(node, before)
        assert node.stop() == 0

        spoil(private / "store" / "store.db")
        told = refusal(node)
        assert told.startswith(f"fifo: {private}/store: row ")
        assert "move this directory away and restore a backup (fifo store restore)" in told
        (private / "store").rename(tmp_path / "spoilt")
        restored = fifo("store", "restore", str(backup), str(tmp_path / "data"))
        assert restored.returncode == 0, restored.stderr
        node.start()
        await_states(node, before)


def test_a_damaged_backup_is_told_by_its_name(tmp_path: Path) -> None:
    tmp_path.chmod(0o711)
    backup = tmp_path / "b2.tar"
    with NodeProcess(tmp_path) as node:
        with_instances(node)
        assert node.fifo("store", "backup", str(backup)).returncode == 0
    spoil(backup)
    for words in (("verify", str(backup)), ("restore", str(backup), str(tmp_path / "other"))):
        refused = fifo("store", *words)
        assert refused.returncode == 1
        assert refused.stderr.startswith(f"fifo: {backup}: this backup is damaged (row ")
        assert "take another backup" in refused.stderr


@pytest.mark.parametrize("left", ["nothing", "an empty file"])
def test_a_node_whose_store_is_gone_does_not_begin_anew_by_itself(
    tmp_path: Path, left: str
) -> None:
    tmp_path.chmod(0o711)
    private = tmp_path / "data" / "private"
    with NodeProcess(tmp_path) as node:
        before = with_instances(node)
        backup = tmp_path / "good.tar"
        assert node.fifo("store", "backup", str(backup)).returncode == 0
        token = node.token_file.read_text()
        assert node.stop() == 0
        (private / "store").rename(tmp_path / "away")
        if left == "an empty file":
            (private / "store").mkdir(mode=0o700)
            (private / "store" / "store.db").touch()
        for _ in range(2):
            told = refusal(node)
            assert told.startswith(f"fifo: {private}/store: the store that was here is gone")
            assert f"move {private} away to begin anew" in told
        assert node.token_file.read_text() == token
        if left == "an empty file":
            (private / "store").rename(tmp_path / "empty")
        restored = fifo("store", "restore", str(backup), str(tmp_path / "data"))
        assert restored.returncode == 0, restored.stderr
        node.start()
        await_states(node, before)


def test_a_node_that_was_killed_before_it_first_served_begins_anew(tmp_path: Path) -> None:
    tmp_path.chmod(0o711)
    with NodeProcess(tmp_path) as node:
        node.kill()
        # So it looks between the first write of its identity and that of the store.
        shutil.rmtree(tmp_path / "data" / "private" / "store")
        node.token_file.unlink()
        node.start()
        assert rows(node.fifo("-o", "json", "instance", "list")) == []
