"""One instance as an actor: a state machine that closes the difference between wish and host.

It moves by `fifo.model.instance_states` alone. When it begins, whatever its former life did, it
reads its intent and its memory from the journal and looks at the host; then it takes one step at
a time (`fifo.agent.course`): one order to the driver, or one write to the journal, is under way at
most, and while it is the machine goes on answering and hears of newer specs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

from fifo.agent import course, limits
from fifo.agent.acting import BACK, LOOK
from fifo.agent.answering import Answering
from fifo.agent.keeping import TELL
from fifo.agent.messages import STATUS, Granted, Halted, Inside, Realise, Remove, Wish
from fifo.agent.orders import Answer, Nudge, Order, Seen, Withdraw
from fifo.agent.telling import HALTED
from fifo.agent.writes import Recalled, Write, Written
from fifo.hypervisors.driver import Ended
from fifo.model.errors import (
    DataLoss,
    DeadlineExceeded,
    FifoError,
    NotReady,
    Unavailable,
    WrongState,
)
from fifo.model.instance import Exit
from fifo.model.instance_states import admit
from fifo.model.limits import STOP_PATIENCE_S, STOP_PATIENCE_VM_S
from fifo.workflows.failures import failure_of
from supervisors import Stop
from supervisors.state_machine import Call, NextState

if TYPE_CHECKING:
    from collections.abc import Callable

    from fifo.agent.intent import Intent
    from fifo.hypervisors.driver import Observed
    from supervisors import Future

_LOST: Final = "its data is no longer on this host"
_UNKNOWN: Final = (
    "its data is not on this host: it was deleted since the backup that was restored, or its disk"
    " is lost"
)
_IS_BACK: Final = "its data is on this host again: start it to go on"
_VERBS: Final = {"console": "console", "execute": "exec"}
"""What the table of requests calls the verbs of a look inside; logs can be read in any state."""


class Instance(Answering):
    """The events of an instance; `Zone` and `VirtualMachine` differ in their patience."""

    def init(self, settings: Any, uid: str) -> Any:
        """Begin by asking the journal."""
        self.over = False
        self.blind = 0
        self.early: Remove | None = None
        return super().init(settings, uid)

    def handle_event(self, event_type: Any, content: Any, state: Any) -> Any:
        """Take a call, or one of the messages in `_HANDLERS`; then go where that leads."""
        if event_type.__class__ is Call:
            self._asked(content, event_type.caller)
            return None
        if content.__class__ is str:
            self._alarmed(content)
        else:
            handler = _HANDLERS.get(content.__class__)
            if handler is None:
                return None
            handler(self, content)
        if self.over:
            return Stop("normal")
        if self.ready:
            self.tell_in_time()
        return NextState(self.at) if self.at != state else None

    # -- beginning ---------------------------------------------------------------------------

    def take_recalled(self, recalled: Recalled) -> None:
        """Be who it was before, then look at the host."""
        if recalled.intent is None and not hasattr(self, "intent"):
            self.over = True  # It was removed while it began.
            return
        if recalled.intent is not None:
            self._take(recalled.intent)
        if recalled.memory is not None:
            self.memory = recalled.memory
        if recalled.told is not None:
            self.told = recalled.told
            self.snapshots = recalled.told.snapshots
            self.be_halted(halted=recalled.told.reason == HALTED)
        if self.memory.generation == self.intent.spec.generation:
            self.host_has = self.intent.spec
        self.at = course.before(self.intent, self.memory)
        if recalled.again:
            self.note("actor_restarted", "its actor was started again; the instance went on")
        self.look(fresh=recalled.fresh)

    def _alarmed(self, what: str) -> None:
        """Take what the actor sent itself."""
        if what == TELL:
            self.telling = None
            self.tell()
        elif what == LOOK:
            self.look()
        elif what == BACK:
            self.due = True
            self.go_on()

    # -- seeing ------------------------------------------------------------------------------

    def take_sight(self, seen: Seen) -> None:
        """Take a look at the host: it is the truth."""
        if seen.token != self.looking:
            return
        self.looking = 0
        if seen.error is not None:
            self.blind += 1
            wait_s = limits.LOOK_AGAIN_S * 2 ** min(self.blind - 1, 16)
            self.pausing = self.send_after(min(wait_s, limits.DOUBT_WAIT_MOST_S), LOOK)
            return
        self.blind = 0
        if self.busy:
            # What is under way may have changed it since: look again when that is over.
            self.unsure = True
            self.pausing = None
            return
        self.pausing = None
        first, self.ready = not self.ready, True
        rebooted = self._is_rebooted(seen)
        self.boot_id = seen.boot_id
        self.seen = seen.observed
        if rebooted:
            self._reboot_seen(seen.observed)
        elif self._has_ended(seen.observed):
            assert seen.observed is not None
            self._over(seen.observed.start_id, seen.observed.exit)
        else:
            self._found(seen.observed)
        if first and self.at == "backing_off":
            self.wait_for_start()
        if self.early is not None:
            early, self.early = self.early, None
            self.take_remove(early)
        self.go_on()

    def take_nudge(self, nudge: Nudge) -> None:
        """Look when at rest: now, or as soon as what is under way is over."""
        del nudge
        self.unsure = True
        self.go_on()

    def _found(self, observed: Observed | None) -> None:
        """Be in the state that the host shows."""
        if observed is not None and observed.state == "running":
            # A start of ours is remembered before it is ordered.
            expected = course.is_expected(self.memory, observed.start_id)
            self.memory = course.running(self.intent, self.memory, observed)
            if not expected:
                self.note("adopted", f"was found running and taken over, start {observed.start_id}")
            elif not self._has_told_of(observed.start_id):
                self.note("started", f"was found running, start {observed.start_id}")
        self._be(observed)
        if self.at == "deleted":
            self.gone()

    def _be(self, observed: Observed | None) -> None:
        """Go where what is found leads; what was lost is not made anew by itself."""
        if observed is not None and 0 < observed.start_id <= self.memory.lost:
            self.failure = None
            self.memory = course.after_return(self.memory, observed, _IS_BACK)
            if self.memory.crash_loop:
                self.note("adopted", _IS_BACK)
            self.journal.cast(Write(memory=self.memory))
        happening = course.found(observed, self.memory)
        if happening == "found_lost" and (self.intent.removing or not self.settings.lasting):
            happening = "found_absent"
        self.move(happening)
        if happening == "found_lost":
            self._lost()

    def _lost(self) -> None:
        """Stay failed, with the reason, until a later generation wants it made anew."""
        # Without a generation its starts are only what others say.
        why = _LOST if self.memory.generation else _UNKNOWN
        lost = DataLoss(why, self.uid, "start it to have it made anew, empty, or delete it")
        self.failure = failure_of(lost)
        self.note("failed", f"{lost.what}: {lost.remedy}")
        self.snapshots = ()
        self.booting = False
        self.remember(course.after_loss(self.intent, self.memory, why), self.go_on)

    def _has_told_of(self, start_id: int) -> bool:
        """Tell whether a start was told of as one that came to something."""
        told = self.told
        return told is not None and told.start_id >= start_id and told.state != "starting"

    def _has_ended(self, observed: Observed | None) -> bool:
        return (
            observed is not None
            and observed.state == "stopped"
            and observed.start_id == self.memory.start_id > self.memory.ended
            and self.at in {"starting", "running", "stopping"}
        )

    def _is_rebooted(self, seen: Seen) -> bool:
        memory = self.memory
        stopped = seen.observed is None or seen.observed.state == "stopped"
        return bool(memory.boot_id) and memory.boot_id != seen.boot_id and stopped

    def _reboot_seen(self, observed: Observed | None) -> None:
        """The host was rebooted: it starts again by itself, with others of its kind, or not."""
        if self.at == "deleting":
            self._found(observed)
            return
        self.booting = self.memory.start_id > self.memory.ended or self.at == "backing_off"
        if self.booting:
            self.note("ended", "the host was rebooted")
        self.memory = course.after_reboot(self.intent, self.memory, self.boot_id)
        if self.at == "backing_off" and observed is not None:
            self.move("stop")
        else:
            self._be(observed)
        self.remember(self.memory, self.go_on)

    # -- ending ------------------------------------------------------------------------------

    def take_end(self, event: Ended) -> None:
        """Take the news of an end, unless it was dealt with."""
        if self.ready and event.start_id > self.memory.ended:
            self._over(event.start_id, event.exit)
            self.go_on()

    def _over(self, start_id: int, end: Exit | None) -> None:
        if self.at not in {"starting", "running", "stopping"}:
            return
        spec = self.intent.spec
        asked = (
            self.at == "stopping"
            or spec.wanted == "stopped"
            or spec.boot_generation > self.memory.boot_generation
            or (end is not None and end.forced)
        )
        if asked:
            self.stopped(start_id, end)
        else:
            if self.at == "starting" and not self._has_told_of(start_id):
                # It ended before its start was answered.
                self.note_start(start_id)
            self.ended(start_id, end or Exit(at=self.settings.utc()))

    # -- orders of the gateway ---------------------------------------------------------------

    def _take(self, intent: Intent) -> None:
        """Want the newer of two intents; one that says to go is not taken back."""
        known: Intent | None = getattr(self, "intent", None)
        if known is None:
            self.intent = intent
        elif intent.removing or known.removing:
            self.intent = msgspec.structs.replace(intent, removing=True)
        elif intent.spec.generation >= known.spec.generation:
            self.intent = intent
        order = self.order
        if order is not None and (
            self.intent.removing or (order.verb == "start" and self.intent.spec.wanted == "stopped")
        ):
            order.withdrawn = True
        elif order is not None and order.verb == "stop" and self._stops_in_vain():
            self.driver.cast(Withdraw(self.uid))

    def _stops_in_vain(self) -> bool:
        """Tell whether nobody wants the stop any more that is under way, and it is not forced yet.

        One that makes way for going back to a snapshot is wanted whatever else is.
        """
        waits = self.memory.stop_by > self.settings.utc()
        return waits and not self.wishes and not course.is_to_stop(self.intent, self.memory)

    def take_written(self, message: Written) -> None:
        """Go on after a write."""
        if message.token == self.marking:
            self.marking = 0
            self.go_on()
        else:
            self.written(message.token)

    def take_realise(self, message: Realise) -> None:
        """Want what is newer."""
        self._take(message.intent)
        self.hurry()
        self.go_on()

    def take_remove(self, message: Remove) -> None:
        """Remove it, after that was written down; repeated, try again at once."""
        if not self.ready:
            self.early = message
            return
        if not self.intent.removing:
            self._take(
                msgspec.structs.replace(self.intent, removing=True, operation=message.operation)
            )
            self.marking = self.next_token()
            self.journal.cast(Write(self.ref, self.marking, intent=self.intent))
            self.hurry()
        while self.wishes and self.order is None:
            wish = self.wishes.popleft()
            wish.to.cast(Granted(wish.token, None, WrongState("it is being removed", self.uid)))
        if self.pausing is not None:
            self.pausing.cancel()
            self.pausing = None
            self.doubts = 0
        self.go_on()

    def take_wish(self, wish: Wish) -> None:
        """Let a wish wait for its turn."""
        if self.ready and self.intent.removing:
            wish.to.cast(Granted(wish.token, None, WrongState("it is being removed", self.uid)))
            return
        self._replace(wish)
        if len(self.wishes) >= limits.WISHES:
            busy = Unavailable(f"{limits.WISHES} requests wait for it already", self.uid)
            wish.to.cast(Granted(wish.token, None, busy))
        else:
            self.wishes.append(wish)
            self.go_on()

    def _replace(self, wish: Wish) -> None:
        """Take out what a wish repeats, unless that may be under way.

        The later one counts, and has the later place: behind what it is to follow.
        """
        for earlier in tuple(self.wishes)[1 if self.order is not None else 0 :]:
            if wish.repeats(earlier):
                self.wishes.remove(earlier)
                late = DeadlineExceeded("it was asked for anew", self.uid)
                earlier.to.cast(Granted(earlier.token, None, late))

    # -- questions ---------------------------------------------------------------------------

    def _asked(self, question: Any, caller: Future[Any]) -> None:
        """Answer STATUS, or pass a look inside on to the driver."""
        if not self.ready:
            caller.fail(NotReady("its actor has just begun", self.uid, "ask again in a moment"))
        elif question == STATUS:
            caller.reply(self.status())
        elif isinstance(question, Inside):
            try:
                if question.verb in _VERBS:
                    admit(_VERBS[question.verb], self.at, self.uid)
            except FifoError as error:
                caller.fail(error)
            else:
                self.driver.cast(
                    Order(
                        question.verb,
                        (self.uid, *question.args),
                        limits.INSIDE_DEADLINE_S,
                        caller=caller,
                        keywords=question.keywords,
                    )
                )


_HANDLERS: Final[dict[type, Callable[[Any, Any], None]]] = {
    Recalled: Instance.take_recalled,
    Seen: Instance.take_sight,
    Nudge: Instance.take_nudge,
    Halted: Instance.take_halted,
    Answer: Instance.answered,
    Written: Instance.take_written,
    Ended: Instance.take_end,
    Realise: Instance.take_realise,
    Remove: Instance.take_remove,
    Wish: Instance.take_wish,
}


class Zone(Instance):
    """A zone: it stops within a minute, or is forced (vmadm)."""

    patience_s = STOP_PATIENCE_S


class VirtualMachine(Instance):
    """A VM: a guest's own kernel has three minutes to power down (vmadm)."""

    patience_s = STOP_PATIENCE_VM_S
