"""What is left when a keeper or its starter dies, and what the next keeper makes of it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from fifo.hypervisors.linux.keeper import commands, instances, processes
from fifo.hypervisors.linux.keeper_client import Program, start_keeper
from fifo.model.errors import DeadlineExceeded, NotReady, Unavailable, WrongState
from tests.hypervisors.linux.keeper.keeper_host import alive, ended, readable

if TYPE_CHECKING:
    from pathlib import Path

    from tests.hypervisors.linux.keeper.keeper_host import KeeperHost

SLEEP = Program(["sleep", "1000"])


async def test_instances_outlive_a_killed_keeper_and_the_next_one_adopts_them(
    host: KeeperHost,
) -> None:
    async with host.client() as client:
        before = [await client.spawn(name, "s1", SLEEP) for name in ("a", "b")]
        await host.kill_keeper(client)
    assert all(view.pid is not None and alive(view.pid) for view in before)
    async with host.client() as client:
        assert await client.inventory() == before
        await client.signal("a", "s1", signal.SIGTERM)
        [record] = await host.first_exits(client, 1)
    assert (record.instance, record.pid, record.how) == ("a", before[0].pid, "unknown")
    assert not record.clean


async def test_what_ended_while_no_keeper_lived_is_recorded_as_unknown(host: KeeperHost) -> None:
    async with host.client() as client:
        started = await client.spawn("zone", "s1", SLEEP)
        await host.kill_keeper(client)
    assert started.pid is not None
    os.kill(started.pid, signal.SIGKILL)
    await ended(started.pid)
    async with host.client() as client:
        [record] = await host.first_exits(client, 1)
        [view] = await client.inventory()
    assert (record.start_id, record.how, record.status) == ("s1", "unknown", None)
    assert (view.running, view.exit) == (False, record)


async def test_exits_that_nobody_read_are_told_by_the_next_keeper(host: KeeperHost) -> None:
    async with host.client() as client:
        await client.spawn("zone", "s1", Program(["false"]))
        told = await host.first_exits(client, 1)
        await host.kill_keeper(client)
    async with host.client() as client:
        assert await host.first_exits(client, 1) == told
        await client.spawn("zone", "s2", Program(["true"]))
        [record] = await host.first_exits(client, 1, from_seq=2)
    assert (record.seq, record.start_id, record.status) == (2, "s2", 0)


async def test_a_pid_that_was_used_again_is_not_taken_for_the_instance(
    host: KeeperHost, stranger: int
) -> None:
    async with host.client() as client:
        await client.spawn("zone", "s1", SLEEP)
        await host.kill_keeper(client)
    # As if the number had been used again: the same pid with another start time.
    _edit(host, "watch", pid=stranger)
    async with host.client() as client:
        [record] = await host.first_exits(client, 1)
    assert (record.pid, record.how) == (stranger, "unknown")
    assert alive(stranger)


async def test_what_ran_before_a_reboot_of_the_host_is_recorded_as_rebooted(
    host: KeeperHost,
) -> None:
    async with host.client() as client:
        started = await client.spawn("zone", "s1", SLEEP)
        await host.kill_keeper(client)
    _edit(host, "begin", boot_id="an earlier boot")
    _edit(host, "watch", boot_id="an earlier boot")
    async with host.client() as client:
        [record] = await host.first_exits(client, 1)
    assert (record.how, record.boot_id, record.pid) == ("rebooted", "an earlier boot", started.pid)


async def test_a_start_that_a_dying_keeper_did_not_record_is_found_again(host: KeeperHost) -> None:
    async with host.client() as client:
        started = await client.spawn("zone", "s1", SLEEP)
        await host.kill_keeper(client)
    _drop(host, "watch")
    async with host.client() as client:
        assert await client.inventory() == [started]


async def test_a_start_that_a_dying_keeper_did_not_make_is_recorded_as_unknown(
    host: KeeperHost,
) -> None:
    async with host.client() as client:
        await client.spawn("zone", "s1", Program(["sleep", "1000"]))
        await client.signal("zone", "s1", signal.SIGKILL)
        await host.first_exits(client, 1)
        await host.kill_keeper(client)
    _drop(host, "watch", "exit")
    async with host.client() as client:
        [record] = await host.first_exits(client, 1)
    assert (record.start_id, record.pid, record.how) == ("s1", None, "unknown")


async def test_commands_of_a_killed_keeper_are_killed_and_instances_are_not(
    host: KeeperHost,
) -> None:
    began: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
    async with host.client() as client:
        left = await client.run(
            ["/bin/sh", "-c", "setsid sleep 1000 >/dev/null 2>&1 & echo $!"], deadline_s=9
        )
        watched = int(left.stdout)
        await client.adopt("zone", "s1", watched)
        running = asyncio.create_task(
            client.run(
                ["/bin/sh", "-c", "echo $$; exec sleep 1000"],
                deadline_s=100,
                on_output=lambda _, data: began.set_result(data),
            )
        )
        pid = int(await began)
        await host.kill_keeper(client)
        with pytest.raises(DeadlineExceeded) as caught:
            await running
        assert caught.value.reason_text == "KEEPER_LOST"
    assert alive(pid)
    async with host.client() as client:
        await ended(pid)
        assert [view.pid for view in await client.inventory()] == [watched]
        assert alive(watched)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_keeper_that_is_told_to_end_harms_no_instance(
    host: KeeperHost, number: signal.Signals
) -> None:
    async with host.client() as client:
        before = await client.spawn("zone", "s1", SLEEP)
        await host.kill_keeper(client, number)
    assert not host.path.exists()
    async with host.client() as client:
        assert await client.inventory() == [before]


async def test_shutdown_is_refused_while_something_runs_unless_it_is_forced(
    host: KeeperHost,
) -> None:
    async with host.client() as client:
        keeper = (await client.line()).hello["pid"]
        before = await client.spawn("zone", "s1", SLEEP)
        with pytest.raises(WrongState, match="1 instances and 0 commands run"):
            await client.shutdown()
        await client.shutdown(force=True)
        await ended(keeper)
    async with host.client() as client:
        assert await client.inventory() == [before]
        await client.signal("zone", "s1", signal.SIGKILL)
        await host.first_exits(client, 1)
        await client.shutdown()


async def test_a_second_keeper_on_the_directory_is_refused(host: KeeperHost) -> None:
    async with host.client() as client:
        first = (await client.line()).hello["pid"]
        # Asked for again it changes nothing; the client is served by the one there is.
        await asyncio.gather(*(start_keeper(host.directory) for _ in range(3)))
        async with host.client() as other:
            assert (await other.line()).hello["pid"] == first


async def test_a_keeper_whose_directory_is_gone_ends_after_its_last_instance(
    host: KeeperHost,
) -> None:
    async with host.client() as client:
        keeper = (await client.line()).hello["pid"]
        started = await client.spawn("zone", "s1", SLEEP)
        shutil.rmtree(host.directory)
        assert started.pid is not None
        os.kill(started.pid, signal.SIGKILL)
        await ended(keeper)


STARTER = """
import asyncio, sys, os
from pathlib import Path
from fifo.hypervisors.linux.keeper_client import KeeperClient, Program, start_keeper

