"""Owner: gives what can end by itself, as a port or a store can, its place in a tree."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Protocol

from supervisors.gen_server import GenServer
from supervisors.results import Stop

if TYPE_CHECKING:
    from supervisors.future import Future

STATISTICS: Final = "statistics"
"""The call that an Owner answers with the statistics of what it owns."""


class Owned(Protocol):
    """What is opened, closed, and may end between the two."""

    @property
    def ended(self) -> Future[None]:
        """Settled when it has ended, with the error that says why if nobody closed it."""

    def close(self) -> Future[None]:
        """Begin to close it, and give `ended`."""

    def statistics(self) -> Any:
        """Give what it counts."""


class Owner(GenServer):
    """Lives as long as what it owns: ends when that does, and closes it at its own end.

    A subclass traps exits and opens it in init, whose last line is `self.own(opened)`. An orderly
    end waits until it is closed; for a killed owner the subclass sees to that.
    """

    def own(self, opened: Owned) -> None:
        """Live and end with it from now on."""
        self._opened = opened
        ref = self.ref
        opened.ended.add_done_callback(lambda _: ref.send(_Ended()))

    def handle_call(self, message: Any, caller: Any) -> Any:
        """Answer STATISTICS."""
        if message == STATISTICS:
            return self._opened.statistics()
        return super().handle_call(message, caller)

    def handle_info(self, message: Any) -> Any:
        """End with what it owns; if that stopped by itself, by the error that says why."""
        if isinstance(message, _Ended):
            self._opened.ended.result()
            return Stop()
        return super().handle_info(message)

    def handle_exit(self, sender: Any, reason: Any) -> Any:
        """End with whoever is linked: exits are trapped for the sake of `terminate` alone."""
        del sender
        return Stop(reason)

    async def terminate(self, reason: Any) -> None:
        """Close it and wait until it is closed."""
        del reason
        if not self._opened.ended.done():
            await self._opened.close()


class _Ended:
    """What is owned has ended."""
