"""`fifo` as a process: to its end where no node is needed, and to its first request where one is.

Run as `python -m benchmarks.programs.command_line TIMES`; `bare_python` is its peer. Each figure is
the least of so many processes, by the wall's clock: what others on the machine take only adds to
it. `_cpu` is what they used of a processor.
"""

from __future__ import annotations

import contextlib
import functools
import resource
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import grpc

from benchmarks.programs.meter import emit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

FIFO: Final = (sys.executable, "-m", "fifo")
NO_NODE: Final[dict[str, tuple[tuple[str, ...], dict[str, str], int]]] = {
    "help": (("--help",), {}, 0),
    "completion": (
        (),
        {"_FIFO_COMPLETE": "bash_complete", "COMP_WORDS": "fifo inst", "COMP_CWORD": "1"},
        0,
    ),
    "usage_error": (("instance", "explode"), {}, 2),
}
"""Arguments, environment, and the status that it ends with."""


def run(argv: tuple[str, ...], environment: Mapping[str, str], status: int) -> None:
    """Run a process to its end; an assertion fails where that is not the one it should have."""
    done = subprocess.run(argv, check=False, capture_output=True, env=environment)
    assert done.returncode == status, done.stderr


def measure(name: str, once: Callable[[], float], times: int) -> None:
    """Print the least that `once` gives in seconds, and of its children's processor time."""
    walls, used = [], []
    for _ in range(times):
        before = children_cpu_s()
        walls.append(once())
        used.append(children_cpu_s() - before)
    emit(name, 1000 * min(walls), "ms")
    emit(f"{name}_cpu", 1000 * min(used), "CPU ms")


def children_cpu_s() -> float:
    """Give the processor time of all children that have ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def to_end(argv: tuple[str, ...], environment: Mapping[str, str], status: int = 0) -> float:
    """Give the seconds that a process takes."""
    began_s = time.perf_counter()
    run(argv, environment, status)
    return time.perf_counter() - began_s


class FirstRequest(grpc.GenericRpcHandler):
    """Notes when a request comes, and answers nothing to it."""

    def __init__(self) -> None:
        self.came_s: list[float] = []

    def service(self, handler_call_details: Any) -> Any:
        """Note the time."""
        del handler_call_details
        self.came_s.append(time.perf_counter())
        return grpc.unary_unary_rpc_method_handler(lambda *_: b"")


@contextlib.contextmanager
def server() -> Iterator[tuple[str, FirstRequest]]:
    """Serve on a socket; gives its address and what notes requests."""
    noting = FirstRequest()
    with tempfile.TemporaryDirectory(prefix="fifo-bench-") as directory:
        own = grpc.server(ThreadPoolExecutor(1), handlers=[noting])
        address = f"unix:{Path(directory, 'fifo.sock')}"
        own.add_insecure_port(address)
        own.start()
        try:
            yield address, noting
        finally:
            own.stop(None).wait()


def main() -> None:
    """Measure each."""
    times = int(sys.argv[1])
    with server() as (address, noting):
        for name, (arguments, environment, status) in NO_NODE.items():
            argv = (*FIFO, *arguments)
            once = functools.partial(to_end, argv, environment, status)
            measure(f"cli_{name}", once, times)

        def request() -> float:
            noting.came_s.clear()
            began_s = time.perf_counter()
            run((*FIFO, "--server", address, "instance", "list"), {}, 0)
            return noting.came_s[0] - began_s

        measure("cli_first_request", request, times)


if __name__ == "__main__":
    main()
