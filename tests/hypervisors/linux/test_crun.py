"""The zones' tests once more with crun, in a view of this host that crun takes.

crun refuses a host with control groups of both versions. In a mount namespace of its own a host
shows those of version 1 alone, and the driver, its keeper and crun are all inside.
"""

from __future__ import annotations

import faulthandler
import os
import shutil
import subprocess
import sys

import pytest

from fifo.hypervisors.linux import cgroups
from tests.house.source import ROOT
from tests.hypervisors.linux.zone_host import RUNTIME, why_not

TESTS = ("test_limits.py", "test_adoption.py")
"""Limits, statistics, kills, exits that nobody watched: 20 s.."""
LIMIT_S = 240.0
VIEW = """
set -e
view=$(mktemp -d)
mount -t tmpfs tmpfs "$view"
for own in /sys/fs/cgroup/*; do
    name=${own##*/}
    if [ -L "$own" ]; then
        cp -P "$own" "$view/$name"
    elif [ "$name" != unified ]; then
        mkdir "$view/$name"
        mount --bind "$own" "$view/$name"
    fi
done
mount --rbind "$view" /sys/fs/cgroup
# Nobody else sees what is mounted here: the place is empty to all others.
umount -l "$view"
rmdir "$view"
exec "$@"
"""
"""Unmounting version 2 would not do: crun takes the empty directory for one more controller."""


@pytest.mark.skipif(bool(why_not()), reason=why_not())
@pytest.mark.skipif(shutil.which("crun") is None, reason="crun is not installed")
def test_zones_are_the_same_by_crun() -> None:
    found = cgroups.version()
    if found == "none":
        pytest.skip("no control groups here")
    # Two files of tests: where the machine is busy, longer than one may take.
    faulthandler.cancel_dump_traceback_later()
    view = ("unshare", "-m", "--propagation", "private", "sh", "-c", VIEW, "view")
    tests = [f"tests/hypervisors/linux/{name}" for name in TESTS]
    done = subprocess.run(
        [
            *(view if found == "hybrid" else ()),
            *(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *tests),
        ],
        cwd=ROOT, check=False, capture_output=True, text=True, timeout=LIMIT_S,
        env={**os.environ, RUNTIME: "crun"},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "passed" in done.stdout
