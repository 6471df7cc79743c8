"""What a group has counted tells whether its instance was killed for want of memory.

Of real groups: `test_limits`, which the machine with version 2 alone runs, too, and `vm.test_ends`.
"""

from __future__ import annotations

import functools
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from fifo.hypervisors.linux import cgroups, out_of_memory
from fifo.hypervisors.linux.ends import Ends
from fifo.hypervisors.linux.layout import Kept, Layout
from fifo.model.instance import Claim, Exit, InstanceSpec, Shares
from fifo.model.restart import describe
from tests.hypervisors.linux.test_cgroups import write

if TYPE_CHECKING:
    from pathlib import Path

UID = "00000000-0000-4000-8000-000000000001"
GROUP = f"fifo-ta/{UID}"
V1 = {
    f"memory/{GROUP}/memory.limit_in_bytes": "33554432\n",
    f"memory/{GROUP}/memory.oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill {}\n",
}
V2 = {
    "cgroup.controllers": "cpuset cpu io memory pids\n",
    f"{GROUP}/memory.max": "33554432\n",
    f"{GROUP}/memory.events": "low 0\nhigh 0\nmax 31\noom 7\noom_kill {}\noom_group_kill 0\n",
}
KILLED = "killed by signal 9"


@pytest.mark.parametrize("files", [V1, V2], ids=["v1", "v2"])
@pytest.mark.parametrize(
    "case",
    [
        (1, {}, "killed: out of memory (32 MiB)"),
        (0, {}, KILLED),
        (1, {"forced": True}, KILLED),
        (1, {"signal": 15}, "killed by signal 15"),
    ],
)
def test_an_end_is_told_by_what_its_group_has_counted(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    files: dict[str, str],
    case: tuple[int, dict[str, Any], str],
) -> None:
    kills, end, told = case
    write(tmp_path / "groups", {name: text.format(kills) for name, text in files.items()})
    usage = functools.partial(cgroups.usage, root=tmp_path / "groups")
    monkeypatch.setattr(cgroups, "usage", usage)
    layout = Layout(tmp_path / "state", tmp_path / "run")
    layout.instance(UID).mkdir(parents=True)
    spec = InstanceSpec(
        uid=UID, id="zone", org="default", generation=1, wanted="running", brand="lx",
        create_time=0.0,
    )  # fmt: skip
    claim = Claim(uid=UID, host="here", shares=Shares(), addresses={})
    ended = Exit(**{"at": 1.0, "signal": 9, **end})
    layout.write(Kept(spec=spec, claim=claim, networks=(), start_id=1, exit=ended))
    host: Any = SimpleNamespace(
        watch=SimpleNamespace(ends=Ends(layout)), settings=SimpleNamespace(cgroup="/fifo-ta")
    )
    out_of_memory.explain(host, UID)
    written = layout.find(UID).exit
    assert written is not None
    assert describe(written) == told
