"""Instances of a real keeper: started, adopted, signalled, ended."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
from typing import TYPE_CHECKING

import pytest

from fifo.hypervisors.linux.keeper import processes
from fifo.hypervisors.linux.keeper_client import Exit, LogFile, Program
from fifo.model.errors import Conflict, DriverFailed, HistoryGone, NotFound, WrongState
from tests.hypervisors.linux.keeper.keeper_host import alive, ended

if TYPE_CHECKING:
    from pathlib import Path

    from tests.hypervisors.linux.keeper.keeper_host import KeeperHost

SLEEP = Program(["sleep", "1000"])
# Leaves a process behind as an OCI runtime leaves a container's init, and says who it is.
LEAVE_SLEEP = ["/bin/sh", "-c", "setsid sleep 1000 >/dev/null 2>&1 & echo $!"]
# The same, but it ends as soon as its parent has: a shell reaps what ends before itself.
DIE = "while kill -0 $1; do :; done; exit 7"
LEAVE_DEAD = ["/bin/sh", "-c", 'setsid sh -c "$0" _ $$ >/dev/null 2>&1 & echo $!', DIE]


def script(text: str) -> Program:
    return Program(["/bin/sh", "-c", text])


@pytest.mark.parametrize(
    ("text", "how", "status", "number"),
    [
        ("exit 0", "exited", 0, None),
        ("exit 7", "exited", 7, None),
        ("kill -KILL $$", "signaled", None, signal.SIGKILL),
    ],
)
async def test_how_an_instance_ends_is_told(
    host: KeeperHost, text: str, how: str, status: int | None, number: int | None
) -> None:
    async with host.client() as client:
        started = await client.spawn("zone", "s1", script(text))
        [record] = await host.first_exits(client, 1)
    assert record == Exit(
        1,
        "zone",
        "s1",
        processes.boot_id(),
        started.pid,
        started.start_time,
        how,
        status,
        number,
        record.time,
    )
    assert record.clean is (status == 0)


async def test_an_exit_is_on_disk_when_it_is_announced(host: KeeperHost) -> None:
    async with host.client() as client:
        await client.spawn("zone", "s1", script("exit 7"))
        [record] = await host.first_exits(client, 1)
        lines = [json.loads(line) for line in host.journal_text().splitlines()]
    [written] = [line for line in lines if line["entry"] == "exit"]
    assert (written["seq"], written["status"], written["pid"]) == (1, 7, record.pid)


async def test_an_instance_leads_its_own_session_and_outputs_to_its_log(
    host: KeeperHost, directory: Path
) -> None:
    gate, log = directory / "gate", LogFile(str(directory / "zone.log"))
    os.mkfifo(gate)
    async with host.client() as client:
        started = await client.spawn("zone", "s1", script(f"echo said; read x < {gate}"), log=log)
        assert started.pid is not None
        assert os.getsid(started.pid) == started.pid
        await asyncio.to_thread(gate.write_text, "go\n", encoding="utf-8")
        await host.first_exits(client, 1)
    assert (directory / "zone.log").read_text(encoding="utf-8") == "said\n"


async def test_the_same_start_asked_for_again_starts_nothing(host: KeeperHost) -> None:
    async with host.client() as client:
        first = await client.spawn("zone", "s1", SLEEP)
        assert await client.spawn("zone", "s1", SLEEP) == first
        await client.signal("zone", "s1", signal.SIGKILL)
        [record] = await host.first_exits(client, 1)
        again = await client.spawn("zone", "s1", SLEEP)
    assert not again.running
    assert again.exit == record


async def test_another_start_of_what_runs_is_refused(host: KeeperHost) -> None:
    async with host.client() as client:
        await client.spawn("zone", "s1", SLEEP)
        with pytest.raises(WrongState, match="runs under start s1"):
            await client.spawn("zone", "s2", SLEEP)
        with pytest.raises(WrongState, match="runs under start s1"):
            await client.adopt("zone", "s2", os.getpid())


async def test_an_ended_instance_starts_under_a_new_start_id(host: KeeperHost) -> None:
    async with host.client() as client:
        for seq, start in ((1, "s1"), (2, "s2")):
            await client.spawn("zone", start, script("exit 1"))
            [record] = await host.first_exits(client, 1, from_seq=seq)
            assert record.start_id == start


async def test_a_start_that_fails_leaves_nothing_and_may_be_repeated(host: KeeperHost) -> None:
    async with host.client() as client:
        with pytest.raises(DriverFailed, match="/no/such/qemu"):
            await client.spawn("zone", "s1", Program(["/no/such/qemu"]))
        assert await client.inventory() == []
        assert (await client.spawn("zone", "s1", SLEEP)).running


async def test_a_signal_reaches_the_very_start_it_was_meant_for(host: KeeperHost) -> None:
    async with host.client() as client:
        await client.spawn("zone", "s2", SLEEP)
        with pytest.raises(WrongState, match="does not run under start s1"):
            await client.signal("zone", "s1", signal.SIGKILL)
        await client.signal("zone", "s2", signal.SIGTERM)
        [record] = await host.first_exits(client, 1)
        assert record.signal == signal.SIGTERM
        with pytest.raises(WrongState):
            await client.signal("zone", "s2", signal.SIGTERM)


async def test_the_inventory_lists_all_until_they_are_forgotten(host: KeeperHost) -> None:
    async with host.client() as client:
        running = await client.spawn("a", "s1", SLEEP)
        await client.spawn("b", "s1", script("exit 3"))
        [record] = await host.first_exits(client, 1)
        assert [view.instance for view in await client.inventory()] == ["a", "b"]
        assert (await client.inventory())[1].exit == record
        with pytest.raises(WrongState, match="runs"):
            await client.forget("a")
        await client.forget("b")
        await client.forget("never-seen")
        assert await client.inventory() == [running]


# --- adoption ------------------------------------------------------------------------------------


async def test_a_process_that_a_command_left_behind_is_adopted_with_its_status(
    host: KeeperHost,
) -> None:
    async with host.client() as client:
        pid = int((await client.run(LEAVE_SLEEP, deadline_s=9)).stdout)
        adopted = await client.adopt("zone", "s1", pid)
        assert adopted.running
        assert await client.adopt("zone", "s1", pid) == adopted
        os.kill(pid, signal.SIGTERM)
        [record] = await host.first_exits(client, 1)
    assert (record.pid, record.how, record.signal) == (pid, "signaled", signal.SIGTERM)


async def test_a_process_that_ended_before_it_was_announced_is_adopted_with_its_status(
    host: KeeperHost,
) -> None:
    async with host.client() as client:
        pid = int((await client.run(LEAVE_DEAD, deadline_s=9)).stdout)
        await ended(pid)
        # To answer this the keeper has to reap what has ended.
        await client.run(["true"], deadline_s=9)
        adopted = await client.adopt("zone", "s1", pid)
        [record] = await host.first_exits(client, 1)
    assert not adopted.running
    assert (record.pid, record.how, record.status) == (pid, "exited", 7)
    assert record.start_time


async def test_no_exit_is_lost_however_early_processes_end(host: KeeperHost) -> None:
    async def leave(number: int) -> None:
        pid = int((await client.run(LEAVE_DEAD, deadline_s=20)).stdout)
        await client.adopt(f"zone{number}", "s1", pid)

    async with host.client() as client:
        await asyncio.gather(*map(leave, range(15)))
        records = await host.first_exits(client, 15)
    assert [record.seq for record in records] == list(range(1, 16))
    assert {record.status for record in records} == {7}


async def test_a_process_of_others_is_adopted_by_its_start_time_alone(
    host: KeeperHost, stranger: int
) -> None:
    found = processes.stat(stranger)
    assert found is not None
    async with host.client() as client:
        with pytest.raises(NotFound):
            await client.adopt("zone", "s1", stranger)
        with pytest.raises(NotFound):
            await client.adopt("zone", "s1", stranger, start_time=found.start_time + 1)
        await client.adopt("zone", "s1", stranger, start_time=found.start_time)
        await client.signal("zone", "s1", signal.SIGKILL)
        [record] = await host.first_exits(client, 1)
    assert (record.how, record.status, record.clean) == ("unknown", None, False)


async def test_one_process_is_not_watched_twice(host: KeeperHost) -> None:
    async with host.client() as client:
        started = await client.spawn("a", "s1", SLEEP)
        assert started.pid is not None
        with pytest.raises(Conflict, match="watched already"):
            await client.adopt("b", "s1", started.pid)


async def test_a_pid_nobody_has_is_not_found(host: KeeperHost) -> None:
    async with host.client() as client:
        with pytest.raises(NotFound, match="no child of the keeper"):
            await client.adopt("zone", "s1", 2**31 - 1)


# --- exits ---------------------------------------------------------------------------------------


async def test_exits_are_read_from_a_number_on_then_live(host: KeeperHost) -> None:
    async with host.client() as client:
        for number in range(3):
            await client.spawn(f"zone{number}", "s1", script("exit 1"))
        await host.first_exits(client, 3)
        async with contextlib.aclosing(client.exits(2)) as exits:
            missed = [await anext(exits) for _ in range(2)]
            await client.spawn("later", "s1", script("exit 1"))
            live = await anext(exits)
    assert [found.seq for found in missed if found is not None] == [2, 3]
    assert live is not None
    assert (live.seq, live.instance) == (4, "later")


async def test_acknowledged_exits_are_gone_and_their_numbers_not_used_again(
    host: KeeperHost,
) -> None:
    async with host.client() as client:
        for number in range(3):
            await client.spawn(f"zone{number}", "s1", script("exit 1"))
        await host.first_exits(client, 3)
        await client.ack(2)
        with pytest.raises(HistoryGone) as caught:
            await host.first_exits(client, 1, from_seq=2)
        assert caught.value.reason_text == "KEEPER_EXITS_GONE"
        assert caught.value.details["first"] == "3"
        assert caught.value.reason_text == "KEEPER_EXITS_GONE"
        assert [exit_.seq for exit_ in await host.first_exits(client, 1, from_seq=3)] == [3]
        await client.ack(3)
        await client.spawn("later", "s1", script("exit 1"))
        [record] = await host.first_exits(client, 1, from_seq=4)
    assert record.seq == 4


async def test_a_number_from_another_journal_is_refused(host: KeeperHost) -> None:
    async with host.client() as client:
        with pytest.raises(HistoryGone, match="another journal"):
            await host.first_exits(client, 1, from_seq=99)
        with pytest.raises(HistoryGone):
            await anext(client.exits(1, journal="0123456789abcdef"))


async def test_two_clients_both_learn_of_an_exit(host: KeeperHost) -> None:
    async with host.client() as one, host.client() as two:
        await one.spawn("zone", "s1", script("exit 1"))
        assert await host.first_exits(one, 1) == await host.first_exits(two, 1)


async def test_a_log_that_an_instance_writes_by_itself_is_kept_short(
    host: KeeperHost, directory: Path
) -> None:
    path = directory / "zone.log"
    log = LogFile(str(path), size_bytes=64 * 1024)
    async with host.client() as client:
        started = await client.spawn(
            "zone", "s1", script("head -c 200000 /dev/zero; kill -STOP $$; echo more"), log=log
        )
        assert started.pid is not None
        older = path.with_name("zone.log.1")
        while not older.exists() or path.stat().st_size:
            # The keeper looks at it every second; each answer is a turn of its loop.
            await client.inventory()
        assert older.stat().st_size == 200_000
        assert alive(started.pid)
        await client.signal("zone", "s1", signal.SIGCONT)
        await host.first_exits(client, 1)
    assert path.read_bytes() == b"more\n"
