"""What the journal of an agent has lost: counted where it is dropped, read at a scrape."""

from __future__ import annotations


class JournalCounts:
    """Counts; on the node's thread, and kept while the journal's process comes and goes."""

    def __init__(self) -> None:
        self.dropped = 0
        """Entries no session has taken over, dropped to bound the journal. Those whose drop was
        not durable when the journal ended are counted again when it is decided again."""
