"""The demo does what the README says, for whoever runs it, and leaves nothing behind."""

from __future__ import annotations

import faulthandler
import os
import pwd
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.house.source import ROOT

LIMIT_S = 120
PARTS = (
    "three zones and a virtual machine",
    "kill -9 of a zone's init: web-2 runs again",
    "kill -9 of the VM's QEMU: vm-1 runs again",
    "web-3 untouched",
    "node (Supervisor)",
    "killed by signal 9",
    "fifo_instances{",
    "4 deleted",
    "Done in",
)


def play(home: Path, *options: str, **more: object) -> str:
    # A busy machine takes longer than one test may: this one has a limit of its own.
    faulthandler.cancel_dump_traceback_later()
    done = subprocess.run(
        [sys.executable, "-m", "fifo", "demo", *options],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        env={"PATH": os.environ["PATH"], "HOME": str(home)},
        check=False,
        **more,  # type: ignore[call-overload]
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return str(done.stdout)


def missing(said: str, *parts: str) -> list[str]:
    """List what was not said; the test prints the whole of it then, to see what was instead."""
    return [part for part in parts if part not in said]


@pytest.mark.skipif(
    os.geteuid() != 0 or not shutil.which("runc") or not shutil.which("qemu-system-x86_64"),
    reason="real zones and VMs want root, runc and QEMU",
)
def test_as_root_the_zones_and_the_vm_are_real_and_nothing_is_left(tmp_path: Path) -> None:
    said = play(tmp_path)
    real = ("hostname: web-1", "[fifo-guest vm-1]#", "look for anything that is left")
    assert missing(said, *PARTS, *real) == [], said
    assert "simulated" not in said, said
    seconds = re.search(r"Done in (\d+) s", said)
    assert seconds is not None, said
    assert int(seconds[1]) < LIMIT_S


def test_on_request_everything_is_simulated(tmp_path: Path) -> None:
    said = play(tmp_path, "--simulated")
    assert missing(said, *PARTS) == [], said


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_as_anybody_else_it_says_that_the_hosts_are_simulated_and_goes_on(tmp_path: Path) -> None:
    nobody = pwd.getpwnam("nobody")
    if not os.access(sys.executable, os.X_OK) or not _may_read(ROOT, nobody.pw_uid):
        pytest.skip("nobody may not enter the directory that this project is in")
    tmp_path.chmod(0o777)
    said = play(tmp_path, user=nobody.pw_uid, group=nobody.pw_gid)
    assert missing(said, *PARTS, "not root: the hosts are simulated") == [], said


def _may_read(path: Path, uid: int) -> bool:
    """Tell whether a user can come as far as a path and to this interpreter."""
    wanted = [*path.parents, path, *Path(sys.executable).resolve().parents]
    return all(own.stat().st_uid == uid or own.stat().st_mode & 0o005 == 0o005 for own in wanted)
