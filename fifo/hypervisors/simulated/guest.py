"""One instance on a simulated host: what the host itself would know of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fifo.hypervisors.driver import Observed
from fifo.hypervisors.simulated import limits

if TYPE_CHECKING:
    from fifo.hypervisors.driver import Wanted
    from fifo.hypervisors.simulated.channel import Stream
    from fifo.hypervisors.simulated.clockwork import Alarm, Settable
    from fifo.model.instance import Exit, Snapshot


class Guest:
    """A zone or a VM; most fields stay empty, since a host may have thousands."""

    __slots__ = (
        "alarm", "boot_id", "channels", "exit", "log", "pid", "snapshots", "start_id",
        "started", "told", "waiters", "wanted", "whole",
    )  # fmt: skip

    def __init__(self, wanted: Wanted) -> None:
        self.wanted = wanted
        self.whole = False
        self.pid = 0
        self.start_id = 0
        self.started = 0.0
        self.boot_id = ""
        self.exit: Exit | None = None
        self.told = True
        self.snapshots: tuple[Snapshot, ...] = ()
        self.log = b""
        self.alarm: Alarm | None = None
        self.channels: list[Stream] | None = None
        self.waiters: list[Settable] | None = None

    @property
    def uid(self) -> str:
        """Its name."""
        return self.wanted.spec.uid

    @property
    def running(self) -> bool:
        """Whether it runs."""
        return self.pid != 0

    @property
    def hostname(self) -> str:
        """What it calls itself."""
        spec = self.wanted.spec
        return spec.hostname or spec.id

    def observed(self) -> Observed:
        """Give what the host says of it."""
        return Observed(
            self.wanted.spec.uid, "running" if self.pid else "stopped", self.start_id, self.pid,
            self.boot_id, self.exit,
        )  # fmt: skip

    def write_log(self, data: bytes) -> None:
        """Add to the console's output; its beginning is forgotten beyond a bound."""
        log = self.log + data
        self.log = log if len(log) <= limits.LOG_BYTES else log[-limits.LOG_BYTES :]

    def attach(self, stream: Stream) -> None:
        """Note a channel that ends when the guest does."""
        if self.channels is None:
            self.channels = []
        self.channels = [other for other in self.channels if not other.closed]
        self.channels.append(stream)
