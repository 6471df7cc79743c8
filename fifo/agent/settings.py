"""What an agent is given."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from fifo.agent import limits
from fifo.agent.call_counts import CallCounts
from fifo.agent.journal_counts import JournalCounts

if TYPE_CHECKING:
    from collections.abc import Callable

    from fifo.hypervisors.driver import Driver
    from fifo.store.embedded import EmbeddedStore
    from supervisors import Future, Node


@dataclass(frozen=True, slots=True)
class AgentSettings:
    """One host's agent: which host, its driver, its own store, the wall clock.

    `driver` and `open_store` are called at each start of the process that owns what they give, on
    the node's shard. `utc` reads the wall clock in seconds. `calls` counts the driver's,
    `journal` what the journal lost. `lasting` says that what is on the host outlives the node: what
    is missing is then lost, and not made anew unless somebody asks for it.
    """

    host: str
    driver: Callable[[], Driver]
    open_store: Callable[[Node], Future[EmbeddedStore]]
    utc: Callable[[], float]
    version: str = ""
    lasting: bool = True
    parallel_starts: int = limits.PARALLEL_STARTS
    boot_starts: int = limits.BOOT_STARTS
    parallel_creates: int = limits.PARALLEL_CREATES
    sample_s: float = limits.SAMPLE_S
    calls: CallCounts = field(default_factory=CallCounts)
    journal: JournalCounts = field(default_factory=JournalCounts)
