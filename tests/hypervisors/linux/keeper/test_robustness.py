"""Bad clients, full disks and exhausted descriptors: the keeper says so and goes on."""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import select
import signal
import socket
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from fifo.hypervisors.linux.keeper import frames, limits
from fifo.hypervisors.linux.keeper.boot import PROGRAM, command
from fifo.hypervisors.linux.keeper_client import Program
from fifo.model.errors import NoRoom

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.hypervisors.linux.keeper.keeper_host import KeeperHost

AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root mounts and changes its user")
SLEEP = Program(["sleep", "1000"])


@pytest.mark.parametrize(
    ("sent", "told"),
    [
        (frames.HEADER.pack(limits.FRAME_BYTES_MAX + 1), "at most"),
        (frames.HEADER.pack(3) + b"{}}", "no JSON"),
        (frames.HEADER.pack(2) + b"[]", "an object"),
        (frames.HEADER.pack(2) + b"\xff\xfe", "no JSON"),
        (frames.HEADER.pack(100_000) + b"[" * 100_000, "no JSON"),
    ],
)
async def test_a_malformed_frame_is_answered_and_the_connection_closed(
    host: KeeperHost, sent: bytes, told: str
) -> None:
    async with host.client() as client:
        with host.raw() as bad:
            bad.line.sendall(sent)
            answer = bad.receive()
            assert answer is not None
            assert (answer["id"], answer["error"]["code"]) == (None, "malformed")
            assert told in answer["error"]["message"]
            assert bad.receive() is None
        assert await client.inventory() == []


@pytest.mark.parametrize(
    ("request_", "code"),
    [
        ({"op": "inventory"}, "not_greeted"),
        ({"op": "hello"}, "bad_request"),
        ({"op": "hello", "oldest": 2, "newest": 9}, "unknown_version"),
        ({}, "not_greeted"),
        ({"op": 7}, "not_greeted"),
    ],
)
async def test_who_does_not_greet_is_told_to(
    host: KeeperHost, request_: dict[str, Any], code: str
) -> None:
    async with host.client():
        with host.raw() as raw:
            raw.send(id=5, **request_)
            answer = raw.receive()
            assert answer is not None
            assert (answer["id"], answer["error"]["code"]) == (5, code)


@pytest.mark.parametrize(
    ("request_", "code", "told"),
    [
        ({"op": "dance"}, "unknown_operation", "dance"),
        ({"op": ["run"]}, "unknown_operation", "run"),
        ({"op": "inventory", "colour": "red"}, "bad_request", "colour"),
        ({"op": "run", "argv": [], "deadline_ms": 1}, "bad_request", "argv"),
        ({"op": "run", "argv": ["a\0b"], "deadline_ms": 1}, "bad_request", "argv"),
        ({"op": "run", "argv": ["true"]}, "bad_request", "deadline_ms"),
        ({"op": "run", "argv": ["true"], "deadline_ms": True}, "bad_request", "deadline_ms"),
        ({"op": "run", "argv": ["true"], "deadline_ms": 1, "cwd": "a"}, "bad_request", "cwd"),
        ({"op": "run", "argv": ["true"], "deadline_ms": 1, "stdin": "?"}, "bad_request", "stdin"),
        ({"op": "spawn", "instance": "../etc", "start_id": "1"}, "bad_request", "instance"),
        ({"op": "console_listen", "console": "a", "log": {}}, "bad_request", "log.path"),
        ({"op": "signal", "instance": "a", "start_id": "1", "signal": 99}, "bad_request", "signal"),
    ],
)
async def test_a_bad_request_is_refused_and_names_what_is_wrong(
    host: KeeperHost, request_: dict[str, Any], code: str, told: str
) -> None:
    async with host.client():
        with host.raw() as raw:
            raw.greet()
            raw.send(id=1, **request_)
            answer = raw.receive()
            assert answer is not None
            assert answer["error"]["code"] == code
            assert told in answer["error"]["message"]
            raw.send(id=2, op="inventory")
            assert raw.receive() == {"id": 2, "ok": {"instances": []}}


