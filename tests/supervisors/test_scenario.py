"""The scenario runner: what it prints is what OTP did, and what it refuses it refuses clearly."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from random import Random
from typing import Any

import pytest

from supervisors import limits
from supervisors.errors import ScenarioFault
from supervisors.scenario import check, parse, run
from supervisors.scenario.__main__ import main
from tests.supervisors.otp import generate, oracle

Json = dict[str, Any]

CORPUS = json.loads(Path(oracle.__file__).with_name("corpus.json").read_text("utf-8"))
DIFFERENCES_WANTED = int(os.environ.get("SCENARIO_DIFFS", "40"))
"""Random scenarios that are compared with OTP; a minute of a spare machine does thousands."""
SECOND_LOOKS = 2
"""OTP runs in real time, which a busy machine distorts: a difference must show again."""

ROOT: Json = {"id": "root", "type": "supervisor"}
WORKER: Json = {"id": "a", "type": "worker"}


def events_of(tree: Json, *steps: Json) -> list[Json]:
    told: list[Json] = []
    run(check({"tree": tree, "steps": list(steps)}), told.append)
    return told


def root(*children: Json, **flags: Any) -> Json:
    return {**ROOT, **flags, "children": list(children)}


def results_of(tree: Json, *steps: Json) -> list[Any]:
    return [each["value"] for each in events_of(tree, *steps) if each["event"] == "result"]


# -- equal to OTP ----------------------------------------------------------------------------


@pytest.mark.parametrize("case", CORPUS, ids=[case["name"] for case in CORPUS])
def test_a_recorded_scenario_gives_the_events_that_otp_gave(case: Json) -> None:
    told: list[Json] = []
    run(check(case["scenario"]), told.append)
    assert told == case["expected"]


def test_random_scenarios_give_the_events_that_otp_gives_now() -> None:
    if shutil.which("erl") is None:
        pytest.skip("no Erlang here: apt-get install erlang-base")
    scenarios = [generate.random_scenario(Random(seed)) for seed in range(DIFFERENCES_WANTED)]
    for _ in range(1 + SECOND_LOOKS):
        by_otp = oracle.run_many(scenarios)
        scenarios = [
            scenario
            for scenario, theirs in zip(scenarios, by_otp, strict=True)
            if comparable(events_of(scenario["tree"], *scenario["steps"])) != comparable(theirs)
        ]
        if not scenarios:
            return
    first = scenarios[0]
    assert events_of(first["tree"], *first["steps"]) == oracle.run(first), json.dumps(first)


def comparable(events: list[Json]) -> list[Json]:
    """The events without the order of orphans, which OTP leaves open."""
    return oracle.with_orphans_sorted(events)


# -- time ------------------------------------------------------------------------------------


def test_ten_sleeps_of_a_tenth_of_a_second_are_a_second() -> None:
    tree = root(WORKER, intensity=1, period=1)
    kill = {"do": "kill", "path": "root/a"}
    naps: list[Json] = [{"do": "sleep", "ms": 100}] * 20
    assert events_of(tree, kill, *naps, kill)[-1]["root"] == "alive"
    assert events_of(tree, kill, *naps[1:], kill)[-1]["root"] == "shutdown"


def test_the_longest_sleep_costs_no_time_and_restarts_long_ago_do_not_count() -> None:
    kill = {"do": "kill", "path": "root/a"}
    nap: Json = {"do": "sleep", "ms": limits.SCENARIO_MS}
    assert events_of(root(WORKER), *[kill, nap] * 20)[-1]["root"] == "alive"


def test_a_shutdown_timeout_passes_in_no_sleep_and_is_counted_in_whole_seconds() -> None:
    stubborn = {
        "id": "b", "type": "worker", "traps_exit": True, "on_shutdown": "ignore", "shutdown": 2500,
    }  # fmt: skip
    tree = root(WORKER, stubborn, intensity=1, period=1)
    kill = {"do": "kill", "path": "root/a"}
    over = {"do": "terminate_child", "sup": "root", "id": "b"}
    assert events_of(tree, kill, over, kill)[-1]["root"] == "alive"
    assert events_of(tree, kill, kill)[-1]["root"] == "shutdown"


def test_the_same_scenario_gives_the_same_events_again() -> None:
    scenario = generate.random_scenario(Random(7))
    once, again = (events_of(scenario["tree"], *scenario["steps"]) for _ in range(2))
    assert once == again


# -- what OTP does not decide ----------------------------------------------------------------


def test_a_supervisor_told_to_end_by_itself_takes_no_notice() -> None:
    step = {"do": "exit", "path": "root", "reason": "boom"}
    assert events_of(root(), step)[1:] == [{"event": "end", "root": "alive"}]


def test_a_call_to_a_worker_is_refused_when_the_step_comes_up() -> None:
    with pytest.raises(ScenarioFault) as refused:
        events_of(root(WORKER), {"do": "which_children", "sup": "root/a"})
    assert refused.value.pointer == "/steps/0/sup"


def test_a_wait_without_end_is_refused_when_it_has_begun() -> None:
    deaf = {**WORKER, "traps_exit": True, "on_shutdown": "ignore", "shutdown": "infinity"}
    start = {"do": "start_child", "sup": "root", "child": deaf}
    with pytest.raises(ScenarioFault) as refused:
        events_of(root(), start, {"do": "stop"})
    assert refused.value.pointer == "/steps/1"
    assert events_of(root(), start)[-1] == {"event": "end", "root": "alive"}


@pytest.mark.parametrize(
    "child",
    [
        {**WORKER, "colour": "red"},
        {**WORKER, "on_shutdown": "ignore"},
        {**WORKER, "on_shutdown": "ignore", "traps_exit": True, "shutdown": "infinity"},
        {"id": "a"},
    ],
)
def test_what_otp_has_no_error_for_is_started_by_start_child(child: Json) -> None:
    step = {"do": "start_child", "sup": "root", "child": child}
    assert results_of(root(), step) == [["ok", "pid"]]


@pytest.mark.parametrize(
    ("child", "error"),
    [
        ("a", ["invalid_child_spec", "a"]),
        (["a", True, None, 1.5], ["invalid_child_spec", ["a", "true", "null", 1.5]]),
        ({"type": "worker"}, "missing_id"),
        ({**WORKER, "restart": {"x": True}}, ["invalid_restart_type", {"x": "true"}]),
        ({**WORKER, "shutdown": False}, ["invalid_shutdown", "false"]),
        ({**WORKER, "significant": None}, ["invalid_significant", "null"]),
        ({**ROOT, "children": [7]}, ["start_spec", ["invalid_child_spec", 7]]),
        ({**ROOT, "children": [{"type": "worker"}]}, ["start_spec", "missing_id"]),
        ({**ROOT, "intensity": True}, ["supervisor_data", ["invalid_intensity", "true"]]),
    ],
)
def test_a_fault_of_the_spec_in_start_child_is_otps_error(child: Any, error: Any) -> None:
    step = {"do": "start_child", "sup": "root", "child": child}
    assert results_of(root(), step) == [["error", error]]


# -- what is refused -------------------------------------------------------------------------

STEP: Json = {"do": "kill", "path": "root"}
DEAF: Json = {**WORKER, "traps_exit": True, "on_shutdown": "ignore"}
FAULTS: list[tuple[str, Any]] = [
    ("", [1]),
    ("", "x"),
    ("/tree", {"steps": []}),
    ("/steps", {"tree": ROOT}),
    ("/steps", {"tree": ROOT, "steps": {}}),
    ("/seed", {"tree": ROOT, "steps": [], "seed": 1}),
    ("/tree", {"tree": [], "steps": []}),
    ("/tree/type", {"tree": {"id": "root"}, "steps": []}),
    ("/tree/type", {"tree": WORKER, "steps": []}),
    ("/tree/id", {"tree": {"type": "supervisor"}, "steps": []}),
    ("/tree/a~1b~0c", {"tree": {**ROOT, "a/b~c": 1}, "steps": []}),
    ("/tree/start", {"tree": {**ROOT, "start": "ok"}, "steps": []}),
    *[
        (f"/tree/{key}", {"tree": root(**{key: value}), "steps": []})
        for key, values in dict[str, list[Any]]({
            "id": ["", "a/b", "ü", 5, None],
            "strategy": ["one", None, "simple_one_for_one"],
            "intensity": [-1, 1.5, True, "1"],
            "period": [0, -1, 0.5, "5"],
            "auto_shutdown": ["maybe", True],
            "restart": ["always", None, ["permanent"]],
            "shutdown": ["kill", -1, 1.5, limits.SCENARIO_MS + 1],
            "significant": [True, "true", 1],
        }).items()
        for value in values
    ],
    ("/tree/children", {"tree": {**ROOT, "children": {}}, "steps": []}),
    ("/tree/children/0", {"tree": root(5), "steps": []}),  # type: ignore[arg-type]
    ("/tree/children/1/id", {"tree": root(WORKER, WORKER), "steps": []}),
    ("/tree/children/0/children/1/id", {"tree": root(root(WORKER, WORKER)), "steps": []}),
    *[
        (f"/tree/children/0/{place or key}", {"tree": root({**WORKER, key: value}), "steps": []})
        for key, value, place in [
            ("type", "thing", ""),
            ("type", ["worker"], ""),
            ("strategy", "one_for_one", ""),
            ("restart", "always", ""),
            ("shutdown", "soon", ""),
            ("significant", True, ""),
            ("start", "maybe", ""),
            ("start", ["ok"], ""),
            ("start", {}, "start/fail_on"),
            ("start", {"fail_on": 2}, "start/fail_on"),
            ("start", {"fail_on": [0]}, "start/fail_on"),
            ("start", {"fail_on": [True]}, "start/fail_on"),
            ("start", {"fail_on": [2], "x": 1}, "start/x"),
            ("traps_exit", "yes", ""),
            ("traps_exit", 1, ""),
            ("on_shutdown", "ignore", ""),
            ("on_shutdown", {"exit": "x"}, ""),
            ("on_shutdown", "sulk", ""),
            ("on_shutdown", {"exit": 5}, "on_shutdown/exit"),
            ("on_shutdown", {"exit": {"shutdown": 5}}, "on_shutdown/exit/shutdown"),
            ("on_shutdown", {"leave": "x"}, "on_shutdown/leave"),
        ]
    ],
    (
        "/tree/children/0/on_shutdown",
        {"tree": root({**DEAF, "shutdown": "infinity"}), "steps": []},
    ),
    (
        "/tree/children/0/significant",
        {"tree": root({**WORKER, "significant": True}, auto_shutdown="any_significant"),
         "steps": []},
    ),
    *[
        (f"/steps/1{place}", {"tree": ROOT, "steps": [STEP, step]})
        for place, step in [
            ("", "kill"),
            ("/do", {}),
            ("/do", {"do": "fly"}),
            ("/do", {"do": ["kill"]}),
            ("/path", {"do": "kill"}),
            ("/path", {"do": "kill", "path": 5}),
            ("/path", {"do": "kill", "path": "root//a"}),
            ("/path", {"do": "kill", "path": ""}),
            ("/sup", {**STEP, "sup": "root"}),
            ("/reason", {"do": "exit", "path": "root/a"}),
            ("/reason", {"do": "exit", "path": "root/a", "reason": 5}),
            ("/reason/x", {"do": "exit", "path": "root/a", "reason": {"x": "y"}}),
            ("/ms", {"do": "sleep", "ms": -1}),
            ("/ms", {"do": "sleep", "ms": 1.0}),
            ("/ms", {"do": "sleep", "ms": True}),
            ("/ms", {"do": "sleep", "ms": limits.SCENARIO_MS + 1}),
            ("/id", {"do": "delete_child", "sup": "root", "id": "a b"}),
            ("/child", {"do": "start_child", "sup": "root"}),
            ("/child/id", {"do": "start_child", "sup": "root", "child": {**WORKER, "id": "a/b"}}),
            ("/child/start", {"do": "start_child", "sup": "root", "child": {**WORKER, "start": 1}}),
            ("/child/children",
             {"do": "start_child", "sup": "root", "child": {**ROOT, "children": 1}}),
            ("/child/children/0/traps_exit",
             {"do": "start_child", "sup": "root", "child": root({**WORKER, "traps_exit": 1})}),
            ("/child/strategy", {"do": "start_child", "sup": "root",
                                 "child": {**ROOT, "strategy": "simple_one_for_one"}}),
        ]
    ],
]  # fmt: skip


@pytest.mark.parametrize(("pointer", "document"), FAULTS)
def test_a_malformed_scenario_is_refused_at_its_place(pointer: str, document: Any) -> None:
    with pytest.raises(ScenarioFault) as refused:
        parse(json.dumps(document).encode())
    assert refused.value.pointer == pointer
    assert refused.value.reason


@pytest.mark.parametrize(
    ("text", "pointer", "word"),
    [
        (b"", "", "not JSON"),
        (b"{", "", "not JSON"),
        (b'{"tree": NaN}', "", "NaN"),
        (b'{"tree": -Infinity}', "", "Infinity"),
        (b'{"tree": 1e999}', "/tree", "too large"),
        (b'{"tree": {"id": "a", "id": "b"}}', "/tree/id", "twice"),
        (b'\xff"', "", "UTF-8"),
        (b"[" * 100_000, "", "deep"),
        (b"[" * 300 + b"]" * 300, "/0" * 257, "deep"),
        (b'"' + b"x" * limits.SCENARIO_BYTES, "", "longer"),
        (b"9" * 5000, "", "not JSON"),
        (b'{"a\\nb\\u0000": 1}', "/a\\u000ab\\u0000", "unknown"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_text_that_is_no_sound_json_is_refused(text: bytes, pointer: str, word: str) -> None:
    with pytest.raises(ScenarioFault, match=word) as refused:
        parse(text)
    assert refused.value.pointer == pointer


def test_a_tree_as_deep_as_is_allowed_runs_and_its_nested_reason_is_told() -> None:
    tree: Json = {**WORKER, "start": {"fail_on": [1]}}
    levels = (limits.SCENARIO_DEPTH - 4) // 2
    for number in range(levels):
        tree = {"id": f"s{number}", "type": "supervisor", "children": [tree]}
    end = events_of(tree)[-1]
    assert json.dumps(end).count("failed_to_start_child") == levels


# -- the command -----------------------------------------------------------------------------


def command(*arguments: str, text: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    program = [sys.executable, "-m", "supervisors.scenario", *arguments]
    return subprocess.run(program, input=text, capture_output=True, timeout=60, check=False)


def test_the_command_prints_one_json_object_a_line(tmp_path: Path) -> None:
    case = CORPUS[0]
    file = tmp_path / "scenario.json"
    file.write_text(json.dumps(case["scenario"]), "utf-8")
    done = command(str(file))
    assert (done.returncode, done.stderr) == (0, b"")
    assert [json.loads(line) for line in done.stdout.splitlines()] == case["expected"]


def test_the_command_refuses_a_malformed_scenario_with_code_2_and_the_pointer() -> None:
    done = command("-", text=json.dumps({"tree": root(WORKER, WORKER), "steps": []}).encode())
    assert (done.returncode, done.stdout) == (2, b"")
    assert done.stderr == b'/tree/children/1/id: duplicate_child_name: "a"\n'


def test_the_command_ends_quietly_when_its_reader_goes_away() -> None:
    workers = [{**WORKER, "id": f"w{number}"} for number in range(5_000)]
    program = [sys.executable, "-m", "supervisors.scenario", "-"]
    pipe = subprocess.PIPE
    with subprocess.Popen(program, stdin=pipe, stdout=pipe, stderr=pipe) as running:
        assert running.stdin is not None
        assert running.stdout is not None
        assert running.stderr is not None
        running.stdout.close()
        running.stdin.write(json.dumps({"tree": root(*workers), "steps": []}).encode())
        running.stdin.close()
        assert running.stderr.read() == b""
        assert running.wait(60) == 1


def test_a_fault_found_while_running_comes_after_the_events_so_far() -> None:
    scenario = {"tree": root(WORKER), "steps": [{"do": "count_children", "sup": "root/a"}]}
    out, err = io.StringIO(), io.StringIO()
    assert main(["-"], io.BytesIO(json.dumps(scenario).encode()), out, err) == 2
    assert [json.loads(line)["event"] for line in out.getvalue().splitlines()] == ["start"] * 2
    assert err.getvalue() == "/steps/0/sup: root/a is a worker\n"


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    out, err = io.StringIO(), io.StringIO()
    assert main([str(tmp_path / "none")], io.BytesIO(), out, err) == 2
    assert "none cannot be read" in err.getvalue()


def test_the_help_describes_the_form(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main(["--help"], io.BytesIO(), io.StringIO(), io.StringIO())
    assert left.value.code == 0
    told = capsys.readouterr().out
    assert all(word in told for word in ("fail_on", "on_shutdown", "brutal_kill", "exit codes"))
