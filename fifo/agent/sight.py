"""Sight: what is known of a host from its driver's events, its inventories and looks at instances.

A host is in sight from when its driver has told an inventory and was probed, so that it is known
which boot of the host that is of, until the driver says that it sees the host no more or cannot say
what is there. It is asked anew then, ever later, and every so often all is looked at once more.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from fifo.agent import limits, names
from fifo.agent.orders import LOOKS, Answer, Nudge, Order, Seen, Sighted, too_many
from fifo.hypervisors.driver import Broken, Ended, Inventory
from fifo.model.link import Blind

if TYPE_CHECKING:
    from collections.abc import Callable

    from fifo.agent.orders import Look
    from fifo.hypervisors.driver import Driver, Event, Observed, Subscription
    from fifo.model.hypervisor import Probe
    from supervisors import Future, Process

PROBE: Final = "probe"
"""The verb that is ordered before all others."""
INVENTORY: Final = "inventory"
"""The verb by which a driver has to say what is there, beside the events it tells by itself."""
_OUT_OF_SIGHT: Final = "out of sight"
_ROUND: Final = "round"


class _Overdue(NamedTuple):
    """The host has been out of sight for `limits.BLIND_S`."""

    reason: str


class Sight:
    """What one host is seen to be; part of the driver's owner, on whose actor all of it runs.

    Events, timers and answers to its own orders come to the owner as infos, which gives them to
    `hear`; `admit` takes its orders.
    """

    def __init__(
        self, owner: Process, host: str, driver: Driver, admit: Callable[[Order], None]
    ) -> None:
        self._owner = owner
        self._host = host
        self._driver = driver
        self._admit = admit
        self._probe: Probe | None = None
        self._inventory: Inventory | None = None
        self._unseen: dict[str, Observed] = {}
        self._last: dict[str, Observed] = {}
        self._touched: set[str] = set()
        self._followed: dict[str, None] = {}
        self._present: frozenset[str] = frozenset()
        self._subscription: Subscription | None = None
        self._attempts = 0
        self._sighted = self._mute = False
        self._looking: list[Look] = []
        self._asking: list[Future[Any]] = []
        self._patience: Any = None
        self._overdue: Any = None

    @property
    def boot_id(self) -> str:
        """Which boot of the host this is."""
        return self._probe.boot_id if self._probe is not None else ""

    # -- what the owner tells ----------------------------------------------------------------

    def begin(self) -> None:
        """Look at the host for the first time."""
        self._subscribe()
        self._owner.send_after(limits.ROUND_S, _ROUND)

    def close(self) -> None:
        """Hear no more."""
        if self._subscription is not None:
            self._subscription.cancel()

    def hear(self, message: Any) -> None:
        """Take what the driver says, answers to orders of one's own, and timers."""
        if isinstance(message, Answer):
            self._answered(message)
        elif isinstance(message, (Ended, Inventory, Broken)):
            self._happened(message)
        elif message == _OUT_OF_SIGHT:
            self._subscribe()
        elif isinstance(message, _Overdue):
            self._tell_gateway(Blind(host=self._host, reason=message.reason))
        elif message == _ROUND:
            self._go_round()

    def ask(self, caller: Future[Any]) -> None:
        """Answer with a Sighted, as soon as the host is in sight."""
        if self._sighted and self._probe is not None:
            caller.reply(Sighted(self._present, self._probe))
        else:
            self._asking.append(caller)

    def renew(self, probe: Probe) -> None:
        """Take what somebody had found out by trial; a host out of sight is probed by itself."""
        if self._sighted:
            self._probe = probe
            self._tell_gateway(Sighted(self._present, probe))

    def look(self, look: Look) -> None:
        """Say how an instance is, as soon as the host is in sight.

        What an inventory had of it is said once; later the host is asked. Too many that wait are
        told Unavailable.
        """
        if self._sighted:
            self._look(look)
        elif len(self._looking) >= limits.ORDERS_WAITING:
            if look.to.is_alive():
                look.to.send(Seen(look.token, None, self.boot_id, too_many(self._host)))
        else:
            self._looking.append(look)

    def touch(self, uid: str) -> None:
        """Note that what an inventory says of an instance may not be so any more."""
        self._unseen.pop(uid, None)
        self._touched.add(uid)

    def nudge(self, uid: str) -> None:
        """Have an instance's actor look at the host when it is at rest."""
        actor = self._owner.node.whereis(names.instance(self._host, uid))
        if actor is not None:
            actor.send(Nudge())
        else:
            self._followed.pop(uid, None)

    # -- following the host ------------------------------------------------------------------

    def _subscribe(self) -> None:
        self.close()
        self._attempts += 1
        self._be_patient()
        self._subscription = self._driver.subscribe(self._owner.ref.send)

    def _be_patient(self) -> None:
        """Give the driver its time to find the host; then it is asked anew, ever later."""
        if self._patience is not None:
            self._patience.cancel()
        doubled_s = limits.SIGHT_RETRY_S * 2 ** min(self._attempts, 16)
        wait_s = limits.SIGHT_DEADLINE_S + min(limits.SIGHT_RETRY_MOST_S, doubled_s)
        self._patience = self._owner.send_after(wait_s, _OUT_OF_SIGHT)

    def _happened(self, event: Event) -> None:
        if isinstance(event, Ended):
            self.touch(event.uid)
            actor = self._owner.node.whereis(names.instance(self._host, event.uid))
            if actor is not None:
                actor.send(event)
        elif isinstance(event, Inventory):
            self._inventory = event
            self._touched = set()
            self._order(INVENTORY if self._mute else PROBE)
        else:
            self._lose_sight(event.reason)
            self._be_patient()

    def _order(self, verb: str) -> None:
        """Order a look at the whole host, for ourselves."""
        self._admit(Order(verb, (), limits.LOOK_DEADLINE_S, gate=LOOKS, to=self._owner.ref))

    def _lose_sight(self, reason: str) -> None:
        self._sighted = False
        self._inventory = None
        if self._overdue is None:
            self._overdue = self._owner.send_after(limits.BLIND_S, _Overdue(reason))

    def _tell_gateway(self, message: Blind | Sighted) -> None:
        gateway = self._owner.node.whereis(names.gateway(self._host))
        if gateway is not None:
            gateway.send(message)

    def _go_round(self) -> None:
        """Look at everything: what no event tells of, as a start that came late, is found so."""
        self._owner.send_after(limits.ROUND_S, _ROUND)
        if self._sighted:
            self._touched = set()
            self._order(INVENTORY)

    def _answered(self, answer: Answer) -> None:
        """Take a probe or an inventory of one's own; one that failed is made again in its time.

        A driver that can no longer say what is there has lost sight of its host, whatever it
        thinks and its events say, and is asked anew until it can.
        """
        if answer.error is not None:
            self._mute = self._mute or answer.verb != PROBE
            if answer.verb != PROBE and self._sighted:
                self._lose_sight(str(answer.error))
                self._subscribe()
            return
        if answer.verb == PROBE:
            self._see(answer.value)
        elif self._mute:
            self._mute = False
            self._order(PROBE)
        elif self._sighted and self._inventory is None:
            self._compare(answer.value, everyone=False)

    def _see(self, probe: Probe) -> None:
        """Tell everyone what is there, now that it is known which boot of the host this is."""
        inventory, self._inventory = self._inventory, None
        if inventory is None:
            return
        for timer in (self._patience, self._overdue):
            if timer is not None:
                timer.cancel()
        self._patience = self._overdue = None
        self._attempts = 0
        self._probe = probe
        self._sighted = True
        self._last = {}
        self._compare(inventory.instances, everyone=True)
        looking, self._looking = self._looking, []
        for look in looking:
            self._look(look)
        asking, self._asking = self._asking, []
        for caller in asking:
            caller.reply(Sighted(self._present, probe))

    def _compare(self, instances: tuple[Observed, ...], *, everyone: bool) -> None:
        """Keep what was seen for who looks next, and have those look who may not know of it."""
        now = {seen.uid: seen for seen in instances}
        for uid in tuple(self._followed):
            if everyone or uid not in now or now[uid] != self._last.get(uid):
                self.nudge(uid)
        self._unseen = {uid: now[uid] for uid in now.keys() - self._touched}
        self._last = now
        present = frozenset(now)
        if self._probe is not None and (everyone or present != self._present):
            self._tell_gateway(Sighted(present, self._probe))
        self._present = present

    def _look(self, look: Look) -> None:
        uid = look.uid
        self._followed[uid] = None
        observed = self._unseen.pop(uid, None)
        is_new = look.fresh and uid not in self._last and uid not in self._touched
        if observed is None and not is_new:
            deadline_s, to = limits.LOOK_DEADLINE_S, look.to
            self._admit(Order("inspect", (uid,), deadline_s, gate=LOOKS, to=to, token=look.token))
        elif look.to.is_alive():
            look.to.send(Seen(look.token, observed, self.boot_id))
