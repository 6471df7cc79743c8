"""The trial of runtimes, on a host where a node was killed in the middle of its own."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from fifo.hypervisors.linux import facts, limits, probe
from fifo.hypervisors.linux.runtime import Runtime
from tests.hypervisors.linux import runner

if TYPE_CHECKING:
    from tests.hypervisors.linux.zone_host import ZoneHost


async def leave_trial(zones: ZoneHost, *verbs: str) -> Runtime:
    """Have the runtime do what a node was about, and go no further."""
    name, directory = zones.settings.runtime, zones.settings.run_dir / "runtime"
    runtime = Runtime(runner.run, name, directory)
    scratch = zones.settings.run_dir / f"trial-{name}"
    probe._write_trial(scratch, zones.settings, facts.gather())
    trial = f"{probe.TRIAL}-{zones.settings.prefix}-{name}"
    for verb in verbs:
        bundle = ["--bundle", str(scratch)] if verb == "create" else []
        # The container has its streams, which would keep those of another runner open.
        process = await asyncio.create_subprocess_exec(
            *(name, "--root", str(directory), verb, *bundle, trial),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
        )
        assert await process.wait() == 0, verb
    assert runtime.there(trial)
    return runtime


@pytest.mark.parametrize("verbs", [("create",), ("create", "start")], ids=" then ".join)
async def test_a_trial_that_a_killed_node_left_costs_the_next_one_no_runtime(
    zones: ZoneHost, verbs: tuple[str, ...]
) -> None:
    await zones.open()
    await zones.close()
    runtime = await leave_trial(zones, *verbs)
    await zones.open()
    # What the opening itself found decides: a later look comes after it has cleaned up.
    await zones.running()
    found = await zones.driver.probe()
    assert (found.runtime, found.missing.get(runtime.name)) == (runtime.name, None)
    assert (await zones.remove_all()).none
    assert list(runtime.containers()) == []
    assert not (zones.settings.run_dir / f"trial-{runtime.name}").exists()
    groups = await runner.run(
        ["find", "/sys/fs/cgroup", "-name", f"{zones.settings.cgroup.strip('/')}-trial"],
        deadline_s=limits.PROBE_S,
    )
    assert groups.stdout == b""