async def test_a_half_closed_client_is_gone_and_what_it_began_goes_on(
    host: KeeperHost, directory: Path
) -> None:
    gate = directory / "gate"
    os.mkfifo(gate)
    async with host.client() as client:
        with host.raw() as raw:
            raw.greet()
            script = f"echo $$; read line < {gate}"
            raw.send(
                id=1, op="run", argv=["/bin/sh", "-c", script], deadline_ms=60_000, stream=True
            )
            said = raw.receive()
            assert said is not None
            assert said["event"] == "output"
            raw.line.shutdown(socket.SHUT_WR)
            assert raw.receive() is None
        await asyncio.to_thread(gate.write_text, "go\n", encoding="utf-8")
        assert (await client.run(["true"], deadline_s=9)).status == 0


async def test_a_client_that_never_reads_is_dropped_and_the_others_are_served(
    host: KeeperHost,
) -> None:
    async with host.client() as client:
        with host.raw() as deaf:
            deaf.greet()
            size_bytes = limits.OUTPUT_BYTES_MAX
            for number in range(1, 20):
                deaf.send(
                    id=number,
                    op="run",
                    argv=["head", "-c", str(size_bytes), "/dev/zero"],
                    deadline_ms=60_000,
                    output_bytes=size_bytes,
                )
            poll = select.poll()
            poll.register(deaf.line, 0)
            # Nothing is asked for but the hang-up.
            assert await asyncio.to_thread(poll.poll, 20_000)
        assert (await client.run(["true"], deadline_s=9)).status == 0


async def test_a_client_too_many_is_turned_away(host: KeeperHost) -> None:
    async with host.client() as client:
        with contextlib.ExitStack() as lines:
            for _ in range(limits.CLIENTS_MAX - 1):
                lines.enter_context(host.raw()).greet()
            with host.raw() as one_more:
                assert one_more.receive() is None
            assert await client.inventory() == []


async def test_without_descriptors_starts_are_refused_and_who_connects_waits(
    host: KeeperHost,
) -> None:
    async with host.client() as client:
        keeper = (await client.line()).hello["pid"]
        await client.spawn("before", "s1", SLEEP)
        used = len(os.listdir(f"/proc/{keeper}/fd"))  # noqa: PTH208 -- names are all that counts
        _, hard = resource.prlimit(keeper, resource.RLIMIT_NOFILE)
        resource.prlimit(keeper, resource.RLIMIT_NOFILE, (used, hard))
        with pytest.raises(NoRoom, match="try again"):
            await client.spawn("zone", "s1", SLEEP)
        with pytest.raises(NoRoom, match="try again"):
            await client.run(["true"], deadline_s=9)
        with host.raw() as waiting:
            # What is watched is watched still.
            await client.signal("before", "s1", signal.SIGKILL)
            await host.first_exits(client, 1)
            resource.prlimit(keeper, resource.RLIMIT_NOFILE, (hard, hard))
            await asyncio.to_thread(waiting.greet)
        assert (await client.spawn("zone", "s1", SLEEP)).running


# --- a full disk ---------------------------------------------------------------------------------


@pytest.fixture
def small_disk(host: KeeperHost) -> Iterator[Path]:
    """Put the keeper's directory on a disk of 64 KiB."""
    host.directory.mkdir(mode=0o700)
    mount = ["/bin/mount", "-t", "tmpfs", "-o", "size=64k", "keeper", str(host.directory)]
    subprocess.run(mount, check=True)
    yield host.directory
    host.clear()
    subprocess.run(["/bin/umount", "--lazy", str(host.directory)], check=True)


