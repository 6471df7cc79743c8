"""Programs of state machines, run on OTP's own gen_statem.

`python -m tests.supervisors.state_machine.otp.oracle COUNT` draws programs anew and records
corpus.json: a list of {"program", "trace"}. Kept are those whose trace was the same in every run
and is long enough to say something; those in which gen_statem loses a timer are left out (OTP 25
forgets one that replaces a time-zero timeout whose event is still to come).
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from hypothesis import HealthCheck, Phase, given, settings

from tests.supervisors.otp.oracle import OracleError, to_erlang
from tests.supervisors.state_machine.drawing import programs
from tests.supervisors.state_machine.programs import FUEL, REST_MS

if TYPE_CHECKING:
    from tests.supervisors.state_machine.programs import Program, Trace

SOURCE = Path(__file__).with_name("machine_oracle.erl")
CORPUS = Path(__file__).with_name("corpus.json")
DEADLINE_S = 120.0
RECORD_RUNS = 3
ROWS_MIN = 12


def run_many(drawn: list[Program], rest_ms: int = REST_MS) -> list[Trace]:
    """Give the trace of each program, in order; OracleError when OTP cannot run them.

    `rest_ms` is real time in which the timeouts of the last step come.
    """
    with tempfile.TemporaryDirectory(prefix="machine-oracle-") as directory:
        terms = Path(directory) / "programs.terms"
        terms.write_text("".join(f"{to_erlang(one)}.\n" for one in drawn), encoding="ascii")
        _call(["erlc", "-o", directory, str(SOURCE)])
        emulator = ["erl", "-noshell", "-noinput", "+S", "1", "-pa", directory]
        program = ["-run", "machine_oracle", "main", str(terms), str(FUEL), str(rest_ms)]
        lines = _call(emulator + program).splitlines()
    traces: dict[int, Trace] = dict(json.loads(line) for line in lines)
    return [traces[number] for number in range(len(drawn))]


def _call(command: list[str]) -> str:
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=DEADLINE_S, check=False
        )
    except OSError as error:
        raise OracleError(f"{command[0]} cannot be run ({error}); install erlang-base") from error
    if done.returncode != 0:
        raise OracleError(f"{command[0]} ended with {done.returncode}: {done.stdout}{done.stderr}")
    return done.stdout


def draw(count: int) -> list[Program]:
    """Draw programs, the same ones every time."""
    drawn: list[Program] = []

    @settings(
        max_examples=count,
        derandomize=True,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(programs())
    def collect(program: Program) -> None:
        drawn.append(program)

    collect()
    return drawn


def loses_a_timer(trace: Trace) -> bool:
    """Tell whether gen_statem got a timer it no longer knew."""
    return any(row[1] == "stray" for row in trace)


def record(count: int) -> None:
    """Write the corpus anew."""
    drawn = draw(count)
    first, *others = [run_many(drawn) for _ in range(RECORD_RUNS)]
    entries = [
        json.dumps({"program": program, "trace": trace})
        for number, (program, trace) in enumerate(zip(drawn, first, strict=True))
        if len(trace) >= ROWS_MIN
        and not loses_a_timer(trace)
        and all(other[number] == trace for other in others)
    ]
    CORPUS.write_text("[\n" + ",\n".join(entries) + "\n]\n", encoding="utf-8")


if __name__ == "__main__":
    record(int(sys.argv[1]))
