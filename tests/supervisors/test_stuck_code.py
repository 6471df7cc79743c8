"""Every kind of code that a user writes may get stuck: the watchdog gives up its process alone.

On the thread host the node goes on at once, on the asyncio host when the code lets go of the loop.
Wherever it stands, the code may be ended by the exception, may not see it before it returns, or may
catch it and return as if nothing had been.
"""

from __future__ import annotations

from pathlib import Path
from types import CodeType
from typing import TYPE_CHECKING, Any

import pytest

import supervisors
from supervisors import GenServer, Stop
from supervisors.errors import CallExit
from supervisors.safepoints import DISPATCH, INLINE_START, PROCESS_CODE, TURN
from tests.supervisors.stuck import BLOCK, CATCH, SPIN, StuckWorld
from tests.supervisors.stuck_code import KINDS
from tests.supervisors.stuck_processes import Starter

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.supervisors.world import World


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


@pytest.mark.parametrize("kind", KINDS)
def test_whatever_code_is_stuck_its_process_is_given_up_alone(scene: StuckWorld, kind: str) -> None:
    waiting = KINDS[kind](scene)
    scene.give_up()
    assert scene.dog.abandoned == 1
    if scene.kind == "thread":
        assert scene.serves()
    scene.let_go()
    assert scene.serves()
    assert scene.stuck()
    shard = scene.node.shard
    assert (shard.stuck, shard.abandoned, shard.stack) == (None, set(), [])
    assert not [one for one in shard.processes.values() if one._state == 7], "a doomed one is left"
    if waiting is not None:
        with pytest.raises(Exception, match="stuck"):
            scene.world.wait(waiting)


def test_who_starts_a_stuck_process_within_its_turn_is_given_up_with_it_or_told() -> None:
    for kind, victims in (("thread", ["Server", "Starter"]), ("asyncio", ["Server"])):
        scene = StuckWorld(kind, SPIN)
        with scene.node:
            Starter.start().cast(scene.snag)
            scene.give_up()
            scene.let_go()
            assert scene.stuck() == victims
        scene.close()


class Suicidal(GenServer):
    """Is killed while it terminates."""

    def handle_call(self, message: Any, caller: Any) -> Any:
        return Stop("done", "reply")

    def terminate(self, reason: Any) -> None:
        self.ref.kill()


def test_a_process_killed_while_it_terminates_was_killed(world: World) -> None:
    ref = world.start(Suicidal)
    with pytest.raises(CallExit) as caught:
        world.call(ref, "end")
    assert caught.value.reason == ref.exit_reason == "killed"


def functions(module: str) -> set[str]:
    """Name the functions of a module of the runtime, nested ones too."""
    path = Path(supervisors.__file__).parent / module
    found: set[str] = set()
    codes = [compile(path.read_bytes(), str(path), "exec")]
    while codes:
        code = codes.pop()
        found.add(code.co_qualname)
        codes.extend(const for const in code.co_consts if isinstance(const, CodeType))
    return found


def test_every_function_that_may_be_interrupted_is_there() -> None:
    for module, names in (*DISPATCH.items(), *((m, {f}) for m, f in (TURN, INLINE_START))):
        assert set(names) <= functions(module)
    assert all(functions(module) for module in PROCESS_CODE)
