"""Looking inside instances: exec, logs and stats of InstanceService, and ConsoleService."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any, Final

from fifo.api import limits
from fifo.api.resources.values import set_time
from fifo.api.services.instance_changes import state
from fifo.model import names
from fifo.model.errors import DeadlineExceeded, InvalidInput, Unavailable, Unsupported, Violation
from fifo.model.instance_states import admit
from fifo.v1 import console_service_pb2, instance_pb2, instance_service_pb2

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable

    from fifo.api.backend import Backend
    from fifo.api.calls import Call
    from fifo.hypervisors.driver import Channel
    from fifo.model.instance import InstanceSpec

Attach = console_service_pb2.AttachRequest
Attached = console_service_pb2.AttachResponse
ExecResponse = instance_service_pb2.ExecInstanceResponse
SHELL: Final = ("/bin/sh", "-l")
"""What a console in a zone starts: every userland has it."""
STATS: Final = "/stats"
_ROWS, _COLUMNS = 24, 80
_ERRORS = 2
_OVERLAP_BYTES = 4_096
"""How much may be written while a log is read, and then be told twice: a page of a terminal."""


class Insides:
    """Exec, logs, stats and consoles."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    async def get_instance_stats(
        self, request: instance_service_pb2.GetInstanceStatsRequest, call: Call
    ) -> instance_pb2.InstanceStats:
        """Measure an instance on its host."""
        del call
        name = request.name.removesuffix(STATS)
        if name == request.name:
            wanted = "a name like orgs/default/instances/web-1/stats"
            raise InvalidInput(request.name, (Violation("name", wanted),))
        spec, host = self._placed(name)
        status = self._backend.catalog.statuses.record(spec.uid)
        admit("measure", status.state if status is not None else "provisioning", name)
        at, found = await self._backend.gateway.stats(host, spec.uid)
        made = instance_pb2.InstanceStats(
            name=names.instance_name(spec.id, spec.org) + STATS,
            cpu_seconds=found.cpu_seconds,
            memory_bytes=found.memory_bytes,
            memory_limit_bytes=found.memory_limit_bytes,
            processes=found.processes,
            filesystem_used_bytes=found.filesystem_used_bytes,
            filesystem_size_bytes=found.filesystem_size_bytes,
        )
        for nic in found.nics:
            made.nics.add(**nic._asdict())
        for disk in found.disks:
            made.disks.add(
                disk=disk.name,
                read_bytes=disk.read_bytes,
                written_bytes=disk.written_bytes,
                reads=disk.reads,
                writes=disk.writes,
            )
        set_time(made.sample_time, at)
        return made

    async def read_instance_logs(
        self, request: instance_service_pb2.ReadInstanceLogsRequest, call: Call
    ) -> None:
        """Send the end of what an instance wrote, and with `follow` what it writes from then on."""
        spec, host = self._placed(request.name)
        gateway = self._backend.gateway
        channel: Channel | None = None
        if request.follow:
            admit("console", state(self._backend, spec), request.name)
            channel = await gateway.console(host, spec.uid)
        try:
            written = await gateway.logs(host, spec.uid, limits.LOG_BYTES)
            shown = _unseen(written, request)
            for start in range(0, len(shown), limits.FRAME_BYTES):
                await _send_log(call, shown[start : start + limits.FRAME_BYTES])
            if channel is not None:
                await _follow(call, channel, written, request.name)
        finally:
            if channel is not None:
                await channel.close()

    async def exec_instance(
        self, requests: AsyncIterator[instance_service_pb2.ExecInstanceRequest], call: Call
    ) -> None:
        """Run a command inside an instance until it ends; the caller's leaving kills it."""
        first = await _first(requests, "ExecInstance")
        spec, host = self._placed(first.open.name)
        call.resource = first.open.name
        admit("exec", state(self._backend, spec), first.open.name)
        terminal = first.open.HasField("terminal")
        channel = await self._backend.gateway.execute(
            host,
            spec.uid,
            tuple(first.open.command),
            terminal=terminal,
            environment=dict(first.open.environment),
        )
        try:
            if terminal:
                size = first.open.terminal
                await channel.resize(size.columns, size.rows)
            async with _typing(_type_command(requests, channel)):
                while (output := await channel.read()) is not None:
                    stream, data = output
                    for piece in _pieces(data):
                        frame = (
                            ExecResponse(stderr=piece)
                            if stream == _ERRORS
                            else ExecResponse(stdout=piece)
                        )
                        await call.send(frame)
            if channel.exit_code is None:
                raise Unavailable("the command's end was not seen", first.open.name)
            ended = ExecResponse.Exit(exit_status=channel.exit_code)
            await call.send(ExecResponse(exit=ended))
        finally:
            await channel.close()

    async def attach(self, requests: AsyncIterator[Attach], call: Call) -> None:
        """Attach to a console, or to a shell in a zone, until either side leaves."""
        first = await _first(requests, "Attach")
        name = first.open.name
        spec, host = self._placed(name)
        call.resource = name
        admit("console", state(self._backend, spec), name)
        mode = first.open.mode or (Attach.Open.CONSOLE if spec.is_vm else Attach.Open.SHELL)
        in_shell = mode == Attach.Open.SHELL
        if in_shell and spec.is_vm:
            raise Unsupported("a VM has no shell that a host could start", name, "use mode CONSOLE")
        gateway = self._backend.gateway
        channel = (
            await gateway.execute(host, spec.uid, SHELL, terminal=True, environment={})
            if in_shell
            else await gateway.console(host, spec.uid)
        )
        left = asyncio.Event()
        try:
            size = first.open.size
            await channel.resize(size.columns or _COLUMNS, size.rows or _ROWS)
            await call.send(Attached(opened=Attached.Opened(mode=mode)))
            async with _typing(_type_console(requests, channel, left)):
                ended = await self._show(channel, call, left)
            await call.send(Attached(exit=_exit(channel, ended=ended, in_shell=in_shell)))
        finally:
            await channel.close()

    # -- its parts ---------------------------------------------------------------------------

    def _placed(self, name: str) -> tuple[InstanceSpec, str]:
        """Find an instance and its host; raises NotFound, Unavailable before it has one."""
        spec = self._backend.references.instance(name).record
        claim = self._backend.catalog.claims.record(spec.uid)
        if claim is None:
            raise Unavailable("it has no host yet", name, "wait until it is made")
        return spec, claim.host

    async def _show(self, channel: Channel, call: Call, left: asyncio.Event) -> bool:
        """Send what the other end writes; True if that ended, False if the caller left."""
        leaving = asyncio.ensure_future(left.wait())
        try:
            while True:
                reading = asyncio.ensure_future(_read(channel))
                await asyncio.wait({reading, leaving}, return_when=asyncio.FIRST_COMPLETED)
                if not reading.done():
                    reading.cancel()
                    return False
                output = reading.result()
                if output is None:
                    return True
                for piece in _pieces(output[1]):
                    await call.send(Attached(data=piece))
        finally:
            leaving.cancel()


