"""What the driver asks of each kind of instance: zones now, virtual machines beside them.

The driver holds the lock of an instance around every verb that changes it, and has looked that the
instance is there. A kind never decides; it raises errors of `fifo.model.errors`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from fifo.hypervisors.driver import Applied, Channel, Stats, Wanted
    from fifo.hypervisors.linux.layout import Kept
    from fifo.model.image import Image
    from fifo.model.instance import Snapshot


class Kind(Protocol):
    """Instances of some brands."""

    brands: tuple[str, ...]

    async def create(self, wanted: Wanted) -> None:
        """Make it, whole or not at all."""

    async def start(self, kept: Kept, wanted: Wanted, start_id: int) -> Kept:
        """Start what does not run; gives what is kept of it then."""

    async def ask_to_stop(self, kept: Kept) -> None:
        """Ask it to stop in order; WrongState if it has just ended."""

    async def kill(self, kept: Kept) -> None:
        """Force it to end; WrongState if it has just ended."""

    async def release(self, kept: Kept) -> None:
        """Take back what an instance that ended had of the host but for its disk; idempotent."""

    async def update(self, kept: Kept, wanted: Wanted, *, running: bool) -> Applied:
        """Apply what changed, as far as it can be done live."""

    async def sweep(self, running: tuple[Kept, ...]) -> tuple[str, ...]:
        """Take over what runs, and remove what is nobody's; called once, before anything else.

        Gives the ports of what runs.
        """

    async def snapshots(self, kept: Kept) -> tuple[Snapshot, ...]:
        """List them, oldest first."""

    async def snapshot(self, kept: Kept, name: str) -> Snapshot:
        """Take one; one that is there is given."""

    async def roll_back(self, kept: Kept, name: str) -> None:
        """Put back what does not run."""

    async def delete_snapshot(self, kept: Kept, name: str) -> None:
        """Drop one."""

    async def capture_image(self, kept: Kept, image: Image) -> Image:
        """Make an image of what does not run."""

    async def console(self, kept: Kept) -> Channel:
        """Attach to the console of what runs."""

    async def execute(
        self, kept: Kept, command: tuple[str, ...], environment: dict[str, str], *, terminal: bool
    ) -> Channel:
        """Run a command in what runs."""

    async def stats(self, running: tuple[Kept, ...]) -> tuple[Stats, ...]:
        """Measure what runs."""

    async def close(self) -> None:
        """Let go of what runs, which goes on."""
