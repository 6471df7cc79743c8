"""What is found while a payload is read: all of it, not the first alone."""

from __future__ import annotations

from typing import Final

from fifo.model.errors import Violation
from fifo.model.vmadm import limits

REQUIRED: Final = "a value: it is required"
"""What is wanted of a missing property."""


class Names:
    """Names of properties, each once, in the order they were found; a bound, the rest counted."""

    def __init__(self) -> None:
        self._names: dict[str, None] = {}
        self._more = 0

    def add(self, name: str) -> None:
        """Note one."""
        if name in self._names:
            return
        if len(self._names) < limits.NAMED:
            self._names[name] = None
        else:
            self._more += 1

    def listed(self) -> tuple[str, ...]:
        """Give them, and how many more there are."""
        more = (f"... and {self._more} more",) if self._more else ()
        return (*self._names, *more)


class Findings:
    """What is wrong with a payload, what is dropped of it, and what is not honoured."""

    def __init__(self) -> None:
        self.violations: list[Violation] = []
        self.dropped = Names()
        self.unhonoured = Names()

    def refuse(self, path: str, wanted: str) -> None:
        """Note a bad or missing value: vmadm fails on these."""
        if len(self.violations) < limits.VIOLATIONS:
            self.violations.append(Violation(path, wanted))

    def drop(self, path: str, *, told: bool = True) -> None:
        """Note a property that is not read: vmadm drops these without a word."""
        self.dropped.add(path)
        if told:
            self.unhonoured.add(path)
