"""`python -m benchmarks`: measure the floors, print the table, end with 1 if a floor is missed.

Settings come from the environment: BENCH_RUNS is the number of fresh processes a program gets,
BENCH_ONLY a part of the names of the rows to measure, BENCH_JSON a file for one JSON object a row.
"""

from __future__ import annotations

import os
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from benchmarks.erlang import Erlang, ErlangMissingError, provide
from benchmarks.harness import command, measure, run_command
from benchmarks.report import all_kept, json_lines, judge, table
from benchmarks.rows import ROWS, groups, programs, select

if TYPE_CHECKING:
    from collections.abc import Mapping

    from benchmarks.report import Verdict
    from benchmarks.rows import Figure, Program, Row

_RUNS_DEFAULT: Final = 5
_STATUS_KEPT: Final = 0
_STATUS_BELOW: Final = 1
_STATUS_BAD_SETTING: Final = 2


class SettingError(Exception):
    """A setting cannot be used; the message names it, its value and what is wanted."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What a run of the benchmarks is told: how often, which rows, and where JSON goes."""

    runs: int
    rows: tuple[Row, ...]
    json_file: Path | None


def settings(environ: Mapping[str, str]) -> Settings:
    """Read the settings; an empty one counts as unset. Raises SettingError."""
    text = environ.get("BENCH_RUNS") or str(_RUNS_DEFAULT)
    if not text.isdecimal() or int(text) < 1:
        raise SettingError(f"BENCH_RUNS is {text!r}: give a number of runs from 1 on")
    part = environ.get("BENCH_ONLY", "")
    rows = select(ROWS, part)
    if not rows:
        names = ", ".join(row.name for row in ROWS)
        raise SettingError(f"BENCH_ONLY is {part!r}: no row's name contains that ({names})")
    file = Path(environ["BENCH_JSON"]) if environ.get("BENCH_JSON") else None
    # Better refused now than after a quarter of an hour.
    if file is not None and not file.parent.is_dir():
        raise SettingError(f"BENCH_JSON is {str(file)!r}: its directory is not there, make it")
    return Settings(int(text), rows, file)


def main() -> int:
    """Run the benchmarks as the environment says and return the exit status."""
    try:
        told = settings(os.environ)
    except SettingError as error:
        _say(str(error))
        return _STATUS_BAD_SETTING
    verdicts = _verdicts(told)
    print(table(verdicts), end="")
    if told.json_file is not None:
        told.json_file.write_text(json_lines(verdicts), encoding="utf-8")
    return _STATUS_KEPT if all_kept(verdicts) else _STATUS_BELOW


def _verdicts(told: Settings) -> list[Verdict]:
    with tempfile.TemporaryDirectory(prefix="bench-otp-") as code:
        erlang = _erlang(told.rows, Path(code))

        def run_program(program: Program) -> dict[Figure, float]:
            return run_command(program, command(program, erlang))

        medians: dict[Figure, float] = {}
        for group in groups(told.rows):
            medians |= measure(group, told.runs, run_program, _say)
    return [judge(row, medians) for row in told.rows]


def _erlang(rows: tuple[Row, ...], code: Path) -> Erlang | None:
    """Provide Erlang if a row needs it; without it those rows are reported as not measured."""
    if all(program.who != "OTP" for program in programs(rows)):
        return None
    try:
        return provide(code, _say)
    except ErlangMissingError as error:
        _say(f"the OTP rows cannot run: {error}")
        return None


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
