"""The owner of the host's driver: it runs the orders of all others, and hears the host's events.

Orders about one instance run one after the other, whoever gave them: an actor that comes back does
not act while what its former life began is still under way. How many run at once is bounded by
gates. Its tasks end with it, so that nothing is under way that it does not know.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from fifo.agent import limits, names
from fifo.agent.gates import Gate
from fifo.agent.orders import (
    BOOTS,
    CREATES,
    LOOKS,
    OTHERS,
    STARTS,
    STOPS,
    Answer,
    Look,
    Nudge,
    Order,
    Seen,
    Sighted,
)
from fifo.agent.performing import outcome, perform
from fifo.hypervisors.driver import Broken, Ended, Inventory
from fifo.model.errors import Cancelled, FifoError, Unavailable
from fifo.model.link import Blind
from supervisors import Continue, Future, GenServer, NoReply, run_task

if TYPE_CHECKING:
    from fifo.agent.settings import AgentSettings
    from fifo.hypervisors.driver import Event, Observed, Subscription
    from fifo.model.hypervisor import Probe

PROBE: Final = "probe"
"""The verb that is ordered before all others."""
INVENTORY: Final = "inventory"
"""The verb by which a driver has to say what is there, beside the events it tells by itself."""
SIGHT: Final = "sight"
"""Call: a Sighted, as soon as the host is in sight."""
_OUT_OF_SIGHT: Final = "out of sight"
_ROUND: Final = "round"


class _Overdue(NamedTuple):
    """The host has been out of sight for `limits.BLIND_S`."""

    reason: str


class _Done(NamedTuple):
    order: Order
    result: Future[Any]


class HostDriver(GenServer):
    """Runs orders and follows events (`names.driver`)."""

    mailbox_limit = limits.ORDERS_WAITING

    def init(self, settings: AgentSettings) -> Continue:
        """Open the driver; the host is looked at after the start was answered."""
        self.trap_exit = True  # Its tasks are linked to it; how they end, their futures tell.
        self.host = settings.host
        self.driver = settings.driver()
        self.calls = settings.calls
        self.tasks = self.node.address(names.tasks(settings.host))
        self.gates = {
            STARTS: Gate(settings.parallel_starts),
            BOOTS: Gate(settings.boot_starts),
            CREATES: Gate(settings.parallel_creates),
            STOPS: Gate(limits.PARALLEL_STOPS),
            OTHERS: Gate(limits.PARALLEL_OTHERS),
            LOOKS: Gate(limits.PARALLEL_LOOKS),
        }
        self.waiting = 0
        """Orders that have not run yet, behind another or at a gate."""
        self.of_subject: dict[str, deque[Order]] = {}
        """Orders by whom they are about: the first runs or waits at its gate, and so do stops
        that are beside it; the others wait for it."""
        self.probe: Probe | None = None
        self.inventory: Inventory | None = None
        self.unseen: dict[str, Observed] = {}
        self.last: dict[str, Observed] = {}
        self.touched: set[str] = set()
        self.followed: dict[str, None] = {}
        self.present: frozenset[str] = frozenset()
        self.subscription: Subscription | None = None
        self.attempts = 0
        self.sighted = self.mute = False
        self.looking: list[Look] = []
        self.asking: list[Future[Any]] = []
        self.patience: Any = None
        self.overdue: Any = None
        return Continue(None)

    def terminate(self, reason: Any) -> None:
        """Hear no more; instances are left as they are."""
        del reason
        if self.subscription is not None:
            self.subscription.cancel()

    # -- messages ----------------------------------------------------------------------------

    def handle_continue(self, argument: Any) -> None:
        """Look at the host for the first time."""
        del argument
        self._subscribe()
        self.send_after(limits.ROUND_S, _ROUND)

    def handle_cast(self, message: Order | Look) -> None:
        """Take an order, or a question how an instance is."""
        if isinstance(message, Order):
            self._admit(message)
        elif self.sighted:
            self._look(message)
        elif len(self.looking) >= limits.ORDERS_WAITING:
            if message.to.is_alive():
                message.to.send(Seen(message.token, None, self.boot_id, self._too_many()))
        else:
            self.looking.append(message)

    def handle_call(self, message: str, caller: Future[Any]) -> NoReply:
        """Answer SIGHT."""
        del message
        if self.sighted and self.probe is not None:
            caller.reply(Sighted(self.present, self.probe))
        else:
            self.asking.append(caller)
        return NoReply()

    def handle_info(self, message: Any) -> None:
        """Take what the driver says, and the ends of orders."""
        if message.__class__ is _Done:
            self._finish(message.order, message.result)
        elif isinstance(message, Answer):
            self._seen(message)
        elif isinstance(message, (Ended, Inventory, Broken)):
            self._hear(message)
        elif message == _OUT_OF_SIGHT:
            self._subscribe()
        elif isinstance(message, _Overdue):
            self._tell_gateway(Blind(host=self.host, reason=message.reason))
        elif message == _ROUND:
            self._go_round()

    # -- the host's events -------------------------------------------------------------------

    def _subscribe(self) -> None:
        if self.subscription is not None:
            self.subscription.cancel()
        ref = self.ref
        self.attempts += 1
        self._be_patient()
        self.subscription = self.driver.subscribe(ref.send)

    def _be_patient(self) -> None:
        """Give the driver its time to find the host; then it is asked anew, ever later."""
        if self.patience is not None:
            self.patience.cancel()
        wait_s = min(limits.SIGHT_RETRY_MOST_S, limits.SIGHT_RETRY_S * 2 ** min(self.attempts, 16))
        self.patience = self.send_after(limits.SIGHT_DEADLINE_S + wait_s, _OUT_OF_SIGHT)

    def _hear(self, event: Event) -> None:
        if isinstance(event, Ended):
            self._touch(event.uid)
            actor = self.node.whereis(names.instance(self.host, event.uid))
            if actor is not None:
                actor.send(event)
        elif isinstance(event, Inventory):
            self.inventory = event
            self.touched = set()
            self._ask(INVENTORY if self.mute else PROBE)
        else:
            self._lose_sight(event.reason)
            self._be_patient()

    def _ask(self, verb: str) -> None:
        """Order a look at the whole host, for ourselves."""
        self._admit(Order(verb, (), limits.LOOK_DEADLINE_S, gate=LOOKS, to=self.ref))

    def _lose_sight(self, reason: str) -> None:
        self.sighted = False
        self.inventory = None
        if self.overdue is None:
            self.overdue = self.send_after(limits.BLIND_S, _Overdue(reason))

    def _tell_gateway(self, message: Blind | Sighted) -> None:
        gateway = self.node.whereis(names.gateway(self.host))
        if gateway is not None:
            gateway.send(message)

    def _go_round(self) -> None:
        """Look at everything: what no event tells of, as a start that came late, is found so."""
        self.send_after(limits.ROUND_S, _ROUND)
        if self.sighted:
            self.touched = set()
            self._ask(INVENTORY)

    def _seen(self, answer: Answer) -> None:
        """Take a probe or an inventory of one's own; one that failed is made again in its time.

        A driver that can no longer say what is there has lost sight of its host, whatever it
        thinks and its events say, and is asked anew until it can.
        """
        if answer.error is not None:
            self.mute = self.mute or answer.verb != PROBE
            if answer.verb != PROBE and self.sighted:
                self._lose_sight(str(answer.error))
                self._subscribe()
            return
        if answer.verb == PROBE:
            self._see(answer.value)
        elif self.mute:
            self.mute = False
            self._ask(PROBE)
        elif self.sighted and self.inventory is None:
            self._compare(answer.value, everyone=False)

    def _see(self, probe: Probe) -> None:
        """Tell everyone what is there, now that it is known which boot of the host this is."""
        inventory, self.inventory = self.inventory, None
        if inventory is None:
            return
        for timer in (self.patience, self.overdue):
            if timer is not None:
                timer.cancel()
        self.patience = self.overdue = None
        self.attempts = 0
        self.probe = probe
        self.sighted = True
        self.last = {}
        self._compare(inventory.instances, everyone=True)
        looking, self.looking = self.looking, []
        for look in looking:
            self._look(look)
        asking, self.asking = self.asking, []
        for caller in asking:
            caller.reply(Sighted(self.present, probe))

    def _compare(self, instances: tuple[Observed, ...], *, everyone: bool) -> None:
        """Keep what was seen for who looks next, and have those look who may not know of it."""
        now = {seen.uid: seen for seen in instances}
        for uid in tuple(self.followed):
            if everyone or uid not in now or now[uid] != self.last.get(uid):
                self._nudge(uid)
        self.unseen = {uid: now[uid] for uid in now.keys() - self.touched}
        self.last = now
        present = frozenset(now)
        if self.probe is not None and (everyone or present != self.present):
            self._tell_gateway(Sighted(present, self.probe))
        self.present = present

    def _nudge(self, uid: str) -> None:
        """Have an instance's actor look at the host when it is at rest."""
        actor = self.node.whereis(names.instance(self.host, uid))
        if actor is not None:
            actor.send(Nudge())
        else:
            self.followed.pop(uid, None)

    def _look(self, look: Look) -> None:
        """Say how an instance is: as an inventory had it, once; later the host is asked."""
        self.followed[look.uid] = None
        observed = self.unseen.pop(look.uid, None)
        is_new = look.fresh and look.uid not in self.last and look.uid not in self.touched
        if observed is None and not is_new:
            self._admit(
                Order(
                    "inspect",
                    (look.uid,),
                    limits.LOOK_DEADLINE_S,
                    gate=LOOKS,
                    to=look.to,
                    token=look.token,
                )
            )
        elif look.to.is_alive():
            look.to.send(Seen(look.token, observed, self.boot_id))

    @property
    def boot_id(self) -> str:
        """Which boot of the host this is."""
        return self.probe.boot_id if self.probe is not None else ""

    # -- orders ------------------------------------------------------------------------------

    def _admit(self, order: Order) -> None:
        """Let an order wait behind those of its subject, then at its gate.

        A stop does not wait for a stop: of the two the one with less patience counts, and whoever
        asked for that must not wait for a guest that hangs. An order that would have to wait is
        refused if too many do, but for this process's own looks, which are one or two.
        """
        gate = self.gates[order.gate]
        of_subject = self.of_subject.get(order.subject) if order.subject else None
        if of_subject is not None and order.verb == of_subject[0].verb == "stop":
            self._touch(order.subject)
            order.beside = True
            of_subject.insert(1, order)
            self._run(order)
            return
        if of_subject is not None or gate.running >= gate.most:
            if self.waiting >= limits.ORDERS_WAITING and order.to != self.ref:
                self._reply(order, None, self._too_many())
                return
            self.waiting += 1
        if order.subject:
            self._touch(order.subject)
            if of_subject is not None:
                of_subject.append(order)
                return
            self.of_subject[order.subject] = deque((order,))
        if gate.running >= gate.most:
            gate.waiting.append(order)
            return
        gate.running += 1
        self._run(order)

    def _too_many(self) -> Unavailable:
        told = f"{limits.ORDERS_WAITING} orders wait for the driver already"
        return Unavailable(told, f"hypervisors/{self.host}")

    def _touch(self, uid: str) -> None:
        """Note that what an inventory says of an instance may not be so any more."""
        self.unseen.pop(uid, None)
        self.touched.add(uid)

    def _pass(self, order: Order) -> None:
        """Let one that waited behind another go to its gate."""
        gate = self.gates[order.gate]
        if gate.running >= gate.most:
            gate.waiting.append(order)
            return
        gate.running += 1
        self.waiting -= 1
        self._run(order)

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
        self._reply(order, value, error)
        if order.subject:
            self._touch(order.subject)
            if order.to is not None and not order.to.is_alive():
                self._nudge(order.subject)  # Its actor has begun anew meanwhile.
            self._let_next(order)
        if order.beside:
            return  # It took no place at its gate.
        gate = self.gates[order.gate]
        gate.running -= 1
        if gate.waiting and gate.running < gate.most:
            gate.running += 1
            self.waiting -= 1
            self._run(gate.waiting.popleft())

    def _let_next(self, order: Order) -> None:
        """Let the next order about the same instance pass, when none of it runs any more."""
        of_subject = self.of_subject[order.subject]
        was_first = of_subject[0] is order
        of_subject.remove(order)
        if not of_subject:
            del self.of_subject[order.subject]
        elif was_first and not of_subject[0].beside:
            self._pass(of_subject[0])

    def _reply(self, order: Order, value: Any, error: FifoError | None) -> None:
        """Answer an order, or the question how an instance is that became one."""
        if order.verb != "inspect":
            order.answer(value, error)
        elif order.to is not None and order.to.is_alive():
            order.to.send(Seen(order.token, value, self.boot_id, error))
