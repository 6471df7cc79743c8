"""What a zone may use of the host: each limit, by a zone that wants more."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING

import msgspec

from fifo.hypervisors.driver import Ended
from fifo.hypervisors.linux import cgroups
from fifo.model.restart import describe

if TYPE_CHECKING:
    from fifo.hypervisors.driver import Event, Wanted
    from fifo.model.instance import Exit
    from tests.hypervisors.linux.zone_host import ZoneHost

GREEDY = "x=a; while :; do x=$x$x; done"
"""Doubles a text until there is no memory for it."""


async def end_of(zones: ZoneHost, wanted: Wanted) -> Exit:
    """Wait for the end of an instance."""
    ended: asyncio.Future[Exit] = asyncio.get_running_loop().create_future()

    def hear(event: Event) -> None:
        if isinstance(event, Ended) and event.uid == wanted.spec.uid and not ended.done():
            ended.set_result(event.exit)

    subscription = zones.driver.subscribe(hear)
    try:
        return await ended
    finally:
        subscription.cancel()


def held_back(group: str) -> int:
    """Count how often the kernel has kept a group from a processor because of its cap."""
    stats = [path / "cpu.stat" for path in cgroups.paths(group)]
    text = next(stat.read_text() for stat in stats if stat.exists())
    return int(text.partition("nr_throttled ")[2].split()[0])


async def test_a_zone_that_wants_more_memory_than_it_has_is_killed(zones: ZoneHost) -> None:
    await zones.open()
    bystander = await zones.running()
    wanted = await zones.running(script=GREEDY, max_physical_memory=32, max_swap=32)
    end = await end_of(zones, wanted)
    assert (end.signal, end.forced) == (9, False)
    assert describe(end) == "killed: out of memory (32 MiB)"
    seen = await zones.driver.inspect(bystander.spec.uid)
    assert seen is not None
    assert seen.state == "running"


async def test_a_zone_that_ran_out_of_memory_while_no_node_watched_is_told_so(
    zones: ZoneHost,
) -> None:
    await zones.open()
    wait = "mkfifo /go; read x < /go"
    wanted = await zones.running(script=f"{wait}; {GREEDY}", max_physical_memory=32, max_swap=32)
    uid = wanted.spec.uid
    made = "until [ -p /go ]; do :; done"
    assert await zones.execute(wanted, "sh", "-c", made) == (0, "")
    seen = await zones.driver.inspect(uid)
    assert seen is not None
    process = os.pidfd_open(seen.pid)
    go = os.open(f"/proc/{seen.pid}/root/go", os.O_WRONLY)
    await zones.close()
    os.close(go)
    loop, ended = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(process, ended.set)
    await ended.wait()
    loop.remove_reader(process)
    os.close(process)
    await zones.open()
    seen = await zones.driver.inspect(uid)
    assert seen is not None
    assert seen.exit is not None
    assert describe(seen.exit) == "killed: out of memory (32 MiB)"


async def test_a_command_that_wants_too_much_memory_ends_with_137(zones: ZoneHost) -> None:
    await zones.open()
    wanted = await zones.running(max_physical_memory=32, max_swap=32)
    code, _ = await zones.execute(wanted, "sh", "-c", f"sh -c '{GREEDY}'; exit $?")
    assert code == 137


async def test_processes_are_counted_and_bounded(zones: ZoneHost) -> None:
    await zones.open()
    wanted = await zones.running(script="sleep 1000", max_lwps=10)
    fork = "for i in 1 2 3 4 5 6 7 8 9 10 11 12; do sleep 1000 >/dev/null 2>&1 & done"
    code, said = await zones.execute(wanted, "sh", "-c", fork)
    assert code != 0
    assert "can't fork" in said


async def test_a_cap_on_the_processor_is_kept(zones: ZoneHost) -> None:
    await zones.open()
    wanted = await zones.running(script="while :; do :; done", cpu_cap=20)
    loop = asyncio.get_running_loop()
    group = f"{zones.settings.cgroup}/{wanted.spec.uid}"

    async def share(seconds: float) -> float:
        before, begun_s = cgroups.usage(group).cpu_seconds, loop.time()
        done = asyncio.Event()
        loop.call_later(seconds, done.set)
        await done.wait()
        return (cgroups.usage(group).cpu_seconds - before) / (loop.time() - begun_s)

    # It gets its quota in pieces of 20 ms; the share of the others is theirs.
    assert await share(0.6) < 0.3
    spec = msgspec.structs.replace(wanted.spec, cpu_cap=0)
    assert (await zones.driver.update(wanted._replace(spec=spec))).live == ("cpu_cap",)
    # Nothing holds it back any more; how much it gets is for the others on this machine to say.
    before = held_back(group)
    await share(0.4)
    assert held_back(group) == before


async def test_limits_are_changed_while_it_runs(zones: ZoneHost) -> None:
    await zones.open()
    wanted = await zones.running()
    spec = msgspec.structs.replace(
        wanted.spec, max_physical_memory=128, max_swap=256, max_lwps=77, hostname="later",
        customer_metadata={"colour": "green"},
    )  # fmt: skip
    applied = await zones.driver.update(wanted._replace(spec=spec))
    assert set(applied.live) == {
        "max_physical_memory", "max_swap", "max_lwps", "customer_metadata"
    }  # fmt: skip
    assert applied.at_start == ("hostname",)
    (stats,) = await zones.driver.stats()
    assert stats.memory_limit_bytes == 128 * 1024**2
    code, said = await zones.execute(wanted, "cat", "/var/lib/fifo/metadata.json")
    assert code == 0
    assert msgspec.json.decode(said)["customer_metadata"] == {"colour": "green"}
    await zones.driver.stop(wanted.spec.uid, 5.0)
    await zones.driver.start(wanted._replace(spec=spec), 2)
    assert await zones.execute(wanted, "hostname") == (0, "later\n")


FORBIDDEN = (
    ("mount", "-t", "tmpfs", "none", "/mnt"),
    ("unshare", "-U", "true"),
    ("unshare", "-n", "true"),
    ("mknod", "/null", "c", "1", "3"),
    ("sysctl", "-w", "kernel.core_pattern=x"),
    ("sh", "-c", "echo x >/proc/sysrq-trigger"),
    ("adjtimex", "-t", "10000"),
    ("sh", "-c", "echo 1 >/sys/fs/cgroup/memory/memory.limit_in_bytes"),
    ("ip", "link", "set", "eth0", "down"),
    ("hostname", "other"),
    ("dmesg",),
)


async def test_root_in_a_zone_is_not_root_of_the_host(zones: ZoneHost) -> None:
    await zones.open()
    wanted = await zones.running(script="sleep 1000")
    done = [command for command in FORBIDDEN if (await zones.execute(wanted, *command))[0] == 0]
    assert done == []


async def test_a_zone_is_another_user_on_the_host_and_sees_only_itself(zones: ZoneHost) -> None:
    await zones.open()
    wanted = await zones.running(script="sleep 1000")
    await zones.running()
    code, said = await zones.execute(wanted, "sh", "-c", "id -u; ls /proc | grep -c '^[0-9]'")
    # Its init, what it runs, and the shell, ls and grep that look.
    assert (code, said.split()[0], int(said.split()[1]) <= 5) == (0, "0", True)
    seen = await zones.driver.inspect(wanted.spec.uid)
    assert seen is not None
    root = zones.settings.state_dir / "instances" / wanted.spec.uid / "root"
    (root / "etc" / "made-here").touch()
    assert (root / "bin").stat().st_uid == zones.settings.uid_base
    code, said = await zones.execute(wanted, "sh", "-c", "touch /from-inside; ls -n /from-inside")
    assert said.split()[2] == "0"
    assert (root / "from-inside").stat().st_uid == zones.settings.uid_base
