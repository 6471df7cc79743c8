"""What a node has to itself: refused to a second one, free when its process has ended."""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
import sys
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from fifo.cli.serving import locks
from fifo.cli.serving.directories import Directories
from fifo.cli.settings import Settings
from fifo.model.errors import NotReady
from tests.house.source import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager
    from pathlib import Path

    Take = Callable[[Directories], AbstractContextManager[None]]

PREFIX = f"l{secrets.token_hex(2)}"
HOLD = """
import sys
from pathlib import Path
from fifo.cli.serving import locks
from fifo.cli.serving.directories import Directories
from fifo.cli.settings import Settings
data, run, prefix = sys.argv[1:]
made = Directories(Settings(data_dir=Path(data), run_dir=Path(run)))
with locks.of_node(made), locks.of_host(made, prefix):
    print("held", flush=True)
    sys.stdin.readline()
"""


def directories(base: Path, data: str = "data", run: str = "run") -> Directories:
    return Directories(Settings(data_dir=base / data, run_dir=base / run))


def hold(base: Path, *before: str) -> subprocess.Popen[bytes]:
    """Have another process hold all that a real node does."""
    arguments = (str(base / "data"), str(base / "run"), PREFIX)
    other = subprocess.Popen(
        [*before, sys.executable, "-c", HOLD, *arguments],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert other.stdout is not None
    assert other.stdout.readline() == b"held\n"
    return other


def of_host(made: Directories) -> AbstractContextManager[None]:
    return locks.of_host(made, PREFIX)


@pytest.mark.parametrize(
    ("take", "data", "run", "held"),
    [
        (locks.of_node, "data", "other", "data_dir {base}/data"),
        (locks.of_node, "other", "run", "run_dir {base}/run"),
        (of_host, "data", "other", "storage_dir {base}/data/instances"),
        (of_host, "other", "other", f"prefix {PREFIX}"),
    ],
)
def test_what_another_node_holds_is_refused_with_its_process_until_that_is_killed(
    tmp_path: Path, take: Take, data: str, run: str, held: str
) -> None:
    made = directories(tmp_path, data, run)
    with hold(tmp_path) as other:
        with pytest.raises(NotReady) as refusal, take(made):
            pass
        assert refusal.value.subject == held.format(base=tmp_path)
        assert f"process {other.pid} has it" in refusal.value.what
        assert "data_dir, run_dir, prefix and ports of its own" in refusal.value.remedy
        assert refusal.value.reason_text == locks.HELD
        other.kill()
        other.wait()
        with take(made):
            pass


def test_what_is_refused_in_part_is_let_go_as_a_whole(tmp_path: Path) -> None:
    first, second = directories(tmp_path, "one", "run"), directories(tmp_path, "two", "run")
    with locks.of_node(first), pytest.raises(NotReady, match="run_dir"), locks.of_node(second):
        pass
    with locks.of_node(second):
        pass


def test_no_program_that_a_node_executes_holds_on(tmp_path: Path) -> None:
    made = directories(tmp_path)
    with ExitStack() as held:
        held.enter_context(locks.of_node(made))
        held.enter_context(of_host(made))
        outliving = subprocess.Popen(
            ["/bin/cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0, close_fds=False
        )
        # It is executed before the kernel has closed what it shall not inherit.
        assert outliving.stdin is not None
        assert outliving.stdout is not None
        outliving.stdin.write(b"!")
        assert outliving.stdout.read(1) == b"!"
    with outliving, locks.of_node(made), of_host(made):
        assert outliving.poll() is None
        outliving.kill()


def test_all_may_be_in_one_directory(tmp_path: Path) -> None:
    made = Directories(Settings(data_dir=tmp_path, run_dir=tmp_path, storage_dir=tmp_path))
    with locks.of_node(made), of_host(made):
        pass


@pytest.mark.skipif(
    os.geteuid() != 0 or not shutil.which("unshare"), reason="network namespaces want root"
)
def test_a_prefix_is_a_network_namespace_s(tmp_path: Path) -> None:
    (tmp_path / "inside").mkdir()
    with hold(tmp_path / "inside", "unshare", "--net", "--") as other:
        with of_host(directories(tmp_path)):
            pass
        other.kill()
