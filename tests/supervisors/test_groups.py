"""Process groups: who is in, how often, and who is told of it."""

from __future__ import annotations

from collections import Counter
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from supervisors.errors import NotLocal, SupervisorsError
from supervisors.groups import Groups, Joined, Left
from tests.supervisors.probe import Probe, end, seen
from tests.supervisors.world import SimulatedWorld

if TYPE_CHECKING:
    from supervisors import Ref
    from tests.supervisors.world import World


def join(world: World, group: Any, *refs: Ref[Any]) -> None:
    """Let processes join a group once more."""

    def join_all() -> None:
        for ref in refs:
            world.node.groups.join(group, ref)

    world.on_shard(join_all)


def leave(world: World, group: Any, ref: Ref[Any]) -> bool:
    """Take a membership back."""
    left: bool = world.on_shard(lambda: world.node.groups.leave(group, ref))
    return left


def members(world: World, group: Any) -> list[Ref[Any]]:
    """List the members of a group."""
    world.settle()
    listed: list[Ref[Any]] = world.on_shard(lambda: world.node.groups.members(group))
    return listed


def subscribe(world: World, group: Any, ref: Ref[Any]) -> list[Ref[Any]]:
    """Let a process be told of a group's changes; gives the members now."""
    told: list[Ref[Any]] = world.on_shard(lambda: world.node.groups.subscribe(group, ref))
    return told


def test_members_are_listed_in_order_of_joining_and_a_group_without_any_is_gone(
    world: World,
) -> None:
    first, second = world.start(Probe), world.start(Probe)
    assert members(world, "g") == []
    join(world, "g", second, first)
    assert members(world, "g") == [second, first]
    assert world.on_shard(world.node.groups.which) == ["g"]
    assert leave(world, "g", second)
    assert leave(world, "g", first)
    assert world.on_shard(world.node.groups.which) == []


def test_a_process_that_joined_twice_is_a_member_twice_and_leaves_twice(world: World) -> None:
    ref = world.start(Probe)
    join(world, "g", ref, ref)
    assert members(world, "g") == [ref, ref]
    assert leave(world, "g", ref)
    assert members(world, "g") == [ref]
    assert leave(world, "g", ref)
    assert not leave(world, "g", ref)
    assert members(world, "g") == []


def test_who_never_joined_cannot_leave(world: World) -> None:
    first, second = world.start(Probe), world.start(Probe)
    join(world, "g", first)
    assert not leave(world, "g", second)
    assert not leave(world, "other", first)
    assert members(world, "g") == [first]


def test_a_process_that_ended_is_in_no_group(world: World) -> None:
    for how in ("kill", "normal", "boom"):
        ref, other = world.start(Probe), world.start(Probe)
        for group in ("g", "h"):
            join(world, group, ref, other, ref)
        if how == "kill":
            ref.kill()
        else:
            end(world, ref, how)
        assert members(world, "g") == members(world, "h") == [other]
        other.kill()
        assert members(world, "g") == []


def test_a_subscriber_is_told_of_each_change_from_then_on(world: World) -> None:
    first, second, watcher = (world.start(Probe) for _ in range(3))
    join(world, "g", first, first)
    assert subscribe(world, "g", watcher) == [first, first]
    join(world, "g", second)
    join(world, "other", second)
    leave(world, "g", first)
    join(world, "g", first)
    first.kill()
    assert seen(world, watcher) == [
        Joined("g", (second,)),
        Left("g", (first,)),
        Joined("g", (first,)),
        Left("g", (first, first)),
    ]


def test_a_subscriber_that_ended_is_forgotten(world: World) -> None:
    ref, watcher = world.start(Probe), world.start(Probe)
    for group in ("g", "h"):
        subscribe(world, group, watcher)
    watcher.kill()
    world.settle()
    assert world.on_shard(lambda: world.node.groups._subscribers) == {}
    join(world, "g", ref)
    assert world.node.dead_letters.causes == {}


def test_a_process_stands_for_its_ref(world: World) -> None:
    ref = world.start(Probe)
    groups = world.node.groups
    world.on_shard(lambda: groups.join("g", ref._process))
    join(world, "g", ref)
    assert members(world, "g") == [ref, ref]
    assert world.on_shard(lambda: groups.leave("g", ref._process))
    assert world.on_shard(lambda: groups.subscribe("g", ref._process)) == [ref]


class Elsewhere:
    """Not a process, and not of this node."""


@pytest.mark.parametrize("verb", ["join", "subscribe", "leave"])
def test_who_cannot_be_a_member_is_refused_before_anything_is_written(
    world: World, verb: str
) -> None:
    groups = world.node.groups
    do = getattr(groups, verb)
    other = SimulatedWorld()
    stranger, dead = other.start(Probe), world.start(Probe)
    dead.kill()
    world.settle()
    refusals: list[tuple[Any, type[Exception]]] = [(stranger, NotLocal), (Elsewhere(), TypeError)]
    if verb != "leave":
        refusals.append((dead, SupervisorsError))
    for member, error in refusals:
        with pytest.raises(error):
            world.on_shard(partial(do, "g", member))
    assert groups.members("g") == groups.which() == []
    assert groups._subscribers == {}
    assert (stranger._process._ext, dead.exit_reason) == (None, "killed")


def test_groups_are_changed_on_the_nodes_own_thread(world: World) -> None:
    ref = world.start(Probe)
    groups = world.node.groups
    if world.kind == "simulated":
        groups.join("g", ref)
        assert groups.members("g") == [ref]
        return
    for do in (groups.join, groups.leave, groups.subscribe):
        with pytest.raises(SupervisorsError, match="in a handler"):
            do("g", ref)
    assert groups.which() == []


def test_scopes_know_nothing_of_each_other(world: World) -> None:
    ref = world.start(Probe)
    scope = Groups()
    join(world, "g", ref)
    assert scope.members("g") == []
    assert scope.which() == []


class Model(RuleBasedStateMachine):
    """Drives the groups of a node beside a plain multiset a group."""

    def __init__(self) -> None:
        super().__init__()
        self.world = SimulatedWorld()
        self.refs = [self.world.start(Probe) for _ in range(3)]
        self.expected: dict[str, Counter[Any]] = {group: Counter() for group in "gh"}

    @rule(group=st.sampled_from("gh"), number=st.integers(0, 2))
    def join(self, group: str, number: int) -> None:
        if self.refs[number].is_alive():
            join(self.world, group, self.refs[number])
            self.expected[group][self.refs[number]] += 1

    @rule(group=st.sampled_from("gh"), number=st.integers(0, 2))
    def leave(self, group: str, number: int) -> None:
        ref = self.refs[number]
        if ref.is_alive():
            assert leave(self.world, group, ref) == bool(self.expected[group][ref])
            self.expected[group][ref] = max(0, self.expected[group][ref] - 1)

    @rule(number=st.integers(0, 2))
    def end(self, number: int) -> None:
        self.refs[number].kill()
        self.world.settle()
        for counts in self.expected.values():
            counts.pop(self.refs[number], None)
        self.refs[number] = self.world.start(Probe)

    @invariant()
    def members_are_as_expected(self) -> None:
        for group, counts in self.expected.items():
            assert Counter(members(self.world, group)) == +counts


TestModel = Model.TestCase
TestModel.settings = settings(max_examples=30, stateful_step_count=40, deadline=None)
