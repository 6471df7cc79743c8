"""What is watched: one process an instance, from its start to the record of its end.

| state    | event                                 | next    |
| -------- | ------------------------------------- | ------- |
| (none)   | spawn: `begin` is written             | begun   |
| begun    | it executes                           | running |
| begun    | it does not, and the caller is told   | (none)  |
| begun    | the keeper dies, the next finds it    | running |
| begun    | the keeper dies, the next does not    | ended   |
| (none)   | adopt: a child, or a known process    | running |
| (none)   | adopt: a child that has ended already | ended   |
| running  | reaped, or its pidfd fires            | ended   |
| ended    | spawn or adopt under a new start id   | as none |
| ended    | forget                                | (none)  |

A start id is used once: asking again with the same one gives what came of it and starts nothing.
"""

from __future__ import annotations

import os
import signal
import subprocess
from collections import OrderedDict
from typing import TYPE_CHECKING, Final, NamedTuple

from fifo.hypervisors.linux.keeper import limits, processes
from fifo.hypervisors.linux.keeper.fields import Refusal
from fifo.hypervisors.linux.keeper.ledger import EXIT_FIELDS
from fifo.hypervisors.linux.keeper.logs import LogFile, trim
from fifo.hypervisors.linux.keeper.loop import READ
from fifo.hypervisors.linux.keeper.program import Program, refused

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from fifo.hypervisors.linux.keeper.fields import Fields
    from fifo.hypervisors.linux.keeper.journal import Journal
    from fifo.hypervisors.linux.keeper.ledger import Entry
    from fifo.hypervisors.linux.keeper.loop import Loop

MARK: Final = "FIFO_KEEPER_START"
"""The variable by which a process is found whose keeper died between executing and recording it."""


VIEW_FIELDS: Final = ("instance", "start_id", "boot_id", "pid", "start_time")


class Stray(NamedTuple):
    """How a child ended that nobody had announced, and when (monotonic).

    `start_time` 0: there was no descriptor to read it with.
    """

    start_time: int
    code: int
    at_s: float


class Running(NamedTuple):
    """A process that is held: its pidfd, and the entry, which may still be owed to the journal."""

    pidfd: int
    entry: Entry


class Host(NamedTuple):
    """The clocks and the boot of the host."""

    monotonic: Callable[[], float]
    wall: Callable[[], float]
    boot_id: str


class Start(NamedTuple):
    """A `spawn` request."""

    instance: str
    start_id: str
    program: Program
    log: LogFile | None
    terminal: bool

    @classmethod
    def of(cls, fields: Fields) -> Start:
        """Read it from a request; raises Refusal."""
        found = cls(
            fields.name("instance"),
            fields.name("start_id"),
            Program.of(fields),
            LogFile.of(fields.nested("log")),
            fields.flag("terminal"),
        )
        fields.end()
        return found


class Adoption(NamedTuple):
    """An `adopt` request; `start_time` 0 where the caller does not know it."""

    instance: str
    start_id: str
    pid: int
    start_time: int
    log: LogFile | None

    @classmethod
    def of(cls, fields: Fields) -> Adoption:
        """Read it from a request; raises Refusal."""
        found = cls(
            fields.name("instance"),
            fields.name("start_id"),
            fields.integer("pid", 2, 2**31 - 1),
            fields.integer("start_time", 0, 2**63 - 1, 0),
            LogFile.of(fields.nested("log")),
        )
        fields.end()
        return found


