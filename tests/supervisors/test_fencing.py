"""What a turn does after the watchdog abandoned it: nothing that anybody could see.

The turn catches the exception that was to end it, and goes on with what a handler may do. Only the
thread host lets such a turn run on beside its node.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, Final

import pytest

from supervisors import GenServer, NoReply, Process
from supervisors.deadline import within
from supervisors.errors import CallExit
from tests.supervisors.probe import Probe, seen
from tests.supervisors.stuck import CATCH, StuckWorld

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class Late(GenServer):
    """Is stuck when cast to, and has its effect afterwards."""

    def init(self, scene: StuckWorld, peer: Any, effect: Callable[[Any], Any]) -> None:
        self.scene, self.peer, self.effect = scene, peer, effect
        self.outcome: BaseException | None = None
        self.done = threading.Event()
        self.watch = self.monitor(peer)

    def handle_call(self, message: Any, caller: Any) -> NoReply:
        self.caller = caller
        return NoReply()

    async def handle_cast(self, message: Any) -> None:
        self.scene.snag()
        try:
            result = self.effect(self)
            if hasattr(result, "__await__"):
                await result
        except BaseException as error:
            self.outcome = error
            raise
        finally:
            self.done.set()


EFFECTS: Final[dict[str, Callable[[Any], Any]]] = {
    "cast": lambda late: late.peer.cast("late"),
    "send": lambda late: late.peer.send("late"),
    "tell": lambda late: late.peer.tell("late"),
    "call": lambda late: late.peer.call("late"),
    "ask": lambda late: late.peer.ask("late", block=False),
    "exit": lambda late: late.peer.exit("late"),
    "kill": lambda late: late.peer.kill(),
    "stop": lambda late: late.peer.stop(block=False),
    "node.start": lambda late: late.node.start(Probe, name="late"),
    "start of a server": lambda _: Probe.start(name="late"),
    "start of an actor": lambda _: Process.start(),
    "link": lambda late: late.link(late.peer),
    "link by the peer": lambda late: late.peer._process.link(late.ref),
    "unlink by the peer": lambda late: late.peer._process.unlink(late.node.address("friend")),
    "monitor": lambda late: late.monitor(late.peer),
    "monitor by the peer": lambda late: late.peer._process.monitor(late.node.address("friend")),
    "demonitor": lambda late: late.demonitor(late.watch),
    "join": lambda late: late.node.groups.join("late", late.ref),
    "join of the peer": lambda late: late.node.groups.join("late", late.peer),
    "leave of the peer": lambda late: late.node.groups.leave("g", late.peer),
    "subscribe": lambda late: late.node.groups.subscribe("late", late.ref),
    "subscribe of the peer": lambda late: late.node.groups.subscribe("late", late.peer),
    "send_after": lambda late: late.send_after(1, "late"),
    "send_after of the peer": lambda late: late.peer._process.send_after(1, "late"),
    "sleep": lambda late: late.sleep(1),
    "within": lambda late: within(1, late.peer.call("late", None)),
    "reply": lambda late: late.caller.reply("late"),
    "fail": lambda late: late.caller.fail(ValueError("late")),
    "set": lambda late: late.caller.set("late"),
    "in_turn": lambda late: late.peer._process.in_turn(list),
}
UNCOUNTED: Final = {"sleep"}
"""What would have concerned nobody else is no dead letter."""


@pytest.fixture
def scene() -> Iterator[StuckWorld]:
    made = StuckWorld("thread", CATCH)
    with made.node:
        yield made
    made.close()


def tables(scene: StuckWorld, peer: Any) -> Any:
    """Give everything of a node that an effect could be seen in."""

    def look() -> Any:
        node, shard = scene.node, scene.node.shard
        extras = peer._process._ext
        return (
            sorted(shard.processes),
            sorted(map(str, node.registry.named)),
            (node.groups.which(), node.groups.members("g"), dict(node.groups._subscribers)),
            len(shard.timers),
            (list(extras.links or ()), list(extras.watchers or ()), list(extras.watching or ())),
            (list(shard.runq), shard.stack, shard.current),
        )

    return scene.world.on_shard(look)


@pytest.mark.parametrize("effect", EFFECTS)
def test_an_abandoned_turn_has_no_effect(scene: StuckWorld, effect: str) -> None:
    world = scene.world
    peer, friend = world.start(Probe), world.start(Probe, name="friend")
    world.call(peer, lambda probe: probe.link(friend))
    world.call(peer, lambda probe: probe.node.groups.join("g", probe.ref))
    late = world.start(Late, scene, peer, EFFECTS[effect])
    answer = late.call("question", None)
    world.settle()
    late.cast("be stuck")
    scene.give_up()
    with pytest.raises(CallExit):
        world.wait(answer)
    before = tables(scene, peer)
    scene.let_go()
    assert late._process.done.is_set()
    assert not isinstance(late._process.outcome, Exception), "it is told by StuckTurn, or not"
    assert tables(scene, peer) == before
    assert seen(world, peer) == []
    assert peer.is_alive()
    assert scene.serves()
    counted = scene.node.dead_letters.causes["fenced"]
    assert counted == (0 if effect in UNCOUNTED else 1)


def test_a_caller_is_not_answered_by_an_abandoned_turn_of_another_process(
    scene: StuckWorld,
) -> None:
    world = scene.world
    peer = world.start(Probe)
    late = world.start(Late, scene, peer, lambda late: late.other.reply("late"))
    owner = world.start(Late, scene, peer, lambda _: None)
    answer = owner.call("question", None)
    world.settle()
    late._process.other = owner._process.caller
    late.cast("be stuck")
    scene.give_up()
    scene.let_go()
    assert not answer.done()
    owner._process.caller.reply("in time")
    assert world.wait(answer) == "in time"
