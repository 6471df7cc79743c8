"""The hosts as workflows know them: whom to send an order, and as whose owner."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fifo.model.errors import FifoError, Unavailable
from supervisors import Future
from supervisors.errors import CallExit, CallTimeout, SupervisorsError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from collections.abc import Set as AbstractSet

    from fifo.model.link import Command, CommandResult
    from supervisors import Process, Ref


def session_name(host: str) -> tuple[str, str]:
    """Name the session with a host."""
    return ("session", host)


class HostsClient:
    """Finds sessions by host; on the node's thread."""

    def __init__(
        self, whereis: Callable[[Any], Ref[Process] | None], expected: Iterable[str] = ()
    ) -> None:
        self._whereis = whereis
        self.expected = set(expected)
        """Hosts to be met since the start; each session takes its own out, met or missed."""
        self.fences: dict[str, int] = {}
        """What each session owns its host by, for as long as it does; written by sessions."""

    def command(self, host: str, command: Command) -> Future[CommandResult]:
        """Order a host; fails with Unavailable if it cannot be asked or did not answer."""
        session = self._whereis(session_name(host))
        future: Future[CommandResult] = Future()
        if session is None:
            future.fail(_away(host, "it has no session"))
            return future
        answer = session.call(command, timeout_s=None)

        def settle(answered: Future[Any]) -> None:
            try:
                future.reply(answered.result())
            except FifoError as error:
                future.fail(error)
            except (CallExit, CallTimeout, SupervisorsError) as error:
                future.fail(_away(host, f"its session ended: {error}"))

        answer.add_done_callback(settle)
        return future

    def owners_fence(self, host: str) -> int:
        """The fence of who owns the host; 0 while nobody does, which every host refuses."""
        return self.fences.get(host, 0)

    def awaited(self) -> AbstractSet[str]:
        """Give the hosts that were neither met since the start nor missed (`limits.MISSED_S`)."""
        return self.expected


def _away(host: str, why: str) -> Unavailable:
    return Unavailable(f"the host cannot be asked: {why}", f"hypervisors/{host}")
