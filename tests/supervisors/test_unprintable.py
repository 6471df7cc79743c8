"""Errors, reasons and names that cannot be written out end nobody but who they are about."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from supervisors import ChildSpec, Flags, GenServer, Stop, Supervisor
from supervisors.errors import CallExit, ChildError, SpecError, StartError
from supervisors.reasons import Crash, text
from tests.supervisors.probe import Probe, exit_reason

if TYPE_CHECKING:
    from tests.supervisors.world import World


class Unprintable(Exception):  # noqa: N818 - it is a property, not an error of ours
    """An error that raises when somebody looks at it."""

    def __str__(self) -> str:
        raise RuntimeError("no text")

    __repr__ = __str__


class Secret:
    """A value that raises when somebody looks at it."""

    def __repr__(self) -> str:
        raise RuntimeError("no text")


class Faulty(GenServer):
    """Ends as it is told, with what cannot be written out."""

    def init(self, *how: Any) -> Any:
        return self.end(*how) if how else None

    @staticmethod
    def end(how: str) -> Any:
        if how == "raise":
            raise Unprintable
        return Stop(Secret())

    async def handle_call(self, message: Any, caller: Any) -> Any:
        await self.sleep(0)
        return self.end(message)

    def handle_cast(self, message: Any) -> Any:
        return self.end(message)


ENDS = ["raise", "stop"]


@pytest.mark.parametrize("how", ENDS)
@pytest.mark.parametrize("verb", ["call", "cast"])
def test_a_process_that_ends_unprintably_is_told_of_and_restarted(
    world: World, how: str, verb: str
) -> None:
    spec = ChildSpec("faulty", (Faulty,), name="faulty")
    supervisor = world.start(Supervisor, Flags(), [spec])
    first = world.node.address("faulty")
    if verb == "cast":
        first.cast(how)
        world.settle()
    with pytest.raises(CallExit) as caught:
        world.wait(first.call(how, None))
    reason = exit_reason(world, first)
    assert caught.value.reason == (reason if verb == "call" else "noproc")
    assert ("unprintable" in str(caught.value)) is (verb == "call")
    assert world.node.address("faulty").is_alive()
    assert supervisor.is_alive()


@pytest.mark.parametrize("how", ENDS)
def test_a_start_that_fails_unprintably_is_told_to_the_starter(world: World, how: str) -> None:
    with pytest.raises(StartError, match="unprintable, RuntimeError in its repr"):
        world.start(Faulty, how, name="faulty")
    assert world.node.whereis("faulty") is None
    spec = ChildSpec("faulty", (Faulty, (how,)))
    with pytest.raises(StartError):
        world.start(Supervisor, Flags(), [spec])
    assert not world.node.shard.processes


def test_an_ask_gets_the_unprintable_error_itself(world: World) -> None:
    ref = world.start(Faulty)
    with pytest.raises(Unprintable):
        world.wait(ref.ask("raise", block=False))
    assert ref.is_alive()


class Name(Secret):
    """A name that cannot be written out."""

    def __hash__(self) -> int:
        return 7

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Name)


def test_a_process_whose_name_is_unprintable_can_be_written_out(world: World) -> None:
    ref = world.start(Probe, name=Name())
    assert "unprintable" in str(ref)
    ref.kill()
    with pytest.raises(CallExit):
        world.wait(ref.call("late"))


def test_errors_about_unprintable_values_can_be_made() -> None:
    secret = Secret()
    for error in (
        CallExit("a", secret), StartError("a", secret), ChildError("start_child", secret, secret),
        SpecError(("invalid_shutdown", secret)),
    ):  # fmt: skip
        assert "unprintable" in str(error)
    assert str(Crash(Unprintable())) == "Unprintable: unprintable, RuntimeError in its repr"
    assert text("boom") == "boom"
