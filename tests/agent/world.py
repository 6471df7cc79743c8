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
from fifo.model.link import Acknowledge, Command, CommandResult, JournalEntry, Report
from fifo.store.faults import NO_FAULTS
from fifo.store.memory import MemoryDisk, MemoryStore
from supervisors import Flags, Future, GenServer, Node, Supervisor, gather
from supervisors import SimulatedHost as VirtualTime

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from fifo.hypervisors.driver import Driver
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
        self.taken = 0

    def handle_cast(self, report: Report) -> None:
        for entry in report.entries:
            if entry.sequence > self.taken:
                self.entries.append(entry)
                self.taken = entry.sequence
        if self.acknowledges:
            self.agent_link.acknowledge(Acknowledge(host=report.host, sequence=self.taken))

    def handle_call(self, message: Any, caller: Any) -> Any:
        return list(self.entries)


class AgentWorld:
    """One host and its agent, which may crash and come back."""

    def __init__(
        self,
        seed: int | None = None,
        host: HostSettings | None = None,
        faults: Faults | None = None,
    ) -> None:
        self.time = VirtualTime(seed=seed)
        self.nature = self.time.node("nature", log_reports=False)
        clockwork = NodeClockwork(self.nature, self.utc)
        self.host = SimulatedHost(clockwork, host)
        self.disk = MemoryDisk("0" * 32)
        self.faults = faults
        self.fence = 1
        self.numbers = itertools.count(1)
        self.lives = itertools.count(1)
        self.entries: list[JournalEntry] = []
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
            host=HOST, driver=self.driver, open_store=self._open, utc=self.utc, version="test"
        )
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

    def after_turns(self, turns: int, act: Callable[[], None]) -> None:
        """Do something when the agent's node has had so many more slices of a single turn."""
        shard = self.node.shard
        run_slice = shard.run_slice
        left = [turns]

        def run_one(max_turns: int, slice_s: float | None = None) -> bool:
            if left[0] < 0:
                return run_slice(max_turns, slice_s)
            left[0] -= 1
            if left[0] < 0:
                act()
            return run_slice(1, slice_s)

        shard.run_slice = run_one  # type: ignore[method-assign]

    def claim(self, spec: InstanceSpec) -> Claim:
        """Make a claim that fits any host."""
        return claim_of(spec)

    # -- the session -------------------------------------------------------------------------

    def attach(self, *, acknowledges: bool = True) -> Hello:
        """Be the owner from now on."""
        session = self.node.start(Session, self.link, acknowledges=acknowledges).get()
        self.session = session
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

    def crashes(self) -> list[str]:
        """List the crashes that no test wanted."""
        return [str(report.reason) for report in self.reports if report.kind == "crash"]


def claim_of(spec: InstanceSpec) -> Claim:
    """Make a claim that fits any host."""
    return Claim(uid=spec.uid, host=HOST, shares=Shares(cpu=1, memory=1, disk=0))


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