def _exit(channel: Channel, *, ended: bool, in_shell: bool) -> Attached.Exit:
    if not ended:
        return Attached.Exit(reason=Attached.Exit.DETACHED)
    if channel.fell_behind:
        return Attached.Exit(reason=Attached.Exit.FELL_BEHIND)
    if in_shell and channel.exit_code is not None:
        return Attached.Exit(reason=Attached.Exit.SHELL_EXITED, exit_status=channel.exit_code)
    return Attached.Exit(reason=Attached.Exit.INSTANCE_STOPPED)


async def _read(channel: Channel) -> tuple[int, bytes] | None:
    return await channel.read()


async def _first(requests: AsyncIterator[Any], method: str) -> Any:
    try:
        async with asyncio.timeout(limits.OPEN_S):
            first = await anext(requests, None)
    except TimeoutError:
        raise DeadlineExceeded("no first frame came", method, "send `open` first") from None
    if first is None or first.WhichOneof("frame") != "open":
        raise InvalidInput(method, (Violation("open", "the first frame"),))
    return first


@contextlib.asynccontextmanager
async def _typing(work: Awaitable[None]) -> AsyncIterator[None]:
    """Pass on what the caller types for as long as the other side writes."""
    owner = asyncio.current_task()
    task = asyncio.ensure_future(work)
    failed: list[BaseException] = []

    def fail(done: asyncio.Future[None]) -> None:
        error = None if done.cancelled() else done.exception()
        if error is not None and owner is not None:
            failed.append(error)
            owner.cancel()

    task.add_done_callback(fail)
    try:
        yield
    except asyncio.CancelledError:
        if failed and owner is not None:
            owner.uncancel()
            raise failed[0] from None
        raise
    finally:
        task.remove_done_callback(fail)
        task.cancel()


