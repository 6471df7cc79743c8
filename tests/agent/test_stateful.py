"""Random commands, faults and crashes: in the end the host is as it is wanted, nothing doubled."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from fifo.agent import names
from fifo.hypervisors.simulated.faults import EVENTS, GUEST, Fault
from fifo.hypervisors.simulated.settings import HostSettings
from fifo.model.errors import FifoError
from fifo.model.instance import Exit, InstanceSpec, RestartPolicy
from supervisors import SupervisorsError
from tests.agent.world import HOST, AgentWorld, claim_of, newer, spec_of

if TYPE_CHECKING:
    from fifo.model.link import JournalEntry

POLICY = RestartPolicy(when="always", first_s=0.1, most_s=2.0, attempts=1_000)
NUMBERS = st.integers(1, 4)
VERBS = st.sampled_from(("create", "start", "stop", "update", "delete", "inspect"))
PARTS = st.sampled_from(
    [
        names.journal(HOST),
        names.driver(HOST),
        names.image_cache(HOST),
        names.zones(HOST),
        names.tasks(HOST),
        names.reporter(HOST),
        names.gateway(HOST),
        names.store(HOST),
    ]
)


class AgentLife(RuleBasedStateMachine):
    """The wishes of a fleet, and everything that may come between."""

    @initialize(seed=st.integers(0, 2**16))
    def begin(self, seed: int) -> None:
        latency = dict.fromkeys(("create", "start", "stop", "delete"), (0.0, 0.5))
        self.world = AgentWorld(seed=seed, host=HostSettings(latency_s=latency))
        self.wanted: dict[str, InstanceSpec | None] = {}
        self.lives = 0
        self.watch_host()

    def watch_host(self) -> None:
        """Count the starts of each number: none is made twice."""
        self.starts: dict[str, list[int]] = {}
        boot = self.world.host.boot

        def noted(guest: Any, start_id: int) -> None:
            self.starts.setdefault(guest.uid, []).append(start_id)
            boot(guest, start_id)

        self.world.host.boot = noted  # type: ignore[method-assign]

    # -- wishes ------------------------------------------------------------------------------

    @rule(number=NUMBERS, wanted=st.sampled_from(("running", "stopped")))
    def realise(self, number: int, wanted: Any) -> None:
        uid = spec_of(number).uid
        if uid in self.wanted and self.wanted[uid] is None:
            return
        known = self.wanted.get(uid)
        fresh = spec_of(number, restart=POLICY, wanted=wanted)
        spec = newer(known, wanted=wanted) if known is not None else fresh
        self.wanted[uid] = spec
        self.world.send("realise", uid, spec=spec, claim=claim_of(spec))

    @rule(number=NUMBERS, memory=st.integers(128, 1_024))
    def change(self, number: int, memory: int) -> None:
        known = self.wanted.get(spec_of(number).uid)
        if known is not None:
            spec = self.wanted[known.uid] = newer(
                known, max_physical_memory=memory, boot_generation=known.boot_generation + 1
            )
            self.world.send("realise", known.uid, spec=spec, claim=claim_of(spec))

    @rule(number=NUMBERS)
    def remove(self, number: int) -> None:
        uid = spec_of(number).uid
        if uid in self.wanted:
            self.wanted[uid] = None
            self.world.send("remove", uid)

    # -- the world ---------------------------------------------------------------------------

    @rule(seconds=st.sampled_from((0.0, 0.01, 0.3, 2.0)))
    def pass_time(self, seconds: float) -> None:
        self.world.time.advance(seconds)

    @rule(verb=VERBS, kind=st.sampled_from(("lost_reply", "hang")))
    def go_wrong(self, verb: str, kind: Any) -> None:
        self.world.host.faults.add(Fault(verb, kind, times=1))

    @rule(after_s=st.sampled_from((0.0, 0.2)))
    def crash_a_guest_later(self, after_s: float) -> None:
        self.world.host.faults.add(Fault(GUEST, "exit", after_s=after_s, times=1))

    @rule(number=NUMBERS, code=st.sampled_from((0, 1)))
    def end_guest(self, number: int, code: int) -> None:
        guest = self.world.host.guests.get(spec_of(number).uid)
        if guest is not None and guest.running:
            self.world.host.end(guest.uid, Exit(at=self.world.utc(), code=code))

    @rule()
    def lose_sight(self) -> None:
        self.world.host.break_events("gone", 1.0)
        self.world.host.faults.add(Fault(EVENTS, "broken", times=1, after_s=0.1, lasts_s=0.5))

    @rule(number=NUMBERS)
    def kill_actor(self, number: int) -> None:
        self.world.kill_if_there(names.instance(HOST, spec_of(number).uid))

    @rule(part=PARTS)
    def kill_part(self, part: names.Name) -> None:
        self.world.kill_if_there(part)

    @rule(part=PARTS, turns=st.integers(1, 60))
    def kill_part_between_two_turns(self, part: names.Name, turns: int) -> None:
        self.world.time.after_turns(turns, lambda: self.world.kill_if_there(part))

    @rule()
    def crash_agent(self) -> None:
        if self.lives < 3:
            self.lives += 1
            # A first start that fails is no restart: it ends the node (OTP).
            self.world.time.left = 0
            self.world.crash_agent()
            self.world.start_agent()

    @rule()
    def reboot_host(self) -> None:
        self.world.host.reboot_host()

    @rule()
    def attach(self) -> None:
        self.attached()

    def attached(self) -> bool:
        """Take the host over, if the agent is there."""
        try:
            self.world.attach()
        except (FifoError, SupervisorsError):
            return False
        return True

    def told(self) -> list[JournalEntry]:
        """List all that any session was told."""
        return [entry for session in self.world.sessions for entry in session._process.entries]

    # -- what holds --------------------------------------------------------------------------

    @invariant()
    def no_start_is_made_twice(self) -> None:
        for uid, starts in getattr(self, "starts", {}).items():
            guest = self.world.host.guests.get(uid)
            if guest is not None:
                last = starts[-guest.start_id :] if guest.start_id else []
                assert sorted(set(last)) == last, starts

    def teardown(self) -> None:
        if not hasattr(self, "world"):
            return
        world = self.world
        world.host.faults.clear()
        world.time.left = 0
        for uid, spec in self.wanted.items():
            world.until(lambda: self.ask(uid, spec), 1_000.0, 0.5)  # noqa: B023 - used at once
        # Time for lost sight to be noticed, and for what hangs to reach its deadline.
        world.time.advance(200.0)
        world.until(self.settled, 1_000.0, 0.5)
        self.check_host()
        self.check_journal()
        expected = ("killed", "noproc", "CallExit", "StoreClosed")
        wrong = [text for text in world.crashes() if not text.startswith(expected)]
        assert wrong == [], wrong

    def ask(self, uid: str, spec: InstanceSpec | None) -> bool:
        """Repeat a wish, as a workflow does until it is answered."""
        more = {"operation": f"last-{uid}", "until": self.world.utc() + 1_000.0}
        if spec is None:
            answer = self.world.send("remove", uid, **more)
        else:
            answer = self.world.send("realise", uid, spec=spec, claim=claim_of(spec), **more)
        self.world.time.advance(0.5)
        return answer.done() and answer._status == 1 and answer.result().failure is None

    def settled(self) -> bool:
        """Tell whether every instance is as it is wanted."""
        return all(
            (uid not in self.world.host.guests and self.world.actor(uid) is None)
            if spec is None
            else self.world.is_in(uid, spec.wanted)
            for uid, spec in self.wanted.items()
        )

    def check_host(self) -> None:
        """The host is as it is wanted, and has nothing else."""
        world = self.world
        wanted = {uid: spec for uid, spec in self.wanted.items() if spec is not None}
        assert set(world.host.guests) == set(wanted)
        for uid, spec in wanted.items():
            guest = world.host.find(uid)
            assert guest.running == (spec.wanted == "running")
            status = world.status(uid)
            assert (status.state, status.generation) == (spec.wanted, spec.generation)
            if guest.running:
                assert guest.wanted.spec.max_physical_memory == spec.max_physical_memory
                assert status.boot_generation == spec.boot_generation
                assert (status.start_id, status.pid) == (guest.start_id, guest.pid)

    def check_journal(self) -> None:
        """Sessions were told everything, in order, and of no two things under one number."""
        world = self.world
        world.until(self.attached, step_s=1.0)
        world.time.advance(10.0)
        by_number: dict[int, JournalEntry] = {}
        for entry in self.told():
            assert by_number.setdefault(entry.sequence, entry) == entry
        if by_number:
            assert sorted(by_number) == list(range(1, max(by_number) + 1))
        last = {
            entry.uid: entry.status
            for _, entry in sorted(by_number.items())
            if entry.status is not None
        }
        for uid, spec in self.wanted.items():
            state = last[uid].state if uid in last else None
            assert state == (spec.wanted if spec is not None else "deleted") or (
                spec is None and uid not in last
            )


TestAgentLife = AgentLife.TestCase
TestAgentLife.settings = settings(
    max_examples=100,
    stateful_step_count=20,
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)
