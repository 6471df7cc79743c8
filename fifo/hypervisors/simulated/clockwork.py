"""What the simulated host needs of the world: time, chance and things to wait for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Generator


class Settable(Protocol):
    """A future: awaited by one, settled by another; to settle it again changes nothing."""

    def __await__(self) -> Generator[Any, None, Any]:
        """Wait for it."""

    def done(self) -> bool:
        """Tell whether it is settled."""

    def reply(self, value: Any) -> None:
        """Settle it with a value."""

    def fail(self, error: Exception) -> None:
        """Settle it with an error."""


class Alarm(Protocol):
    """A function that will be called."""

    def cancel(self) -> None:
        """Do not call it; harmless when it was called already."""


class Clockwork(Protocol):
    """A world's clock and dice; `fifo.agent.clockwork` makes one of a node."""

    def now(self) -> float:
        """Give seconds that only go forward."""

    def utc(self) -> float:
        """Give UTC seconds, which may be set back."""

    def sleep(self, seconds: float) -> Awaitable[None]:
        """Wait."""

    def after(self, seconds: float, function: Callable[[], None]) -> Alarm:
        """Call a function, which must not raise, when so much time has passed."""

    def future(self) -> Settable:
        """Make something to wait for."""

    def random(self) -> float:
        """Draw from 0 up to 1."""