async def _type_command(requests: AsyncIterator[Any], channel: Channel) -> None:
    async for frame in requests:
        match frame.WhichOneof("frame"):
            case "stdin" if frame.stdin:
                await channel.write(frame.stdin)
            case "stdin_closed":
                await channel.write(b"")
            case "resize":
                await channel.resize(frame.resize.columns, frame.resize.rows)
            case "open":
                raise InvalidInput("ExecInstance", (Violation("open", "in the first frame only"),))
            case _:
                pass


async def _type_console(
    requests: AsyncIterator[Any], channel: Channel, left: asyncio.Event
) -> None:
    async for frame in requests:
        match frame.WhichOneof("frame"):
            case "data" if frame.data:
                await channel.write(frame.data)
            case "resize":
                await channel.resize(frame.resize.columns, frame.resize.rows)
            case "detach":
                break
            case "open":
                raise InvalidInput("Attach", (Violation("open", "in the first frame only"),))
            case _:
                pass
    left.set()


async def _follow(call: Call, channel: Channel, written: bytes, name: str) -> None:
    """Send what is written from now on; what the log held already is passed over."""
    seen = written
    while (output := await channel.read()) is not None:
        data = output[1]
        if seen:
            data = data[overlap(seen, data) :]
            seen = b""
        for piece in _pieces(data):
            await _send_log(call, piece)
    if channel.fell_behind:
        told = "it wrote faster than its log was read"
        raise Unavailable(told, name, "go on with what was seen last as `seen`")


def overlap(before: bytes, after: bytes) -> int:
    """Give how many bytes `after` begins with that `before` ends with."""
    for length in range(min(len(before), len(after), _OVERLAP_BYTES), 0, -1):
        if before.endswith(after[:length]):
            return length
    return 0


def _unseen(written: bytes, request: instance_service_pb2.ReadInstanceLogsRequest) -> bytes:
    """Give what of a log a caller wants: the rest of what it saw, else as many lines as it says.

    A guest that says the same over and over is taken to have said it once while nobody looked.
    """
    seen = written.rfind(request.seen) if request.seen else -1
    if seen >= 0:
        return written[seen + len(request.seen) :]
    return last_lines(written, request.tail_lines) if request.HasField("tail_lines") else written


def last_lines(data: bytes, count: int) -> bytes:
    """Give the last lines of a text; one that is not ended yet counts."""
    if not count:
        return b""
    end = len(data) - 1 if data.endswith(b"\n") else len(data)
    for _ in range(count):
        end = data.rfind(b"\n", 0, end)
        if end < 0:
            return data
    return data[end + 1 :]


def _pieces(data: bytes) -> list[bytes]:
    return [
        data[start : start + limits.FRAME_BYTES]
        for start in range(0, len(data), limits.FRAME_BYTES)
    ]


async def _send_log(call: Call, data: bytes) -> None:
    await call.send(instance_service_pb2.ReadInstanceLogsResponse(data=data))
