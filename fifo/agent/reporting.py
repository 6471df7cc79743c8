"""Reporting: journal entries to the session that owns the host, in order, until acknowledged."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from fifo.agent import limits, names
from fifo.agent.journal import NUMBERS
from fifo.agent.writes import Entries, Grown
from fifo.model.limits import JOURNAL_REPORT_ENTRIES
from fifo.model.link import Acknowledge, Blind, Probed, Report
from supervisors import Down, GenServer

if TYPE_CHECKING:
    from fifo.agent.settings import AgentSettings
    from supervisors import Ref

_RESEND: Final = "resend"


class Attach(NamedTuple):
    """From now on reports go to this session."""

    session: Ref[Any]


class Reporter(GenServer):
    """Sends one report at a time (`names.reporter`); what is not acknowledged is sent again."""

    def init(self, settings: AgentSettings) -> None:
        """Begin with nobody to report to."""
        self.host = settings.host
        self.journal = self.node.address(names.journal(settings.host))
        self.session: Ref[Any] | None = None
        self.watch: Any = None
        self.acknowledged = 0
        self.sent = 0
        self.timer: Any = None

    async def handle_cast(self, message: Any) -> None:
        """Take a session, an acknowledgement, or the news of further ones; pass others on."""
        if isinstance(message, Attach):
            if self.watch is not None:
                self.demonitor(self.watch, flush=True)
            self.session = message.session
            self.watch = self.monitor(message.session)
            numbers = await self.journal.call(NUMBERS, timeout_s=None)
            self.acknowledged = numbers.first_unacknowledged - 1
            self._rest()
        elif isinstance(message, Blind | Probed):
            if self.session is not None:
                self.session.cast(message)
            return
        elif isinstance(message, Acknowledge):
            if message.sequence > self.acknowledged:
                self.acknowledged = message.sequence
                self.journal.cast(message)
            if message.sequence >= self.sent:
                self._rest()
        elif not isinstance(message, Grown):
            return
        if not self.sent and self.session is not None:
            await self._send(self.session)

    async def handle_info(self, message: Any) -> None:
        """Send again what was not acknowledged in time; stop when the session has ended."""
        if isinstance(message, Down):
            self.session = self.watch = None
            self._rest()
        elif message == _RESEND and self.session is not None:
            self._rest()
            await self._send(self.session)

    def _rest(self) -> None:
        self.sent = 0
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None

    async def _send(self, session: Ref[Any]) -> None:
        question = Entries(self.acknowledged, JOURNAL_REPORT_ENTRIES)
        entries = await self.journal.call(question, timeout_s=None)
        if entries:
            self.sent = entries[-1].sequence
            self.timer = self.send_after(limits.RESEND_S, _RESEND)
            session.cast(Report(host=self.host, entries=entries))
