"""What the workers of the tests may be asked to do. Imported by real worker processes."""

from __future__ import annotations

import json
import os
import re
import signal
import stat
import struct
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

EXPLODING = "a" * 40 + "b"


class Log:
    """What one worker has been told so far."""

    def __init__(self) -> None:
        self.entries: list[Any] = []

    def note(self, entry: Any) -> list[Any]:
        self.entries.append(entry)
        return self.entries


class UnprintableError(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no words")


def echo(*values: Any) -> list[Any]:
    return list(values)


def fail(message: str) -> None:
    raise LookupError(message)


def fail_without_words() -> None:
    raise UnprintableError


def leave() -> None:
    sys.exit(3)


def unsendable() -> object:
    return object()


def large(size: int) -> str:
    return "x" * size


def worker_pid() -> int:
    return os.getpid()


def loaded(*modules: str) -> list[str]:
    return [module for module in modules if module in sys.modules]


def never() -> None:
    threading.Event().wait()


def announce(fifo: str) -> None:
    """Tell the test that the job has begun."""
    Path(fifo).write_text(f"{os.getpid()}\n", encoding="ascii")


def announce_then_wait(fifo: str) -> None:
    announce(fifo)
    never()


def announce_then_hold_interpreter(fifo: str) -> None:
    announce(fifo)
    re.match(r"(a+)+$", EXPLODING)


def hold_interpreter() -> None:
    re.match(r"(a+)+$", EXPLODING)


def answer_at_length_and_end(serial: int, size: int) -> None:
    """Answer as a worker would, and be gone before it is read."""
    text = json.dumps({"id": serial, "ok": "x" * size}).encode()
    os.write(link_to_the_node(), struct.pack(">I", len(text)) + text)
    os._exit(0)


def kill_self() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def start_process(fifo: str) -> None:
    """Leave a child process behind and hang."""
    child = subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"])
    Path(fifo).write_text(f"{child.pid}\n", encoding="ascii")
    never()


def link_to_the_node() -> int:
    """Find the socket this worker talks to its node through."""
    for path in Path("/proc/self/fd").iterdir():
        fd = int(path.name)
        try:
            if fd > 2 and stat.S_ISSOCK(os.fstat(fd).st_mode):
                return fd
        except OSError:
            continue
    raise LookupError("no socket")


def send_raw(text: str) -> None:
    os.write(link_to_the_node(), text.encode("latin-1"))
    never()


def send_frame(body: dict[str, Any]) -> None:
    text = json.dumps(body).encode()
    os.write(link_to_the_node(), struct.pack(">I", len(text)) + text)
    never()


def say(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


def zygote_dies() -> None:
    os.kill(os.getppid(), signal.SIGKILL)
    never()


COMMON = {
    "echo": echo,
    "fail": fail,
    "fail_without_words": fail_without_words,
    "large": large,
    "leave": leave,
    "never": never,
    "note": Log().note,
    "unsendable": unsendable,
}
PORT_FUNCTIONS = {
    **COMMON,
    "answer_at_length_and_end": answer_at_length_and_end,
    "announce_then_hold_interpreter": announce_then_hold_interpreter,
    "announce_then_wait": announce_then_wait,
    "hold_interpreter": hold_interpreter,
    "kill_self": kill_self,
    "loaded": loaded,
    "say": say,
    "send_frame": send_frame,
    "send_raw": send_raw,
    "start_process": start_process,
    "worker_pid": worker_pid,
    "zygote_dies": zygote_dies,
}
