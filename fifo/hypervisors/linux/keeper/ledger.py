"""What the keeper must still know after its own death: a table made by replaying entries.

Pure: an entry goes in, the table changes; `entries` gives the fewest entries that make it again.

| entry     | fields                                      | meaning                            |
| --------- | ------------------------------------------- | ---------------------------------- |
| `head`    | journal, next                               | whose numbers follow, and the next |
| `begin`   | instance, start_id, boot_id                 | a process is about to be started   |
| `watch`   | the same, pid, start_time, log, exit        | this process is watched            |
| `exit`    | EXIT_FIELDS                                 | it ended                           |
| `forget`  | instance                                    | nobody asks for it any more        |
| `console` | console, kind, path, log                    | a console is held                  |
| `closed`  | console                                     | and no longer                      |
| `ack`     | seq                                         | exits up to here have been read    |
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any, TypeAlias

from fifo.hypervisors.linux.keeper.limits import EXITS_KEPT_MAX

if TYPE_CHECKING:
    from collections.abc import Iterator

Entry: TypeAlias = "dict[str, Any]"

INSTANCE_FIELDS = ("instance", "start_id", "boot_id", "pid", "start_time", "log", "exit")
CONSOLE_FIELDS = ("console", "kind", "path", "log")
EXIT_FIELDS = (
    *("seq", "instance", "start_id", "boot_id", "pid", "start_time"),
    *("how", "status", "signal", "time"),
)


def _only(entry: Entry, fields: tuple[str, ...]) -> Entry:
    return {field: entry[field] for field in fields if entry.get(field) is not None}


class Ledger:
    """Instances and consoles by name, and the exits that nobody has acknowledged."""

    __slots__ = ("consoles", "exits", "instances", "journal", "next_seq")

    def __init__(self, journal: str) -> None:
        self.journal = journal
        self.next_seq = 1
        self.instances: dict[str, Entry] = {}
        self.consoles: dict[str, Entry] = {}
        self.exits: deque[Entry] = deque()

    def apply(self, entry: Entry) -> None:
        """Change the table by one entry; raises KeyError, TypeError or ValueError if it is none."""
        match entry["entry"]:
            case "head":
                self.journal = str(entry["journal"])
                self.next_seq = int(entry["next"])
            case "begin" | "watch":
                self.instances[str(entry["instance"])] = _only(entry, INSTANCE_FIELDS)
            case "exit":
                self._exit(_only(entry, EXIT_FIELDS))
            case "forget":
                self.instances.pop(entry["instance"], None)
            case "console":
                self.consoles[str(entry["console"])] = _only(entry, CONSOLE_FIELDS)
            case "closed":
                self.consoles.pop(entry["console"], None)
            case "ack":
                while self.exits and self.exits[0]["seq"] <= entry["seq"]:
                    self.exits.popleft()
            case kind:
                raise ValueError(f"{kind!r} is no entry")

    def _exit(self, record: Entry) -> None:
        self.next_seq = max(self.next_seq, int(record["seq"]) + 1)
        self.exits.append(record)
        if len(self.exits) > EXITS_KEPT_MAX:
            self.exits.popleft()
        instance = self.instances.get(record["instance"])
        if instance is not None and instance["start_id"] == record["start_id"]:
            instance["exit"] = record

    def first_seq(self) -> int:
        """Give the number of the first exit that is kept, or of the next one if none is."""
        return int(self.exits[0]["seq"]) if self.exits else self.next_seq

    def entries(self) -> Iterator[Entry]:
        """Yield entries that make this table again."""
        yield {"entry": "head", "journal": self.journal, "next": self.next_seq}
        # Before the instances: each of those has its own end in it, and an older one of the same
        # name must not be taken for that.
        for record in self.exits:
            yield {"entry": "exit", **record}
        for instance in self.instances.values():
            yield {"entry": "watch", **instance}
        for console in self.consoles.values():
            yield {"entry": "console", **console}
