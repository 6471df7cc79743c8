"""The audit: every mutation and every refusal as a line of JSON, on disk before it is answered.

What is audited has a line before it acts, `BEGUN`, and one of what became of it, with the same id.
Where a node ended between the two it says so at its next start, `UNKNOWN`: the change may have been
made (docs/decisions/0011). One append-only file per node, begun anew at a size. Entries that come
while a write is under way go together in the next, as commits of the store do. On a full
disk there is a reserve for the lines of what makes room; what takes room is refused meanwhile, and
once the reserve is used up, all mutations are.
"""

from __future__ import annotations

import asyncio
import logging
import os
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final

import msgspec

from fifo.api import limits
from fifo.model.errors import NoRoom
from fifo.store.reserve import NO_ROOM, Reserve

if TYPE_CHECKING:
    from pathlib import Path

    from google.protobuf.message import Message

logger = logging.getLogger("fifo.api")


BEGUN: Final = "BEGUN"
"""The code of a line that stands before what it tells of."""
UNKNOWN: Final = "UNKNOWN"
"""The code of the line that a node writes for what it was at when it ended."""


class Entry(msgspec.Struct, frozen=True, omit_defaults=True):
    """One line: who asked for what, when (UTC seconds), and what became of it.

    `id` is the same in the two lines of a call that came to act.
    """

    at: float
    principal: str
    method: str
    code: str
    peer: str = ""
    token: str = ""
    resource: str = ""
    request_id: str = ""
    operation: str = ""
    reason: str = ""
    validate_only: bool = False
    dropped: int = 0
    """Refusals before this one that nobody had room to write down."""
    id: str = ""


class _Mark(msgspec.Struct, frozen=True):
    """What of a line tells whether a call is open."""

    code: str
    id: str = ""