class Instances:
    """The watched instances by name. Used on the keeper's thread alone.

    The journal's ledger is the table; here is only what dies with the keeper: the pidfd of each
    that runs, and the strays. `on_end` is called with the name of each that ended.
    """

    def __init__(
        self, loop: Loop, host: Host, journal: Journal, on_end: Callable[[str], None]
    ) -> None:
        self._loop = loop
        self._host = host
        self._journal = journal
        self._on_end = on_end
        self._running: dict[str, Running] = {}
        self._by_pid: dict[int, str] = {}
        self._strays: OrderedDict[int, Stray] = OrderedDict()

    @property
    def _table(self) -> dict[str, Entry]:
        return self._journal.ledger.instances

    def __len__(self) -> int:
        return len(self._running)

    def runs(self, instance: str) -> bool:
        """Tell whether an instance's process is watched and has not ended."""
        return instance in self._running

    def pids(self) -> Collection[int]:
        """Give the pids of all that run."""
        return self._by_pid.keys()

    # --- from the keeper before this one ---------------------------------------------------------

    def restore(self) -> None:
        """Take over what the journal says is running; what is gone is recorded. Called once."""
        starts = {value: pid for pid, value in processes.marked(MARK)}
        for entry in list(self._table.values()):
            if "exit" in entry:
                continue
            if entry["boot_id"] != self._host.boot_id:
                self._record(entry, "rebooted")
            elif not self._found_again(entry, starts):
                self._record(entry, "unknown")

    def _found_again(self, entry: Entry, starts: dict[str, int]) -> bool:
        pid = entry.get("pid") or starts.get(self._mark(entry))
        held = None if pid is None else processes.hold(pid)
        if pid is None or held is None:
            return False
        pidfd, found = held
        if entry.get("start_time", found.start_time) != found.start_time:
            os.close(pidfd)
            return False
        self._watch(entry | {"pid": pid, "start_time": found.start_time}, pidfd)
        return True

    def _mark(self, entry: Entry) -> str:
        return f"{self._journal.ledger.journal}:{entry['instance']}:{entry['start_id']}"

    # --- starting and adopting -------------------------------------------------------------------

    def known(self, instance: str, start_id: str) -> Entry | None:
        """Give what came of a start id, None if it is new and may be used; raises Refusal."""
        entry = self._table.get(instance)
        if entry is not None and entry["start_id"] == start_id:
            return self._view(entry)
        if instance in self._running:
            raise Refusal(
                "already_running",
                f"{instance} runs under start {entry and entry['start_id']}; stop that first",
            )
        if entry is None and len(self._table) >= limits.WATCHED_MAX:
            raise Refusal("exhausted", f"{limits.WATCHED_MAX} are watched; forget ended ones")
        return None

    def spawn(self, start: Start, terminal: int | None) -> Entry:
        """Start a process under a new start id and watch it; give its view. Raises Refusal.

        Its output is appended to its log. With a `terminal`, all three streams are that, it is in
        control of the process, and the log is the console's.
        """
        entry = self._entry(start.instance, start.start_id)
        output = subprocess.DEVNULL if terminal is None else terminal
        try:
            if terminal is None and start.log is not None:
                entry["log"] = start.log._asdict()
                output = start.log.open()
            self._journal.require({"entry": "begin", **entry})
            self._execute(start, entry, output, terminal)
        except OSError as error:
            raise refused(error, start.program.arguments[0]) from None
        finally:
            if "log" in entry and output >= 0:
                os.close(output)
        return self._view(self._table[start.instance])

    def _execute(self, start: Start, entry: Entry, output: int, terminal: int | None) -> None:
        stdin = subprocess.DEVNULL if terminal is None else terminal
        mark = {MARK: self._mark(entry)}
        pid = 0
        try:
            pid = start.program.start(mark, stdin, output, output, controls=terminal is not None)
            # Not reaped before it is held, so this is the very process.
            held = processes.hold(pid)
            assert held is not None
        except (OSError, Refusal):
            if pid:
                os.kill(pid, signal.SIGKILL)
            self._journal.record({"entry": "forget", "instance": start.instance})
            raise
        self._watch(entry | {"pid": pid, "start_time": held[1].start_time}, held[0])

    def adopt(self, adoption: Adoption, *, is_command: bool) -> Entry:
        """Watch a process that something else started; give its view. Raises Refusal.

        A child of the keeper, as a container's init is when its runtime has ended, is known by its
        pid; any other process only by its start time too, and its exit status will not be known. A
        child that ended before this was asked is remembered for a while.
        """
        pid, start_time = adoption.pid, adoption.start_time
        entry = self._entry(adoption.instance, adoption.start_id)
        if adoption.log is not None:
            entry["log"] = adoption.log._asdict()
        if is_command or pid in self._by_pid:
            raise Refusal("not_adopted", f"pid {pid} is a command or watched already; name another")
        stray = self._stray(pid, start_time)
        held = processes.hold(pid)
        if held is not None:
            pidfd, found = held
            is_ours = not start_time and found.parent == os.getpid()
            is_it = is_ours or found.start_time == start_time
            if is_it and stray is None:
                self._require_watch(entry | {"pid": pid, "start_time": found.start_time}, pidfd)
                return self._view(self._table[adoption.instance])
            os.close(pidfd)
            if is_it:
                raise Refusal("not_adopted", f"pid {pid} was used twice; say the start time too")
        if stray is None:
            raise Refusal(
                "no_process",
                f"pid {pid} is no child of the keeper that runs or ended lately, nor a process of"
                f" start time {start_time}; start it again",
            )
        entry |= {"pid": pid, "start_time": stray.start_time}
        self._journal.require({"entry": "watch", **entry})
        del self._strays[pid]
        self._record(entry, "", stray.code)
        return self._view(entry)

    def _stray(self, pid: int, start_time: int) -> Stray | None:
        oldest_s = self._host.monotonic() - limits.STRAY_AGE_S
        stray = self._strays.get(pid)
        if stray is None or stray.at_s < oldest_s:
            return None
        known = start_time and stray.start_time
        return None if known and start_time != stray.start_time else stray

    def _entry(self, instance: str, start_id: str) -> Entry:
        return {"instance": instance, "start_id": start_id, "boot_id": self._host.boot_id}

    def _require_watch(self, entry: Entry, pidfd: int) -> None:
        try:
            self._journal.require({"entry": "watch", **entry})
        except Refusal:
            os.close(pidfd)
            raise
        self._hold(entry, pidfd)

    def _watch(self, entry: Entry, pidfd: int) -> None:
        self._journal.record({"entry": "watch", **entry})
        self._hold(entry, pidfd)

    def _hold(self, entry: Entry, pidfd: int) -> None:
        self._running[entry["instance"]] = Running(pidfd, entry)
        self._by_pid[entry["pid"]] = entry["instance"]
        if not processes.is_child(pidfd):
            self._loop.watch(pidfd, READ, lambda _: self._foreigner_ended(entry))

    # --- ending ----------------------------------------------------------------------------------

    def ended(self, pid: int, start_time: int, code: int) -> None:
        """Record how a reaped child ended, or remember it; `code` is negative for a signal."""
        instance = self._by_pid.get(pid)
        if instance is not None:
            self._record(self._release(instance), "", code)
            return
        self._strays.pop(pid, None)
        self._strays[pid] = Stray(start_time, code, self._host.monotonic())
        if len(self._strays) > limits.STRAYS_MAX:
            self._strays.popitem(last=False)

    def _foreigner_ended(self, entry: Entry) -> None:
        self._record(self._release(entry["instance"]), "unknown")

    def _release(self, instance: str) -> Entry:
        pidfd, entry = self._running.pop(instance)
        del self._by_pid[entry["pid"]]
        self._loop.forget(pidfd)
        os.close(pidfd)
        return entry

    def _record(self, entry: Entry, how: str, code: int | None = None) -> None:
        """Owe the record of an end; without a code `how` says why there is none."""
        if code is not None:
            how = "signaled" if code < 0 else "exited"
        self._journal.record(
            {
                **{field: entry.get(field) for field in EXIT_FIELDS},
                "entry": "exit",
                "how": how,
                "status": code if code is not None and code >= 0 else None,
                "signal": -code if code is not None and code < 0 else None,
                "time": round(self._host.wall(), 6),
            }
        )
        self._on_end(entry["instance"])

    # --- asking ----------------------------------------------------------------------------------

    def signal(self, instance: str, start_id: str, number: int) -> None:
        """Send a signal to the very process of a start; raises Refusal."""
        running = self._running.get(instance)
        if running is None or running.entry["start_id"] != start_id:
            raise Refusal("not_running", f"{instance} does not run under start {start_id}")
        try:
            signal.pidfd_send_signal(running.pidfd, number)
        except ProcessLookupError:
            raise Refusal("not_running", f"{instance} has just ended") from None

    def forget(self, instance: str) -> None:
        """Drop what is known of an instance that does not run; raises Refusal if it does."""
        if instance in self._running:
            raise Refusal("already_running", f"{instance} runs; stop it before it is forgotten")
        if instance in self._table:
            self._journal.record({"entry": "forget", "instance": instance})

    def inventory(self) -> list[Entry]:
        """Give the view of every instance."""
        return [self._view(entry) for entry in self._table.values()]

    def _view(self, entry: Entry) -> Entry:
        running = self._running.get(entry["instance"])
        entry = entry if running is None else running.entry
        return {
            **{field: entry.get(field) for field in VIEW_FIELDS},
            "running": running is not None,
            "exit": entry.get("exit"),
        }

    def trim_logs(self) -> None:
        """Turn over the logs that processes write by themselves; raises OSError."""
        for running in self._running.values():
            if log := LogFile.read(running.entry.get("log")):
                trim(log)
