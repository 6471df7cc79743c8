"""Messages that reached nobody: counted by cause, sampled, offered to subscribers."""

from __future__ import annotations

import logging
from collections import Counter, deque
from typing import TYPE_CHECKING, Any, NamedTuple

from supervisors import limits

if TYPE_CHECKING:
    from collections.abc import Callable

    from supervisors.process import Process


logger = logging.getLogger("supervisors")


class DeadLetter(NamedTuple):
    """One message that nobody will handle."""

    process: str
    message: Any
    cause: str


class DeadLetters:
    """The node's dead letters; `causes` counts them all, `recent` keeps the last few."""

    def __init__(self) -> None:
        self.causes: Counter[str] = Counter()
        self.refusals: Counter[str] = Counter()
        self.recent: deque[DeadLetter] = deque(maxlen=limits.DEAD_LETTER_SAMPLES)
        self._subscribers: list[Callable[[DeadLetter], None]] = []

    def record(self, process: Process | str, message: Any, cause: str) -> None:
        """Note a message that nobody will handle; runs on the shard's thread.

        Of a process the class is kept; a remote address comes as its text.
        """
        self.causes[cause] += 1
        whom = process if isinstance(process, str) else type(process).__name__
        letter = DeadLetter(whom, message, cause)
        self.recent.append(letter)
        for subscriber in self._subscribers:
            try:
                subscriber(letter)
            except Exception:
                logger.exception("a subscriber to dead letters failed")

    def refused(self, process: Process) -> None:
        """Count a message that met a full mailbox, whatever the policy made of it."""
        self.refusals[type(process).__name__] += 1

    def subscribe(self, subscriber: Callable[[DeadLetter], None]) -> Callable[[], None]:
        """Call back for each dead letter, on the shard's thread; gives the unsubscriber.

        What it raises is logged.
        """
        self._subscribers.append(subscriber)
        return lambda: self._subscribers.remove(subscriber)
