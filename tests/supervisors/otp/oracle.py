"""Scenarios of `supervisors.scenario`, run on OTP's own supervisor.

OTP 25 has no JSON, so the scenario is written here as Erlang terms; the program beside this
module, scenario_oracle.erl, runs it and prints JSON. By hand:
`python -m tests.supervisors.otp.oracle FILE`, or `-` for standard input. With `--record` FILE is
a corpus, a list of {"name", "scenario"}, whose "expected" events are written anew.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any, TextIO

Json = Any
Scenario = dict[str, Json]
Event = dict[str, Json]

SOURCE = Path(__file__).with_name("scenario_oracle.erl")
COMPILE_DEADLINE_S = 60.0
# Start of the emulator, plus room for each scenario's sleeps and shutdown timeouts.
START_DEADLINE_S = 30.0
SCENARIO_DEADLINE_S = 8.0
# A recorded scenario must have given the same events so many times.
RECORD_RUNS = 5


class OracleError(Exception):
    """OTP could not run a scenario: what failed, with the words of the Erlang side."""


def to_erlang(value: Json) -> str:
    """The JSON value as the text of one Erlang term.

    Objects become maps with binary keys and strings binaries (never atoms: the Erlang side
    makes atoms only where OTP wants one). Raises OracleError for what JSON does not know.
    """
    term: str | None = None
    match value:
        case None | bool():
            term = json.dumps(value)
        case int():
            term = str(value)
        case float():
            term = _float(value)
        case str():
            term = "<<" + ",".join(str(byte) for byte in value.encode()) + ">>"
        case list():
            term = "[" + ",".join(to_erlang(item) for item in value) + "]"
        case dict():
            members = (f"{to_erlang(key)}=>{to_erlang(item)}" for key, item in value.items())
            term = "#{" + ",".join(members) + "}"
    if term is None:
        raise OracleError(f"{value!r} is not JSON; give a parsed scenario")
    return term


def _float(value: float) -> str:
    """A float as Erlang writes it: a point is obligatory before an exponent."""
    mantissa, mark, exponent = repr(value).partition("e")
    if not mantissa.lstrip("-").replace(".", "").isdigit():
        raise OracleError(f"{value!r} has no Erlang form; give a finite number")
    return (mantissa if "." in mantissa else mantissa + ".0") + mark + exponent


def run_many(scenarios: list[Scenario], erl: str = "erl") -> list[list[Event]]:
    """The events of each scenario, in the scenarios' order, from one emulator.

    They run side by side in groups, each with processes of its own. Called by the
    conformance tests. Raises OracleError when the emulator cannot be started, fails, or passes
    its deadline.
    """
    with tempfile.TemporaryDirectory(prefix="scenario-oracle-") as directory:
        beams = Path(directory)
        compiler = str(Path(erl).with_name("erlc")) if "/" in erl else "erlc"
        _call([compiler, "-o", directory, str(SOURCE)], COMPILE_DEADLINE_S)
        terms = beams / "scenarios.terms"
        terms.write_text("".join(f"{to_erlang(s)}.\n" for s in scenarios), encoding="ascii")
        emulator = [erl, "-noshell", "-noinput", "+S", "1", "+A", "1", "-pa", directory]
        program = ["-run", "scenario_oracle", "main", str(terms)]
        deadline_s = START_DEADLINE_S + SCENARIO_DEADLINE_S * len(scenarios) + _sleeps_s(scenarios)
        return _events(_call(emulator + program, deadline_s), len(scenarios))


def run(scenario: Scenario, erl: str = "erl") -> list[Event]:
    """The events of one scenario; run_many is far faster for several."""
    return run_many([scenario], erl)[0]


def _sleeps_s(scenarios: list[Scenario]) -> float:
    """Seconds that the scenarios' steps sleep, all together."""
    sleeps_ms = [float(step.get("ms", 0)) for s in scenarios for step in s["steps"]]
    return sum(sleeps_ms) / 1000


