"""The part of an instance's actor that keeps: its state, its memory, and what it has told."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from fifo.agent import course, limits, names, telling
from fifo.agent.messages import Halted
from fifo.agent.writes import Recall, Tell, Write
from fifo.model.instance_states import after
from fifo.model.restart import Memory
from supervisors.state_machine import StartIn, StateMachine
from supervisors.state_machine.callbacks import HANDLE_EVENT_FUNCTION

if TYPE_CHECKING:
    from collections.abc import Callable

    from fifo.agent.intent import Intent
    from fifo.agent.settings import AgentSettings
    from fifo.hypervisors.driver import Observed
    from fifo.model.instance import InstanceSpec, InstanceStatus, Snapshot, State
    from fifo.model.instance_states import Happening
    from fifo.model.operation import Failure
    from fifo.model.story import EventKind, StoryEvent
    from fifo.store.contract import Delete

TELL = "tell"
"""Info to oneself: a passing state has lasted."""


class Keeping(StateMachine):
    """State, memory and telling. `at` is the state while a message is handled."""

    callback_mode: ClassVar[str] = HANDLE_EVENT_FUNCTION

    intent: Intent

    def init(self, settings: AgentSettings, uid: str) -> StartIn:
        """Ask the journal for what is known; the state is only found out with that."""
        self.settings = settings
        self.uid = uid
        self.journal = self.node.address(names.journal(settings.host))
        self.driver = self.node.address(names.driver(settings.host))
        self.at: State = "provisioning"
        self.memory = Memory(uid=uid)
        self.seen: Observed | None = None
        self.boot_id = ""
        self.host_has: InstanceSpec | None = None
        self.snapshots: tuple[Snapshot, ...] = ()
        self.told: InstanceStatus | None = None
        self.events: list[StoryEvent] = []
        self.failure: Failure | None = None
        self.halted = False
        self.halting: Any = None
        self.telling: Any = None
        self.token = 1
        self.writing = 0
        self.marking = 0
        self.then: Callable[[], None] | None = None
        self.ready = False
        self.journal.cast(Recall(uid, self.ref, self.token))
        return StartIn("provisioning")

    def format_status(self, status: dict[str, Any]) -> dict[str, Any]:
        """Show where it stands; metadata may hold secrets and is left out."""
        return {"uid": self.uid, "state": self.at, "event": type(status.get("event")).__name__}

    # -- moving ------------------------------------------------------------------------------

    def move(self, happening: Happening) -> None:
        """Go where the table says; raises WrongState, which ends the actor, for anything else."""
        self.at = after(self.at, happening)
        self.halted = self.halted and self.at == "running"

    def next_token(self) -> int:
        """Number the next question, so that late answers to earlier ones are told apart."""
        self.token += 1
        return self.token

    @property
    def stale(self) -> bool:
        """Whether the host has to be told of the spec."""
        return course.is_stale(self.host_has, self.intent.spec, self.memory)

    # -- writing and telling -----------------------------------------------------------------

    def remember(self, memory: Memory, then: Callable[[], None]) -> None:
        """Write a memory down, and go on when it is on disk; nothing else is begun meanwhile.

        What is to be told of it is in the same commit, so that neither is without the other.
        """
        self.memory = memory
        self.go_on_with(then)
        tells = () if self.at in telling.PASSING else self._news()
        self.journal.cast(Write(self.ref, self.writing, memory=memory, tells=tells))

    def erase(self, deletes: tuple[Delete, ...], then: Callable[[], None]) -> None:
        """Delete what is stored of the instance, telling of its end in the same commit."""
        self.go_on_with(then)
        self.journal.cast(Write(self.ref, self.writing, deletes, tells=self._news()))

    def go_on_with(self, then: Callable[[], None]) -> None:
        """Number a write; what an earlier one was to be followed by comes first."""
        earlier = self.then
        self.writing = self.next_token()

        def both() -> None:
            if earlier is not None:
                earlier()
            then()

        self.then = both if earlier is not None else then

    def written(self, token: int) -> None:
        """Go on after a write."""
        if token == self.writing and self.then is not None:
            then, self.then, self.writing = self.then, None, 0
            then()

    def note(self, kind: EventKind, text: str, **figures: str) -> None:
        """Add an event to what is told next."""
        utc = self.settings.utc()
        self.events.append(telling.event_of(self.intent, kind, text, utc, figures))

    def take_halted(self, message: Halted) -> None:
        """Tell that a full disk of the host's holds it up, and once that it does so no more.

        Who measures the host says so again and again: when that ceases it counts as over.
        """
        runs = self.ready and self.at == "running"
        if runs and message.halted != self.halted:
            self.note("halted", telling.HALTED if message.halted else telling.GOES_ON)
        if runs or not message.halted:
            self.be_halted(halted=message.halted)

    def be_halted(self, *, halted: bool) -> None:
        """Take it for held up, until nobody has said so for a while."""
        if self.halting is not None:
            self.halting.cancel()
            self.halting = None
        self.halted = halted
        if halted:
            after_s = limits.SAMPLES_MISSED * (self.settings.sample_s + limits.STATS_DEADLINE_S)
            self.halting = self.send_after(after_s, Halted(halted=False))

    def status(self) -> InstanceStatus:
        """Give the status as it is now."""
        return telling.status_of(
            self.intent,
            self.memory,
            self.at,
            observed=self.seen,
            snapshots=self.snapshots,
            failure=self.failure,
            halted=self.halted,
            before=self.told,
            utc=self.settings.utc(),
        )

    def tell_in_time(self) -> None:
        """Tell of a state that lasts at once, of one that passes when it has lasted a while."""
        if self.writing:
            return  # What is told is remembered first.
        if self.at not in telling.PASSING:
            self.tell()
        elif self.telling is None and (self.told is None or self.told.state != self.at):
            self.telling = self.send_after(limits.TELL_AFTER_S, TELL)

    def tell(self) -> None:
        """Have the journal take down what is new."""
        if self.at == "deleted":
            return
        tells = self._news()
        if tells:
            self.journal.cast(Write(tells=tells))

    def settle(self) -> None:
        """Note that this generation is reached, if it is, and that nothing is left to be done."""
        if self.memory.generation < self.intent.spec.generation and not self.stale:
            self.memory = course.reached(self.intent, self.memory)
            self.journal.cast(Write(memory=self.memory, tells=self._news()))

    def _news(self) -> tuple[Tell, ...]:
        if self.telling is not None:
            self.telling.cancel()
            self.telling = None
        status = self.status()
        events, self.events = self.events, []
        changed = status if status != self.told else None
        if changed is None and not events:
            return ()
        self.told = status
        last = events.pop() if events else None
        return (*(Tell(self.uid, None, event) for event in events), Tell(self.uid, changed, last))
