"""The contract of a port: the same tests for each kind, on each host it works on."""

from __future__ import annotations

import json
from _thread import get_ident
from math import inf, nan
from typing import TYPE_CHECKING, Any

import pytest

from supervisors import context, limits
from supervisors.errors import (
    PortClosed,
    PortCrashed,
    PortFailed,
    PortOverload,
    PortRefused,
    PortTimeout,
)
from tests.supervisors.ports.rig import LONG_S, SHORT_S

if TYPE_CHECKING:
    from tests.supervisors.ports.rig import Rig


def test_a_handler_awaits_what_a_function_returns(rig: Rig) -> None:
    port = rig.open()
    assert rig.ask(rig.client(), port, "echo", 1, "two", [3.5, None]) == [1, "two", [3.5, None]]


def test_a_port_answers_callers_that_are_no_processes(rig: Rig) -> None:
    port = rig.open()
    assert rig.wait(port.call("echo", "hello")) == ["hello"]


def test_a_process_that_waits_for_a_port_does_not_hold_up_others(rig: Rig) -> None:
    port = rig.open()
    waiting = rig.client().call((port, "never", (), LONG_S), None)
    rig.world.settle()
    assert rig.ask(rig.client(), port, "echo", 1) == [1]
    assert rig.kind == "simulated" or not waiting.done()


def test_a_port_is_ready_with_the_names_of_its_functions(rig: Rig) -> None:
    port = rig.open()
    assert {"echo", "fail", "never"} <= set(port.ready.result())


def test_arguments_and_results_are_json_and_never_shared(rig: Rig) -> None:
    port = rig.open()
    mine = {"a": (1, 2)}
    (theirs,) = rig.wait(port.call("echo", mine))
    assert theirs == {"a": [1, 2]}
    assert theirs is not mine


def test_what_a_function_raised_comes_back_as_data_and_the_port_lives_on(rig: Rig) -> None:
    port = rig.open()
    with pytest.raises(PortFailed, match=r"LookupError.*no such volume") as caught:
        rig.ask(rig.client(), port, "fail", "no such volume")
    assert (caught.value.kind, caught.value.message) == ("LookupError", "no such volume")
    assert caught.value.place.endswith("in fail")
    assert rig.wait(port.call("echo", 1)) == [1]


def test_an_exception_without_words_is_told_all_the_same(rig: Rig) -> None:
    port = rig.open()
    with pytest.raises(PortFailed, match="UnprintableError"):
        rig.wait(port.call("fail_without_words"))


def test_a_function_in_no_table_is_refused(rig: Rig) -> None:
    port = rig.open()
    for name in ("system", "os.system", "__import__", ""):
        with pytest.raises(PortRefused, match="in no table"):
            rig.wait(port.call(name, "true"))


@pytest.mark.parametrize(
    "argument",
    [object(), b"bytes", nan, {1, 2}, "x" * (limits.PORT_FRAME_BYTES + 1)],
    ids=["object", "bytes", "nan", "set", "too large"],
)
def test_an_argument_that_cannot_be_sent_is_refused_at_once(rig: Rig, argument: Any) -> None:
    port = rig.open()
    future = port.call("echo", argument)
    assert future.done()
    with pytest.raises(PortRefused, match="correct the call"):
        future.result()


@pytest.mark.parametrize("deadline_s", [0, -1.0, nan, inf])
def test_a_deadline_that_is_none_is_refused_at_once(rig: Rig, deadline_s: float) -> None:
    future = rig.open().call("echo", deadline_s=deadline_s)
    assert future.done()
    with pytest.raises(PortRefused, match="deadline"):
        future.result()


def test_a_deadline_of_years_is_kept_without_harm(rig: Rig) -> None:
    port = rig.open()
    assert rig.wait(port.call("echo", 1, deadline_s=1e9)) == [1]


def test_a_result_that_cannot_be_sent_fails_the_job_alone(rig: Rig) -> None:
    port = rig.open(frame_bytes=1_000)
    with pytest.raises(PortFailed, match=r"TypeError.*cannot be sent"):
        rig.wait(port.call("unsendable"))
    with pytest.raises(PortFailed, match=r"ValueError.*cannot be sent.*1000"):
        rig.wait(port.call("large", 10_000))
    with pytest.raises(PortFailed, match=r"LookupError.*cannot be sent"):
        rig.wait(port.call("fail", "x" * 950))
    assert rig.wait(port.call("large", 3)) == "xxx"


def test_a_job_past_its_deadline_times_out_and_its_worker_is_replaced(rig: Rig) -> None:
    port = rig.open(workers=1)
    with pytest.raises(PortTimeout, match="half done") as caught:
        rig.ask(rig.client(), port, "never", deadline_s=SHORT_S)
    assert caught.value.started
    assert rig.wait(port.call("echo", 1)) == [1]
    statistics = port.statistics()
    assert (statistics.timed_out, statistics.replaced, statistics.alive) == (1, 1, 1)


