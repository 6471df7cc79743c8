"""Where a turn may be interrupted: in a user's code, and in no half of the runtime's own work.

StuckTurn is raised into a user's function and unwinds what called it; a host that takes over goes
on without waiting for that. So every frame of the runtime below the function, down to where the
scheduler catches what a turn raises, must be one that leaves nothing half done: neither when it is
unwound there, nor when it stays there for ever, nor when the function catches the exception and
returns. Those are the frames listed here. All others, such as those that bury a process, are not:
code that they call (a subscriber, a callback of a future, the clean-up of a coroutine that is
closed) holds the node up for as long as it takes.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from types import FrameType

_PACKAGE: Final = Path(__file__).parent

PROCESS_CODE: Final = frozenset(
    {
        "breaker.py", "child.py", "deadline.py", "dynamic_supervisor.py", "gen_server.py",
        "passivation.py", "process.py", "state_machine/callbacks.py", "state_machine/machine.py",
        "state_machine/stepping.py", "supervising.py", "supervisor.py", "task.py",
    }
)  # fmt: skip
"""Modules whose functions are some process's own code: what they leave half done dies with it."""

DISPATCH: Final[dict[str, frozenset[str]]] = {
    "_pykka.py": frozenset({"LeanActor.serve_pykka", "LeanFuture.get_by_hook"}),
    "ending.py": frozenset({"_crash", "crash", "report_crash", "stop"}),
    "future.py": frozenset(
        {
            "Future.__await__", "Future._await_sources", "Future.get",
            "Future.filter.<locals>.<lambda>",
            "Future.join.<locals>.<lambda>", "Future.join.<locals>.<lambda>.<locals>.<listcomp>",
            "Future.map.<locals>.<lambda>", "Future.reduce.<locals>.<lambda>",
        }
    ),
    "idleness.py": frozenset({"IdleWatch._take"}),
    "node.py": frozenset({"Node.launch", "Node.start"}),
    "parking.py": frozenset({"_finish", "_raise_at_await", "advance", "conclude", "resume"}),
    "reports.py": frozenset({"Reports.crash"}),
    "shard.py": frozenset({"Shard.run_on_shard", "Shard.start"}),
    "starting.py": frozenset(
        {"begin", "launch", "spawn", "start_future", "start_future.<locals>.begin_start"}
    ),
    "system.py": frozenset(
        {
            "_peek.<locals>.look", "change_code.<locals>.changed", "get_status.<locals>.<lambda>",
            "replace_state.<locals>.replaced",
        }
    ),
    "turns.py": frozenset(
        {"_serve_ask", "_serve_system", "_stop", "act", "hibernate", "serve", "then"}
    ),
}  # fmt: skip
"""Functions of the scheduler that call a user's code, or call what does, where nothing is open."""

TURN: Final = ("turns.py", "_turn")
"""Where a turn begins, and what it raises ends its process."""
INLINE_START: Final = ("starting.py", "_begin_inline")
"""Where an init begins within its starter's turn, and what it raises is the starter's answer."""


def place(frame: FrameType) -> tuple[str, str] | None:
    """Name the runtime's module and function that a frame runs; None for anybody else's."""
    path = Path(frame.f_code.co_filename)
    if not path.is_relative_to(_PACKAGE):
        return None
    return path.relative_to(_PACKAGE).as_posix(), frame.f_code.co_qualname


def interruptible(frame: FrameType | None, *, for_good: bool = False) -> bool:
    """Tell whether a thread may be interrupted that stands in this frame; called by the watchdog.

    The innermost frame must not be the runtime's: the exception is raised where the thread
    stands, because a thread that gets the GIL back looks for one before it does anything else.
    `for_good` is asked by a host that will go on without the thread, so that whoever has started
    the stuck process within its own turn cannot go on either.
    """
    here = None if frame is None else place(frame)
    if here is not None:
        return False
    while frame is not None:
        here = place(frame)
        if here == TURN or (here == INLINE_START and not for_good):
            return True
        if here is not None and here != INLINE_START:
            module, function = here
            if module not in PROCESS_CODE and function not in DISPATCH.get(module, ()):
                return False
        frame = frame.f_back
    return False
