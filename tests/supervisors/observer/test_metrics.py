"""What Prometheus gets to read, and that counting it disturbs nobody."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from supervisors import GenServer, Process, limits, metrics
from supervisors.errors import MailboxFull, SupervisorsError
from tests.supervisors.observer.stage import Worker, look, pool_of, start_tree, worker_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.supervisors.world import SimulatedWorld, World

PATIENCE_S = 20.0


@pytest.fixture
def registry(world: World) -> Iterator[CollectorRegistry]:
    made = CollectorRegistry()
    enabled = metrics.enable(world.node, made)
    yield made
    enabled.disable()


def value(registry: CollectorRegistry, name: str, **labels: str) -> float:
    """Read one sample; 0 where there is none yet."""
    return registry.get_sample_value(f"supervisors_{name}", labels) or 0.0


def test_messages_are_counted_by_class(world: World, registry: CollectorRegistry) -> None:
    ref = world.start(Worker)
    before = value(registry, "messages_handled_total", **{"class": "Worker"})
    for number in range(200):
        ref.cast(number)
    assert world.call(ref, "done") == "done"
    assert value(registry, "messages_handled_total", **{"class": "Worker"}) == before + 201


def test_a_message_of_each_of_two_classes_in_turn_is_counted_for_its_own(
    world: World, registry: CollectorRegistry
) -> None:
    class Other(Worker):
        pass

    one, other = world.start(Worker), world.start(Other)
    before = [
        value(registry, "messages_handled_total", **{"class": name}) for name in ("Worker", "Other")
    ]

    def cast() -> None:
        for _ in range(50):
            one.cast("x")
            other.cast("x")

    world.on_shard(cast)
    world.settle()
    after = [
        value(registry, "messages_handled_total", **{"class": name}) for name in ("Worker", "Other")
    ]
    assert [now - then for now, then in zip(after, before, strict=True)] == [50, 50]


def test_processes_alive_follow_starts_and_ends(world: World, registry: CollectorRegistry) -> None:
    refs = [world.start(Worker) for _ in range(3)]
    assert value(registry, "processes", **{"class": "Worker"}) == 3
    refs[0].kill()
    world.settle()
    assert value(registry, "processes", **{"class": "Worker"}) == 2
    for ref in refs:
        ref.kill()
    world.settle()
    assert registry.get_sample_value("supervisors_processes", {"class": "Worker"}) is None


def test_a_start_that_fails_leaves_no_process_counted(
    world: World, registry: CollectorRegistry
) -> None:
    class Failing(GenServer):
        def init(self) -> None:
            raise ValueError("no")

    world.start(Worker, name="taken")
    for process_class, options in ((Failing, {}), (Worker, {"name": "taken"})):
        with pytest.raises(SupervisorsError):
            world.start(process_class, **options)
    assert value(registry, "processes", **{"class": "Failing"}) == 0
    assert value(registry, "processes", **{"class": "Worker"}) == 1


def test_a_process_killed_before_its_first_turn_leaves_nobody_counted(
    world: World, registry: CollectorRegistry
) -> None:
    class Hasty(Process):
        def __init__(self) -> None:
            super().__init__()
            self.ref.kill()

    Hasty.start()
    world.settle()
    assert value(registry, "processes", **{"class": "Hasty"}) == 0
    assert look(world).rows == ()


def test_restarts_crashes_and_reports_are_counted(
    world: World, registry: CollectorRegistry
) -> None:
    root = start_tree(world)
    solo = world.node.whereis("solo")
    assert solo is not None
    solo.cast("crash")
    worker_of(world, pool_of(world, root)).kill()
    world.settle()
    assert value(registry, "restarts_total", **{"class": "Worker"}) == 2
    assert value(registry, "crashes_total", **{"class": "Worker"}) == 1
    assert value(registry, "reports_total", kind="supervisor", context="child_terminated") == 2
    assert value(registry, "reports_total", kind="crash", context="crashed") == 1


def test_refusals_and_dead_letters_are_counted_by_cause(
    world: World, registry: CollectorRegistry
) -> None:
    class Narrow(Worker):
        mailbox_limit = 1

    ref = world.start(Narrow)
    ref.call("wait", None)
    ref.cast("fits")
    refused = ref.call("does not", None)
    world.settle()
    with pytest.raises(MailboxFull):
        refused.result()
    ref.kill()
    world.settle()
    ref.cast("too late")
    world.settle()
    assert value(registry, "mailbox_refusals_total", **{"class": "Narrow"}) == 1
    assert value(registry, "dead_letters_total", cause="ended") == 1
    assert value(registry, "dead_letters_total", cause="dead") == 1


def test_the_shard_tells_its_queue_its_timers_its_turns_and_its_slices(
    simulated: SimulatedWorld,
) -> None:
    registry = CollectorRegistry()
    metrics.enable(simulated.node, registry)
    ref = simulated.start(Worker)
    ref.cast("x")
    assert value(registry, "run_queue_length") == 1
    ref.call("wait", None)
    simulated.settle()
    assert value(registry, "run_queue_length") == 0
    assert value(registry, "timers") == 1
    assert value(registry, "turns_total") == simulated.node.shard.turns > 0
    assert value(registry, "slices_total") == simulated.node.shard.slices > 0


def test_about_one_turn_in_64_is_timed_and_each_class_is_met(simulated: SimulatedWorld) -> None:
    class Other(Worker):
        pass

    registry = CollectorRegistry()
    metrics.enable(simulated.node, registry)
    refs = [simulated.start(kind) for kind in (Worker, Other)]
    rounds = 64 * 100
    for _ in range(rounds):
        for ref in refs:
            ref.cast("x")
        simulated.settle()
    for name in ("Worker", "Other"):
        timed = value(registry, "turn_duration_seconds_count", **{"class": name})
        assert 0.7 * 100 < timed < 1.3 * 100
        assert value(registry, "timed_messages_total", **{"class": name}) == timed


def test_turn_durations_are_sorted_into_cumulative_buckets(simulated: SimulatedWorld) -> None:
    registry = CollectorRegistry()
    metrics.enable(simulated.node, registry)
    host = simulated.host

    class Slow(GenServer):
        def handle_cast(self, message: Any) -> None:
            host.now_s += 0.015

    ref = simulated.start(Slow)
    ref.cast("x")
    simulated.settle()
    label = {"class": "Slow"}
    name = "supervisors_turn_duration_seconds_bucket"
    assert registry.get_sample_value(name, {**label, "le": "0.01"}) == 0
    assert registry.get_sample_value(name, {**label, "le": "0.02"}) == 1
    assert registry.get_sample_value(name, {**label, "le": "+Inf"}) == 1
    assert value(registry, "turn_duration_seconds_sum", **label) == pytest.approx(0.015)


def test_a_label_set_has_a_bound_and_what_is_beyond_is_other(
    simulated: SimulatedWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "METRIC_CLASSES", 2)
    registry = CollectorRegistry()
    metrics.enable(simulated.node, registry)
    for name in ("A", "B", "C", "D"):
        ref = simulated.start(type(name, (Worker,), {}))
        ref.cast("x")
        simulated.settle()
        value(registry, "turns_total")
    labels = [
        sample.labels["class"]
        for family in registry.collect()
        if family.name == "supervisors_processes"
        for sample in family.samples
    ]
    assert labels == ["A", "B", metrics.OTHER]
    assert value(registry, "processes", **{"class": metrics.OTHER}) == 2


def test_two_classes_of_one_name_share_their_series(simulated: SimulatedWorld) -> None:
    registry = CollectorRegistry()
    metrics.enable(simulated.node, registry)
    for _ in range(2):
        simulated.start(type("Twin", (Worker,), {}))
    assert value(registry, "processes", **{"class": "Twin"}) == 2


def test_the_exposition_is_well_formed(world: World, registry: CollectorRegistry) -> None:
    start_tree(world)
    text = generate_latest(registry).decode()
    families = {family.name: family for family in text_string_to_metric_families(text)}
    assert families["supervisors_messages_handled"].type == "counter"
    assert families["supervisors_processes"].type == "gauge"
    assert families["supervisors_turn_duration_seconds"].type == "histogram"
    assert all(family.documentation for family in families.values())
    samples = [
        (sample.name, tuple(sorted(sample.labels.items())))
        for family in families.values()
        for sample in family.samples
    ]
    assert len(samples) == len(set(samples))


def test_a_registry_takes_one_node_and_a_node_one_meter(simulated: SimulatedWorld) -> None:
    registry = CollectorRegistry()
    enabled = metrics.enable(simulated.node, registry)
    with pytest.raises(SupervisorsError, match="on already"):
        metrics.enable(simulated.node, CollectorRegistry())
    other = simulated.host.node("other")
    with pytest.raises(ValueError, match="Duplicated"):
        metrics.enable(other, registry)
    assert other.shard.meter is None
    enabled.disable()
    metrics.enable(other, registry)


def test_metrics_that_are_off_count_no_message_and_time_no_turn(simulated: SimulatedWorld) -> None:
    enabled = metrics.enable(simulated.node, CollectorRegistry())
    enabled.disable()
    ref = simulated.start(Worker)
    ref.cast("x")
    simulated.settle()
    assert simulated.node.shard.meter is None
    assert simulated.node.shard.tally.get(Worker, 0) == 0


def test_a_scrape_walks_no_processes(simulated: SimulatedWorld) -> None:
    registry = CollectorRegistry()
    metrics.enable(simulated.node, registry)
    for _ in range(1_000):
        simulated.start(Worker)
    walked: list[object] = []

    class Watched(dict[Any, Any]):
        def __iter__(self) -> Iterator[Any]:
            walked.append(self)
            return super().__iter__()

    simulated.node.shard.processes = Watched(simulated.node.shard.processes)
    generate_latest(registry)
    assert walked == []


def counters(registry: CollectorRegistry) -> dict[Any, float]:
    """Read every series that must never fall."""
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in registry.collect()
        for sample in family.samples
        if sample.name.endswith(("_total", "_count", "_bucket", "_sum"))
    }


def test_scrapes_beside_a_running_node_never_see_a_counter_go_back(beside: World) -> None:
    registry = CollectorRegistry()
    metrics.enable(beside.node, registry)
    refs = [beside.start(Worker) for _ in range(20)]
    stop = threading.Event()

    def flood() -> None:
        while not stop.is_set():
            for ref in refs:
                ref.cast("x")
            refs[0].call("done").get(timeout=PATIENCE_S)

    sender = threading.Thread(target=flood)
    sender.start()
    last: dict[Any, float] = {}
    scrapes = 0
    while sender.is_alive() and (
        last.get(("supervisors_turns_total", ()), 0) < 5_000 or scrapes < 50
    ):
        now = counters(registry)
        assert all(now[key] >= before for key, before in last.items())
        last = now
        scrapes += 1
    stop.set()
    sender.join(PATIENCE_S)
    assert scrapes >= 50