async def main():
    directory = Path(sys.argv[1])
    await start_keeper(directory)
    client = await KeeperClient.connect(directory)
    started = await client.spawn("zone", "s1", Program(["sleep", "1000"]))
    print((await client.line()).hello["pid"], started.pid, flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


async def test_the_keeper_survives_the_death_of_its_starters_whole_process_group(
    host: KeeperHost,
) -> None:
    starter = subprocess.Popen(  # noqa: ASYNC220 -- it has to be no child of a keeper
        [sys.executable, "-c", STARTER, str(host.directory)],
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    with starter:
        assert starter.stdout is not None
        await readable(starter.stdout.fileno())
        keeper, instance = map(int, starter.stdout.readline().split())
        os.killpg(starter.pid, signal.SIGKILL)
    assert alive(keeper)
    assert alive(instance)
    assert os.getsid(keeper) not in {starter.pid, os.getsid(0)}
    async with host.client() as client:
        assert (await client.line()).hello["pid"] == keeper
        assert [view.pid for view in await client.inventory()] == [instance]


async def test_a_directory_that_cannot_be_used_is_an_error_that_says_so(directory: Path) -> None:
    (directory / "file").write_text("", encoding="utf-8")
    with pytest.raises(NotReady, match="file") as caught:
        await start_keeper(directory / "file")
    assert caught.value.reason_text == "KEEPER_NOT_STARTED"
    with pytest.raises(NotReady, match="use a shorter directory") as caught:
        await start_keeper(directory / ("long" * 30))
    assert caught.value.reason_text == "KEEPER_NOT_STARTED"


async def test_a_keeper_that_stands_still_is_silent_and_not_lost(host: KeeperHost) -> None:
    async with host.client() as client:
        line = await client.line()
        os.kill(line.hello["pid"], signal.SIGSTOP)
        try:
            with pytest.raises(DeadlineExceeded, match="no answer to inventory") as caught:
                await line.call("inventory", 0.1)
        finally:
            os.kill(line.hello["pid"], signal.SIGCONT)
        assert caught.value.reason_text == "KEEPER_SILENT"
        assert await client.inventory() == []


async def test_without_a_keeper_a_client_says_so_within_its_patience(host: KeeperHost) -> None:
    async with host.client() as client:
        await host.kill_keeper(client)
        client._patience_s = 0.1
        # The first may be sent before the loss is noticed.
        with contextlib.suppress(DeadlineExceeded, Unavailable):
            await client.inventory()
        with pytest.raises(Unavailable, match="start one") as caught:
            await client.inventory()
        assert caught.value.reason_text == "KEEPER_UNREACHABLE"


async def test_a_reader_of_exits_goes_on_with_the_next_keeper(host: KeeperHost) -> None:
    async with host.client() as client:
        await client.spawn("a", "s1", Program(["false"]))
        exits = client.exits(1)
        first = await anext(exits)
        assert first is not None
        assert first.seq == 1
        lost = asyncio.create_task(anext(exits))
        await host.kill_keeper(client)
        assert await lost is None
        following = asyncio.create_task(anext(exits))
        async with host.client() as other:
            await other.spawn("b", "s1", Program(["false"]))
            found = await following
            assert found is not None
            assert found.instance == "b"
        await exits.aclose()


async def test_a_start_that_is_given_up_leaves_no_child_of_this_process(host: KeeperHost) -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.0):
            await start_keeper(host.directory)
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)  # noqa: ASYNC222 - it returns at once


def test_marks_of_this_process_are_not_of_a_keeper() -> None:
    for mark in (commands.MARK, instances.MARK):
        assert os.getpid() not in {pid for pid, _ in processes.marked(mark)}


def _edit(host: KeeperHost, kind: str, **changes: object) -> None:
    """Change the entries of a kind in the journal of a dead keeper."""
    entries = [json.loads(line) for line in host.journal_text().splitlines()]
    lines = [
        json.dumps(entry | changes if entry["entry"] == kind else entry) + "\n" for entry in entries
    ]
    (host.directory / "keeper.journal").write_text("".join(lines), encoding="utf-8")


def _drop(host: KeeperHost, *kinds: str) -> None:
    """Take the entries of some kinds out of the journal of a dead keeper."""
    entries = [json.loads(line) for line in host.journal_text().splitlines()]
    lines = [json.dumps(entry) + "\n" for entry in entries if entry["entry"] not in kinds]
    (host.directory / "keeper.journal").write_text("".join(lines), encoding="utf-8")
