"""Running the programs: fresh processes, both sides by turns, and the median of each figure."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
from typing import TYPE_CHECKING, Final

from benchmarks.erlang import Erlang, environment
from benchmarks.rows import Figure, programs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from benchmarks.rows import Program, Row

# The longest program takes a quarter of a minute on a slow machine; ten times that and more again.
PROGRAM_LIMIT_S: Final = 300
# Enough of a traceback to see what went wrong.
_STDERR_LINES_SHOWN: Final = 5


class ProgramError(Exception):
    """A program did not give its figures; the message says which and why."""


def parse_figures(program: Program, output: str) -> dict[Figure, float]:
    """Read the JSON lines that a program printed: name, value, unit and nothing else.

    Raises ProgramError at the first line that is anything else.
    """
    figures = {}
    for line in output.splitlines():
        try:
            match json.loads(line):
                case {
                    "name": str(name),
                    "value": int() | float() as value,
                    "unit": str(unit),
                    **others,
                } if not others and not isinstance(value, bool):
                    figures[Figure(program, name, unit)] = float(value)
                case _:
                    raise ProgramError(f"{program} printed no figure: {line!r}")
        except json.JSONDecodeError as error:
            raise ProgramError(f"{program} printed no JSON: {line!r}") from error
    return figures


def turns(group: Sequence[Program], runs: int) -> Iterator[tuple[int, Program]]:
    """Yield (run, program), forwards in even runs and backwards in odd ones.

    A machine that grows slower over a run then favours neither side.
    """
    for run in range(runs):
        for program in group if run % 2 == 0 else reversed(group):
            yield run, program


def medians(samples: Mapping[Figure, Sequence[float]], runs: int) -> dict[Figure, float]:
    """Return the median of each figure that every one of the runs gave."""
    return {
        figure: statistics.median(values)
        for figure, values in samples.items()
        if len(values) == runs
    }


def measure(
    group: Iterable[Row],
    runs: int,
    run_program: Callable[[Program], dict[Figure, float]],
    say: Callable[[str], None],
) -> dict[Figure, float]:
    """Run the programs of a group of rows by turns and return the medians of their figures.

    A program that fails is reported through `say`, not run again, and has no medians.
    """
    samples: dict[Figure, list[float]] = {}
    failed: set[Program] = set()
    for run, program in turns(programs(group), runs):
        if program in failed:
            continue
        say(f"run {run + 1}/{runs}: {program}")
        try:
            figures = run_program(program)
        except ProgramError as error:
            failed.add(program)
            say(f"not measured: {error}")
            continue
        for figure, value in figures.items():
            samples.setdefault(figure, []).append(value)
    return medians(samples, runs)


def command(program: Program, erlang: Erlang | None) -> tuple[str, ...]:
    """Return the command that runs a program; raises ProgramError for OTP's without an Erlang."""
    if program.who == "OTP":
        if erlang is None:
            raise ProgramError(f"{program} needs Erlang, which is missing")
        return erlang.argv(program.name, program.sizes)
    module = f"benchmarks.programs.{program.name}"
    return (sys.executable, "-m", module, *map(str, program.sizes))


def run_command(program: Program, argv: Sequence[str]) -> dict[Figure, float]:
    """Run one program in a fresh process and return its figures.

    Raises ProgramError if it cannot start, does not end within PROGRAM_LIMIT_S or with status 0, or
    prints anything but figures.
    """
    try:
        done = subprocess.run(
            argv,
            check=False,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PROGRAM_LIMIT_S,
            env=environment(os.environ),
        )
    except OSError as error:
        raise ProgramError(f"{program} cannot start {argv[0]}: {error}") from error
    except subprocess.TimeoutExpired as error:
        raise ProgramError(f"{program} did not end within {PROGRAM_LIMIT_S} s") from error
    if done.returncode != 0:
        shown = "\n".join(done.stderr.splitlines()[-_STDERR_LINES_SHOWN:])
        raise ProgramError(f"{program} ended with status {done.returncode}: {shown}")
    return parse_figures(program, done.stdout)
