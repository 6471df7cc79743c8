"""The faults of one request, gathered from checks that each raise those of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fifo.model.errors import InvalidInput, Violation

if TYPE_CHECKING:
    from types import TracebackType


class Faults:
    """What is wrong with a request so far; made and used by one call's handler."""

    def __init__(self) -> None:
        self.violations: list[Violation] = []

    def add(self, field: str, wanted: str) -> None:
        """Note one."""
        self.violations.append(Violation(field, wanted))

    def __enter__(self) -> None:
        """Note what a check in the block raises as InvalidInput, and go on behind the block."""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool:
        if isinstance(error, InvalidInput):
            self.violations += error.violations
            return True
        return False

    def refuse(self, subject: str) -> None:
        """Raise InvalidInput with all of them, if there are any."""
        if self.violations:
            raise InvalidInput(subject, tuple(self.violations))
