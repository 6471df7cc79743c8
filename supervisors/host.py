"""What a shard needs from whoever runs it, and what its host owes it.

1. bind: set the shard's `thread_id` to the thread that will run it, and never run it on another
   one without raising `epoch` (only the thread host's takeover does).
2. run: after `wake` call `Shard.run_slice` until it says that nothing is left to do.
3. time: call `run_slice` again at or before `Shard.next_due_s()`.
4. outside: after `wake_from_outside`, which any thread may call, do as for 2.
5. close: when it will not run the shard any more, call `closing.close` on the shard's thread, and
   from then on `closing.refuse` in `wake_from_outside`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from supervisors.future import Future
    from supervisors.process import Process


class Host(Protocol):
    """What a shard needs from whoever runs it."""

    inline_init: bool
    """Whether a plain init may run inside its starter's turn."""

    def clock(self) -> float:
        """Monotonic seconds."""

    def wake(self) -> None:
        """Run the shard soon; called on the shard's thread, outside of `run_slice`."""

    def wake_from_outside(self) -> None:
        """Run the shard soon; called on any other thread."""

    def run_until(self, future: Future[Any], timeout_s: float | None) -> None:
        """Make progress until the future is settled, or raise WouldDeadlock or CallTimeout."""

    def await_foreign(self, process: Process, awaited: Any) -> None:
        """Resume the parked process when something that is not ours settles, or raise."""
