"""The part of an instance's actor that takes answers: what came of a step, or what went wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

from fifo.agent import course, limits, names
from fifo.agent.acting import BACK, ENSURE, LOOK, RELIST, Acting
from fifo.agent.messages import Gone
from fifo.agent.performing import is_doubtful
from fifo.agent.telling import text_of_end
from fifo.agent.writes import Write
from fifo.hypervisors.driver import Observed
from fifo.model import keys
from fifo.model.errors import Cancelled, FifoError
from fifo.model.instance import Exit
from fifo.store.contract import Delete
from fifo.workflows.failures import failure_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from fifo.agent.orders import Answer, Order
    from fifo.hypervisors.driver import Applied
    from fifo.model.instance_states import Happening
    from fifo.model.story import EventKind


class Answering(Acting):
    """Answers to orders."""

    # -- answers -----------------------------------------------------------------------------

    def answered(self, answer: Answer) -> None:
        """Take the answer to the order that is under way; late ones are not for it."""
        order = self.order
        if order is None or answer.token != order.token:
            return
        self.order = None
        if answer.error is not None:
            self._failed(order, answer.error)
        else:
            self.doubts = 0
            _ANSWERS.get(order.verb, Answering.wish_done)(self, order, answer.value)
        self.go_on()

    def image_there(self, order: Order, value: Any) -> None:
        """Note that its image can be used."""
        del order, value
        self.image_ready = True

    def created(self, order: Order, value: Any) -> None:
        """It is made, and does not run yet."""
        del value
        self.move("created")
        self.host_has = order.args[0].spec
        self.seen = Observed(self.uid, "stopped")
        self.created_s = self.now_s() - self.began
        if self.intent.spec.wanted == "running":
            self.made = True  # That is told with how its start went.
        else:
            text = f"{self._how_made()} in {self.created_s:.2f} s, to be started later"
            self.note("created", text, created_s=f"{self.created_s:.3f}")

    def updated(self, order: Order, applied: Applied) -> None:
        """The host has the spec, all of it or but for what counts at the next start."""
        spec = self.host_has = order.args[0].spec
        self.failure = None
        self.note("updated", _text_of_update(applied))
        pending = dict.fromkeys((*self.memory.pending, *applied.at_start))
        memory = msgspec.structs.replace(
            self.memory, generation=spec.generation, pending=tuple(pending)
        )
        self.remember(memory, self.go_on)

    def started(self, order: Order, observed: Observed) -> None:
        """It runs, perhaps for longer than was known."""
        if observed.start_id <= self.memory.ended:
            return  # It has ended already, and that was told first.
        self.move("started" if self.at == "starting" else "found_running")
        self.seen = observed
        self.host_has = order.args[0].spec
        self.booting = False
        self.failure = None
        if observed.start_id != self.memory.start_id:
            self.memory = course.running(self.intent, self.memory, observed)
        self.note_start(observed.start_id)

    def note_start(self, start_id: int) -> None:
        """Tell of a start that came to something."""
        took_s = self.now_s() - self.began
        if self.made:
            text = f"{self._how_made()} and started in {took_s:.2f} s"
            self.note("created", text, created_s=f"{self.created_s:.3f}", took_s=f"{took_s:.3f}")
        elif self.restarting:
            self.note("restarted", f"runs again, start {start_id}")
        else:
            self.note("started", f"runs, start {start_id}")
        self.made = self.restarting = False

    def _how_made(self) -> str:
        return "made anew, without what was lost," if self.memory.lost else "created"

    def order_stopped(self, order: Order, end: Exit | None) -> None:
        """It does not run, unless its end was told first."""
        del order
        if self.at == "stopping":
            self.stopped(self.memory.start_id, end)

    def stopped(self, start_id: int, end: Exit | None) -> None:
        """Take an end that was asked for."""
        self.move("ended")
        memory = course.after_stop(self.memory, start_id, end)
        self._not_running(end)
        forced = end is not None and end.forced
        self.note("stopped", "stopped by force" if forced else "stopped")
        if self.intent.spec.wanted == "stopped" and not self.stale:
            generation = self.intent.spec.generation
            memory = msgspec.structs.replace(memory, generation=generation)
        self.remember(memory, self.go_on)

    def ended(self, start_id: int, end: Exit) -> None:
        """Take an end that nobody asked for, or a start that came to nothing."""
        jitter = self.node.random.random()
        memory, decision = course.after_end(self.intent, self.memory, start_id, end, jitter)
        self._not_running(end)
        kind, text = text_of_end(end, decision)
        self.note(kind, text)
        self.move(_AFTER_END[decision.what])
        self.remember(memory, self._end_remembered)

    def _end_remembered(self) -> None:
        if self.at == "backing_off":
            self.wait_for_start()
        self.go_on()

    def wait_for_start(self) -> None:
        """Set the alarm of a back-off."""
        if self.waiting is not None:
            self.waiting.cancel()
        self.due = False
        wait_s = course.wait_s(self.memory, self.intent, self.settings.utc())
        self.waiting = self.send_after(wait_s, BACK)

    def _not_running(self, end: Exit | None) -> None:
        seen = self.seen if self.seen is not None else Observed(self.uid, "stopped")
        self.seen = seen._replace(state="stopped", pid=0, exit=end)

    def deleted(self, order: Order, value: Any) -> None:
        """Nothing of it is on the host."""
        del order, value
        self.move("gone")
        self.gone()

    def gone(self) -> None:
        """Erase what is stored, then say so and end."""
        self.seen = None
        self.note("deleted", "nothing is left of it")
        kept = (keys.AGENT_SPEC, keys.AGENT_MEMORY)
        self.erase(tuple(Delete(keys.by_uid(prefix, self.uid)) for prefix in kept), self._end)

    def _end(self) -> None:
        self.to_gateway(Gone(self.uid))
        self.over = True

    def to_gateway(self, message: Gone) -> None:
        """Tell the gateway, if there is one; one that comes later asks again."""
        gateway = self.node.whereis(names.gateway(self.settings.host))
        if gateway is not None:
            gateway.cast(message)

    # -- wishes ------------------------------------------------------------------------------

    def wish_done(self, order: Order, value: Any) -> None:
        """Take what a snapshot's verb gave; the list is read back before the wish is answered."""
        wish = self.wishes[0]
        if wish.verb == "capture_image":
            self.granted(value, None)
            return
        del order
        self.granted_value = value
        self.ask(RELIST, self.uid)

    def relisted(self, order: Order, listed: Any) -> None:
        """Answer a wish, now that the list of snapshots is known."""
        del order
        before, self.snapshots = self.snapshots, listed
        wish = self.wishes[0]
        # What is undone was perhaps never taken, and nobody was told that it was.
        if wish.verb != "delete_snapshot" or any(own.name == wish.argument for own in before):
            kind, text = _WISH_EVENTS[wish.verb]
            self.note(kind, f"{text} {wish.argument}")
        self.granted(self.granted_value, None)

    # -- what goes wrong ---------------------------------------------------------------------

    def _failed(self, order: Order, error: FifoError) -> None:
        verb = order.verb
        if self.wishes and verb in _WISH_VERBS:
            self.granted(None, error)
        elif isinstance(error, Cancelled):
            if self.at == "starting" and not self.intent.removing:
                self.stop_it()
            elif self.at == "stopping":
                self._still_runs()
                self.unsure = True  # Its guest was asked, and may be about to end.
        elif is_doubtful(error) and self._doubt(error):
            return
        else:
            self.doubts = 0
            self.failure = failure_of(error)
            _FAILURES.get(verb, Answering.step_failed)(self, verb, error)

    def _doubt(self, error: FifoError) -> bool:
        """Look at the host again in a while; False when that has been done often enough."""
        self.doubts += 1
        if self.doubts > limits.DOUBTS:
            return False
        self.failure = failure_of(error)
        wait_s = min(limits.DOUBT_WAIT_MOST_S, limits.DOUBT_WAIT_S * 2 ** (self.doubts - 1))
        self.pausing = self.send_after(wait_s, LOOK)
        return True

    def create_failed(self, verb: str, error: FifoError) -> None:
        """Fail: a later generation may try again."""
        del verb
        self._fail("create_failed", f"it could not be made: {error.what}")

    def start_failed(self, verb: str, error: FifoError) -> None:
        """Fail if somebody asked for the start, else let the restart policy decide."""
        del verb
        if self.at != "starting":
            return
        if self.restarting or self.booting:
            why = error.what[: limits.WHY_CHARACTERS]
            self.ended(self.memory.start_id, Exit(at=self.settings.utc(), not_started=why))
        else:
            self._fail("start_failed", f"it could not be started: {error.what}")

    def _fail(self, happening: Happening, why: str) -> None:
        self.move(happening)
        self.note("failed", why)
        self.remember(course.given_up(self.intent, self.memory, why), self.go_on)

    def step_failed(self, verb: str, error: FifoError) -> None:
        """Leave it as it is until a later generation; of a stop that failed it still runs."""
        self.refused = self.intent.spec.generation
        self.note("failed", f"{verb} failed: {error.what}")
        if self.at == "stopping":
            self._still_runs()

    def _still_runs(self) -> None:
        """Run on after a stop that came to nothing; the next one has its own patience."""
        self.move("found_running")
        self.memory = msgspec.structs.replace(self.memory, stop_by=0.0)
        self.journal.cast(Write(memory=self.memory))

    def delete_failed(self, verb: str, error: FifoError) -> None:
        """Answer with the refusal; it stays `deleting`, and is tried again when asked again."""
        del verb
        self.note("failed", f"it could not be removed: {error.what}")
        self.tell()
        self.pausing = self.send_after(limits.REMOVE_AGAIN_S, LOOK)
        self.to_gateway(Gone(self.uid, error))