def record(corpus: list[Json], erl: str = "erl") -> list[Json]:
    """The corpus with the events that OTP gives now; OracleError if they change run by run."""
    scenarios = [entry["scenario"] for entry in corpus]
    first, *others = [run_many(scenarios, erl) for _ in range(RECORD_RUNS)]
    for number, entry in enumerate(corpus):
        if any(other[number] != first[number] for other in others):
            raise OracleError(f"{entry['name']!r} has no certain order on OTP; leave it out")
    return [{**entry, "expected": events} for entry, events in zip(corpus, first, strict=True)]


def with_orphans_sorted(events: list[Event]) -> list[Event]:
    """The events with the ends of orphans in a defined place and order; others stay as they are.

    A supervisor that is killed leaves its subtree to die by exit signals, in an order OTP does
    not define, next to what its own supervisor does meanwhile. Here those exits, and the
    reports of supervisors among the orphans, follow the exit of the killed supervisor, sorted.
    Called on both sides before events are compared.
    """
    ordered: list[Event] = []
    coming = list(events)
    alive: Counter[str] = Counter()
    while coming:
        event = coming.pop(0)
        ordered.append(event)
        if event["event"] == "start":
            alive[event["path"]] += 1
        elif event["event"] == "exit":
            alive[event["path"]] -= 1
            below = event["path"] + "/"
            orphans = {path for path in +alive if path.startswith(below)}
            coming = _orphans_first(coming, orphans)
    return ordered


def _orphans_first(events: list[Event], orphans: set[str]) -> list[Event]:
    """The events with those of the orphans, up to each one's exit, sorted and in front."""
    theirs: list[Event] = []
    others: list[Event] = []
    for event in events:
        path = event.get("path" if event["event"] == "exit" else "sup")
        (theirs if path in orphans else others).append(event)
        if event["event"] == "exit":
            orphans = orphans - {path}
    return sorted(theirs, key=json.dumps) + others


def _call(command: list[str], deadline_s: float) -> subprocess.CompletedProcess[str]:
    """The finished command, output kept; OracleError for any end but a clean one."""
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=deadline_s, check=False
        )
    except OSError as error:
        raise OracleError(f"{command[0]} cannot be run ({error}); install erlang-base") from error
    except subprocess.TimeoutExpired as error:
        raise OracleError(f"{command[0]} was not done after {deadline_s} s") from error
    if done.returncode != 0:
        raise OracleError(f"{command[0]} ended with {done.returncode}: {done.stdout}{done.stderr}")
    return done


def _events(done: subprocess.CompletedProcess[str], count: int) -> list[list[Event]]:
    """The printed events by scenario number; OracleError when one is missing or failed."""
    found: dict[int, list[Event] | None] = dict(json.loads(s) for s in done.stdout.splitlines())
    events = [found.get(number) for number in range(count)]
    ran = [each for each in events if each is not None]
    if len(ran) < count:
        raise OracleError(f"scenario {events.index(None)} failed on OTP: {done.stderr}")
    return ran


def main(arguments: list[str], stdin: TextIO, stdout: TextIO) -> int:
    """Prints the events of the scenario in the named file, one JSON object a line."""
    parser = argparse.ArgumentParser(prog="oracle", description=__doc__)
    parser.add_argument("file", help="a scenario as JSON, - for standard input")
    parser.add_argument("--record", action="store_true", help="FILE is a corpus: record it")
    given = parser.parse_args(arguments)
    if given.record:
        corpus = Path(given.file)
        entries = [json.dumps(each) for each in record(json.loads(corpus.read_text("utf-8")))]
        corpus.write_text("[\n" + ",\n".join(entries) + "\n]\n", encoding="utf-8")
        return 0
    text = stdin.read() if given.file == "-" else Path(given.file).read_text(encoding="utf-8")
    stdout.writelines(json.dumps(event) + "\n" for event in run(json.loads(text)))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], sys.stdin, sys.stdout))
