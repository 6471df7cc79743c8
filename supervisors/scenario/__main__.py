"""`python -m supervisors.scenario FILE.json`: events to standard output, a line each."""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, TextIO

from supervisors.errors import ScenarioFault
from supervisors.scenario import parse, run

if TYPE_CHECKING:
    from collections.abc import Sequence

EXIT_REFUSED = 2
"""Exit code for a scenario that is malformed or cannot be read (and for wrong arguments)."""

EXIT_NOT_WRITTEN = 1
"""Exit code when whoever read the events went away."""

FORM = """\
A scenario is {"tree": SUP, "steps": [STEP, ...]}.

SUP       {"id", "type": "supervisor", "strategy", "intensity", "period", "auto_shutdown",
           "restart", "shutdown", "significant", "children": [SUP or WORKER, ...]}
WORKER    {"id", "type": "worker", "restart", "shutdown", "significant", "start", "traps_exit",
           "on_shutdown"}
strategy  one_for_one, one_for_all or rest_for_one; period is in whole seconds
shutdown  "brutal_kill", "infinity" or milliseconds
start     "ok", "ignore" or {"fail_on": [2, 3]}: which attempts fail, counted from 1
on_shutdown (with traps_exit)  "obey", "ignore" or {"exit": REASON}
REASON    a string or {"shutdown": STRING}
All but id and type has OTP's default. Ids match [A-Za-z0-9_.-]+; a path is ids joined by
slashes, the root's first.

STEP      {"do": "exit", "path", "reason"}     a worker ends by itself
          {"do": "kill", "path"}
          {"do": "start_child", "sup": PATH, "child": SUP or WORKER}
          {"do": "terminate_child" | "restart_child" | "delete_child", "sup": PATH, "id"}
          {"do": "which_children" | "count_children", "sup": PATH}
          {"do": "sleep", "ms"}
          {"do": "stop"}                       the root's parent tells it to shut down
Each step goes on until all is at rest; time is virtual.

Output, one JSON object a line: events "start", "start_failed", "start_ignored" (path, n), "exit"
(path, reason), "report" (context, sup, id, reason), "result" (step, value), and last "end"
(root). A faulty scenario gives its JSON pointer and the reason on standard error.
exit codes: 0 the scenario ran; 1 the output could not be written; 2 it was refused.
"""


def main(arguments: Sequence[str], stdin: BinaryIO, stdout: TextIO, stderr: TextIO) -> int:
    """Run the scenario in the named file, or on `stdin` for "-"; gives the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m supervisors.scenario",
        description="Run a supervision tree through a scenario in virtual time.",
        epilog=FORM,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("file", metavar="FILE", help="a scenario as JSON, - for standard input")
    given = parser.parse_args(arguments)

    try:
        text = stdin.read() if given.file == "-" else Path(given.file).read_bytes()
    except OSError as error:
        stderr.write(f"{given.file} cannot be read: {error.strerror}\n")
        return EXIT_REFUSED
    try:
        run(parse(text), lambda event: _write(stdout, event))
    except ScenarioFault as fault:
        stdout.flush()
        stderr.write(f"{fault}\n")
        return EXIT_REFUSED
    stdout.flush()
    return 0


def _write(stdout: TextIO, event: dict[str, Any]) -> None:
    stdout.write(json.dumps(event) + "\n")


def _program() -> int:
    try:
        return main(sys.argv[1:], sys.stdin.buffer, sys.stdout, sys.stderr)
    except BrokenPipeError:
        # Whoever read has gone; what is still buffered must not fail again at the exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_NOT_WRITTEN


if __name__ == "__main__":
    sys.exit(_program())
