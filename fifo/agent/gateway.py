"""The agent's front: takes commands, answers each once, starts and finds instances' actors.

A command is known by its operation, step and uid. Its answer is on disk before it is given, and a
repeat is answered from there; one that comes while the first is under way waits with it. Answers
that say "not now" (Unavailable, DeadlineExceeded) are not kept: a repeat tries again.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final

import msgspec

from fifo.agent import limits, names
from fifo.agent.driver import SIGHT
from fifo.agent.image_cache import Uses
from fifo.agent.intent import Fence, KeptResult
from fifo.agent.journal import LOAD, NUMBERS, STATUSES
from fifo.agent.messages import Beat, Gone, Granted, Lookup, Take
from fifo.agent.obeying import OBEY, Open
from fifo.agent.orders import Answer, Sighted
from fifo.agent.performing import is_doubtful
from fifo.agent.reporting import Attach
from fifo.agent.results import result_of, sweep
from fifo.agent.writes import Read, Write, Written
from fifo.model import keys, records
from fifo.model.errors import Conflict, DeadlineExceeded, FifoError, NotFound, Unavailable
from fifo.model.link import SEEN_FENCE, Acknowledge, Blind, Command, Hello, Probed
from fifo.store.contract import Put
from supervisors import (
    Continue,
    Down,
    Future,
    GenServer,
    NoReply,
    SupervisorsError,
    count_children,
    start_child,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from fifo.agent.settings import AgentSettings
    from fifo.agent.writes import Known
    from fifo.model.hypervisor import Probe
    from fifo.model.link import CommandResult
    from supervisors import Ref

logger = logging.getLogger("fifo.agent")

ADOPT: Final = "adopt"
SWEEP: Final = "sweep"


class Gateway(GenServer):
    """The front (`names.gateway`); the session monitors it, and takes the host anew if it ends."""

    def init(self, settings: AgentSettings) -> Continue:
        """Answer the start first; what is known is loaded then."""
        self.settings = settings
        host = self.host = settings.host
        self.journal = self.node.address(names.journal(host))
        self.driver = self.node.address(names.driver(host))
        self.images = self.node.address(names.image_cache(host))
        self.reporter = self.node.address(names.reporter(host))
        self.zones = self.node.address(names.zones(host))
        self.virtual_machines = self.node.address(names.virtual_machines(host))
        self.known: dict[str, Known] = {}
        self.started: set[str] = set()
        self.adopting: list[str] = []
        self.present: frozenset[str] = frozenset()
        self.probe: Probe | None = None
        self.blind = ""
        """Why the host has been out of sight for long."""
        self.results: dict[bytes, float] = {}
        """When each command was answered (UTC seconds), the oldest first."""
        self.fence = self.stored_fence = 0
        self.open: dict[bytes, Open] = {}
        self.by_token: dict[int, Open] = {}
        self.after_write: dict[int, Callable[[], None]] = {}
        self.monitors: dict[Any, Open] = {}
        self.count = 0
        return Continue(None)

    async def handle_continue(self, argument: Any) -> None:
        """Take over what the journal has; instances are adopted when the host is in sight."""
        del argument
        loaded = await self.journal.call(LOAD, timeout_s=None)
        self.known = {known.uid: known for known in loaded.known}
        self.results = dict(loaded.results)
        self.fence = self.stored_fence = loaded.fence
        for known in loaded.known:
            if known.image:
                self.images.cast(Uses(known.uid, known.image))
        self.adopting = [known.uid for known in reversed(loaded.known)]
        ref = self.ref
        self.driver.call(SIGHT, timeout_s=None).add_done_callback(lambda sight: _tell(ref, sight))
        self.send_after(limits.SWEEP_S, SWEEP)

    # -- messages ----------------------------------------------------------------------------

    async def handle_call(self, message: Any, caller: Future[Any]) -> Any:
        """Take a Command, a Take or a Lookup."""
        if isinstance(message, Command):
            self._command(message, caller)
        elif isinstance(message, Take):
            await self._take(message, caller)
        elif isinstance(message, Beat):
            return None
        elif isinstance(message, Lookup):
            actor = self.node.whereis(names.instance(self.host, message.uid))
            if actor is not None:
                return actor
            caller.fail(NotFound("it has no actor on this host", message.uid, "look it up again"))
        return NoReply()

    def handle_cast(self, message: Any) -> None:
        """Take what the session acknowledges, and what instances have done."""
        if isinstance(message, Acknowledge):
            self.reporter.cast(message)
        elif isinstance(message, Granted):
            self._answered(message.token, message.value, message.error)
        elif isinstance(message, Gone):
            self._gone(message)

    async def handle_info(self, message: Any) -> None:
        """Take the journal's and the driver's answers, and the ends of actors."""
        if message.__class__ is Written:
            self.after_write.pop(message.token)()
        elif isinstance(message, Answer):
            self._answered(message.token, message.value, message.error)
        elif isinstance(message, Sighted):
            await self._sighted(message)
        elif isinstance(message, Blind):
            self.blind = message.reason
            self.reporter.cast(message)
        elif isinstance(message, Down):
            opened = self.monitors.pop(message.monitor, None)
            if opened is not None:
                self.again(opened)
        elif isinstance(message, Open):
            self._obey(message)
        elif message == ADOPT:
            self._adopt()
        elif message == SWEEP:
            self.send_after(limits.SWEEP_S, SWEEP)
            self._sweep()

    # -- the host ----------------------------------------------------------------------------

    async def _sighted(self, sight: Sighted) -> None:
        """Adopt what is known when the host is seen first.

        If this is not the gateway's first life, actors are there already; one that is between two
        lives itself is given the time to come back, since it must not be started twice.
        """
        first, is_new = self.probe is None, sight.probe != self.probe
        self.present, self.probe, self.blind = sight.uids, sight.probe, ""
        if not first:
            if is_new:
                self.reporter.cast(Probed(host=self.host, probe=sight.probe))
            return
        for _ in range(limits.ADOPT_PATIENCE):
            counts = [
                await count_children(parent) for parent in (self.zones, self.virtual_machines)
            ]
            if all(count["active"] == count["workers"] for count in counts):
                break
            await self.sleep(limits.AGAIN_S)
        self._adopt()

    def _adopt(self) -> None:
        """Start the actors of what is known, some at a time."""
        for _ in range(min(limits.ADOPT_INSTANCES, len(self.adopting))):
            self.start_actor(self.adopting.pop())
        if self.adopting:
            self.ref.send(ADOPT)

    def start_actor(self, uid: str) -> None:
        """Start the actor of a known instance, once; its supervisor restarts it from then on."""
        known = self.known.get(uid)
        if known is None or uid in self.started:
            return
        self.started.add(uid)
        if self.node.whereis(names.instance(self.host, uid)) is not None:
            return
        parent = self.virtual_machines if known.is_vm else self.zones
        start_child(parent, uid).add_done_callback(_log_failed_start)

    async def _take(self, message: Take, caller: Future[Any]) -> None:
        """Greet a session, and report to it from now on."""
        if message.fence < max(1, self.fence):
            caller.fail(self._outranked(message.fence))
            return
        if self.probe is None:
            caller.fail(Unavailable("the agent has not seen its host yet", self.host))
            return
        if self.blind:
            told = f"the agent has lost sight of its host: {self.blind}"
            caller.fail(Unavailable(told, self.host))
            return
        self.fence = message.fence
        probe = self.probe
        statuses = await self.journal.call(STATUSES, timeout_s=None)
        numbers = await self.journal.call(NUMBERS, timeout_s=None)
        hello = Hello(
            host=self.host,
            probe=probe,
            version=self.settings.version,
            highest_fence=self.fence,
            first_unacknowledged=numbers.first_unacknowledged,
            next_sequence=numbers.next_sequence,
            statuses=statuses,
            foreign=tuple(sorted(self.present.difference(self.known))),
        )

        def greet() -> None:
            self.reporter.cast(Attach(message.session))
            # It may have been found anew since, before there was a session to be told.
            caller.reply(msgspec.structs.replace(hello, probe=self.probe))

        self.write(self._fence_put(), greet)

    def _outranked(self, fence: int) -> Conflict:
        if fence < 1:
            return Conflict(f"fence {fence} is no owner's", self.host, "take the host first")
        return Conflict(
            f"fence {fence} is lower than {self.fence}, which this host has seen", self.host,
            "a newer owner has taken over: stop", details={SEEN_FENCE: str(self.fence)},
        )  # fmt: skip

    # -- commands ----------------------------------------------------------------------------

    def _command(self, command: Command, caller: Future[Any]) -> None:
        key = keys.result(command.operation, command.step, command.uid)
        if command.fence < max(1, self.fence):
            caller.reply(result_of(command, None, self._outranked(command.fence)))
            return
        self.fence = command.fence
        if key in self.results:
            self._repeat(command, key, caller)
        elif (opened := self.open.get(key)) is not None:
            opened.callers.append(caller)
        elif len(self.open) >= limits.COMMANDS_WAITING:
            busy = Unavailable("too many commands are under way", self.host)
            caller.reply(result_of(command, None, busy))
        else:
            opened = self.open[key] = Open(command, key, [caller])
            self._obey(opened)

    def _repeat(self, command: Command, key: bytes, caller: Future[Any]) -> None:
        """Answer from the record."""

        def answer(read: Future[Any]) -> None:
            try:
                kept = records.decode(KeptResult, read.result() or b"").result
            except (FifoError, SupervisorsError) as error:
                lost = Unavailable(f"its record cannot be read: {error}", command.uid)
                caller.reply(result_of(command, None, lost))
                return
            caller.reply(msgspec.structs.replace(kept, repeated=True))

        self.journal.call(Read(key), timeout_s=None).add_done_callback(answer)

    def _obey(self, opened: Open) -> None:
        """Do what is ordered, or give up when the answer is of no use any more."""
        if self.settings.utc() > opened.command.until:
            late = DeadlineExceeded("nobody waits for it any more", opened.command.uid)
            self.finish(opened, None, late)
        else:
            OBEY[opened.command.verb](self, opened)

    def again(self, opened: Open) -> None:
        """Obey a command anew in a moment: its actor is between two lives."""
        if opened.key in self.open:
            self.send_after(limits.AGAIN_S, opened)

    def token_for(self, opened: Open) -> int:
        """Number a question whose answer is a command's."""
        self.count += 1
        self.by_token[self.count] = opened
        return self.count

    def watch(self, opened: Open, actor: Ref[Any]) -> None:
        """Obey again if the actor that does it ends before."""
        if opened.monitor is not None:
            self.monitors.pop(opened.monitor, None)
            self.demonitor(opened.monitor, flush=True)
        opened.monitor = self.monitor(actor)
        self.monitors[opened.monitor] = opened

    def _answered(self, token: int, value: Any, error: FifoError | None) -> None:
        opened = self.by_token.pop(token, None)
        if opened is not None:
            plain = msgspec.to_builtins(value) if value is not None else None
            if opened.command.verb == "remove" and error is None:
                self.present = self.present.difference((opened.command.uid,))
            self.finish(opened, plain, error)

    def _gone(self, message: Gone) -> None:
        """Answer who waits for an instance to be gone."""
        if message.error is None:
            self.known.pop(message.uid, None)
            self.started.discard(message.uid)
            self.images.cast(Uses(message.uid))
            self.present = self.present.difference((message.uid,))
        for opened in tuple(self.open.values()):
            if opened.command.verb == "remove" and opened.command.uid == message.uid:
                self.finish(opened, None, message.error)

    # -- answers -----------------------------------------------------------------------------

    def finish(
        self,
        opened: Open,
        value: Any,
        error: FifoError | None,
        write: Write | None = None,
        then: Callable[[], None] | None = None,
    ) -> None:
        """Answer a command when its result is on disk, together with `write`; then do the rest."""
        if opened.key not in self.open:
            return
        result = result_of(opened.command, value, error)
        if opened.monitor is not None:
            self.monitors.pop(opened.monitor, None)
            self.demonitor(opened.monitor, flush=True)
            opened.monitor = None
        if error is not None and is_doubtful(error):
            self._reply(opened, result)
            return
        at = self.settings.utc()
        kept = Put(opened.key, records.encode(KeptResult(at=at, result=result)))
        write = write if write is not None else Write()

        def written() -> None:
            self.results[opened.key] = at
            if then is not None:
                then()
            self._reply(opened, result)

        self.write(write._replace(puts=(*write.puts, kept, *self._fence_put().puts)), written)

    def _reply(self, opened: Open, result: CommandResult) -> None:
        self.open.pop(opened.key, None)
        for caller in opened.callers:
            caller.reply(result)

    def _fence_put(self) -> Write:
        """Write the fence down if it has risen."""
        if self.fence <= self.stored_fence:
            return Write()
        self.stored_fence = self.fence
        return Write(puts=(Put(keys.AGENT_FENCE, records.encode(Fence(fence=self.fence))),))

    def write(self, write: Write, then: Callable[[], None]) -> None:
        """Have the journal write, and go on when that is durable."""
        self.count += 1
        self.after_write[self.count] = then
        self.journal.cast(write._replace(to=self.ref, token=self.count))

    def _sweep(self) -> None:
        """Drop results that nobody will ask for again."""
        for write in sweep(self.results, self.settings.utc()):
            self.journal.cast(write)


def _tell(ref: Ref[Any], sight: Future[Any]) -> None:
    """Pass the driver's answer on; if its owner ended instead, so will the gateway."""
    try:
        ref.send(sight.result())
    except SupervisorsError as error:
        logger.info("The host is out of sight: %s", error)


def _log_failed_start(started: Future[Any]) -> None:
    try:
        started.result()
    except SupervisorsError as error:
        logger.warning("An instance's actor did not start: %s", error)
