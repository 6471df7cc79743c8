"""Watch a running process's supervision tree: `python -m supervisors.observe --socket PATH`."""

from __future__ import annotations

import argparse
import shutil
import sys
from pathlib import Path

from supervisors import limits
from supervisors.errors import ObserveError
from supervisors.observe import screen
from supervisors.observe.connection import Connection, all_of_it
from supervisors.observe.terminal import watch

_REFRESH_LEAST_S = 0.1
_FAILED = 1
_MISUSED = 2


def _arguments(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m supervisors.observe",
        description="Show the supervision tree of a running process, live, on one screen.",
    )
    parser.add_argument(
        "--socket", type=Path, required=True, metavar="PATH",
        help="the socket of the process's ObserveServer",
    )  # fmt: skip
    parser.add_argument("--once", action="store_true", help="print one frame as text and end")
    parser.add_argument(
        "--refresh", type=float, default=limits.OBSERVE_REFRESH_S, metavar="SECONDS",
        help="how often to take a fresh snapshot (default %(default)s)",
    )  # fmt: skip
    return parser.parse_args(argv)


def main(argv: list[str]) -> int:
    """Run the command and give its exit status: 0, 1 if the process cannot be watched, 2 misuse."""
    arguments = _arguments(argv)
    if not arguments.once and not (sys.stdin.isatty() and sys.stdout.isatty()):
        print("this is no terminal: use --once to print one frame", file=sys.stderr)
        return _MISUSED
    try:
        with Connection(arguments.socket) as connection:
            if arguments.once:
                _print_frame(connection)
            else:
                refresh_s = max(arguments.refresh, _REFRESH_LEAST_S)
                watch(connection, sys.stdout, sys.stdin.fileno(), refresh_s)
    except ObserveError as error:
        print(error, file=sys.stderr)
        return _FAILED
    except KeyboardInterrupt:
        return 0
    return 0


def _print_frame(connection: Connection) -> None:
    width, height = shutil.get_terminal_size()
    room = screen.body_height(height)
    snapshot = connection.snapshot(all_of_it(limits.SNAPSHOT_DEPTH, max(1, room)))
    view = screen.View(cursor=-1)
    drawn = screen.screen(snapshot, view, width, height, now_s=snapshot.at_s)
    for line in drawn[: -screen.FOOT_LINES]:
        print(line.rstrip())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
