"""Names: unique on a node, free when their process has ended, and `Via` for tables of one's own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisors import ChildSpec, DynamicSupervisor, Flags, Stop, Supervisor, Via, requests
from supervisors.errors import AlreadyStarted, CallExit, ChildError, StartError
from supervisors.registry import Registry
from tests.supervisors.conformance.test_robustness import Globals
from tests.supervisors.probe import Probe, do, end, link, seen

if TYPE_CHECKING:
    from tests.supervisors.world import World


@pytest.mark.parametrize("name", ["text", 7, ("vm", "a", 1), frozenset({1})], ids=repr)
def test_any_hashable_value_names_a_process(world: World, name: Any) -> None:
    ref = world.start(Probe, name=name)
    assert world.node.whereis(name) == ref
    assert world.node.address(name) == ref
    assert ref.name == name
    assert str(name) in str(ref)


def test_a_name_that_nobody_has_is_none_and_its_address_noproc(world: World) -> None:
    assert world.node.whereis("nobody") is None
    with pytest.raises(CallExit) as told:
        world.node.address("nobody")
    assert told.value.reason == "noproc"


@pytest.mark.parametrize("reason", ["normal", "boom", "kill"])
def test_a_name_is_free_before_anyone_learns_of_the_end(world: World, reason: str) -> None:
    class Looking(Probe):
        def handle_info(self, message: Any) -> None:
            self.seen.append((type(message).__name__, self.node.whereis("named")))

    named, looking = world.start(Probe, name="named"), world.start(Looking, trap=True)
    link(world, looking, named)
    do(world, looking, lambda self: self.monitor("named") and None)
    if reason == "kill":
        named.kill()
    else:
        end(world, named, reason)
    assert sorted(seen(world, looking)) == [("Down", None), ("Exit", None)]
    assert named.name is None
    assert world.start(Probe, name="named") != named


def test_a_taken_name_is_refused_and_the_process_never_was(world: World) -> None:
    first = world.start(Probe, name="named")
    before = world.on_shard(lambda: len(world.node.shard.processes))
    with pytest.raises(AlreadyStarted) as told:
        world.start(Probe, name="named")
    assert told.value.ref == first
    assert world.on_shard(lambda: len(world.node.shard.processes)) == before
    assert world.node.whereis("named") == first


def test_a_process_has_one_name(world: World) -> None:
    ref = world.start(Probe, name="first")
    with pytest.raises(AlreadyStarted):
        world.on_shard(lambda: world.node.registry.add("second", ref._process))
    assert world.node.whereis("second") is None
    plain = world.start(Probe)
    world.on_shard(lambda: world.node.registry.add("later", plain._process))
    assert world.node.whereis("later") == plain
    plain.kill()
    world.settle()
    assert world.node.whereis("later") is None


def test_a_restarted_child_is_found_under_its_name(world: World) -> None:
    spec = ChildSpec("child", (Probe,), name="named")
    world.start(Supervisor, Flags(intensity=9), [spec])
    refs = set()
    for _ in range(5):
        ref = world.node.address("named")
        refs.add(ref)
        ref.kill()
        world.settle()
    assert len(refs) == 5


def test_dynamic_children_are_named_by_their_arguments(world: World) -> None:
    spec = ChildSpec("vm", (Probe, (), {}), name=lambda number: ("vm", number))
    supervisor = world.start(DynamicSupervisor, Flags(intensity=9), [spec])
    refs = [world.wait(requests.start_child(supervisor, number)) for number in range(3)]
    assert [world.node.whereis(("vm", number)) for number in range(3)] == refs
    with pytest.raises(ChildError) as told:
        world.wait(requests.start_child(supervisor, 1))
    assert told.value.reason == ("already_started", refs[1])
    refs[1].kill()
    world.settle()
    assert world.node.address(("vm", 1)).is_alive()


def test_names_are_selected_by_prefix_in_order_of_naming(world: World) -> None:
    names: list[Any] = ["vm-2", "host-1", "vm-1", ("vm-", 3), "vm-3"]
    refs = {name: world.start(Probe, name=name) for name in names}
    refs["vm-3"].kill()
    world.settle()
    selected = world.on_shard(lambda: list(world.node.registry.select("vm-")))
    assert selected == [("vm-2", refs["vm-2"]), ("vm-1", refs["vm-1"])]
    assert world.on_shard(lambda: len(world.node.registry)) == 4


@given(st.lists(st.tuples(st.sampled_from("abc"), st.booleans()), max_size=40))
def test_the_registry_is_a_table_of_names_and_processes(steps: list[tuple[str, bool]]) -> None:
    class Bare:
        _name: Any = None

        @property
        def ref(self) -> Any:
            return self

    registry: Any = Registry()
    model: dict[str, Bare] = {}
    for name, enters in steps:
        if not enters:
            holder = model.pop(name, None)
            if holder is not None:
                registry.forget(holder)
        elif name in model:
            with pytest.raises(AlreadyStarted):
                registry.add(name, Bare())
        else:
            model[name] = Bare()
            registry.add(name, model[name])
        assert registry.named == model


# -- Via -----------------------------------------------------------------------------------------


def test_a_via_name_stands_wherever_a_name_may(world: World) -> None:
    table = Globals()
    name = Via(table, "disk-7")
    ref = world.start(Probe, name=name)
    assert table.named == {"disk-7": ref}
    assert world.node.whereis(name) == world.node.whereis(Via(table, "disk-7")) == ref
    watcher = world.start(Probe)
    made = do(world, watcher, lambda self: self.monitor(name))
    supervisor = world.start(Supervisor, Flags(), [], name=Via(table, "sup"))
    assert world.wait(requests.which_children(Via(table, "sup"))) == []
    end(world, ref, "boom")
    ((monitor, process, reason),) = seen(world, watcher)
    assert (monitor, process, reason) == (made, name, "boom")
    assert table.named == {"sup": supervisor}
    assert world.node.whereis(name) is None


def test_a_taken_via_name_says_whose_it_is_and_tables_know_nothing_of_each_other(
    world: World,
) -> None:
    table = Globals()
    first = world.start(Probe, name=Via(table, "a"))
    with pytest.raises(AlreadyStarted) as told:
        world.start(Probe, name=Via(table, "a"))
    assert told.value.ref == first
    others = [world.start(Probe, name="a"), world.start(Probe, name=Via(Globals(), "a"))]
    assert len({first, *others}) == 3


def test_a_via_name_is_free_after_a_failed_start(world: World) -> None:
    class Failing(Probe):
        def init(self, *_: Any, **options: Any) -> Any:
            return Stop("boom")

    table = Globals()
    with pytest.raises(StartError):
        world.start(Failing, name=Via(table, "a"))
    assert table.named == {}


def test_via_names_are_values() -> None:
    table = Globals()
    assert Via(table, "a") == Via(table, "a")
    assert len({Via(table, "a"), Via(table, "a"), Via(table, "b"), Via(Globals(), "a")}) == 3
    assert Via(table, "a") != "a"
    assert repr(Via(table, "a")) == "Via('a')"