def _text_of_update(applied: Applied) -> str:
    now = ", ".join(applied.live) or "nothing"
    later = ", ".join(applied.at_start)
    return f"changed at once: {now}" + (f"; at the next start: {later}" if later else "")


_ANSWERS: Final[dict[str, Callable[[Answering, Order, Any], None]]] = {
    ENSURE: Answering.image_there,
    "create": Answering.created,
    "update": Answering.updated,
    "start": Answering.started,
    "stop": Answering.order_stopped,
    "delete": Answering.deleted,
    RELIST: Answering.relisted,
}
_FAILURES: Final[dict[str, Callable[[Answering, str, FifoError], None]]] = {
    ENSURE: Answering.create_failed,
    "create": Answering.create_failed,
    "start": Answering.start_failed,
    "delete": Answering.delete_failed,
}
_AFTER_END: Final[dict[str, Happening]] = {
    "restart": "back_off",
    "stay_down": "ended",
    "give_up": "give_up",
}
_WISH_EVENTS: Final[dict[str, tuple[EventKind, str]]] = {
    "snapshot": ("snapshot", "took snapshot"),
    "roll_back": ("rolled_back", "went back to snapshot"),
    "delete_snapshot": ("snapshot", "dropped snapshot"),
}
_WISH_VERBS: Final = frozenset((*_WISH_EVENTS, "capture_image", RELIST))
