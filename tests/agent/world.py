"""An agent in virtual time: a host that outlives it, a disk that outlives it, a session."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import msgspec

from fifo.agent import names
from fifo.agent.clockwork import NodeClockwork
from fifo.agent.messages import STATUS
from fifo.agent.settings import AgentSettings
from fifo.agent.supervisor import LocalLink, agent_spec
from fifo.hypervisors.simulated.driver import SimulatedDriver
from fifo.hypervisors.simulated.host import SimulatedHost
from fifo.model.image import Image
from fifo.model.instance import Claim, InstanceSpec, InstanceStatus, RestartPolicy, Shares
from fifo.model.link import Acknowledge, Blind, Command, CommandResult, JournalEntry, Probed, Report
from fifo.store.faults import NO_FAULTS
from fifo.store.memory import MemoryDisk, MemoryStore
from supervisors import Flags, Future, GenServer, Node, Supervisor, gather
from supervisors import SimulatedHost as VirtualTime

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from fifo.hypervisors.driver import Driver, Observed, Wanted
    from fifo.hypervisors.simulated.settings import HostSettings
    from fifo.model.link import Hello, Verb
    from fifo.store.faults import Faults
    from supervisors import Ref

EPOCH_S = 1_700_000_000.0
HOST = "00000000-0000-4000-a000-000000000001"


def uid_of(number: int) -> str:
    """Make a uid."""
    return f"00000000-0000-4000-8000-{number:012x}"


class Session(GenServer):
    """Takes reports as the fleet's session does, and keeps them."""

    def init(self, link: LocalLink, *, acknowledges: bool = True) -> None:
        self.agent_link = link
        self.acknowledges = acknowledges
        self.entries: list[JournalEntry] = []
        self.blind: list[Blind] = []
        self.probed: list[Probed] = []
        self.taken = 0

    def handle_cast(self, report: Report | Blind | Probed) -> None:
        if isinstance(report, Probed):
            self.probed.append(report)
            return
        if isinstance(report, Blind):
            self.blind.append(report)
            return
        for entry in report.entries:
            if entry.sequence > self.taken:
                self.entries.append(entry)
                self.taken = entry.sequence
        if self.acknowledges:
            self.agent_link.acknowledge(Acknowledge(host=report.host, sequence=self.taken))

    def handle_call(self, message: Any, caller: Any) -> Any:
        return list(self.entries)


class SteppedTime(VirtualTime):
    """Virtual time that can stop between any two turns to let something happen."""

    left = 0
    act: Callable[[], None]

    def after_turns(self, turns: int, act: Callable[[], None]) -> None:
        """Do something when so many more turns were taken."""
        self.left = turns
        self.act = act

    def run_ready(self) -> bool:
        ran = False
        while self.left and self._take_one_turn():
            ran = True
            self.left -= 1
            if not self.left:
                self.act()
        return super().run_ready() or ran

    def _take_one_turn(self) -> bool:
        for node in tuple(self.nodes):
            shard = node.shard
            due_s = shard.timers.next_due_s()
            timely = due_s is not None and due_s <= self.now_s
            if shard.runq or shard.inbound or shard.timers.due or timely:
                shard.run_slice(1)
                return True
        return False


class CountingDriver(SimulatedDriver):
    """Notes how many starts are under way at each start."""

    def __init__(self, host: SimulatedHost) -> None:
        super().__init__(host)
        self.now = 0
        self.under_way: list[int] = []

    async def start(self, wanted: Wanted, start_id: int) -> Observed:
        self.now += 1
        self.under_way.append(self.now)
        try:
            return await super().start(wanted, start_id)
        finally:
            self.now -= 1


