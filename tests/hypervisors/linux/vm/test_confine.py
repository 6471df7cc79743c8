"""The words by which programs lose the rights of root, and the users of VMs."""

from __future__ import annotations

import shutil
import subprocess
import sys

import pytest

from fifo.hypervisors.linux.vm import confine, limits
from fifo.model.errors import NoRoom


def test_a_program_runs_as_its_user_without_any_privilege() -> None:
    assert confine.as_user(1065536, ("qemu-img", "info")) == (
        "setpriv", "--reuid=1065536", "--regid=1065536", "--clear-groups", "--no-new-privs",
        "--bounding-set=-all", "--inh-caps=-all", "--", "qemu-img", "info",
    )  # fmt: skip
    assert "--groups=104" in confine.as_user(1065536, ("qemu",), group=104)


MANY_THREADS = """
import threading
here = threading.Barrier(65)
def heap():
    kept = [bytes(600) for _ in range(64)]
    here.wait()
for _ in range(64):
    threading.Thread(target=heap).start()
here.wait()
"""


@pytest.mark.skipif(shutil.which("prlimit") is None, reason="prlimit (util-linux) is missing")
def test_as_many_threads_as_qemu_img_may_have_fit_into_its_bounds() -> None:
    words = confine.bounded((sys.executable, "-c", MANY_THREADS), cpu_s=10)
    done = subprocess.run(words, capture_output=True, text=True, timeout=20, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_qemu_is_launched_with_its_groups_and_taps() -> None:
    words = confine.launched(("/cg/procs",), ("tap0", "tap1"), ("qemu", "-M", "q35"), 7)
    assert words[:3] == (sys.executable, "-I", "-S")
    assert words[3].endswith("vm/launch.py")
    assert words[4:9] == ("/cg/procs", "--", "tap0", "tap1", "--")
    assert words[9:] == confine.as_user(7, ("qemu", "-M", "q35"))


@pytest.mark.parametrize(("base", "first"), [(0, 1_065_536), (2_000_000, 2_065_536)])
def test_users_are_above_those_of_zones_and_each_is_given_once(base: int, first: int) -> None:
    assert confine.first_user(base) == first
    taken: set[int] = set()
    for _ in range(3):
        taken.add(confine.free_user(base, taken))
    assert taken == {first, first + 1, first + 2}
    assert confine.free_user(base, taken - {first + 1}) == first + 1
    assert confine.import_user(base) == first + limits.USERS


def test_there_is_an_end_of_users() -> None:
    first = confine.first_user(0)
    with pytest.raises(NoRoom):
        confine.free_user(0, range(first, first + limits.USERS))
