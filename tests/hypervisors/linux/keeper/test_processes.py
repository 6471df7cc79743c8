from __future__ import annotations

import os
import signal
from pathlib import Path

from fifo.hypervisors.linux.keeper import processes


def test_a_process_is_known_by_its_parent_and_start_time(stranger: int) -> None:
    found = processes.stat(stranger)
    assert found is not None
    assert found.parent == os.getpid()
    mine = processes.stat(os.getpid())
    assert mine is not None
    assert mine.start_time <= found.start_time


def test_a_name_with_parentheses_and_spaces_misleads_nobody(tmp_path: Path) -> None:
    program = tmp_path / ") R 1 (x"
    program.symlink_to("/bin/sleep")
    pid = os.posix_spawn(program, [str(program), "1000"], {})
    try:
        found = processes.stat(pid)
        assert found is not None
        assert found.parent == os.getpid()
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def test_a_zombie_is_held_and_a_reaped_process_is_not() -> None:
    pid = os.posix_spawn("/bin/true", ["true"], {})
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    held = processes.hold(pid)
    assert held is not None
    assert held[1].state == "Z"
    assert processes.is_child(held[0])
    os.close(held[0])
    os.waitpid(pid, 0)
    assert processes.hold(pid) is None
    assert processes.stat(pid) is None


def test_a_process_of_another_parent_is_no_child() -> None:
    pidfd = os.pidfd_open(os.getppid())
    assert not processes.is_child(pidfd)
    os.close(pidfd)


def test_a_process_is_found_by_the_variable_it_was_started_with() -> None:
    pid = os.posix_spawn("/bin/sleep", ["sleep", "1000"], {"A_MARK_OF_THIS_TEST": "value=1"})
    try:
        assert list(processes.marked("A_MARK_OF_THIS_TEST")) == [(pid, "value=1")]
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def test_the_boot_has_an_id() -> None:
    assert processes.boot_id() == Path("/proc/sys/kernel/random/boot_id").read_text().strip()
