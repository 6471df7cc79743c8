"""The part of an instance's actor that acts: one step at a time, and what comes of it."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any, ClassVar, Final

import msgspec

from fifo.agent import course, limits, names
from fifo.agent.image_cache import Ensure
from fifo.agent.keeping import Keeping
from fifo.agent.messages import Granted, Wish
from fifo.agent.orders import BOOTS, CREATES, OTHERS, STARTS, STOPS, Look, Order
from fifo.agent.writes import Write
from fifo.model.errors import FifoError, WrongState
from fifo.model.instance_states import REQUESTS

if TYPE_CHECKING:
    from collections.abc import Callable


LOOK: Final = "look"
"""Info to oneself: look at the host again, since nobody knows what became of an order."""
BACK: Final = "back"
"""Info to oneself: the wait of a back-off is over."""
ENSURE: Final = "ensure"
RELIST: Final = "snapshots"
_DEADLINES_S: Final = {
    "create": limits.CREATE_S,
    "start": limits.START_DEADLINE_S,
    "update": limits.UPDATE_DEADLINE_S,
    "delete": limits.DELETE_DEADLINE_S,
    "snapshot": limits.SNAPSHOT_DEADLINE_S,
    "roll_back": limits.SNAPSHOT_DEADLINE_S,
    "delete_snapshot": limits.SNAPSHOT_DEADLINE_S,
    "capture_image": limits.IMAGE_DEADLINE_S,
    RELIST: limits.LOOK_DEADLINE_S,
}


class Acting(Keeping):
    """Steps, and the answers to their orders."""

    patience_s: ClassVar[float]
    """Seconds that it has to stop by itself where nobody said another time."""

    def init(self, settings: Any, uid: str) -> Any:
        """Begin with nothing under way."""
        self.order: Order | None = None
        self.began = self.now_s()
        self.created_s = 0.0
        self.made = False
        self.pausing: Any = None
        self.doubts = 0
        self.refused = 0
        self.restarting = False
        self.booting = False
        self.due = False
        self.waiting: Any = None
        self.image_ready = False
        self.looking = 0
        self.unsure = False
        self.wishes: deque[Wish] = deque()
        return super().init(settings, uid)

    def look(self, *, fresh: bool = False) -> None:
        """Ask how the instance is on the host."""
        self.unsure = False
        self.looking = self.next_token()
        self.driver.cast(Look(self.uid, self.ref, self.looking, fresh))

    @property
    def busy(self) -> bool:
        """Whether an order or a write is under way."""
        return self.order is not None or bool(self.writing or self.marking)

    # -- steps -------------------------------------------------------------------------------

    def go_on(self) -> None:
        """Take the next step, unless one is under way."""
        if not self.ready or self.busy or self.pausing is not None or self.at == "deleted":
            return
        if self.wishes and not self.intent.removing and self._grant():
            return
        fresh = self.refused < self.intent.spec.generation
        step = course.next_step(
            self.at, self.intent, self.memory, stale=fresh and self.stale, due=self.due
        )
        if fresh or step not in {"stop", "update"}:
            _STEPS[step](self)

    def ask(self, verb: str, *args: Any, deadline_s: float = 0.0, gate: str = OTHERS) -> None:
        """Order the driver; the answer comes as a message."""
        self.order = Order(
            verb, args, deadline_s or _DEADLINES_S[verb], subject=self.uid, gate=gate,
            to=self.ref, token=self.next_token(),
        )  # fmt: skip
        self.driver.cast(self.order)

    def create(self) -> None:
        """Make it, after its image is there."""
        self.began = self.now_s()
        image = self.intent.image
        if image is not None and not self.image_ready:
            token = self.next_token()
            self.order = Order(ENSURE, (), 0.0, token=token)
            cache = self.node.address(names.image_cache(self.settings.host))
            cache.cast(Ensure(image, self.uid, self.ref, token))
        else:
            self.ask("create", self.intent.wanted(), gate=CREATES)

    def update(self) -> None:
        """Bring the host to the spec."""
        self.ask("update", self.intent.wanted())

    def start_up(self) -> None:
        """Start it, which is remembered first; make it first if it is not there."""
        if self.seen is None:
            if self.at == "failed":
                self.move("start")
            self.move("found_absent")
            self.go_on()
            return
        self.restarting = self.at == "backing_off" and self.due
        self.due = False
        self.move("start")
        memory = course.before_start(self.intent, self.memory, self.seen, self.boot_id)
        self.remember(memory, self._start_remembered)

    def _start_remembered(self) -> None:
        if self.intent.removing:
            self.go_on()
        elif self.intent.spec.wanted == "stopped":
            self.stop_it()
        else:
            gate = BOOTS if self.booting else STARTS
            self.ask("start", self.intent.wanted(), self.memory.start_id, gate=gate)

    def stop_it(self) -> None:
        """Stop it."""
        self.move("stop")
        self._ask_to_stop()

    def hurry(self) -> None:
        """Give a stop that is under way less time, if that is wanted now."""
        if self.order is not None and self.order.verb == "stop":
            utc = self.settings.utc()
            if course.stop_by(self.intent, self.memory, self.patience_s, utc) < self.memory.stop_by:
                self._ask_to_stop()

    def _ask_to_stop(self) -> None:
        """Order a stop; at a second attempt without patience, since it has been asked.

        A further order passes beside the one under way, and its answer is the one that counts.
        """
        utc = self.settings.utc()
        by = course.stop_by(self.intent, self.memory, self.patience_s, utc)
        self.memory = msgspec.structs.replace(self.memory, stop_by=by)
        # Nobody waits for this write: a crash before it is on disk gives a guest a moment more.
        self.journal.cast(Write(memory=self.memory))
        patience_s = 0.0 if self.doubts else max(0.0, by - utc)
        gate = STOPS if patience_s else OTHERS
        deadline_s = patience_s + limits.STOP_GRACE_S
        self.ask("stop", self.uid, patience_s, deadline_s=deadline_s, gate=gate)

    def remove(self) -> None:
        """Remove it, whatever state it is in."""
        if self.at != "deleting":
            self.move("delete")
        self.ask("delete", self.uid)

    def lie_down(self) -> None:
        """Be stopped where nothing runs: no more restarts, no failure any more.

        What is not there at all stays failed, and has the newer spec once it is made.
        """
        if self.seen is None:
            why = self.memory.crash_loop
            self.remember(course.given_up(self.intent, self.memory, why), self.go_on)
            return
        self.move("stop")
        self.memory = msgspec.structs.replace(self.memory, back_at=0.0, crash_loop="")
        self.go_on()

    def rest(self) -> None:
        """Be as it is wanted; look whether the host agrees, if something has cast doubt on it."""
        self.settle()
        if self.unsure and not self.looking:
            self.look()

    def _grant(self) -> bool:
        """Begin with the oldest wish; False if its time has not come."""
        wish = self.wishes[0]
        if wish.verb == "roll_back" and self.at == "running":
            self.stop_it()
            return True
        if self.at not in REQUESTS["snapshot"].legal:
            return False
        if wish.verb == "capture_image":
            if self.at == "running":
                told = "cannot make an image in state running"
                self.granted(None, WrongState(told, self.uid, "stop it first"))
                self.go_on()
                return True
            self.ask(wish.verb, self.uid, wish.image)
        else:
            self.ask(wish.verb, self.uid, wish.argument)
        return True

    def granted(self, value: Any, error: FifoError | None) -> None:
        """Answer the oldest wish."""
        wish = self.wishes.popleft()
        if wish.to.is_alive():
            wish.to.cast(Granted(wish.token, value, error))


_STEPS: Final[dict[str, Callable[[Acting], None]]] = {
    "create": Acting.create,
    "update": Acting.update,
    "start": Acting.start_up,
    "stop": Acting.stop_it,
    "delete": Acting.remove,
    "settle": Acting.lie_down,
    "rest": Acting.rest,
}
