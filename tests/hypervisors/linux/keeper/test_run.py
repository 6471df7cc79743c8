"""Commands run through a real keeper."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from fifo.hypervisors.linux.channels import UNKNOWN, PipeChannel
from fifo.hypervisors.linux.keeper import limits
from fifo.hypervisors.linux.keeper.limits import CHUNK_BYTES
from fifo.hypervisors.linux.keeper_client import LogFile, Program
from fifo.hypervisors.linux.keeper_commands import KeeperCommand
from fifo.model.errors import DeadlineExceeded, DriverFailed
from tests.hypervisors.linux.keeper.keeper_host import alive, ended, readable

if TYPE_CHECKING:
    from pathlib import Path

    from fifo.hypervisors.linux.keeper_client import Finished, KeeperClient
    from tests.hypervisors.linux.keeper.keeper_host import KeeperHost

GLIBC_OWN = 0b11 << 31
"""Signals 32 and 33, which glibc lets no program set; GNU make leaves them ignored."""
AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces need root")


def sh(script: str) -> list[str]:
    """Give the command of a shell script that a test wrote."""
    return ["/bin/sh", "-c", script]


async def test_a_command_answers_with_its_status_and_both_streams(host: KeeperHost) -> None:
    async with host.client() as client:
        found = await client.run(sh("echo out; echo err >&2; exit 3"), deadline_s=9)
    assert found.status == 3
    assert found.signal is None
    assert not found.timed_out
    assert (found.stdout, found.stderr) == (b"out\n", b"err\n")


async def test_a_command_that_was_killed_answers_with_the_signal(host: KeeperHost) -> None:
    async with host.client() as client:
        found = await client.run(sh("kill -TERM $$"), deadline_s=9)
    assert (found.status, found.signal, found.timed_out) == (None, signal.SIGTERM, False)


async def test_standard_input_is_given_whole_and_then_ends(host: KeeperHost) -> None:
    data = os.urandom(limits.STDIN_BYTES_MAX)
    async with host.client() as client:
        found = await client.run(
            ["cat"], deadline_s=9, stdin=data, output_bytes=limits.OUTPUT_BYTES_MAX
        )
        ignored = await client.run(["true"], deadline_s=9, stdin=data)
    assert found.stdout == data
    assert ignored.status == 0


async def test_output_beyond_the_limit_is_counted_and_not_kept(host: KeeperHost) -> None:
    async with host.client() as client:
        found = await client.run(
            ["head", "-c", "300000", "/dev/zero"], deadline_s=9, output_bytes=10
        )
    assert (found.stdout, found.stdout_bytes) == (bytes(10), 300_000)


async def test_at_the_deadline_the_whole_session_is_killed(host: KeeperHost) -> None:
    async with host.client() as client:
        found = await client.run(sh("sleep 1000 & echo $!; wait"), deadline_s=0.1)
        await ended(int(found.stdout))
    assert (found.status, found.signal, found.timed_out) == (None, signal.SIGKILL, True)


async def test_what_a_command_leaves_behind_does_not_delay_its_answer(host: KeeperHost) -> None:
    async with host.client() as client:
        found = await client.run(sh("setsid sleep 1000 & echo $!"), deadline_s=20)
        assert found.status == 0
        os.kill(int(found.stdout), signal.SIGKILL)


async def test_a_command_that_is_not_there_is_refused_with_its_name(host: KeeperHost) -> None:
    async with host.client() as client:
        with pytest.raises(DriverFailed, match="/no/such/program") as caught:
            await client.run(["/no/such/program"], deadline_s=9)
    assert caught.value.reason_text == "KEEPER_NOT_STARTED"


async def test_surroundings_are_what_was_asked_for_and_nothing_else(host: KeeperHost) -> None:
    program = Program(sh("pwd; umask; env"), env={"A": "b"}, cwd="/proc", umask=0o027)
    async with host.client() as client:
        asked = (await client.run(program, deadline_s=9)).stdout.split()
        bare = (await client.run(["env"], deadline_s=9)).stdout
    assert asked[:2] == [b"/proc", b"0027"]
    assert b"A=b" in asked
    names = {line.partition(b"=")[0] for line in bare.splitlines()}
    assert names == {b"PATH", b"FIFO_KEEPER_COMMAND"}


async def test_a_command_inherits_no_descriptor_and_no_ignored_signal(host: KeeperHost) -> None:
    async with host.client() as client:
        found = await client.run(
            sh("ls /proc/self/fd; grep SigIgn /proc/self/status"), deadline_s=9
        )
    *descriptors, _, ignored = found.stdout.split()
    # The last is of `ls` itself.
    assert descriptors == [b"0", b"1", b"2", b"3"]
    assert int(ignored, 16) & ~GLIBC_OWN == 0


async def test_a_hundred_commands_run_at_once(host: KeeperHost, directory: Path) -> None:
    # Each waits for a fifo that is opened when all of them run.
    gate = directory / "gate"
    os.mkfifo(gate)
    async with host.client() as client:
        waiting = [
            asyncio.create_task(client.run(sh(f"read line < {gate}; echo {n}"), deadline_s=20))
            for n in range(100)
        ]
        with await asyncio.to_thread(gate.open, "w") as opened:
            opened.write("go\n" * 100)
            opened.flush()
            found = await asyncio.gather(*waiting)
    assert [result.stdout for result in found] == [b"%d\n" % n for n in range(100)]


async def test_output_can_be_had_as_it_comes(host: KeeperHost) -> None:
    seen: list[tuple[str, bytes]] = []
    first = asyncio.Event()

    def take(stream: str, data: bytes) -> None:
        seen.append((stream, data))
        first.set()

    async with host.client() as client:
        running = asyncio.create_task(
            client.run(
                sh("echo one; read x; echo two >&2"), deadline_s=9, stdin=None, on_output=take
            )
        )
        await first.wait()
        found = await running
    assert seen == [("stdout", b"one\n"), ("stderr", b"two\n")]
    assert (found.stdout, found.stdout_bytes, found.stderr_bytes) == (b"", 4, 4)


async def test_streamed_output_of_any_size_arrives_whole(host: KeeperHost) -> None:
    size_bytes = 3_000_000
    seen = bytearray()
    async with host.client() as client:
        await client.run(
            ["head", "-c", str(size_bytes), "/dev/zero"],
            deadline_s=20,
            on_output=lambda _, data: seen.extend(data),
        )
    assert len(seen) == size_bytes


async def test_a_command_waits_for_whoever_reads_its_output_slowly(host: KeeperHost) -> None:
    size_bytes = 30_000_000
    killed: list[bool] = []
    channel = PipeChannel(lambda: killed.append(True), lambda: None)
    async with host.client() as client:
        command = await KeeperCommand.begin(
            client,
            Program(sh(f"head -c {size_bytes} /dev/zero; exit 7")),
            deadline_s=20,
            on_output=channel.output,
        )
        channel.begin(command)
        # Nobody reads for far more turns of the keeper than it needs to send all of that.
        for _ in range(2 * size_bytes // CHUNK_BYTES):
            await client.inventory()
        seen = 0
        while (output := await channel.read()) is not None:
            seen += len(output[1])
    assert (seen, channel.exit_code, killed) == (size_bytes, 7, [])


async def test_a_command_whose_end_nobody_saw_says_so_and_ends_as_ssh_does(
    host: KeeperHost,
) -> None:
    channel = PipeChannel(lambda: None, lambda: None)
    async with host.client() as client:
        command = await KeeperCommand.begin(
            client, Program(sh("exec cat")), deadline_s=100, on_output=channel.output
        )
        channel.begin(command)
    output = await channel.read()
    assert output is not None
    assert output[0] == 2
    assert output[1].startswith(b"fifo: ")
    assert await channel.read() is None
    assert channel.exit_code == UNKNOWN


async def test_output_can_go_to_a_log_by_itself(host: KeeperHost, directory: Path) -> None:
    log = directory / "command.log"
    log.write_text("before\n", encoding="utf-8")
    async with host.client() as client:
        found = await client.run(sh("echo more; echo too >&2"), deadline_s=9, log=LogFile(str(log)))
    assert found.status == 0
    assert log.read_text(encoding="utf-8") == "before\nmore\ntoo\n"


async def test_a_cancelled_command_is_killed(host: KeeperHost) -> None:
    began: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
    async with host.client() as client:
        running = asyncio.create_task(
            client.run(
                sh("echo $$; exec sleep 1000"),
                deadline_s=100,
                on_output=lambda _, data: began.set_result(data),
            )
        )
        pid = int(await began)
        running.cancel()
        await ended(pid)
        with pytest.raises(asyncio.CancelledError):
            await running


async def test_a_command_can_be_given_input_while_it_runs(host: KeeperHost) -> None:
    said: asyncio.Queue[bytes] = asyncio.Queue()
    async with host.client() as client:
        command = await KeeperCommand.begin(
            client,
            Program(sh("while read line; do echo got $line; done; exit 4")),
            deadline_s=20,
            on_output=lambda _, data: said.put_nowait(data),
        )
        for word in (b"one", b"two"):
            await command.give(word + b"\n")
            assert await said.get() == b"got " + word + b"\n"
        await command.give(b"")
        assert (await command.finished()).status == 4
        await command.give(b"late")


async def test_input_of_any_size_is_given_as_fast_as_it_is_read(host: KeeperHost) -> None:
    size_bytes = 300_000
    said = bytearray()
    async with host.client() as client:
        command = await KeeperCommand.begin(
            client,
            Program(["wc", "-c"]),
            deadline_s=20,
            on_output=lambda _, data: said.extend(data),
        )
        await command.give(bytes(size_bytes))
        await command.give(b"")
        await command.finished()
    assert int(said) == size_bytes


async def test_the_input_of_a_command_ends_with_its_client(host: KeeperHost) -> None:
    began: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
    async with host.client() as client:
        async with host.client() as other:
            command = await KeeperCommand.begin(
                other,
                Program(sh("echo $$; exec cat")),
                deadline_s=100,
                on_output=lambda _, data: began.set_result(data),
            )
            pid = int(await began)
        await ended(pid)
        with pytest.raises(DeadlineExceeded):
            await command.finished()
        assert await client.inventory() == []


CLIENT = """
import asyncio, sys
from pathlib import Path
from fifo.hypervisors.linux.keeper_client import KeeperClient

