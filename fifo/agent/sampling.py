"""Measuring: every running instance at an interval, the latest numbers kept as plain data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from fifo.agent import limits, names
from fifo.agent.orders import Answer, Order
from supervisors import GenServer

if TYPE_CHECKING:
    from fifo.agent.settings import AgentSettings
    from fifo.hypervisors.driver import Stats
    from fifo.model.errors import FifoError
    from supervisors import Future

LATEST: Final = "latest"
"""Call: a Sample."""
_MEASURE: Final = "measure"


class Sample(NamedTuple):
    """What running instances have used; `at` is in UTC seconds, `error` why it is no newer."""

    at: float
    by_uid: dict[str, Stats]
    error: FifoError | None = None


class Sampling(GenServer):
    """Keeps the latest sample (`names.sampling`); metrics and the API ask for it."""

    def init(self, settings: AgentSettings) -> None:
        """Measure soon."""
        self.settings = settings
        self.driver = self.node.address(names.driver(settings.host))
        self.sample = Sample(0.0, {})
        self.send_after(0.0, _MEASURE)

    def handle_call(self, message: str, caller: Future[Any]) -> Sample:
        """Give the latest sample, which nobody changes."""
        del message, caller
        return self.sample

    def handle_info(self, message: Any) -> None:
        """Measure when it is time; the next time is counted from the answer."""
        if message == _MEASURE:
            order = Order("stats", (), limits.STATS_DEADLINE_S, to=self.ref)
            self.driver.cast(order)
        elif isinstance(message, Answer):
            if message.error is None:
                found = {stats.uid: stats for stats in message.value}
                self.sample = Sample(self.settings.utc(), found)
            else:
                self.sample = self.sample._replace(error=message.error)
            self.send_after(self.settings.sample_s, _MEASURE)
