"""Process ports: workers that hang, hold the interpreter, crash, or talk nonsense."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

import pytest

from supervisors import GenServer, limits
from supervisors.errors import PortClosed, PortCrashed, PortTimeout
from supervisors.ports.process_port import ProcessPort
from tests.supervisors.ports.rig import (
    LONG_S,
    MODULE,
    SHORT_S,
    Watch,
    children,
    open_files,
    read_pid,
)
from tests.supervisors.world import REAL_PATIENCE_S

if TYPE_CHECKING:
    from pathlib import Path

    from tests.supervisors.ports.rig import Rig


class Counter(GenServer):
    def init(self) -> None:
        self.value = 0

    def handle_call(self, message: Any, caller: Any) -> int:
        self.value += 1
        return self.value


@pytest.mark.parametrize("function", ["announce_then_wait", "announce_then_hold_interpreter"])
def test_a_stuck_worker_is_killed_at_the_deadline(
    processes: Rig, fifo: Path, function: str
) -> None:
    port = processes.open(workers=1)
    job = port.call(function, str(fifo), deadline_s=2 * SHORT_S)
    watch = Watch(read_pid(fifo))
    with pytest.raises(PortTimeout):
        processes.wait(job)
    assert watch.all_ended()
    assert processes.wait(port.call("echo", 1)) == [1]


def test_a_worker_that_holds_its_interpreter_does_not_freeze_the_node(
    processes: Rig, fifo: Path
) -> None:
    port = processes.open(workers=1)
    client, counter = processes.client(), processes.world.start(Counter)
    function = "announce_then_hold_interpreter"
    answer = client.call((port, function, (str(fifo),), LONG_S), None)
    watch = Watch(read_pid(fifo))
    for number in range(1, 101):
        assert processes.world.call(counter, "next", None) == number
    assert not answer.done()
    processes.wait(port.close())
    assert isinstance(processes.wait(answer), PortClosed)
    assert watch.all_ended()


def test_what_a_stuck_job_has_started_ends_with_it(process: Rig, fifo: Path) -> None:
    port = process.open(workers=1)
    job = port.call("start_process", str(fifo), deadline_s=10 * SHORT_S)
    watch = Watch(read_pid(fifo))
    with pytest.raises(PortTimeout):
        process.wait(job)
    assert watch.all_ended()


def test_a_worker_killed_in_a_job_is_named_with_its_signal_and_replaced(processes: Rig) -> None:
    port = processes.open(workers=1)
    before = processes.wait(port.call("worker_pid"))
    with pytest.raises(PortCrashed, match="kill_self ended by signal SIGKILL"):
        processes.ask(processes.client(), port, "kill_self")
    after = processes.wait(port.call("worker_pid"))
    assert after != before
    assert port.statistics().replaced == 1


def test_a_worker_that_exits_in_a_job_is_named_with_its_code(process: Rig) -> None:
    with pytest.raises(PortCrashed, match="ended by exit code 3"):
        process.wait(process.open().call("leave"))


def test_an_answer_counts_although_its_worker_ended_right_after_it(process: Rig) -> None:
    port = process.open(workers=1)
    assert len(process.wait(port.call("answer_at_length_and_end", 1, 150_000))) == 150_000


def test_an_idle_worker_that_is_killed_is_replaced_without_a_word(process: Rig) -> None:
    port = process.open(workers=1)
    pid = process.wait(port.call("worker_pid"))
    watch = Watch(pid)
    os.kill(pid, 9)
    assert watch.all_ended()
    # A job may still be handed to the dead worker; then it is told, and not repeated.
    try:
        other = process.wait(port.call("worker_pid"))
    except PortCrashed:
        other = process.wait(port.call("worker_pid"))
    assert other != pid


@pytest.mark.parametrize(
    ("function", "what", "complaint"),
    [
        ("send_raw", "\xff\xff\xff\xff", "4294967295 bytes is announced"),
        ("send_raw", "\x00\x00\x00\x04oops", "Expecting value"),
        ("send_raw", "\x00\x00\x00\x02[]", "holds an object"),
        ("send_raw", "\x00\x00\x00\x02\xff\xfe", "decode"),
        ("send_frame", {"id": 999, "ok": 1}, "an answer to job 999"),
        ("send_frame", {"ok": 1}, "an answer to job None"),
        ("send_frame", {"id": 1}, "no result in it"),
        ("send_frame", {"id": 1, "error": "broken"}, "no result in it"),
    ],
)
def test_a_worker_that_sends_no_answer_is_killed(
    process: Rig, function: str, what: Any, complaint: str
) -> None:
    port = process.open(workers=1)
    with pytest.raises(PortCrashed, match=complaint):
        process.wait(port.call(function, what))
    assert process.wait(port.call("echo", 1)) == [1]


def test_a_worker_that_talks_unasked_is_killed(process: Rig) -> None:
    port = process.open(workers=1)
    with pytest.raises(PortCrashed):
        process.wait(port.call("send_raw", "\x00\x00\x00\x02{}" * 3))
    assert process.wait(port.call("echo", 1)) == [1]


def test_a_request_and_an_answer_larger_than_any_buffer_pass(process: Rig) -> None:
    port = process.open(workers=2)
    text = "x" * (limits.PORT_FRAME_BYTES - 100)
    jobs = [port.call("echo", text) for _ in range(4)]
    for job in jobs:
        assert process.wait(job) == [text]


def test_a_large_request_to_a_worker_that_ends_crashes_alone(process: Rig) -> None:
    port = process.open(workers=1)
    doomed = port.call("kill_self")
    large = port.call("echo", "x" * 500_000)
    with pytest.raises(PortCrashed):
        process.wait(doomed)
    assert len(process.wait(large)[0]) == 500_000


def test_jobs_run_on_all_workers_at_once(process: Rig) -> None:
    port = process.open(workers=3)
    stuck = [port.call("never", deadline_s=LONG_S) for _ in range(2)]
    assert process.wait(port.call("echo", 1)) == [1]
    assert not any(job.done() for job in stuck)
    statistics = port.statistics()
    assert (statistics.running, statistics.waiting, len(statistics.pids)) == (2, 0, 3)


def test_what_a_function_prints_goes_to_standard_error(
    process: Rig, capfd: pytest.CaptureFixture[str]
) -> None:
    process.wait(process.open().call("say", "a word from a worker"))
    told = capfd.readouterr()
    assert (told.out, told.err) == ("", "a word from a worker")


def test_a_worker_carries_none_of_the_runtime(process: Rig) -> None:
    modules = ("asyncio", "pykka", "supervisors", "supervisors.ports", "supervisors.shard", "json")
    assert process.wait(process.open().call("loaded", *modules)) == ["json"]


# -- starting ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("module", "complaint"),
    [
        ("tests.supervisors.ports.unimportable", "RuntimeError: no such disk"),
        ("tests.supervisors.ports.nowhere", "ModuleNotFoundError"),
        ("tests.supervisors.ports.rig", "AttributeError.*PORT_FUNCTIONS"),
        ("tests.supervisors.ports.shadowing", "two functions are called 'echo'"),
    ],
)
def test_a_port_whose_functions_cannot_be_found_is_closed(module: str, complaint: str) -> None:
    port = ProcessPort("disk", [MODULE, module])
    waiting = port.call("echo", 1)
    for future in (port.ready, waiting, port.ended):
        with pytest.raises(PortClosed, match=complaint):
            future.get(timeout=REAL_PATIENCE_S)


def test_a_port_whose_workers_never_get_ready_is_closed() -> None:
    port = ProcessPort("disk", ["tests.supervisors.ports.deadly"], workers=1)
    with pytest.raises(PortClosed, match=r"3 workers in a row.*exit code 7"):
        port.ready.get(timeout=REAL_PATIENCE_S)
    with pytest.raises(PortClosed):
        port.ended.get(timeout=REAL_PATIENCE_S)
    assert port.statistics().replaced == limits.PORT_FAILED_STARTS - 1


def test_a_worker_that_takes_too_long_to_get_ready_is_killed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(limits, "PORT_START_S", SHORT_S)
    port = ProcessPort("disk", ["tests.supervisors.ports.endless"], workers=1)
    with pytest.raises(PortClosed, match="not ready within"):
        port.ready.get(timeout=REAL_PATIENCE_S)
    with pytest.raises(PortClosed):
        port.ended.get(timeout=REAL_PATIENCE_S)


def test_a_port_without_an_interpreter_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/nonexistent/python")
    port = ProcessPort("disk", [MODULE])
    with pytest.raises(PortClosed, match="FileNotFoundError"):
        port.ended.get(timeout=REAL_PATIENCE_S)


# -- ending ------------------------------------------------------------------------------------


def test_a_closed_port_leaves_no_process_and_no_descriptor(process: Rig, fifo: Path) -> None:
    files, processes = open_files(), children()
    port = process.open(workers=3)
    port.call("announce_then_wait", str(fifo), deadline_s=LONG_S)
    read_pid(fifo)
    with pytest.raises(PortCrashed):
        process.wait(port.call("kill_self"))
    watch = Watch(*port.statistics().pids)
    process.wait(port.close())
    assert watch.all_ended()
    assert port.statistics().pids == ()
    assert children() == processes
    assert open_files() == files


def test_a_port_that_broke_leaves_no_process_and_no_descriptor() -> None:
    files, processes = open_files(), children()
    port = ProcessPort("disk", ["tests.supervisors.ports.unimportable"])
    with pytest.raises(PortClosed):
        port.ended.get(timeout=REAL_PATIENCE_S)
    assert (children(), open_files()) == (processes, files)


def test_a_port_can_be_closed_before_its_first_worker_is_ready() -> None:
    files, processes = open_files(), children()
    port = ProcessPort("disk", [MODULE])
    waiting = port.call("echo", 1)
    assert port.close().get(timeout=REAL_PATIENCE_S) is None
    for future in (waiting, port.ready):
        with pytest.raises(PortClosed):
            future.get(timeout=REAL_PATIENCE_S)
    assert (children(), open_files()) == (processes, files)


def test_when_the_zygote_is_killed_its_workers_end_and_the_port_breaks(
    process: Rig, fifo: Path
) -> None:
    port = process.open(workers=3)
    stuck = port.call("announce_then_hold_interpreter", str(fifo), deadline_s=LONG_S)
    read_pid(fifo)
    watch = Watch(*port.statistics().pids)
    killer = port.call("zygote_dies", deadline_s=LONG_S)
    for job in (stuck, killer):
        with pytest.raises(PortClosed, match="zygote has ended"):
            process.wait(job)
    assert watch.all_ended()
    with pytest.raises(PortClosed, match="zygote has ended"):
        process.wait(port.ended)