async def main():
    client = await KeeperClient.connect(Path(sys.argv[1]))
    said = lambda _, data: print(data.decode(), end="", flush=True)
    script = 'echo $$; read line < "$0"; echo done > "$1"'
    await client.run(["/bin/sh", "-c", script, *sys.argv[2:]], deadline_s=100, on_output=said)

asyncio.run(main())
"""


async def test_a_command_goes_on_when_its_client_is_killed(
    host: KeeperHost, directory: Path
) -> None:
    gate, result = directory / "gate", directory / "result"
    os.mkfifo(gate)
    async with host.client() as client:
        other = subprocess.Popen(  # noqa: ASYNC220 -- it has to be no child of the keeper
            [sys.executable, "-c", CLIENT, str(host.directory), str(gate), str(result)],
            stdout=subprocess.PIPE,
        )
        with other:
            assert other.stdout is not None
            await readable(other.stdout.fileno())
            pid = int(other.stdout.readline())
            other.kill()
        assert alive(pid)
        await asyncio.to_thread(gate.write_text, "go\n", encoding="utf-8")
        await ended(pid)
        assert result.read_text(encoding="utf-8") == "done\n"
        assert (await client.run(["true"], deadline_s=9)).status == 0


async def begun(client: KeeperClient, script: str) -> tuple[int, asyncio.Task[Finished]]:
    """Have a command say its pid, and go on."""
    said: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
    running = asyncio.create_task(
        client.run(
            sh(f"echo $$; {script}"),
            deadline_s=100,
            on_output=lambda _, data: said.set_result(data),
        )
    )
    return int(await said), running


async def test_commands_of_a_client_that_is_gone_are_waited_for_and_then_killed(
    host: KeeperHost, directory: Path
) -> None:
    gate, result = directory / "gate", directory / "result"
    os.mkfifo(gate)
    async with host.client() as client:
        async with host.client() as other:
            quick, first = await begun(other, f"read line < {gate}; echo done > {result}")
            slow, second = await begun(other, "exec sleep 1000")
        await asyncio.gather(first, second, return_exceptions=True)
        mine, third = await begun(client, "exec sleep 1000")
        settled = asyncio.create_task(client.settle(100.0))
        await asyncio.to_thread(gate.write_text, "go\n", encoding="utf-8")
        await ended(quick)
        assert alive(slow)
        await client.settle(0.0)
        await settled
        assert not alive(slow)
        assert alive(mine)
        assert result.read_text(encoding="utf-8") == "done\n"
        await client.settle(100.0)
        third.cancel()


async def test_a_command_that_is_talked_with_keeps_nobody_waiting(host: KeeperHost) -> None:
    began: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
    async with host.client() as client:
        async with host.client() as other:
            command = await KeeperCommand.begin(
                other,
                Program(sh("echo $$; exec sleep 1000")),
                deadline_s=100,
                on_output=lambda _, data: began.set_result(data),
            )
            pid = int(await began)
        with pytest.raises(DeadlineExceeded):
            await command.finished()
        await client.settle(0.0)
        assert alive(pid)
        os.kill(pid, signal.SIGKILL)


@AS_ROOT
async def test_a_command_runs_in_the_network_namespace_it_names(host: KeeperHost) -> None:
    name = f"keep{os.getpid()}"
    program = Program(["readlink", "/proc/self/ns/net"], netns=f"/run/netns/{name}")
    async with host.client() as client:
        assert (await client.run(["ip", "netns", "add", name], deadline_s=9)).status == 0
        try:
            inside = await client.run(program, deadline_s=9)
        finally:
            await client.run(["ip", "netns", "delete", name], deadline_s=9)
        outside = await client.run(program.argv, deadline_s=9)
    assert inside.status == 0
    assert inside.stdout != outside.stdout