class AuditFile:
    """The files: `audit.jsonl`, and older ones as `audit.1.jsonl` and so on. On one thread."""

    def __init__(
        self,
        directory: Path,
        *,
        file_bytes: int = limits.AUDIT_FILE_BYTES,
        files: int = limits.AUDIT_FILES,
        reserve_bytes: int = limits.AUDIT_RESERVE_BYTES,
    ) -> None:
        self._directory = directory
        self._file_bytes = file_bytes
        self._files = files
        self._reserve = Reserve(directory, reserve_bytes)
        self.short = False
        """Whether the disk had no room but the reserve, or next to none, at the last append."""
        self._descriptor = -1
        self._size = 0
        self._open_calls: dict[str, bytes] = {}
        """The lines that were begun and have no end yet, by id."""
        self._marks = msgspec.json.Decoder(_Mark)

    def recover(self, utc: float) -> int:
        """End what the last life left open, and tell how many calls that were; raises OSError.

        Before any append. Open lines are carried into each new file, so that the present one has
        them all.
        """
        path = self._older(0)
        if not path.exists():
            return 0
        for line in path.read_bytes().splitlines(keepends=True):
            self._follow(line)
        left = []
        for line in self._open_calls.values():
            entry = msgspec.json.decode(line, type=Entry)
            left.append(
                msgspec.structs.replace(entry, at=utc, code=UNKNOWN, reason="THE_NODE_ENDED")
            )
        if left:
            self.append(b"".join(msgspec.json.encode(entry) + b"\n" for entry in left))
        return len(left)

    def _follow(self, line: bytes) -> None:
        """Note what a line begins or ends; one that a crash cut does neither."""
        try:
            mark = self._marks.decode(line)
        except msgspec.DecodeError:
            return
        if mark.code == BEGUN:
            self._open_calls[mark.id] = line
        elif mark.id:
            self._open_calls.pop(mark.id, None)

    def append(self, data: bytes) -> None:
        """Write lines so that they are on disk when this returns; raises OSError.

        Into the reserve if there is no room else.
        """
        while True:
            try:
                self._append(data)
            except OSError as error:
                if error.errno not in NO_ROOM or not self._reserve.give_up():
                    raise
            else:
                break
        self._reserve.make()
        self.short = self._reserve.short()

    def _append(self, data: bytes) -> None:
        if self._descriptor < 0:
            self._open()
        elif self._size + len(data) > self._file_bytes and self._size:
            self._rotate()
        before = self._size
        if not before:
            data = b"".join(self._open_calls.values()) + data
        try:
            view = memoryview(data)
            while view:
                view = view[os.write(self._descriptor, view) :]
            os.fsync(self._descriptor)
        except OSError:
            # Half a line would make the next one unreadable too.
            os.ftruncate(self._descriptor, before)
            raise
        self._size = before + len(data)
        for line in data.splitlines(keepends=True):
            self._follow(line)

    def close(self) -> None:
        """Close the file."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _open(self) -> None:
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        self._descriptor = os.open(self._directory / "audit.jsonl", flags, 0o600)
        self._size = os.fstat(self._descriptor).st_size
        if self._size and os.pread(self._descriptor, 1, self._size - 1) != b"\n":
            # A crash cut the last line: end it, so that only that one is lost.
            self._size += os.write(self._descriptor, b"\n")

    def _rotate(self) -> None:
        self.close()
        self._older(self._files - 1).unlink(missing_ok=True)
        for number in range(self._files - 2, -1, -1):
            if (path := self._older(number)).exists():
                path.rename(self._older(number + 1))
        self._open()

    def _older(self, number: int) -> Path:
        return self._directory / (f"audit.{number}.jsonl" if number else "audit.jsonl")


class Audit:
    """Hands entries to the file's thread and tells when they are on disk; on the node's loop."""

    def __init__(self, file: AuditFile) -> None:
        self._file = file
        self._thread = ThreadPoolExecutor(1, "audit")
        self._encoder = msgspec.json.Encoder()
        self._waiting: list[tuple[bytes, asyncio.Future[None]]] = []
        self._writing: asyncio.Task[None] | None = None
        self._unwritten: list[bytes] = []
        self._dropped = 0
        self.entries = 0
        self.failures = 0
        self.broken = ""
        """Why the last write failed; empty while all is well."""
        self.short = False
        """Whether the disk is full: only what makes room may go on."""

    async def recover(self, utc: float) -> None:
        """Say of what the last life was at that nobody knows; before the first entry."""
        loop = asyncio.get_running_loop()
        try:
            count = await loop.run_in_executor(self._thread, self._file.recover, utc)
        except OSError as error:
            self.failures += 1
            self.broken = error.strerror or str(error)
            logger.log(logging.ERROR, "The audit cannot be read: %s", error)
        else:
            if count:
                logger.warning("The node ended in the middle of %d audited calls", count)

    async def begin(self, entry: Entry, *, frees: bool) -> None:
        """Write the line that stands before what it tells of.

        Raises NoRoom if it is not on disk when this returns, or as `require` does: the call must do
        nothing then.
        """
        await self._hand_over(self._line(entry))
        self._refuse(frees=frees)

    async def note(self, entry: Entry) -> None:
        """Write an entry and return when it is on disk; what cannot be written is counted.

        Beyond `AUDIT_WAITING` a refusal of what never began is counted instead, in the next entry
        that is written.
        """
        if len(self._waiting) >= limits.AUDIT_WAITING and not entry.id:
            self._dropped += 1
            return
        await self._hand_over(self._line(entry))

    def leave(self, entry: Entry) -> None:
        """Have an entry written that nobody waits for: its caller has left."""
        self._put(self._line(entry))

    def _line(self, entry: Entry) -> bytes:
        if self._dropped:
            entry = msgspec.structs.replace(entry, dropped=self._dropped)
            self._dropped = 0
        return self._encoder.encode(entry) + b"\n"

    async def require(self, *, frees: bool) -> None:
        """Raise NoRoom while the audit cannot be written: nothing may be changed unseen.

        While the disk is full only what makes room, `frees`, may go on. What could not be
        written is tried again first, so that the audit heals by itself.
        """
        if self.broken or self.short:
            await self._hand_over(b"")
        self._refuse(frees=frees)

    def _refuse(self, *, frees: bool) -> None:
        if self.broken:
            raise NoRoom(
                f"the audit cannot be written: {self.broken}",
                "audit",
                "make room on the disk of the node's data directory",
                reason="AUDIT_BROKEN",
            )
        if self.short and not frees:
            raise NoRoom(
                "the disk of the node's data directory is full",
                "node",
                "make room on it; stopping and deleting go on meanwhile",
                reason="DISK_FULL",
            )

    async def _hand_over(self, line: bytes) -> None:
        await self._put(line)

    def _put(self, line: bytes) -> asyncio.Future[None]:
        done = asyncio.get_running_loop().create_future()
        self._waiting.append((line, done))
        if self._writing is None:
            self._writing = asyncio.create_task(self._write())
        return done

    async def close(self) -> None:
        """Write what waits, and close."""
        if self._writing is not None:
            await self._writing
        await asyncio.get_running_loop().run_in_executor(self._thread, self._file.close)
        self._thread.shutdown()

    async def _write(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            while self._waiting:
                batch, self._waiting = self._waiting, []
                self._unwritten += [line for line, _ in batch if line]
                data = b"".join(self._unwritten)
                try:
                    await loop.run_in_executor(self._thread, self._file.append, data)
                except OSError as error:
                    self.failures += 1
                    self.broken = error.strerror or str(error)
                    logger.log(logging.ERROR, "The audit cannot be written: %s", error)
                    del self._unwritten[limits.AUDIT_WAITING :]
                else:
                    self.entries += len(self._unwritten)
                    self._unwritten.clear()
                    self.broken = ""
                self.short = self._file.short
                for _, done in batch:
                    if not done.done():
                        done.set_result(None)
        finally:
            self._writing = None


def resource_of(request: Message | None) -> str:
    """Tell which resource a request is about: its name, its parent, or that of what is in it.

    Called by the door for an entry; '' for a request that could not be read.
    """
    if request is None:
        return ""
    fields = request.DESCRIPTOR.fields_by_name
    for name in ("name", "parent"):
        if name in fields:
            return f"{getattr(request, name)}{_chosen(request)}"
    for field, value in request.ListFields():
        if field.message_type is not None and "name" in field.message_type.fields_by_name:
            return str(getattr(value, "name", "")) or _chosen(request).strip()
    return ""


def _chosen(request: Message) -> str:
    """Give the id that a caller chose for what is to be made, with the name of its field."""
    for field, value in request.ListFields():
        if field.name.endswith("_id") and field.name != "request_id":
            return f" {field.name}={value}"
    return ""
