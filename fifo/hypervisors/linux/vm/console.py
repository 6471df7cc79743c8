"""A VM's serial line as the driver's callers see it."""

from __future__ import annotations

from fifo.hypervisors.linux.channels import TerminalChannel


class SerialChannel(TerminalChannel):
    """The console of a VM: bytes both ways, and no size that anybody could be told."""

    async def resize(self, columns: int, rows: int) -> None:
        """Take no notice: a serial line has no size; in the guest `stty` or `resize` sets it."""
