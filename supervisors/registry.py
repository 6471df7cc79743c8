"""Unique local names of processes."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Protocol

from supervisors.errors import AlreadyStarted
from supervisors.reasons import shown
from supervisors.ref import Ref

if TYPE_CHECKING:
    from collections.abc import Iterator

    from supervisors.process import Process


logger = logging.getLogger("supervisors")


class NameTable(Protocol):
    """What `Via` needs of a registry of one's own (OTP: the via callbacks)."""

    def register_name(self, name: Any, ref: Ref[Any]) -> bool:
        """Give the name to a process; False if it is taken."""

    def unregister_name(self, name: Any) -> None:
        """Free the name."""

    def whereis_name(self, name: Any) -> Ref[Any] | None:
        """Say who has the name."""


class Via:
    """A name in a registry of one's own: `Via(table, "disk-7")` wherever a name may stand."""

    __slots__ = ("name", "table")

    def __init__(self, table: NameTable, name: Any) -> None:
        self.table = table
        self.name = name

    def __repr__(self) -> str:
        return f"Via({shown(self.name)})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Via) and (other.table, other.name) == (self.table, self.name)

    def __hash__(self) -> int:
        return hash((id(self.table), self.name))


class Registry:
    """The node's own names: any hashable value, one process each, one name a process.

    Written on the shard's thread; looked up from any. A name is free again before anyone learns
    that its process has ended.
    """

    __slots__ = ("named",)

    def __init__(self) -> None:
        self.named: dict[Any, Process] = {}

    def __len__(self) -> int:
        return len(self.named)

    def lookup(self, name: Any) -> Ref[Any] | None:
        """Give who has a name, a `Via` included."""
        if name.__class__ is Via:
            return name.table.whereis_name(name.name)
        process = self.named.get(name)
        return None if process is None else Ref(process)

    def add(self, name: Any, process: Process) -> None:
        """Name a process; raises AlreadyStarted if the name is taken or the process has one."""
        if process._name is not None:
            raise AlreadyStarted(process._name, process.ref)
        if name.__class__ is Via:
            if not name.table.register_name(name.name, process.ref):
                raise AlreadyStarted(name, self.lookup(name))
        elif self.named.setdefault(name, process) is not process:
            raise AlreadyStarted(name, self.lookup(name))
        process._name = name

    def forget(self, process: Process) -> None:
        """Free the name of a process; a table that fails to is logged."""
        name = process._name
        process._name = None
        if name.__class__ is Via:
            try:
                name.table.unregister_name(name.name)
            except Exception:
                logger.exception("the table of %r failed to free it", name)
        else:
            self.named.pop(name, None)

    def select(self, prefix: str) -> Iterator[tuple[str, Ref[Any]]]:
        """List names that are strings with a prefix, with who has them, in order of naming."""
        for name, process in tuple(self.named.items()):
            if isinstance(name, str) and name.startswith(prefix):
                yield name, Ref(process)
