"""Admission: which orders to the driver run now, and behind what the others wait.

Orders about one instance run one after the other, whoever gave them: an actor that comes back does
not act while what its former life began is still under way. How many of a kind run at one time is
bounded by gates.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

from fifo.agent import limits
from fifo.agent.orders import BOOTS, CREATES, LOOKS, OTHERS, STARTS, STOPS, too_many

if TYPE_CHECKING:
    from fifo.agent.orders import Order
    from fifo.agent.settings import AgentSettings
    from supervisors import Ref


class Gate:
    """How many orders of a kind may run, how many do, and who waits."""

    __slots__ = ("most", "running", "waiting")

    def __init__(self, most: int) -> None:
        self.most = most
        self.running = 0
        self.waiting: deque[Order] = deque()


class Gates:
    """All gates of a host and the queues before them; only the driver's owner calls it.

    Whom it names runs: the owner says of each when it has ended. Orders answered to `own` are the
    owner's own looks, which are one or two and are never refused.
    """

    __slots__ = ("_gates", "_host", "_of_subject", "_own", "_waiting")

    def __init__(self, settings: AgentSettings, own: Ref[Any]) -> None:
        self._host = settings.host
        self._own = own
        self._gates = {
            STARTS: Gate(settings.parallel_starts),
            BOOTS: Gate(settings.boot_starts),
            CREATES: Gate(settings.parallel_creates),
            STOPS: Gate(limits.PARALLEL_STOPS),
            OTHERS: Gate(limits.PARALLEL_OTHERS),
            LOOKS: Gate(limits.PARALLEL_LOOKS),
        }
        self._waiting = 0
        """Orders that have not run yet, behind another or at a gate."""
        self._of_subject: dict[str, deque[Order]] = {}
        """Orders by whom they are about: the first runs or waits at its gate, and so do stops
        that are beside it; the others wait for it."""

    def admit(self, order: Order) -> bool:
        """Tell whether an order runs now; else it waits behind those of its subject or at its gate.

        A stop does not wait for a stop: of the two the one with less patience counts, and whoever
        asked for that must not wait for a guest that hangs. An order that would have to wait is
        refused with Unavailable if too many do.
        """
        gate = self._gates[order.gate]
        subject = order.subject
        of_subject = self._of_subject.get(subject) if subject else None
        if of_subject is not None and order.verb == of_subject[0].verb == "stop":
            order.beside = True
            of_subject.insert(1, order)
            return True
        is_full = gate.running >= gate.most
        if of_subject is not None or is_full:
            if self._waiting >= limits.ORDERS_WAITING and order.to != self._own:
                raise too_many(self._host)
            self._waiting += 1
        if of_subject is not None:
            of_subject.append(order)
            return False
        if subject:
            self._of_subject[subject] = deque((order,))
        if is_full:
            gate.waiting.append(order)
            return False
        gate.running += 1
        return True

    def leave(self, order: Order) -> tuple[Order, ...]:
        """Take back the place of an order that has ended; gives those that run now in its stead."""
        runs: tuple[Order, ...] = ()
        if order.subject:
            following = self._next_of_subject(order)
            if following is not None and self._pass(following):
                runs = (following,)
        if order.beside:
            return runs  # It took no place at its gate.
        gate = self._gates[order.gate]
        gate.running -= 1
        if gate.waiting and gate.running < gate.most:
            gate.running += 1
            self._waiting -= 1
            runs = (*runs, gate.waiting.popleft())
        return runs

    def about(self, subject: str) -> tuple[Order, ...]:
        """Give the orders about an instance, those that run and those that wait."""
        return tuple(self._of_subject.get(subject, ()))

    def _next_of_subject(self, order: Order) -> Order | None:
        """Give the next order about the same instance, when none of it runs any more."""
        of_subject = self._of_subject[order.subject]
        was_first = of_subject[0] is order
        of_subject.remove(order)
        if not of_subject:
            del self._of_subject[order.subject]
        elif was_first and not of_subject[0].beside:
            return of_subject[0]
        return None

    def _pass(self, order: Order) -> bool:
        """Let one that waited behind another go to its gate; tells whether it runs."""
        gate = self._gates[order.gate]
        if gate.running >= gate.most:
            gate.waiting.append(order)
            return False
        gate.running += 1
        self._waiting -= 1
        return True
