"""The command line on a real node with a simulated host."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.house.source import ROOT
from tests.system.node_process import NodeProcess, rows

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SEEN_AT_MOST = 200
"""Lines read of a watch before what is awaited."""


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NodeProcess]:
    base = tmp_path_factory.mktemp("cli")
    base.chmod(0o711)
    with NodeProcess(base) as running:
        yield running


@pytest.fixture(scope="module")
def image(node: NodeProcess, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Send an image from this side, and make an instance of it."""
    file = tmp_path_factory.mktemp("image") / "zone.tar"
    file.write_bytes(b"a simulated host never reads this\n" * 50_000)
    sent = node.fifo(
        "image", "import", "tiny", "--upload", str(file), "--format", "rootfs_tar", "--brand", "lx"
    )
    assert sent.returncode == 0, sent.stderr
    made = node.fifo("instance", "create", "web", "--brand", "lx", "--image", "tiny")
    assert made.returncode == 0, made.stderr
    return "tiny"


def test_a_file_of_this_machine_becomes_an_image(node: NodeProcess, image: str) -> None:
    assert rows(node.fifo("image", "get", image, "-o", "json"))["state"] == "READY"


def test_vmadm_s_form_names_things_by_uid(node: NodeProcess, image: str) -> None:
    uid = rows(node.fifo("image", "get", image, "-o", "json"))["uid"]
    told = rows(node.fifo("instance", "get", "web", "-o", "vmadm"))
    assert (told["image_uuid"], told["state"]) == (uid, "running")


def test_a_shell_inside_gives_the_command_its_status(node: NodeProcess, image: str) -> None:
    assert image
    done = node.fifo("instance", "console", "web", "--shell", told="echo here\nexit 3\n")
    assert (done.returncode, "shell exited" in done.stderr) == (3, True), done
    assert "here" in done.stdout
    assert node.fifo("instance", "console", "nobody", "--shell", told="").returncode == 3


def test_what_is_piped_into_a_console_is_answered_before_it_is_left(
    node: NodeProcess, image: str
) -> None:
    assert image
    done = node.fifo("instance", "console", "web", told="hostname\n")
    assert (done.returncode, done.stderr.strip()) == (0, "[detached]")
    assert "web\n" in done.stdout.partition("hostname")[2]


def test_labels_are_set_and_removed(node: NodeProcess) -> None:
    (host,) = node.fifo("hypervisor", "list", "-o", "name").stdout.split()
    assert node.fifo("hypervisor", "label", host, "rack=a", "tier=b").stdout == "rack=a\ntier=b\n"
    assert node.fifo("hypervisor", "label", host, "rack-").stdout == "tier=b\n"


def completed(node: NodeProcess, words: str) -> list[str]:
    """Complete an empty last word, as bash asks for it."""
    done = subprocess.run(
        [sys.executable, "-m", "fifo"],
        cwd=ROOT, capture_output=True, text=True, check=True, timeout=60,
        env={
            "PATH": os.environ["PATH"], "FIFO_SERVER": f"unix:{node.socket}",
            "_FIFO_COMPLETE": "bash_complete", "COMP_WORDS": words,
            "COMP_CWORD": str(len(words.split(" ")) - 1),
        },
    )  # fmt: skip
    assert done.stderr == ""
    return [line.removeprefix("plain,") for line in done.stdout.split()]


def test_names_are_completed_from_the_node(node: NodeProcess, image: str) -> None:
    assert image
    assert completed(node, "fifo instance get w") == ["web"]


def test_operations_and_snapshots_are_completed_where_they_are_of_use(
    node: NodeProcess, image: str
) -> None:
    assert image
    assert node.fifo("snapshot", "create", "web", "before").returncode == 0
    assert completed(node, "fifo snapshot rollback web ") == ["before"]
    assert completed(node, "fifo snapshot create web ") == []
    assert completed(node, "fifo operation wait ") == []
    ended = completed(node, "fifo operation get ")
    assert ended
    assert all(own.startswith("op-") for own in ended)
    assert node.fifo("snapshot", "delete", "web", "before", "--yes").returncode == 0


def test_a_reader_that_leaves_is_no_error(node: NodeProcess, image: str) -> None:
    assert image
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(
        [sys.executable, "-m", "fifo", "--server", f"unix:{node.socket}", "instance", "list"],
        cwd=ROOT, stdout=write, stderr=subprocess.PIPE, text=True, check=False, timeout=60,
    )  # fmt: skip
    os.close(write)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_watch_outlives_its_node_and_tells_everything_once(tmp_path: Path) -> None:
    tmp_path.chmod(0o711)
    with NodeProcess(tmp_path) as node:
        watch = subprocess.Popen(
            [sys.executable, "-m", "fifo", "--server", f"unix:{node.socket}",
             "package", "list", "--watch", "-o", "json"],
            cwd=ROOT, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert watch.stdout is not None
        try:
            for name in ("before", "between", "after"):
                if name == "between":
                    node.kill()
                    node.start()
                made = node.fifo("package", "create", name, "max_physical_memory=64")
                assert made.returncode == 0, made.stderr
                if name == "before":
                    told = [json.loads(watch.stdout.readline())]
            while told[-1]["resource"]["name"] != "packages/after" and len(told) < SEEN_AT_MOST:
                told.append(json.loads(watch.stdout.readline()))
        finally:
            watch.kill()
            watch.wait()
            watch.stdout.close()
    assert [change["resource"]["name"].rpartition("/")[2] for change in told] == [
        "before",
        "between",
        "after",
    ]
