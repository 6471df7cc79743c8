"""The way to a host's inside: what the API asks an agent for without an operation."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from fifo.hypervisors.driver import Channel, Stats
    from fifo.model.hypervisor import Probe


class Measured(NamedTuple):
    """What an instance has used, and when that was read, in UTC seconds."""

    at: float
    stats: Stats


class Gateway(Protocol):
    """Finds an instance on its host and looks inside; on the node's loop.

    All fail with Unavailable for a host that cannot be asked, with what its driver says, and with
    a SupervisorsError where a part of the agent ends while it is asked.
    """

    def console(self, host: str, uid: str) -> Awaitable[Channel]:
        """Attach to an instance's console."""

    def execute(
        self,
        host: str,
        uid: str,
        command: tuple[str, ...],
        *,
        terminal: bool,
        environment: dict[str, str],
    ) -> Awaitable[Channel]:
        """Run a command inside an instance."""

    def logs(self, host: str, uid: str, most_bytes: int) -> Awaitable[bytes]:
        """Give the end of what an instance wrote to its console."""

    def stats(self, host: str, uid: str) -> Awaitable[Measured]:
        """Measure an instance, or give what was measured within the last second.

        Raises WrongState for one that does not run.
        """

    def transfers(self, host: str) -> Awaitable[dict[str, tuple[int, int]]]:
        """Tell how far the images are that a host fetches: bytes so far and in all, by uid."""

    def probe(self, host: str) -> Awaitable[Probe]:
        """Find out by trial what a host can do."""
