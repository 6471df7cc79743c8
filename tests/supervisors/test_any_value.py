"""Reasons, names and ids may be any value, also one whose text or comparison is a trap."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from supervisors import ChildSpec, DynamicSupervisor, Flags, GenServer, Supervisor, start_child
from supervisors.errors import CallExit, ChildError, StartError
from supervisors.observe.snapshot import describe
from supervisors.reasons import NORMAL, Crash, Shutdown, is_orderly, means, same, shown, text
from supervisors.reports import format_report

if TYPE_CHECKING:
    from tests.supervisors.world import World


class Mute:
    """Has no text."""

    def __repr__(self) -> str:
        raise RuntimeError("no words")


class MuteError(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no words")


class Trap(str):
    """A string that no one can measure, cut or compare."""

    __slots__ = ()

    def _spring(self, *_: Any) -> Any:
        raise RuntimeError("sprung")

    __len__ = __getitem__ = __eq__ = __ne__ = __str__ = __format__ = _spring
    __hash__ = str.__hash__


class Incomparable:
    """As an array: equal to nothing and to everything."""

    def __eq__(self, other: object) -> bool:
        raise ValueError("ambiguous")

    __hash__ = object.__hash__


VALUES: dict[str, Any] = {
    "an integer with too many digits": 10**5_000,
    "one in a tuple": ("x", 10**5_000),
    "one in an orderly end": Shutdown(10**5_000),
    "no text": Mute(),
    "a class named dict": type("dict", (), {})(),
    "a string that is a trap": Trap("trap"),
    "an error without a text": Crash(MuteError()),
    "a comparison that raises": Incomparable(),
}


@pytest.fixture(params=VALUES)
def value(request: pytest.FixtureRequest) -> Any:
    return VALUES[request.param]


class Waiting(GenServer):
    def init(self, snag: Any = None) -> Any:
        if snag is not None:
            self.exit(snag)

    async def handle_call(self, message: Any, caller: Any) -> Any:
        await self.sleep(1)

    def handle_cast(self, message: Any) -> Any:
        self.exit(message)


def test_a_text_is_always_made_and_plain(value: Any) -> None:
    for make in (describe, text, shown):
        assert type(make(value)) is str
    assert same(value, value)
    assert not same(value, 5)
    assert not means(value, NORMAL)
    assert is_orderly(value) is isinstance(value, Shutdown)


def test_whatever_reason_a_process_ends_with_the_others_go_on(world: World, value: Any) -> None:
    feed = world.node.observer.subscribe()
    supervisor = world.start(
        Supervisor, Flags(intensity=9), [ChildSpec("it", (Waiting,), name="it")]
    )
    first = world.node.address("it")
    answer = first.call("wait")
    world.settle()
    first.exit(value)
    with pytest.raises(CallExit):
        world.wait(answer)
    world.settle()
    assert supervisor.is_alive()
    assert first.exit_reason is value
    assert world.node.address("it") != first
    assert "ended" in [change.kind for change in feed.take()]
    assert world.wait(world.node.observer.snapshot()).rows
    assert all(format_report(report) for report in world.reports)


def test_whatever_reason_a_start_fails_with_it_is_told(world: World, value: Any) -> None:
    with pytest.raises(StartError):
        world.start(Waiting, value)
    pool = world.start(DynamicSupervisor, None, [ChildSpec("it", (Waiting,))])
    with pytest.raises(ChildError):
        world.wait(start_child(pool, value))
    assert pool.is_alive()


def test_whatever_its_name_and_its_id_are_a_child_is_listed(world: World, value: Any) -> None:
    if isinstance(value, (Trap, Incomparable)):
        return  # No table can look such a key up; that is the caller's error.
    feed = world.node.observer.subscribe()
    world.start(Supervisor, Flags(intensity=9), [ChildSpec(value, (Waiting,), name=value)])
    first = world.node.address(value)
    first.kill()
    world.settle()
    assert world.node.address(value) != first
    assert str(first)
    assert len(world.wait(world.node.observer.snapshot()).rows) == 2
    assert feed.take()


def test_a_report_of_anything_is_written_however_it_is_nested(world: World, value: Any) -> None:
    keyed = {} if isinstance(value, (Trap, Incomparable)) else {value: value}
    world.start(Waiting, name="it").cast(["before", [value], keyed, "after"])
    world.settle()
    (report,) = world.reports
    for single_line in (True, False):
        written = format_report(report, single_line=single_line)
        assert "'before'" in written
        assert "'after'" in written
