"""A process that does what a test hands it, and keeps what it got to see."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from supervisors import GenServer, Shutdown, Stop

if TYPE_CHECKING:
    from collections.abc import Callable

    from supervisors import Ref
    from tests.supervisors.world import World


REASONS = ("normal", "shutdown", Shutdown("x"), "killed", "boom", ("a", "tuple"))
"""Exit reasons of every sort."""


class Probe(GenServer):
    """Runs functions of itself: one that is called with its result as the reply.

    What is no function goes to `seen`: casts and infos, Exit and Down among them; a call with it
    is answered with it. `terminated` is the reason that terminate was given.
    """

    terminated: Any = None

    def init(self, *_: Any, trap: bool = False) -> Any:
        self.trap_exit = trap
        self.seen: list[Any] = []

    async def handle_call(self, message: Any, caller: Any) -> Any:
        if not callable(message):
            return message
        result = message(self)
        return await result if hasattr(result, "__await__") else result

    async def handle_cast(self, message: Any) -> Any:
        if not callable(message):
            self.seen.append(message)
            return None
        result = message(self)
        return await result if hasattr(result, "__await__") else result

    def handle_info(self, message: Any) -> None:
        self.seen.append(message)

    def terminate(self, reason: Any) -> Any:
        self.terminated = reason


def seen(world: World, ref: Ref[Any]) -> list[Any]:
    """Give what a probe has seen once nothing is left to run."""
    world.settle()
    return list(ref._process.seen)


def end(world: World, ref: Ref[Any], reason: Any = "normal") -> None:
    """Let a probe end by itself."""
    ref.cast(lambda _: Stop(reason))
    world.settle()
    assert exit_reason(world, ref) == reason


def exit_reason(world: World, ref: Ref[Any]) -> Any:
    """Give why a process ended; it must have."""
    world.settle()
    assert not ref.is_alive(), f"{ref} is alive"
    return ref._process.exit_reason


def do(world: World, ref: Ref[Any], function: Callable[[Any], Any]) -> Any:
    """Run a function in a probe's turn, waiting for what it awaits, and give its result."""
    return world.call(ref, function, None)


def link(world: World, one: Ref[Any], other: Ref[Any]) -> None:
    """Let a probe link itself to another process."""
    do(world, one, lambda self: self.link(other))


def unlink(world: World, one: Ref[Any], other: Ref[Any]) -> None:
    """Let a probe undo its link to another process."""
    do(world, one, lambda self: self.unlink(other))
