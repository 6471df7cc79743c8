"""The node's way to its keeper: typed calls over one connection that comes back by itself.

A request that was under way when the connection broke fails with DeadlineExceeded, reason
`KEEPER_LOST`: it may have been done. `spawn` and `adopt` may be repeated with the same start id;
`run` may not. The next request connects again.
"""

from __future__ import annotations

import asyncio
import base64
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from fifo.hypervisors.linux.keeper.limits import OUTPUT_BYTES_DEFAULT
from fifo.hypervisors.linux.keeper.logs import LogFile
from fifo.hypervisors.linux.keeper_line import Attachment, Line
from fifo.hypervisors.linux.keeper_start import start_keeper
from fifo.hypervisors.linux.keeper_values import Exit, Finished, Watched
from fifo.model.errors import DeadlineExceeded, DriverFailed, HistoryGone, Unavailable

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Mapping, Sequence

__all__ = [
    "Attachment",
    "Exit",
    "Finished",
    "KeeperClient",
    "LogFile",
    "Program",
    "Watched",
    "start_keeper",
]

BACKOFF_FIRST_S: Final = 0.02
BACKOFF_MAX_S: Final = 1.0
"""Between attempts to connect: a keeper that starts needs 0.1 s."""
ANSWER_S: Final = 30.0
"""For an answer that needs no waiting: a keeper busy with 50 starts and a slow disk makes it."""
COMMAND_GRACE_S: Final = 10.0
"""What the answer of a command may come later than its deadline."""
UNKNOWN: Final = "KEEPER_UNKNOWN_OPERATION"
"""The reason of a refusal by a keeper that is older than its node."""


class Program(NamedTuple):
    """What is executed: arguments, and its surroundings.

    `env` None is PATH alone. `netns` is the path of a network namespace to be in.
    """

    argv: Sequence[str]
    env: Mapping[str, str] | None = None
    cwd: str = "/"
    umask: int = 0o022
    netns: str = ""

    def fields(self) -> dict[str, Any]:
        """Give the fields of a request."""
        found: dict[str, Any] = {"argv": list(self.argv), "cwd": self.cwd, "umask": self.umask}
        if self.env is not None:
            found["env"] = dict(self.env)
        if self.netns:
            found["netns"] = self.netns
        return found