def fill(path: Path) -> None:
    """Write until the disk is full."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)
    try:
        while os.write(descriptor, bytes(4096)):
            pass
    except OSError:
        return
    finally:
        os.close(descriptor)


@AS_ROOT
async def test_with_a_full_disk_nothing_is_started_and_no_exit_is_lost(
    host: KeeperHost, small_disk: Path
) -> None:
    async with host.client() as client:
        for number in range(3):
            await client.spawn(f"zone{number}", "s1", SLEEP)
        fill(small_disk / "filler")
        # The last page of the journal is allocated and may have room: it is filled as well.
        refused = None
        for number in range(200):
            try:
                await client.spawn(f"more{number}", "s1", SLEEP)
            except NoRoom as error:
                refused = error
                break
        assert refused is not None
        assert refused.reason_text == "KEEPER_JOURNAL_FULL"
        assert "make room there" in str(refused)
        watched = await client.inventory()
        for view in watched:
            await client.signal(view.instance, "s1", signal.SIGKILL)
        # Commands are what room is made with.
        gone = await client.run(["rm", str(small_disk / "filler")], deadline_s=9)
        assert gone.status == 0
        records = await host.first_exits(client, len(watched))
        assert [record.seq for record in records] == list(range(1, len(watched) + 1))
        assert {record.signal for record in records} == {signal.SIGKILL}
        assert (await client.spawn("zone0", "s2", SLEEP)).running


# --- who may, and what is loaded -----------------------------------------------------------------


async def test_the_directory_and_the_socket_are_the_users_alone(host: KeeperHost) -> None:
    host.directory.mkdir(mode=0o777)
    async with host.client() as client:
        assert oct(host.directory.stat().st_mode & 0o777) == oct(0o700)
        for name in ("keeper.sock", "keeper.journal", "keeper.log", "keeper.lock"):
            assert not (host.directory / name).stat().st_mode & 0o077
        path = await client.console_listen("zone")
        assert not path.stat().st_mode & 0o077


STRANGER = """
import os, socket, sys
os.setresuid(65534, 65534, 65534)
line = socket.socket(socket.AF_UNIX)
line.connect(sys.argv[1])
sys.exit(line.recv(1) != b"")
"""


@AS_ROOT
async def test_another_user_is_turned_away_even_if_the_modes_let_him_in(
    host: KeeperHost,
) -> None:
    async with host.client() as client:
        host.directory.parent.chmod(0o711)
        host.directory.chmod(0o711)
        host.path.chmod(0o666)
        stranger = await asyncio.create_subprocess_exec(
            sys.executable, "-I", "-S", "-c", STRANGER, str(host.path)
        )
        assert await stranger.wait() == 0
        assert await client.inventory() == []


def test_the_keeper_loads_nothing_but_the_standard_library_and_itself() -> None:
    program = PROGRAM.replace("sys.exit(main(sys.argv[2:]))", "print(*sys.modules)")
    root = command()[5]
    loaded = subprocess.run(
        [sys.executable, "-I", "-S", "-c", program, root],
        check=True,
        capture_output=True,
        text=True,
    ).stdout.split()
    ours = "fifo.hypervisors.linux.keeper"
    parents = {"fifo", "fifo.hypervisors", "fifo.hypervisors.linux", ours, "__main__"}
    strange = {
        name
        for name in loaded
        if name.partition(".")[0] not in sys.stdlib_module_names
        and name not in parents
        and not name.startswith(f"{ours}.")
    }
    assert strange == set()
    assert f"{ours}.keeper" in loaded


async def test_the_keeper_stays_small_with_fifty_instances(host: KeeperHost) -> None:
    async with host.client() as client:
        for number in range(50):
            await client.spawn(f"zone{number}", "s1", SLEEP)
        keeper = (await client.line()).hello["pid"]
        status = await client.run(["cat", f"/proc/{keeper}/status"], deadline_s=9)
    [resident] = [line for line in status.stdout.splitlines() if line.startswith(b"VmRSS")]
    assert int(resident.split()[1]) < 20 * 1024
