"""The session with a host: owns it, orders its agent, and writes down what that reports.

What an owner that was replaced still does has no effect (`fifo.fleet.ownership`).
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol

import msgspec

from fifo.fleet import limits
from fifo.fleet.ownership import Ownership
from fifo.fleet.reports import Reporting
from fifo.fleet.settling import Settler, Settling
from fifo.fleet.strangers import Keeping, strangers
from fifo.model import keys, names, records
from fifo.model.errors import Conflict, FifoError, Unavailable
from fifo.model.hypervisor import HypervisorSpec, HypervisorStatus
from fifo.model.link import SEEN_FENCE, Acknowledge, Blind, Command, Probed, Report
from fifo.store.contract import Delete, Put, Txn, unchanged
from supervisors import Continue, Down, GenServer, NoReply, Stop, SupervisorsError, within

if TYPE_CHECKING:
    from collections.abc import Callable

    from fifo.fleet.hosts import HostsClient
    from fifo.model.hypervisor import Probe
    from fifo.model.link import CommandResult, Hello
    from fifo.workflows.world import World
    from supervisors import Future, Ref

logger = logging.getLogger("fifo.fleet")

CONNECT: Final = "connect"
BEAT: Final = "beat"


class AgentLink(Protocol):
    """How a session speaks to its host's agent: on one machine by messages, else over a link."""

    def whereis(self) -> Ref[Any] | None:
        """Find whom to monitor; None while the agent cannot be reached."""

    def take(self, fence: int, session: Ref[Any]) -> Future[Hello]:
        """Say who owns the host now and where reports go."""

    def command(self, command: Command) -> Future[CommandResult]:
        """Give an order."""

    def acknowledge(self, acknowledge: Acknowledge) -> None:
        """Say up to where reports are in the store."""

    def beat(self) -> Future[None]:
        """Ask whether the agent answers at all."""


class SessionSettings(NamedTuple):
    """What a session is given: its host, how to reach the agent, the world, whom to tell fences."""

    host: str
    link: AgentLink
    world: World
    hosts: HostsClient
    new_id: Callable[[HypervisorStatus], str]


class _Answered(NamedTuple):
    """A command's answer has come; settles its caller in the session's turn."""

    command: Command
    caller: Future[Any]
    answer: Future[CommandResult]