class AgentWorld:
    """One host and its agent, which may crash and come back."""

    def __init__(
        self,
        seed: int | None = None,
        host: HostSettings | None = None,
        faults: Faults | None = None,
    ) -> None:
        self.time = SteppedTime(seed=seed)
        self.nature = self.time.node("nature", log_reports=False)
        clockwork = NodeClockwork(self.nature, self.utc)
        self.host = SimulatedHost(clockwork, host)
        self.disk = MemoryDisk("0" * 32)
        self.faults = faults
        self.fence = 1
        self.lasting = True
        self.numbers = itertools.count(1)
        self.lives = itertools.count(1)
        self.sessions: list[Ref[Any]] = []
        self.start_agent()

    def utc(self) -> float:
        return EPOCH_S + self.time.now_s

    # -- the agent's life --------------------------------------------------------------------

    def start_agent(self) -> None:
        """Start a node with an agent on what the last one left."""
        self.node = self.time.node(f"agent-{next(self.lives)}", log_reports=False)
        self.stores: list[MemoryStore] = []
        self.reports: list[Any] = []
        self.node.reports.subscribe(self.reports.append)
        settings = AgentSettings(
            host=HOST, driver=self.driver, open_store=self._open, utc=self.utc, version="test",
            lasting=self.lasting,
        )  # fmt: skip
        self.settings = settings
        spec = agent_spec(settings)
        self.root = self.node.start(Supervisor, Flags(intensity=100), [spec], name="root").get()
        self.link = LocalLink(self.node, HOST)
        self.session: Ref[Any] | None = None

    def driver(self) -> Driver:
        """Give a driver to whoever owns it next."""
        return SimulatedDriver(self.host)

    def _open(self, node: Node) -> Future[Any]:
        future: Future[Any] = Future()
        faults, self.faults = self.faults or NO_FAULTS, None
        store = MemoryStore(node, self.disk, faults=faults)
        self.stores.append(store)
        future.reply(store)
        return future

    def crash_agent(self) -> None:
        """Kill the node as `kill -9` does: nothing of it runs any more, its disk stays."""
        for store in self.stores:
            if not store.disk.taken:
                continue
            store.crash()
        for sight in tuple(self.host.sights):
            sight.cancel()
        self.time.nodes.remove(self.node)

    def kill_if_there(self, name: Any) -> None:
        """Kill one process."""
        found = self.node.whereis(name)
        if found is not None:
            found.kill()

    def claim(self, spec: InstanceSpec) -> Claim:
        """Make a claim that fits any host."""
        return claim_of(spec)

    # -- the session -------------------------------------------------------------------------

    def attach(self, *, acknowledges: bool = True) -> Hello:
        """Be the owner from now on."""
        session = self.node.start(Session, self.link, acknowledges=acknowledges).get()
        self.session = session
        self.sessions.append(session)
        return self.link.take(self.fence, session).get()

    def reported(self) -> list[JournalEntry]:
        """List what the session was told."""
        assert self.session is not None
        self.time.run_ready()
        entries: list[JournalEntry] = self.session.call("entries").get()
        return entries

    def send(self, verb: Verb, uid: str, **more: Any) -> Future[CommandResult]:
        """Give a command."""
        more.setdefault("operation", f"op-{next(self.numbers)}")
        more.setdefault("fence", self.fence)
        more.setdefault("until", self.utc() + 600.0)
        return self.link.command(Command(step="step", verb=verb, uid=uid, **more))

    def command(self, verb: Verb, uid: str, **more: Any) -> CommandResult:
        """Give a command and wait for its answer."""
        return self.send(verb, uid, **more).get()

    def realise(self, spec: InstanceSpec, **more: Any) -> CommandResult:
        """Want an instance to be so."""
        return self.command("realise", spec.uid, spec=spec, claim=claim_of(spec), **more)

    def realise_all(self, specs: Iterable[InstanceSpec]) -> None:
        """Want many at once, and wait for the answers."""
        gather(self.send("realise", one.uid, spec=one, claim=claim_of(one)) for one in specs).get()

    # -- looking -----------------------------------------------------------------------------

    def actor(self, uid: str) -> Ref[Any] | None:
        """Find an instance's actor."""
        return self.node.whereis(names.instance(HOST, uid))

    def status(self, uid: str) -> InstanceStatus:
        """Ask an instance's actor."""
        actor = self.actor(uid)
        assert actor is not None
        status: InstanceStatus = actor.call(STATUS).get()
        return status

    def until(self, condition: Any, patience_s: float = 600.0, step_s: float = 0.01) -> None:
        """Let time pass until something holds."""
        until_s = self.time.now_s + patience_s
        self.time.run_ready()
        while not condition():
            assert self.time.now_s < until_s, "it never came"
            self.time.advance(step_s)

    def is_in(self, uid: str, state: str) -> bool:
        """Tell whether an instance's actor is in a state, and at rest there."""
        actor = self.actor(uid)
        return actor is not None and actor._process.ready and actor._process.at == state

    def await_state(self, uid: str, state: str, patience_s: float = 600.0) -> None:
        """Let time pass until an instance is in a state."""
        self.until(lambda: self.is_in(uid, state), patience_s)

    def watch_starts(self) -> list[int]:
        """Note how many starts are under way whenever one begins; gives the growing list."""
        counting = CountingDriver(self.host)
        self.node.address(names.driver(HOST))._process.driver = counting
        return counting.under_way

    def crashes(self) -> list[str]:
        """List the crashes that no test wanted."""
        return [str(report.reason) for report in self.reports if report.kind == "crash"]


def claim_of(spec: InstanceSpec) -> Claim:
    """Make a claim that fits any host."""
    return Claim(uid=spec.uid, host=HOST, shares=Shares(memory=1))


def spec_of(number: int, **more: Any) -> InstanceSpec:
    """Make a spec of an instance that is to run."""
    given: dict[str, Any] = {
        "uid": uid_of(number),
        "id": f"web-{number}",
        "org": "default",
        "generation": 1,
        "wanted": "running",
        "brand": "lx",
        "create_time": EPOCH_S,
        "restart": RestartPolicy(),
    }
    return InstanceSpec(**{**given, **more})


def newer(spec: InstanceSpec, **changes: Any) -> InstanceSpec:
    """Make the next generation of a spec."""
    return msgspec.structs.replace(spec, generation=spec.generation + 1, **changes)


def image_of(number: int, size_bytes: int = 10_000_000) -> Image:
    """Make an image that is not in the cache."""
    return Image(
        uid=f"00000000-0000-4000-9000-{number:012x}", id=f"image-{number}", create_time=EPOCH_S,
        format="rootfs_tar", source="memory", size_bytes=size_bytes,
    )  # fmt: skip
