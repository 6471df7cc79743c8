"""Zones by runc and by crun on a kernel with control groups of version 2 alone, in a machine."""

from __future__ import annotations

import faulthandler
import os
import shutil
from typing import TYPE_CHECKING

import pytest

from tests.hypervisors.linux.conftest import SLOWER
from tests.hypervisors.linux.pure_v2 import machine
from tests.hypervisors.linux.zone_host import RUNTIME

if TYPE_CHECKING:
    from pathlib import Path

WANTED = "FIFO_TEST_V2"
TESTS = ("tests/hypervisors/linux/pure_v2/test_inside.py", "tests/hypervisors/linux/test_limits.py")
LIMIT_S = 600.0
"""They take two minutes, most of it the emulation of the processor, or six where it is shared."""
COUNT = 11

pytestmark = pytest.mark.skipif(
    not os.environ.get(WANTED),
    reason=f"up to ten minutes of an emulated machine: set {WANTED}=1 to boot it",
)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> machine.Machine:
    missing = [name for name in ("qemu-system-x86_64", "mke2fs") if shutil.which(name) is None]
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)}")
    return machine.make(tmp_path_factory.mktemp("machine"))


@pytest.mark.parametrize("runtime", ["runc", "crun"])
def test_zones_are_held_to_their_limits_where_there_is_version_2_alone(
    made: machine.Machine, tmp_path: Path, runtime: str
) -> None:
    if shutil.which(runtime) is None:
        pytest.skip(f"not installed: {runtime}")
    # Longer than a test may take here: the machine has a limit of its own.
    faulthandler.cancel_dump_traceback_later()
    pytest_ = ("-m", "pytest", "-q", "-p", "no:cacheprovider", "-o", "faulthandler_timeout=0")
    told = {RUNTIME: runtime, SLOWER: "4"}
    ran = machine.run(made, tmp_path, (*pytest_, *TESTS), LIMIT_S, **told)
    assert ran.status == 0, ran.said
    assert f"{COUNT} passed" in ran.said, ran.said
