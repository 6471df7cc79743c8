"""Every kind of code that a user writes may get stuck: the watchdog gives up its process alone.

On the thread host the node goes on at once, on the asyncio host when the code lets go of the loop.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

import pytest

from supervisors import GenServer, Process, Stop
from supervisors.errors import CallExit
from tests.supervisors.stuck import BLOCK, CATCH, SPIN, Snag, StuckWorld

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from supervisors.future import Future


@pytest.fixture(params=[SPIN, BLOCK, CATCH])
def how(request: pytest.FixtureRequest) -> str:
    way: str = request.param
    return way


@pytest.fixture(params=["thread", "asyncio"])
def scene(request: pytest.FixtureRequest, how: str) -> Iterator[StuckWorld]:
    made = StuckWorld(request.param, how)
    with made.node:
        yield made
    made.close()


class Stopping(Process):
    """Stuck in one of Pykka's hooks for the end."""

    def __init__(self, snag: Snag, hook: str) -> None:
        super().__init__()
        self.snag, self.hook = snag, hook

    def on_receive(self, message: Any) -> Any:
        raise ValueError(message)

    def on_stop(self) -> None:
        if self.hook == "stop":
            self.snag()

    def on_failure(self, *_: Any) -> None:
        if self.hook == "failure":
            self.snag()


class Terminating(GenServer):
    """Stuck in `terminate`."""

    def init(self, snag: Snag) -> None:
        self.snag = snag

    def handle_call(self, message: Any, caller: Any) -> Any:
        if message == "crash":
            raise ValueError(message)
        return Stop("done", "reply") if message == "reply" else Stop("done")

    def terminate(self, reason: Any) -> Any:
        self.snag()


class TerminatingAsync(Terminating):
    """The same with `async def`."""

    async def terminate(self, reason: Any) -> Any:
        self.snag()


class TerminatingLater(Terminating):
    """The same after an await."""

    async def terminate(self, reason: Any) -> Any:
        await asyncio.sleep(0)
        self.snag()


def called(kind: type[Terminating], message: str) -> Callable[[StuckWorld], Any]:
    """Start a server and let a call end it."""
    return lambda scene: kind.start(scene.snag).call(message)


ENDS: Final[dict[str, Callable[[StuckWorld], Any]]] = {
    "on_stop": lambda scene: Stopping.start(scene.snag, "stop").stop(block=False),
    "on_failure": lambda scene: Stopping.start(scene.snag, "failure").tell("crash"),
    **{
        f"{kind.__name__} {message}": called(kind, message)
        for kind in (TerminatingAsync, TerminatingLater)
        for message in ("stop", "reply", "crash")
    },
}


@pytest.mark.parametrize("end", ENDS)
def test_a_process_that_is_stuck_at_its_end_is_given_up_alone(scene: StuckWorld, end: str) -> None:
    told = ENDS[end](scene)
    scene.give_up()
    assert scene.dog.abandoned == 1
    if scene.kind == "thread":
        assert scene.serves()
    scene.let_go()
    assert scene.serves()
    assert len(scene.stuck()) == 1
    assert scene.node.shard.stuck is None
    assert not scene.node.shard.abandoned
    if end not in {"on_stop", "on_failure"}:
        refuses_as_stuck(scene, told)


def refuses_as_stuck(scene: StuckWorld, answer: Future[Any]) -> None:
    with pytest.raises(CallExit) as caught:
        scene.world.wait(answer)
    assert caught.value.reason == "stuck"