def test_a_job_whose_deadline_passes_while_it_waits_is_never_started(rig: Rig) -> None:
    port = rig.open(workers=1)
    blocking = port.call("never", deadline_s=10 * SHORT_S)
    waiting = port.call("note", "too late", deadline_s=SHORT_S)
    after = port.call("note", "in time", deadline_s=LONG_S)
    with pytest.raises(PortTimeout, match="never started") as caught:
        rig.wait(waiting)
    assert not caught.value.started
    assert not blocking.done()
    with pytest.raises(PortTimeout):
        rig.wait(blocking)
    assert rig.wait(after) == ["in time"]


def test_a_full_queue_refuses_at_once(rig: Rig) -> None:
    port = rig.open(workers=1, queue_jobs=2)
    accepted = [port.call("never", deadline_s=LONG_S) for _ in range(3)]
    refused = port.call("echo", 1)
    assert refused.done()
    with pytest.raises(PortOverload, match="2 jobs wait"):
        refused.result()
    assert not any(job.done() for job in accepted)
    assert port.statistics().overloaded == 1


def test_a_queue_that_was_full_takes_jobs_again(rig: Rig) -> None:
    port = rig.open(workers=1, queue_jobs=1)
    jobs = [port.call("echo", number) for number in range(3)]
    answered = [job for job in jobs if not isinstance(rig_outcome(rig, job), PortOverload)]
    assert len(answered) >= 2
    assert rig.wait(port.call("echo", "again")) == ["again"]


def test_one_worker_does_jobs_in_the_order_of_the_calls(rig: Rig) -> None:
    port = rig.open(workers=1)
    jobs = [port.call("note", number) for number in range(50)]
    assert rig.wait(jobs[-1]) == list(range(50))


def test_a_job_that_ends_its_worker_crashes_alone(rig: Rig) -> None:
    port = rig.open(workers=1)
    doomed = port.call("leave")
    after = port.call("echo", 1)
    with pytest.raises(PortCrashed, match="half done"):
        rig.wait(doomed)
    assert rig.wait(after) == [1]


def test_closing_a_port_tells_everyone_who_waits(rig: Rig) -> None:
    port = rig.open(workers=1)
    jobs = [port.call("never", deadline_s=LONG_S) for _ in range(3)]
    assert rig.wait(port.close()) is None
    for job in (*jobs, port.call("echo", 1)):
        with pytest.raises(PortClosed, match="its owner closed it"):
            rig.wait(job)
    statistics = port.statistics()
    assert (statistics.closed, statistics.running, statistics.waiting) == (4, 0, 0)


def test_a_port_can_be_closed_twice(rig: Rig) -> None:
    port = rig.open()
    rig.wait(port.close())
    assert rig.wait(port.close()) is None


def test_a_caller_that_is_killed_while_it_waits_is_forgotten(rig: Rig) -> None:
    port = rig.open(workers=1)
    client = rig.client()
    client.call((port, "never", (), SHORT_S), None)
    rig.world.settle()
    client.kill()
    assert rig.ask(rig.client(), port, "echo", 1) == [1]


def test_a_turn_that_the_watchdog_gave_up_on_starts_nothing(rig: Rig) -> None:
    port = rig.open()
    shard = rig.world.node.shard

    def call_abandoned() -> Any:
        # As the thread of an abandoned turn: marked as running turns, and fenced.
        before, context.RUNNING.shard = context.RUNNING.shard, shard
        shard.abandoned.add(get_ident())
        try:
            return port.call("note", "a ghost was here")
        finally:
            shard.abandoned.discard(get_ident())
            context.RUNNING.shard = before

    with pytest.raises(PortRefused, match="abandoned"):
        rig.wait(call_abandoned())
    assert port.statistics().done == 0


def test_many_callers_get_their_own_answers(rig: Rig) -> None:
    port = rig.open(queue_jobs=200)
    clients = [rig.client() for _ in range(20)]
    answers = [
        (number, client.call((port, "echo", (number,), LONG_S), None))
        for number, client in enumerate(clients * 10)
    ]
    for number, answer in answers:
        assert rig.wait(answer) == [number]


def test_statistics_count_every_outcome_and_are_plain_data(rig: Rig) -> None:
    port = rig.open("disk", workers=2, queue_jobs=5)
    for function in ("echo", "echo", "fail", "nowhere", "leave"):
        rig_outcome(rig, port.call(function, *(["x"] if function == "fail" else [])))
    statistics = port.statistics()
    assert (statistics.name, statistics.kind) == ("disk", rig.kind)
    assert (statistics.workers, statistics.waiting_limit) == (2, 5)
    counted = (statistics.done, statistics.failed, statistics.refused, statistics.crashed)
    assert counted == (2, 1, 1, 1)
    assert json.dumps({name: getattr(statistics, name) for name in statistics.__slots__})


def test_a_port_without_workers_is_a_mistake_of_the_program(rig: Rig) -> None:
    with pytest.raises(ValueError, match="at least one worker"):
        rig.open(workers=0)


def rig_outcome(rig: Rig, job: Any) -> Any:
    """Wait for a job and give its result or its error."""
    try:
        return rig.wait(job)
    except Exception as error:  # noqa: BLE001 - the error is the outcome
        return error
