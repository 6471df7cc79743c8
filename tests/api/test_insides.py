"""Consoles, commands, logs and numbers of instances, as their host has them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import grpc.aio
import pytest

from fifo.api.local_gateway import LocalGateway
from fifo.api.services.insides import last_lines, overlap
from fifo.v1 import console_service_pb2, instance_service_pb2
from tests.api.calls import call, done, end_of, refused, stream
from tests.api.test_instances import VM, WEB, create

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from tests.api.stage import Stage

    Play = Callable[..., None]

Exec = instance_service_pb2.ExecInstanceRequest
Attach = console_service_pb2.AttachRequest
Exit = console_service_pb2.AttachResponse.Exit


async def output(running: Any) -> tuple[bytes, bytes, int | None]:
    """Read a command to its end."""
    out, errors, code = b"", b"", None
    async with asyncio.timeout(5):
        async for frame in running:
            out += frame.stdout
            errors += frame.stderr
            if frame.HasField("exit"):
                code = frame.exit.exit_status
    return out, errors, code


def test_a_command_runs_with_its_streams_and_its_exit_status(play: Play) -> None:
    async def scene(stage: Stage) -> None:
        async with stage.channel() as channel:
            await create(channel)
            frames = [
                Exec(open=Exec.Open(name=WEB, command=["cat"])),
                Exec(stdin=b"a; $(b)\n"),
                Exec(stdin_closed=True),
            ]
            running = stream(channel, "InstanceService.ExecInstance", iter(frames))
            assert await output(running) == (b"a; $(b)\n", b"", 0)
            opened = Exec(open=Exec.Open(name=WEB, command=["exit", "3"]))
            running = stream(channel, "InstanceService.ExecInstance", iter([opened]))
            assert (await output(running))[2] == 3

    play(scene)


def test_a_command_needs_an_open_first_and_an_instance_that_runs(play: Play) -> None:
    async def scene(stage: Stage) -> None:
        async with stage.channel() as channel:
            await create(channel)
            path = "InstanceService.ExecInstance"
            told = await end_of(stream(channel, path, iter([Exec(stdin=b"x")])))
            assert told.fields == ["open"]
            frames = [
                Exec(open=Exec.Open(name=WEB, command=["cat"])),
                Exec(open=Exec.Open(name=WEB, command=["cat"])),
            ]
            told = await end_of(stream(channel, path, iter(frames)))
            assert told.fields == ["open"]
            await done(channel, await call(channel, "InstanceService.StopInstance", name=WEB))
            told = await end_of(stream(channel, path, iter(frames[:1])))
            assert (told.code, told.reason) == ("FAILED_PRECONDITION", "WRONG_STATE")

    play(scene)


async def conversation(*frames: Any, then: asyncio.Event | None = None) -> AsyncIterator[Any]:
    for frame in frames:
        yield frame
    if then is not None:
        await then.wait()
        yield Attach(detach=True)


def test_a_console_is_attached_and_left(play: Play) -> None:
    async def scene(stage: Stage) -> None:
        async with stage.channel() as channel:
            await create(channel, given=VM)
            leave = asyncio.Event()
            opened = Attach(open=Attach.Open(name=WEB))
            attached = stream(
                channel,
                "ConsoleService.Attach",
                conversation(opened, Attach(data=b"hello\n"), then=leave),
            )
            first = await attached.read()
            assert first.opened.mode == Attach.Open.CONSOLE
            heard = b""
            async with asyncio.timeout(5):
                while b"hello" not in heard:
                    heard += (await attached.read()).data
            leave.set()
            async with asyncio.timeout(5):
                while not (frame := await attached.read()).HasField("exit"):
                    pass
            assert frame.exit.reason == Exit.DETACHED

    play(scene)


def test_a_zone_gets_a_shell_which_ends_with_its_status(play: Play) -> None:
    async def scene(stage: Stage) -> None:
        async with stage.channel() as channel:
            await create(channel)
            frames = [Attach(open=Attach.Open(name=WEB)), Attach(data=b"exit 4\n")]
            attached = stream(
                channel, "ConsoleService.Attach", conversation(*frames, then=asyncio.Event())
            )
            assert (await attached.read()).opened.mode == Attach.Open.SHELL
            frame = None
            async with asyncio.timeout(5):
                while frame is None or not frame.HasField("exit"):
                    frame = await attached.read()
            assert frame.exit.reason in {Exit.SHELL_EXITED, Exit.DETACHED}
            told = await end_of(
                stream(
                    channel,
                    "ConsoleService.Attach",
                    iter([Attach(open=Attach.Open(name="orgs/default/instances/none"))]),
                )
            )
            assert told.code == "NOT_FOUND"

    play(scene)


def test_a_console_ends_with_its_instance(play: Play) -> None:
    async def scene(stage: Stage) -> None:
        async with stage.channel() as channel:
            await create(channel, given=VM)
            attached = stream(
                channel,
                "ConsoleService.Attach",
                conversation(Attach(open=Attach.Open(name=WEB)), then=asyncio.Event()),
            )
            await attached.read()
            await done(channel, await call(channel, "InstanceService.StopInstance", name=WEB))
            frame = None
            async with asyncio.timeout(5):
                while frame is None or not frame.HasField("exit"):
                    frame = await attached.read()
                assert frame.exit.reason == Exit.INSTANCE_STOPPED
                assert await attached.read() is grpc.aio.EOF

    play(scene)


def test_logs_are_read_from_their_end_and_followed(play: Play) -> None:
    async def scene(stage: Stage) -> None:
        async with stage.channel() as channel:
            await create(channel, given=VM)
            path = "InstanceService.ReadInstanceLogs"
            whole = b"".join([frame.data for frame in await call(channel, path, name=WEB)])
            assert whole
            last = await call(channel, path, name=WEB, tail_lines=1)
            assert whole.endswith(b"".join(frame.data for frame in last))
            # Who was cut off goes on behind what it has; who has what is gone gets what it asks.
            rest = await call(channel, path, name=WEB, tail_lines=0, seen=whole[:-3])
            assert b"".join(frame.data for frame in rest) == whole[-3:]
            none = await call(channel, path, name=WEB, tail_lines=0, seen=b"never said")
            assert b"".join(frame.data for frame in none) == b""
            told = await refused(call(channel, path, name=WEB, seen=bytes(4097)))
            assert told.fields == ["seen"]

    play(scene)


class Script:
    """A channel that says what it is told to, and then waits for ever."""

    exit_code = None
    fell_behind = False

    def __init__(self, *pieces: bytes) -> None:
        self.pieces = list(pieces)
        self.closed = False

    async def read(self) -> tuple[int, bytes]:
        if not self.pieces:
            await asyncio.Event().wait()
        return 1, self.pieces.pop(0)

    async def close(self) -> None:
        self.closed = True


def test_a_log_is_followed_without_a_gap_or_a_repetition(
    play: Play, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = Script(b"two\n", b"three\n", b"x" * 100_000)

    async def console(self: LocalGateway, host: str, uid: str) -> Script:
        return script

    async def logs(self: LocalGateway, host: str, uid: str, most_bytes: int) -> bytes:
        return b"one\ntwo\n"

    monkeypatch.setattr(LocalGateway, "console", console)
    monkeypatch.setattr(LocalGateway, "logs", logs)

    async def scene(stage: Stage) -> None:
        async with stage.channel() as channel:
            await create(channel)
            path = "InstanceService.ReadInstanceLogs"
            followed = stream(channel, path, name=WEB, follow=True)
            heard = b""
            async with asyncio.timeout(5):
                while len(heard) < 14 + 100_000:
                    frame = await followed.read()
                    assert len(frame.data) <= 64 * 1024
                    heard += frame.data
            assert heard.startswith(b"one\ntwo\nthree\nxxx")
            followed.cancel()

    play(scene)
    assert script.closed


class Over:
    """A channel that is over, of an instance that nobody knows the end of yet."""

    exit_code = None

    def __init__(self, *, fell_behind: bool) -> None:
        self.fell_behind = fell_behind

    async def read(self) -> None:
        return None

    async def resize(self, columns: int, rows: int) -> None:
        pass

    async def close(self) -> None:
        pass


@pytest.mark.parametrize(
    ("fell_behind", "reason", "code"),
    [(False, Exit.INSTANCE_STOPPED, "OK"), (True, Exit.FELL_BEHIND, "UNAVAILABLE")],
)
def test_why_a_console_ended_is_what_its_channel_says_and_not_how_its_instance_is_now(
    play: Play, monkeypatch: pytest.MonkeyPatch, *, fell_behind: bool, reason: int, code: str
) -> None:
    async def console(self: LocalGateway, host: str, uid: str) -> Over:
        return Over(fell_behind=fell_behind)

    monkeypatch.setattr(LocalGateway, "console", console)

    async def scene(stage: Stage) -> None:
        async with stage.channel() as channel:
            await create(channel, given=VM)
            opened = Attach(open=Attach.Open(name=WEB))
            attached = stream(
                channel, "ConsoleService.Attach", conversation(opened, then=asyncio.Event())
            )
            await attached.read()
            assert (await attached.read()).exit.reason == reason
            # Who follows a log and reads too slowly is told to go on where it was.
            path = "InstanceService.ReadInstanceLogs"
            followed = stream(channel, path, name=WEB, follow=True, tail_lines=0)
            async with asyncio.timeout(5):
                assert (await followed.code()).name == code

    play(scene)


def test_numbers_come_from_the_host(play: Play) -> None:
    async def scene(stage: Stage) -> None:
        async with stage.channel() as channel:
            await create(channel)
            path = "InstanceService.GetInstanceStats"
            stats = await call(channel, path, name=f"{WEB}/stats")
            assert stats.name == f"{WEB}/stats"
            assert stats.memory_limit_bytes == 256 * 1024 * 1024
            assert [nic.interface for nic in stats.nics] == ["net0"]
            told = await refused(call(channel, path, name=WEB))
            assert told.fields == ["name"]
            await done(channel, await call(channel, "InstanceService.StopInstance", name=WEB))
            told = await refused(call(channel, path, name=f"{WEB}/stats"))
            assert told.code == "FAILED_PRECONDITION"

    play(scene)


@pytest.mark.parametrize(
    ("before", "after", "wanted"),
    [
        (b"", b"x", 0),
        (b"abc", b"bcd", 2),
        (b"abc", b"abc", 3),
        (b"abc", b"x", 0),
        (b"aa", b"aaa", 2),
    ],
)
def test_what_was_read_twice_is_told_once(before: bytes, after: bytes, wanted: int) -> None:
    assert overlap(before, after) == wanted


@pytest.mark.parametrize(
    ("data", "count", "wanted"),
    [
        (b"a\nb\nc\n", 2, b"b\nc\n"),
        (b"a\nb\nc", 1, b"c"),
        (b"a\n", 5, b"a\n"),
        (b"a", 0, b""),
        (b"", 3, b""),
    ],
)
def test_the_last_lines_of_a_log(data: bytes, count: int, wanted: bytes) -> None:
    assert last_lines(data, count) == wanted
