"""The owner of the host's driver: it runs the orders of all others, and hears the host's events.

Its tasks end with it, so that nothing is under way that it does not know.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from fifo.agent import limits, names
from fifo.agent.gates import Gates
from fifo.agent.orders import Order, Seen, Withdraw
from fifo.agent.performing import outcome, perform
from fifo.agent.sight import PROBE, Sight
from fifo.model.errors import Cancelled, FifoError, Unavailable
from supervisors import Continue, Future, GenServer, NoReply, run_task, terminate_child

if TYPE_CHECKING:
    from fifo.agent.orders import Look
    from fifo.agent.settings import AgentSettings

SIGHT: Final = "sight"
"""Call: a Sighted, as soon as the host is in sight."""


class _Done(NamedTuple):
    order: Order
    result: Future[Any]


class HostDriver(GenServer):
    """Runs orders and follows events (`names.driver`)."""

    mailbox_limit = limits.ORDERS_WAITING

    def init(self, settings: AgentSettings) -> Continue:
        """Open the driver; the host is looked at after the start was answered."""
        self.trap_exit = True  # Its tasks are linked to it; how they end, their futures tell.
        self.driver = settings.driver()
        self.calls = settings.calls
        self.tasks = self.node.address(names.tasks(settings.host))
        self.gates = Gates(settings, self.ref)
        self.sight = Sight(self, settings.host, self.driver, self._admit)
        return Continue(None)

    def terminate(self, reason: Any) -> None:
        """Hear no more; instances are left as they are."""
        del reason
        self.sight.close()

    # -- messages ----------------------------------------------------------------------------

    def handle_continue(self, argument: Any) -> None:
        """Look at the host for the first time."""
        del argument
        self.sight.begin()

    def handle_cast(self, message: Order | Withdraw | Look) -> None:
        """Take an order, the end of one, or a question how an instance is."""
        if isinstance(message, Order):
            self._admit(message)
        elif isinstance(message, Withdraw):
            self._withdraw(message.uid)
        else:
            self.sight.look(message)

    def handle_call(self, message: str, caller: Future[Any]) -> NoReply:
        """Answer SIGHT."""
        del message
        self.sight.ask(caller)
        return NoReply()

    def handle_info(self, message: Any) -> None:
        """Take the ends of orders, and what the driver says."""
        if message.__class__ is _Done:
            self._finish(message.order, message.result)
        else:
            self.sight.hear(message)

    # -- orders ------------------------------------------------------------------------------

    def _admit(self, order: Order) -> None:
        """Run an order when its turn comes, or refuse it."""
        try:
            is_its_turn = self.gates.admit(order)
        except Unavailable as refusal:
            self._reply(order, None, refusal)
            return
        if order.subject:
            self.sight.touch(order.subject)
        if is_its_turn:
            self._run(order)

    def _withdraw(self, uid: str) -> None:
        """End the stops of an instance where they are; they are answered with Cancelled."""
        for order in self.gates.about(uid):
            if order.verb == "stop":
                order.withdrawn = True
                if order.task is not None:
                    terminate_child(self.tasks, order.task)

    def _run(self, order: Order) -> None:
        ref = self.ref
        result: Future[Any]
        if order.withdrawn:
            result = Future()
            result.fail(Cancelled("it was withdrawn before its turn", order.subject))
            ref.send(_Done(order, result))
            return
        order.began_s = self.node.shard.now_s()
        result = run_task(
            self.tasks, perform, self.driver, order,
            timeout_s=order.deadline_s + limits.CLEAN_UP_S,
        )  # fmt: skip
        result.add_done_callback(lambda settled: ref.send(_Done(order, settled)))

    def _finish(self, order: Order, result: Future[Any]) -> None:
        value, error = outcome(order, result)
        if order.began_s is not None:
            self.calls.ended(order.verb, self.node.shard.now_s() - order.began_s, error)
        if order.verb == PROBE and order.caller is not None and error is None:
            self.sight.renew(value)
        self._reply(order, value, error)
        if order.subject:
            self.sight.touch(order.subject)
            if order.to is not None and not order.to.is_alive():
                self.sight.nudge(order.subject)  # Its actor has begun anew meanwhile.
        for following in self.gates.leave(order):
            self._run(following)

    def _reply(self, order: Order, value: Any, error: FifoError | None) -> None:
        """Answer an order, or the question how an instance is that became one."""
        if order.verb != "inspect":
            order.answer(value, error)
        elif order.to is not None and order.to.is_alive():
            order.to.send(Seen(order.token, value, self.sight.boot_id, error))