class Session(GenServer):
    """Owns one host. A child of the sessions' dynamic supervisor, registered by `session_name`."""

    def init(self, settings: SessionSettings) -> Any:
        """Begin without waiting for the host: one that is away has a session too."""
        self.trap_exit = True
        self.settings = settings
        self.host = settings.host
        self.world = settings.world
        self.ready = self.met = False
        self.began_s = self.node.shard.now_s()
        self.retry_s = limits.RECONNECT_FIRST_S
        self.monitor_ref: Any = None
        self.settler: Ref[Settler] | None = None
        self.beat: Future[None] | None = None
        self.beat_s = 0.0
        self.ownership = Ownership(self.host, self.world.store)
        self.reporting = Reporting(self.host, self.world, self.ownership)
        self.keeping = Keeping(self.world, settings.link, self.ownership)
        return Continue("own")

    async def handle_continue(self, argument: Any) -> Any:
        """Take the host over, then look for its agent."""
        del argument
        await self.ownership.take(self.node.name)
        self.settings.hosts.fences[self.host] = self.ownership.fence
        self.send_after(limits.HEARTBEAT_S, BEAT)
        await self._connect()

    def terminate(self, reason: Any) -> None:
        """Order nothing more."""
        del reason
        self._end_settler()
        self.settings.hosts.fences.pop(self.host, None)

    # -- connecting --------------------------------------------------------------------------

    async def _connect(self) -> None:
        """Greet the agent; when it cannot be reached, try again later."""
        agent = self.settings.link.whereis()
        if agent is None:
            await self._away("its agent is not there")
            return
        self.monitor_ref = self.monitor(agent)
        try:
            taken = self.settings.link.take(self.ownership.fence, self.ref)
            hello = await within(limits.GREET_S, taken)
            await self._meet(hello)
        except (FifoError, SupervisorsError) as error:
            if await self._outbids(error):
                self.demonitor(self.monitor_ref, flush=True)
                self.send_after(0.0, CONNECT)
                return
            await self._lose(error.what if isinstance(error, FifoError) else str(error))
        else:
            self.ready = self.met = True
            self.settings.hosts.expected.discard(self.host)
            self.retry_s = limits.RECONNECT_FIRST_S

    async def _outbids(self, error: Exception) -> bool:
        """Raise the fence where the host refused it and the store was put back; True if it is."""
        if not isinstance(error, Conflict) or (seen := error.details.get(SEEN_FENCE)) is None:
            return False
        raised = await self.ownership.outbid(int(seen))
        if raised:
            told = "Host %s has seen fence %s, before the store was put back: going on above it"
            logger.warning(told, self.host, seen)
            self.settings.hosts.fences[self.host] = self.ownership.fence
        return raised

    async def _meet(self, hello: Hello) -> None:
        """Write down what the agent says of its host, and settle what is open with it."""
        if hello.highest_fence > self.ownership.fence:
            raise Conflict("a newer owner has ordered this host", self.host, "let that one go on")
        foreign = strangers(self.world.catalog, hello)
        await self.keeping.keep(hello, foreign)
        before = self.world.catalog.host_statuses.record(self.host)
        if before is not None and (gone := {*before.foreign}.difference(foreign)):
            await self.keeping.give_back(gone)
        now = self.world.utc()
        status = HypervisorStatus(
            uid=self.host,
            condition="ready",
            since=now,
            probe=hello.probe,
            agent_version=hello.version,
            foreign=foreign,
        )
        if before is not None and before.told:
            away_s = f"{max(0.0, now - before.since):.1f}"
            told = f"its host is heard of again, after {away_s} s"
            await self._tell(status, told, {"away_s": away_s})
        else:
            await self._write_status(status)
        await self.reporting.take_statuses(hello.statuses)
        settling = Settling(self.host, self.world, self.settings.link, self.ownership)
        self.settler = Settler.start(settling, self.ref, hello)

    def _end_settler(self) -> None:
        """Settle nothing more with a host that is lost: the next greeting begins anew."""
        if self.settler is not None:
            self.settler.kill()
            self.settler = None

    async def _beat(self) -> None:
        """Find out whether the agent still answers; one that does not is greeted anew.

        Nothing is awaited, so that reports and commands do not wait for an agent that hangs.
        """
        self.send_after(limits.HEARTBEAT_S, BEAT)
        now_s = self.node.shard.now_s()
        if not self.ready:
            self.beat = None
        elif self.beat is None or self.beat.done():
            self.beat, self.beat_s = self.settings.link.beat(), now_s
        elif now_s - self.beat_s >= limits.GREET_S:
            await self._lose("its agent does not answer")

    async def _lose(self, why: str) -> None:
        """Give up an agent that is there, until it can be greeted again."""
        self.demonitor(self.monitor_ref, flush=True)
        await self._away(why)

    async def _away(self, why: str) -> None:
        """Note that the host cannot be reached, once, and look again later."""
        self.ready = False
        self._end_settler()
        now = self.world.utc()
        status = self.world.catalog.host_statuses.record(self.host)
        if status is None:
            status = HypervisorStatus(uid=self.host, condition="ready", since=now)
        gone = status
        if status.condition != "unreachable":
            # At a start the agent looks at its host first: that is no news.
            level = logging.WARNING if self.met else logging.INFO
            logger.log(level, "Host %s is unreachable: %s", self.host, why)
            gone = msgspec.structs.replace(status, condition="unreachable", since=now, reason=why)
        missed = self.node.shard.now_s() - self.began_s >= limits.MISSED_S
        if missed:
            self.settings.hosts.expected.discard(self.host)
        if not gone.told and (self.met or missed):
            gone = msgspec.structs.replace(gone, told=True)
            await self._tell(gone, f"its host is unreachable: {why}", {})
        elif gone is not status:
            await self._write_status(gone)
        self.send_after(self.retry_s, CONNECT)
        self.retry_s = min(2 * self.retry_s, limits.RECONNECT_MOST_S)

    async def _tell(self, status: HypervisorStatus, text: str, figures: dict[str, str]) -> None:
        """Write a status, and what it means into the stories of the host's instances.

        The first chunk of them goes with the status; the others follow, each in its own txn.
        """
        chunks = await self.reporting.cut_off(text, figures)
        await self._write_status(status, *chunks[:1])
        for chunk in chunks[1:]:
            await self.reporting.write(chunk)

    async def _write_status(
        self, status: HypervisorStatus, stories: tuple[Put | Delete, ...] = ()
    ) -> None:
        puts = [
            *stories,
            Put(keys.by_uid(keys.HYPERVISOR_STATUS, self.host), records.encode(status)),
        ]
        compares = [self.ownership.own()]
        if self.world.catalog.hosts.get(self.host) is None:
            key = keys.by_uid(keys.HYPERVISOR_SPEC, self.host)
            spec = HypervisorSpec(
                uid=self.host, id=self.settings.new_id(status), create_time=self.world.utc()
            )
            index = keys.index(names.HYPERVISORS, "", spec.id)
            compares.append(unchanged(key, 0))
            puts += [Put(key, records.encode(spec)), Put(index, self.host.encode())]
        reply = await self.world.store.txn(Txn(tuple(compares), tuple(puts)))
        await self.world.catalog.at(reply.revision)
        if not reply.succeeded:
            raise Conflict("the host has a newer owner", self.host)

    # -- messages ----------------------------------------------------------------------------

    def handle_call(self, message: Any, caller: Any) -> Any:
        """Pass a command on; the caller gets the agent's answer, or Unavailable."""
        name = f"hypervisors/{self.host}"
        if not self.ready:
            caller.fail(Unavailable("the host cannot be reached", name))
            return NoReply()
        if message.fence != self.ownership.fence:
            # Made before this session owned the host, or by an earlier fence of its, and waited.
            caller.fail(Unavailable("the host has a newer owner by now", name, "order it anew"))
            return NoReply()
        answer = self.settings.link.command(message)
        answer.add_done_callback(lambda own: self.ref.cast(_Answered(message, caller, own)))
        return NoReply()

    async def handle_cast(self, message: Any) -> Any:
        """Settle an answered command, or write down what the agent says of its host."""
        if isinstance(message, _Answered):
            await self._settle(message)
            return None
        if isinstance(message, Blind):
            if self.ready:
                await self._lose(f"its agent has lost sight of it: {message.reason}")
            return None
        sequence = None
        try:
            if isinstance(message, Probed):
                await self._renew(message.probe)
            else:
                assert isinstance(message, Report), message
                sequence = await self.reporting.take(message)
        except Conflict:
            logger.warning("Another session owns host %s", self.host)
            return Stop("normal")
        if sequence is not None:
            self.settings.link.acknowledge(Acknowledge(host=self.host, sequence=sequence))
        return None

    async def _renew(self, probe: Probe) -> None:
        """Write down what the host can do now; of one that is lost the next hello says it."""
        status = self.world.catalog.host_statuses.record(self.host)
        if self.ready and status is not None and status.probe != probe:
            await self._write_status(msgspec.structs.replace(status, probe=probe))

    async def _settle(self, answered: _Answered) -> None:
        try:
            result = answered.answer.result()
            if result.failure is None and answered.command.verb == "remove":
                await self._forget_stranger(answered.command.uid)
            answered.caller.reply(result)
        except FifoError as error:
            answered.caller.fail(error)
        except SupervisorsError as error:
            told = f"its agent did not answer: {error}"
            answered.caller.fail(Unavailable(told, f"hypervisors/{self.host}"))

    async def _forget_stranger(self, uid: str) -> None:
        """Take what is removed off the list of strangers, before whoever had it removed hears."""
        status = self.world.catalog.host_statuses.record(self.host)
        if status is None or uid not in status.foreign:
            return
        left = tuple(own for own in status.foreign if own != uid)
        try:
            await self._write_status(msgspec.structs.replace(status, foreign=left))
        except FifoError as error:
            told = f"it is removed, which could not be written down: {error}"
            raise Unavailable(told, f"hypervisors/{self.host}") from error

    async def handle_info(self, message: Any) -> Any:
        """Look for the agent again after it went, or when it is time to."""
        if isinstance(message, Down):
            await self._away("its agent ended")
        elif message == CONNECT:
            await self._connect()
        elif message == BEAT:
            await self._beat()
        else:
            return super().handle_info(message)
        return None