class KeeperClient:
    """The keeper of one directory. Used on one event loop; any number of calls may be under way.

    Every call raises Unavailable (no keeper, within `patience_s`), DeadlineExceeded (sent, and no
    answer came: look what was done), or what the keeper's code maps to (`keeper_values.ERRORS`).
    """

    def __init__(self, directory: Path, *, patience_s: float = 10.0) -> None:
        """Remember the directory; the first call connects."""
        self._path = directory / "keeper.sock"
        self._patience_s = patience_s
        self._line: Line | None = None
        self._connecting = asyncio.Lock()
        self._reads_exits = False
        self._closed = False

    @classmethod
    async def connect(cls, directory: Path, *, patience_s: float = 10.0) -> KeeperClient:
        """Connect to the keeper of a directory."""
        client = cls(directory, patience_s=patience_s)
        await client.line()
        return client

    async def line(self) -> Line:
        """Give the connection, made anew if there is none; who asks meanwhile waits for the same.

        Its `hello` says who answered: the keeper's pid, boot id, journal and next number.
        """
        if self._closed:
            raise Unavailable("the client is closed", str(self._path), "make another")
        async with self._connecting:
            if self._line is None or self._line.closed:
                self._line = await self._connect()
            return self._line

    async def _connect(self) -> Line:
        pause_s = BACKOFF_FIRST_S
        try:
            async with asyncio.timeout(self._patience_s):
                while True:
                    try:
                        return await Line.open(self._path)
                    except (OSError, DeadlineExceeded) as error:
                        trouble = error
                    await asyncio.sleep(pause_s)
                    pause_s = min(2 * pause_s, BACKOFF_MAX_S)
        except TimeoutError:
            raise Unavailable(
                f"no keeper answers ({trouble})",
                str(self._path),
                "start one; its instances live on without it",
                reason="KEEPER_UNREACHABLE",
            ) from None

    async def close(self) -> None:
        """Close the connection: what was begun goes on in the keeper."""
        self._closed = True
        if self._line is not None:
            self._line.close()

    async def _call(self, name: str, **fields: Any) -> dict[str, Any]:
        line = await self.line()
        return await line.call(name, ANSWER_S, **fields)

    # --- commands --------------------------------------------------------------------------------

    async def run(
        self,
        program: Program | Sequence[str],
        *,
        deadline_s: float,
        stdin: bytes | None = None,
        output_bytes: int = OUTPUT_BYTES_DEFAULT,
        log: LogFile | None = None,
        on_output: Callable[[str, bytes], None] | None = None,
    ) -> Finished:
        """Run a short command to its end; at the deadline its whole session is killed.

        Its output is in the answer, at most `output_bytes` of each stream; or goes to
        `on_output("stdout" or "stderr", data)` as it comes; or is appended to `log` by itself.
        Cancelled, it is killed. It may run twice if it is repeated after KEEPER_LOST.
        """
        if not isinstance(program, Program):
            program = Program(program)
        fields = program.fields() | {
            "deadline_ms": max(1, round(deadline_s * 1000)),
            "output_bytes": output_bytes,
        }
        if stdin is not None:
            fields["stdin"] = base64.b64encode(stdin).decode("ascii")
        if log is not None:
            fields["log"] = log._asdict()
        line = await self.line()
        number = line.next_number()
        if on_output is not None:
            fields["stream"] = True
            line.outputs[number] = on_output
        try:
            found = await line.call("run", deadline_s + COMMAND_GRACE_S, number=number, **fields)
        except asyncio.CancelledError:
            line.tell("cancel", run=number)
            raise
        finally:
            line.outputs.pop(number, None)
        return Finished.read(found)

    async def settle(self, patience_s: float) -> None:
        """Return when no command runs whose client is gone; after `patience_s` they are killed.

        What a node that was killed had begun would else go on under the hands of the next. Those
        that were talked with are left alone. A keeper of before this could be asked does nothing.
        """
        line = await self.line()
        try:
            await line.call("settle", patience_s + ANSWER_S, patience_ms=round(patience_s * 1000))
        except DriverFailed as error:
            if error.reason_text != UNKNOWN:
                raise

    # --- instances -------------------------------------------------------------------------------

    async def spawn(
        self,
        instance: str,
        start_id: str,
        program: Program,
        *,
        log: LogFile | None = None,
        terminal: bool = False,
    ) -> Watched:
        """Start a long-lived process and watch it; the same start id again starts nothing.

        Its output is appended to `log`. With `terminal` it has one, the console of the instance's
        name, and `log` is the console's.
        """
        fields = program.fields() | {"terminal": terminal}
        if log is not None:
            fields["log"] = log._asdict()
        return Watched.read(
            await self._call("spawn", instance=instance, start_id=start_id, **fields)
        )

    async def adopt(
        self,
        instance: str,
        start_id: str,
        pid: int,
        *,
        start_time: int = 0,
        log: LogFile | None = None,
    ) -> Watched:
        """Watch a process the keeper is parent of, such as a container's init, even if it ended.

        Of a process that is not its child `start_time` (/proc/PID/stat) is needed, and the exit
        status will be unknown. `log` is a file the process writes by itself, to be kept short.
        """
        fields: dict[str, Any] = {} if log is None else {"log": log._asdict()}
        return Watched.read(
            await self._call(
                "adopt",
                instance=instance,
                start_id=start_id,
                pid=pid,
                start_time=start_time,
                **fields,
            )
        )

    async def signal(self, instance: str, start_id: str, signal: int) -> None:
        """Send a signal to the process of this very start; WrongState if it has ended."""
        await self._call("signal", instance=instance, start_id=start_id, signal=int(signal))

    async def inventory(self) -> list[Watched]:
        """Give all that is watched, ended ones that nobody forgot included."""
        return [Watched.read(view) for view in (await self._call("inventory"))["instances"]]

    async def forget(self, instance: str) -> None:
        """Drop an instance that has ended, and its console; WrongState while it runs."""
        await self._call("forget", instance=instance)

    async def exits(self, from_seq: int, journal: str = "") -> AsyncGenerator[Exit | None, None]:
        """Yield how instances ended, from a number on: what was missed, then what comes.

        It goes on over broken connections and new keepers; when one is lost None is yielded first,
        so that who reads can start another keeper in good time. Raises HistoryGone if some are not
        kept any more, or if the keeper has another journal than the one named: then the inventory
        tells. One at a time a client.
        """
        assert not self._reads_exits, "another task reads the exits of this client"
        self._reads_exits = True
        try:
            while True:
                line = await self.line()
                line.expect_exits()
                found = await line.call("exits", ANSWER_S, **{"from": from_seq})
                if found["first_seq"] > from_seq or journal not in {"", found["journal"]}:
                    raise HistoryGone(
                        f"exits from {from_seq} of journal {journal or 'any'} are not kept",
                        str(self._path),
                        "take the inventory, and go on from the first that is kept",
                        reason="KEEPER_EXITS_GONE",
                        details={"journal": found["journal"], "first": str(found["first_seq"])},
                    )
                journal = found["journal"]
                async for record in line.exits():
                    if record["seq"] >= from_seq:
                        yield Exit.read(record)
                        from_seq = record["seq"] + 1
                yield None
        finally:
            self._reads_exits = False

    async def ack(self, seq: int) -> None:
        """Let the keeper drop the exits up to a number: they are recorded elsewhere."""
        await self._call("ack", seq=seq)

    # --- consoles --------------------------------------------------------------------------------

    async def console_listen(self, console: str, *, log: LogFile | None = None) -> Path:
        """Give the path for an OCI runtime's `--console-socket`; it waits there for a minute.

        What the terminal says goes to `log`. An earlier console of that name is closed then.
        """
        fields: dict[str, Any] = {} if log is None else {"log": log._asdict()}
        found = await self._call("console_listen", console=console, **fields)
        return Path(found["path"])

    async def console_connect(
        self, console: str, path: Path, *, log: LogFile | None = None
    ) -> None:
        """Hold the serial line of a running instance, which listens at `path`, now or soon."""
        fields: dict[str, Any] = {} if log is None else {"log": log._asdict()}
        await self._call("console_connect", console=console, path=str(path), **fields)

    async def attach(self, console: str, *, write: bool = False, take: bool = False) -> Attachment:
        """Watch a console: its last 64 KiB, then what comes. Many may watch, one may `write`.

        Busy if another writes, unless `take`: then the other only watches from now on.
        """
        line = await self.line()
        number = line.next_number()
        attachment = line.channels[number] = Attachment(line, number, console, writes=write)
        try:
            await line.call(
                "attach", ANSWER_S, number=number, console=console, write=write, take=take
            )
        except BaseException:
            line.channels.pop(number, None)
            line.tell("detach", channel=number)
            raise
        return attachment

    async def shutdown(self, *, force: bool = False) -> None:
        """End the keeper; WrongState while anything runs, unless `force`.

        Forced, instances go on, and how they end is unknown to the next keeper.
        """
        await self._call("shutdown", force=force)
