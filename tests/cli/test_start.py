"""What needs no node imports no gRPC, and takes little time."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from tests.house.source import ROOT

if TYPE_CHECKING:
    from pathlib import Path

SHOW = """
import atexit, sys
heavy = {"grpc", "google.protobuf", "numpy"}
atexit.register(lambda: print("HEAVY", sorted(heavy & set(sys.modules)), file=sys.stderr))
from fifo.cli.main import main
main(sys.argv[1:])
"""
CPU_S = 1.0
"""Five times what a quiet machine may take, for one that is not."""


def run(*arguments: str, **environment: str) -> tuple[subprocess.CompletedProcess[str], float]:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        [sys.executable, "-c", SHOW, *arguments],
        cwd=ROOT, capture_output=True, text=True, check=False, timeout=60,
        env={"PATH": os.environ["PATH"], **environment},
    )  # fmt: skip
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return done, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


@pytest.mark.parametrize(
    ("status", "arguments"),
    [
        (0, ["--help"]),
        (0, ["instance", "create", "--help"]),
        (0, ["events", "--help"]),
        (0, ["completion", "bash"]),
        (2, ["instance", "explode"]),
        (2, ["--colour"]),
        (2, ["instance", "get"]),
        (2, ["tree", "-o", "vmadm"]),
    ],
)
def test_help_and_usage_errors_wait_for_no_grpc(status: int, arguments: list[str]) -> None:
    done, cpu_s = run(*arguments)
    assert done.returncode == status, done.stderr
    assert "HEAVY []" in done.stderr
    assert "Traceback" not in done.stderr
    assert cpu_s < CPU_S


def complete(words: str, server: str) -> str:
    done, cpu_s = run(
        _FIFO_COMPLETE="bash_complete", COMP_WORDS=words, FIFO_SERVER=server,
        COMP_CWORD=str(len(words.split(" ")) - 1),
    )  # fmt: skip
    assert done.stderr == "HEAVY []\n"
    assert cpu_s < CPU_S
    return done.stdout


def test_commands_and_options_are_completed() -> None:
    assert complete("fifo inst", "") == "plain,instance\n"
    assert "plain,reboot" in complete("fifo instance re", "")
    assert "plain,--watch" in complete("fifo image list --w", "")


@pytest.mark.parametrize("server", ["unix:/nonexistent/fifo.sock", "127.0.0.1:1", "nonsense"])
def test_names_are_completed_in_silence_where_no_node_runs(server: str) -> None:
    began = time.monotonic()
    assert complete("fifo instance get w", server).strip() == ""
    assert time.monotonic() - began < 10 * CPU_S


def test_a_socket_that_nobody_answers_is_no_trouble(tmp_path: Path) -> None:
    dead = tmp_path / "dead.sock"
    dead.write_bytes(b"")
    assert complete("fifo instance get w", f"unix:{dead}").strip() == ""
