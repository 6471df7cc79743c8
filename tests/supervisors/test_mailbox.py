"""Mailboxes: what a full one always takes, the order of messages, and fairness between processes.

The policies themselves are in test_mailbox_bounds.py.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from supervisors import Down, Exit, Future, GenServer, limits
from supervisors.errors import MailboxFull
from supervisors.mailbox import DROP_NEW, DROP_OLD, REJECT
from tests.supervisors.probe import Probe, do, end, link, seen

if TYPE_CHECKING:
    from supervisors import Ref
    from tests.supervisors.world import World

POLICIES = (REJECT, DROP_NEW, DROP_OLD)


def bounded(world: World, policy: str, limit: int = 3) -> Ref[Any]:
    """Start a probe that traps exits, with a small mailbox, and park it for ten seconds."""
    kind = type("Bounded", (Probe,), {"mailbox_limit": limit, "mailbox_policy": policy})
    ref = world.start(kind, trap=True)
    ref.cast(lambda self: self.sleep(10))
    world.settle()
    return ref


def flood(world: World, ref: Ref[Any], count: int) -> None:
    """Cast from a process, whatever becomes of it."""

    def cast(_: Any) -> None:
        for number in range(count):
            try:
                ref.cast(number)
            except MailboxFull:
                continue

    do(world, world.start(Probe), cast)


# -- what is always taken ------------------------------------------------------------------------


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("first", ["messages", "signals"])
def test_exits_and_downs_are_taken_by_a_full_mailbox_and_never_pushed_out(
    world: World, policy: str, first: str
) -> None:
    ref = bounded(world, policy)
    others = [world.start(Probe) for _ in range(5)]
    for other in others:
        link(world, other, ref)
    monitors = world.on_shard(lambda: [ref._process.monitor(other) for other in others])

    def signal() -> None:
        for other in others:
            end(world, other, "boom")

    if first == "signals":
        signal()
    flood(world, ref, 10)
    if first == "messages":
        signal()
    world.advance(10)
    got = seen(world, ref)
    exits = [one for one in got if isinstance(one, Exit)]
    downs = [one for one in got if isinstance(one, Down)]
    assert exits == [Exit(other, "boom") for other in others]
    assert downs == [Down(made, o, "boom") for made, o in zip(monitors, others, strict=True)]


@pytest.mark.parametrize("policy", POLICIES)
def test_a_full_mailbox_still_hears_the_answer_it_waits_for(world: World, policy: str) -> None:
    kind = type("Bounded", (Probe,), {"mailbox_limit": 2, "mailbox_policy": policy})
    ref, other = world.start(kind), world.start(Probe)
    asked = ref.call(lambda _: other.call(lambda self: self.sleep(1)), None)
    world.settle()
    flood(world, ref, 10)
    assert world.wait(asked) is None


@pytest.mark.parametrize("policy", POLICIES)
def test_every_refusal_is_counted_by_class(world: World, policy: str) -> None:
    ref = bounded(world, policy)
    flood(world, ref, 10)
    assert world.node.dead_letters.refusals == {"Bounded": 7}
    lost = {REJECT: 0, DROP_NEW: 7, DROP_OLD: 7}[policy]
    assert world.node.dead_letters.causes["mailbox full"] == lost
    world.advance(10)
    kept = {REJECT: [0, 1, 2], DROP_NEW: [0, 1, 2], DROP_OLD: [7, 8, 9]}[policy]
    assert seen(world, ref) == kept


def test_only_the_newest_dead_letters_are_kept_and_all_are_counted(world: World) -> None:
    ref = world.start(Probe)
    end(world, ref)
    told: list[Any] = []
    unsubscribe = world.on_shard(lambda: world.node.dead_letters.subscribe(told.append))
    for number in range(limits.DEAD_LETTER_SAMPLES + 10):
        ref.cast(number)
    world.settle()
    letters = [letter.message for letter in world.node.dead_letters.recent]
    assert letters == list(range(10, limits.DEAD_LETTER_SAMPLES + 10))
    assert world.node.dead_letters.causes["dead"] == limits.DEAD_LETTER_SAMPLES + 10
    assert len(told) == limits.DEAD_LETTER_SAMPLES + 10
    world.on_shard(unsubscribe)
    ref.cast("unheard")
    world.settle()
    assert told[-1].message != "unheard"


# -- order ---------------------------------------------------------------------------------------


def test_messages_of_all_kinds_are_handled_in_the_order_they_came(world: World) -> None:
    ref, sender = world.start(Probe, trap=True), world.start(Probe)

    def send(_: Any) -> Any:
        ref.cast(1)
        ref.send(2)
        ref.exit(3)
        answer = ref.call(4)
        ref.tell(5)
        ref.cast(6)
        return answer

    do(world, sender, send)
    assert seen(world, ref) == [1, 2, Exit(sender, 3), 5, 6]


def test_a_system_function_runs_ahead_of_the_mailbox(world: World) -> None:
    ref = world.start(Probe)
    ref.cast(lambda self: self.sleep(1))
    world.settle()
    for number in range(3):
        ref.cast(number)
    looked = world.on_shard(lambda: ref._process.in_turn(lambda: list(ref._process.seen)))
    world.advance(2)
    assert world.wait(looked) == []
    assert seen(world, ref) == [0, 1, 2]


def test_a_system_function_that_raises_is_the_askers_problem(world: World) -> None:
    ref = world.start(Probe)
    looked: Future[Any] = world.on_shard(lambda: ref._process.in_turn(lambda: 1 // 0))
    with pytest.raises(ZeroDivisionError):
        world.wait(looked)
    assert ref.is_alive()


# -- fairness ------------------------------------------------------------------------------------


def test_a_flooded_process_lets_others_run_after_k_messages(world: World) -> None:
    """Each turn handles `limits.MESSAGES_PER_TURN` messages, and then the next process has one."""
    order: list[tuple[str, int]] = []

    class Counting(GenServer):
        def init(self, name: str) -> None:
            self.own = name

        def handle_cast(self, message: int) -> None:
            order.append((self.own, message))

    flooded, calm = world.start(Counting, "flooded"), world.start(Counting, "calm")
    per_turn = limits.MESSAGES_PER_TURN

    def flood_both() -> None:
        for number in range(10 * per_turn):
            flooded.cast(number)
        for number in range(3):
            calm.cast(number)

    world.on_shard(flood_both)
    world.settle()
    assert [at for at, (name, _) in enumerate(order) if name == "calm"] == [
        per_turn, per_turn + 1, per_turn + 2,
    ]  # fmt: skip
    assert [number for name, number in order if name == "flooded"] == list(range(10 * per_turn))


def test_two_flooded_processes_take_turns(world: World) -> None:
    order: list[int] = []

    class Counting(GenServer):
        def init(self, number: int) -> None:
            self.number = number

        def handle_cast(self, message: Any) -> None:
            order.append(self.number)

    refs = [world.start(Counting, number) for number in range(2)]
    per_turn = limits.MESSAGES_PER_TURN

    def flood_both() -> None:
        for ref in refs:
            for _ in range(3 * per_turn):
                ref.cast("message")

    world.on_shard(flood_both)
    world.settle()
    assert order == ([0] * per_turn + [1] * per_turn) * 3


def test_a_process_that_sends_to_itself_for_ever_starves_nobody(world: World) -> None:
    class Busy(GenServer):
        def handle_cast(self, message: Any) -> None:
            self.ref.cast(message)

    busy, other = world.start(Busy), world.start(Probe)
    busy.cast("again")
    asked = other.call("hello", None)
    if world.kind == "simulated":
        world.node.shard.run_slice(10)
    else:
        asked.get(timeout=20)
    assert asked.result() == "hello"
    busy.kill()
    world.settle()
