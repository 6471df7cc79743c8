"""Measuring: the host and every running instance, the latest numbers kept as plain data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from fifo.agent import limits, names
from fifo.agent.messages import Halted
from fifo.agent.orders import Answer, Order
from supervisors import GenServer, NoReply

if TYPE_CHECKING:
    from fifo.agent.settings import AgentSettings
    from fifo.hypervisors.driver import HostUsage, Stats
    from fifo.model.errors import FifoError
    from supervisors import Future

LATEST: Final = "latest"
"""Call: a Sample, at once, as old as it may be."""
_MEASURE: Final = "measure"


class Fresh(NamedTuple):
    """Call: a Sample no older than `limits.SAMPLE_FRESH_S` that holds this instance if it runs.

    Fails as the measuring does.
    """

    uid: str


class Sample(NamedTuple):
    """What running instances have used; `at` is in UTC seconds, `error` why it is no newer.

    `host` is the host's own figures of the same time, None where they could not be read.
    """

    at: float
    by_uid: dict[str, Stats]
    error: FifoError | None = None
    host: HostUsage | None = None


class Sampling(GenServer):
    """Keeps the latest sample (`names.sampling`); metrics and the API ask for it.

    However many ask for fresh numbers, the host is measured once at a time and once in
    `limits.SAMPLE_FRESH_S` for them: a bot for each instance costs no more than one for all.
    """

    def init(self, settings: AgentSettings) -> None:
        """Measure soon."""
        self.settings = settings
        self.driver = self.node.address(names.driver(settings.host))
        self.sample = Sample(0.0, {})
        self.fresh_until_s = 0.0
        self.measuring = False
        self.halted: frozenset[str] = frozenset()
        self.asking: list[Future[Any]] = []
        self.timer = self.send_after(0.0, _MEASURE)

    def handle_call(self, message: str | Fresh, caller: Future[Any]) -> Sample | NoReply:
        """Give the latest sample, which nobody changes, or one that is fresh."""
        if isinstance(message, str) or self._is_fresh_for(message.uid):
            return self.sample
        self.asking.append(caller)
        self._measure()
        return NoReply()

    def handle_info(self, message: Any) -> None:
        """Measure when it is time; the next time is counted from the answer."""
        if message == _MEASURE:
            self._measure()
        elif isinstance(message, Answer) and message.verb == "usage":
            self.sample = self.sample._replace(host=message.value)
        elif isinstance(message, Answer):
            self._measured(message)

    def _is_fresh_for(self, uid: str) -> bool:
        return uid in self.sample.by_uid and self.node.shard.now_s() < self.fresh_until_s

    def _measure(self) -> None:
        if not self.measuring:
            self.measuring = True
            for verb in ("usage", "stats"):
                self.driver.cast(Order(verb, (), limits.STATS_DEADLINE_S, to=self.ref))

    def _measured(self, answer: Answer) -> None:
        self.measuring = False
        asking, self.asking = self.asking, []
        if answer.error is None:
            found = {stats.uid: stats for stats in answer.value}
            self.sample = Sample(self.settings.utc(), found, host=self.sample.host)
            self.fresh_until_s = self.node.shard.now_s() + limits.SAMPLE_FRESH_S
            self._tell_of_halted(frozenset(uid for uid, stats in found.items() if stats.halted))
        else:
            self.sample = self.sample._replace(error=answer.error)
        for caller in asking:
            if answer.error is None:
                caller.reply(self.sample)
            else:
                caller.fail(answer.error)
        self.timer.cancel()
        self.timer = self.send_after(self.settings.sample_s, _MEASURE)

    def _tell_of_halted(self, halted: frozenset[str]) -> None:
        """Tell instances that the host holds them up, each time, and once that it does not."""
        for uid in sorted(halted | self.halted):
            actor = self.node.whereis(names.instance(self.settings.host, uid))
            if actor is not None:
                actor.send(Halted(uid in halted))
        self.halted = halted
