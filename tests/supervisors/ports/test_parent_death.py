"""When a node is killed, nothing of its ports is left, stuck workers included."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.supervisors.ports.rig import Watch, read_pid
from tests.supervisors.world import REAL_PATIENCE_S

if TYPE_CHECKING:
    from pathlib import Path

NODE = """
import json, signal, sys
from supervisors.ports.process_port import ProcessPort
port = ProcessPort("doomed", ["tests.supervisors.ports.functions"], workers=2)
port.ready.get(timeout=20)
port.call(sys.argv[1], sys.argv[2], deadline_s=600)
idle = port.call("worker_pid").get(timeout=20)
open(sys.argv[2] + ".node", "w").write(json.dumps([port._spawner.pid, idle]))
signal.pause()
"""


@pytest.mark.parametrize("function", ["announce_then_wait", "announce_then_hold_interpreter"])
def test_a_killed_node_takes_its_zygote_and_its_workers_along(fifo: Path, function: str) -> None:
    told = fifo.with_name(f"{fifo.name}.node")
    os.mkfifo(told)
    node = subprocess.Popen([sys.executable, "-c", NODE, function, str(fifo)])
    try:
        stuck = read_pid(fifo)
        zygote, idle = read_pids(told)
        assert idle != stuck
        watch = Watch(zygote, idle, stuck)
    finally:
        node.send_signal(signal.SIGKILL)
        node.wait()
    assert watch.all_ended()


def read_pids(fifo: Path) -> list[int]:
    fd = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    try:
        poll = select.poll()
        poll.register(fd, select.POLLIN)
        assert poll.poll(REAL_PATIENCE_S * 1000), "the node said nothing"
        pids: list[int] = json.loads(os.read(fd, 4096))
        return pids
    finally:
        os.close(fd)
