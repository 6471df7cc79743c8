"""A full mailbox follows its policy, is counted, and never keeps signals and timers out."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest

from supervisors import Future, GenServer
from supervisors.errors import CallExit, MailboxFull
from supervisors.mailbox import DROP_NEW, DROP_OLD, REJECT

if TYPE_CHECKING:
    from tests.supervisors.world import World


def mailbox(policy: str, limit: int = 2) -> type[GenServer]:
    """Make a class whose servers can be parked while their mailboxes fill."""

    class Bounded(GenServer):
        mailbox_limit = limit
        mailbox_policy = policy

        def init(self) -> None:
            self.got: list[Any] = []
            self.gate: Future[None] = Future()

        async def handle_cast(self, message: Any) -> None:
            if message == "wait":
                await self.gate
            self.got.append(message)

        def handle_call(self, message: Any, caller: Any) -> Any:
            return list(self.got)

    return Bounded


def parked(world: World, policy: str) -> tuple[Any, Future[None]]:
    """Start a bounded server and park it; gives its ref and what lets it go on."""
    ref = world.start(mailbox(policy))
    ref.cast("wait")
    world.settle()
    return ref, ref._process.gate


def refusals(world: World) -> dict[str, int]:
    return dict(world.node.dead_letters.refusals)


def full_letters(world: World) -> list[Any]:
    letters = world.node.dead_letters.recent
    return [letter.message for letter in letters if letter.cause == "mailbox full"]


def cast_on_shard(world: World, ref: Any, messages: list[Any]) -> list[Any]:
    """Cast from within the shard; gives the errors of those that were refused."""

    def cast_all() -> list[Any]:
        errors = []
        for message in messages:
            try:
                ref.cast(message)
            except MailboxFull as error:
                errors.append(error)
        return errors

    class Caster(GenServer):
        def handle_call(self, message: Any, caller: Any) -> Any:
            return cast_all()

    return world.call(world.start(Caster), "go")  # type: ignore[no-any-return]


POLICIES: list[tuple[str, list[Any], int, list[Any]]] = [
    (REJECT, ["wait", 1, 2], 2, []),
    (DROP_NEW, ["wait", 1, 2], 0, [3, 4]),
    (DROP_OLD, ["wait", 3, 4], 0, [1, 2]),
]


@pytest.mark.parametrize(("policy", "handled", "raised", "lost"), POLICIES)
def test_a_full_mailbox_follows_its_policy_and_is_counted(
    world: World, policy: str, handled: list[Any], raised: int, lost: list[Any]
) -> None:
    ref, gate = parked(world, policy)
    errors = cast_on_shard(world, ref, [1, 2, 3, 4])
    assert len(errors) == raised
    assert all("holds 2 messages" in str(error) for error in errors)
    assert full_letters(world) == lost
    assert refusals(world) == {"Bounded": 2}
    gate.set()
    world.settle()
    assert world.call(ref, "what did you get?") == handled


@pytest.mark.parametrize(("policy", "handled", "raised", "lost"), POLICIES)
def test_from_another_thread_a_refused_cast_is_a_dead_letter_at_least(
    world: World, policy: str, handled: list[Any], raised: int, lost: list[Any]
) -> None:
    ref, gate = parked(world, policy)
    sender = threading.Thread(target=lambda: [ref.cast(message) for message in [1, 2, 3, 4]])
    sender.start()
    sender.join()
    world.settle()
    assert full_letters(world) == (lost or [3, 4])
    assert refusals(world) == {"Bounded": 2}
    gate.set()
    world.settle()
    assert world.call(ref, "what did you get?") == handled


@pytest.mark.parametrize("policy", [REJECT, DROP_NEW])
@pytest.mark.parametrize("verb", ["call", "ask"])
def test_a_request_to_a_full_mailbox_fails_with_mailbox_full(
    world: World, policy: str, verb: str
) -> None:
    ref, gate = parked(world, policy)
    cast_on_shard(world, ref, [1, 2])
    future = ref.call("x") if verb == "call" else ref.ask("x", block=False)
    with pytest.raises(MailboxFull, match="slow down, or raise mailbox_limit"):
        world.wait(future)
    gate.set()


def test_a_request_that_makes_room_fails_the_one_it_pushed_out(world: World) -> None:
    ref, gate = parked(world, DROP_OLD)
    oldest, others = ref.call("oldest", None), [ref.call(n, None) for n in range(2)]
    world.settle()
    assert oldest.done()
    gate.set()
    assert [world.wait(other) for other in others] == [["wait"], ["wait"]]
    with pytest.raises((CallExit, MailboxFull)):
        oldest.result()


def test_signals_and_timers_reach_a_full_mailbox(world: World) -> None:
    ref, gate = parked(world, REJECT)
    cast_on_shard(world, ref, [1, 2])
    world.on_shard(lambda: ref._process.send_after(1.0, "tick"))
    world.advance(2)
    assert ref._process.mailbox_length == 3
    ref.exit("boom")
    world.settle()
    assert not ref.is_alive()
    gate.set()


def test_a_sender_on_the_shards_thread_is_told_outside_of_turns_too(world: World) -> None:
    ref, gate = parked(world, REJECT)
    cast_on_shard(world, ref, [1, 2])
    if world.kind == "asyncio":
        told: Future[Any] = Future()

        def on_the_loop() -> None:
            try:
                ref.cast(3)
            except MailboxFull as error:
                told.set(error)

        world.loop.call_soon_threadsafe(on_the_loop)  # type: ignore[attr-defined]
        assert isinstance(told.get(timeout=20), MailboxFull)
    elif world.kind == "simulated":
        with pytest.raises(MailboxFull):
            ref.cast(3)
    gate.set()


IDLE: list[tuple[str, list[Any]]] = [
    (REJECT, [0, 1, 2]),
    (DROP_NEW, [0, 1, 2]),
    (DROP_OLD, [0, 3, 4]),
]


@pytest.mark.parametrize(("policy", "handled"), IDLE)
def test_what_an_idle_process_gets_first_is_at_hand_and_does_not_count(
    world: World, policy: str, handled: list[Any]
) -> None:
    ref, gate = parked(world, policy)
    gate.set()
    world.settle()
    cast_on_shard(world, ref, [0, 1, 2, 3, 4])
    world.settle()
    assert world.call(ref, "what did you get?") == ["wait", *handled]
    assert refusals(world) == {"Bounded": 2}


@pytest.mark.parametrize("limit", [0, -1, 1.5, "10", None])
def test_a_bound_that_cannot_be_is_refused_with_the_class(limit: Any) -> None:
    with pytest.raises(ValueError, match=r"Odd\.mailbox_limit=.* must be a whole number from 1 on"):
        type("Odd", (GenServer,), {"mailbox_limit": limit})


@pytest.mark.parametrize("policy", ["dropnew", None, 0])
def test_a_policy_that_is_none_is_refused_with_the_class(policy: Any) -> None:
    with pytest.raises(ValueError, match=r"Odd\.mailbox_policy=.* one of 'drop_new', 'drop_old'"):
        type("Odd", (GenServer,), {"mailbox_policy": policy})
