from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import pytest

from benchmarks.__main__ import SettingError, settings
from benchmarks.erlang import Erlang, ErlangMissingError, environment, provide
from benchmarks.floors import Floor
from benchmarks.harness import (
    ProgramError,
    command,
    measure,
    medians,
    parse_figures,
    run_command,
    turns,
)
from benchmarks.report import Verdict, all_kept, json_lines, judge, number, table
from benchmarks.rows import ROWS, Figure, Program, Row, groups, programs, select

OURS = Program("ours", "cast", (10,))
OTP = Program("OTP", "cast", (20,))
CAST = Figure(OURS, "cast", "casts/CPU s")
OTP_CAST = Figure(OTP, "cast", "casts/CPU s")
ABSOLUTE = Row("casts", CAST, None, Floor("figure", ">=", 1_000))
AGAINST_OTP = Row("casts_vs_otp", CAST, OTP_CAST, Floor("ratio", ">=", 0.4))
TO_BE_READ = Row("casts_seen", CAST, OTP_CAST, None)


# --- verdicts ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("row", "figures", "value", "ok"),
    [
        (ABSOLUTE, {CAST: 1_000.0}, 1_000.0, True),
        (ABSOLUTE, {CAST: 999.0}, 999.0, False),
        (ABSOLUTE, {}, None, False),
        (AGAINST_OTP, {CAST: 500.0, OTP_CAST: 1_000.0}, 0.5, True),
        (AGAINST_OTP, {CAST: 300.0, OTP_CAST: 1_000.0}, 0.3, False),
        (AGAINST_OTP, {CAST: 500.0}, None, False),
        (TO_BE_READ, {CAST: 500.0, OTP_CAST: 1_000.0}, 500.0, None),
        (TO_BE_READ, {}, None, None),
    ],
)
def test_a_row_is_judged_by_what_was_measured(
    row: Row, figures: dict[Figure, float], value: float | None, ok: bool | None
) -> None:
    verdict = judge(row, figures)
    assert (verdict.value, verdict.ok) == (value, ok)


def test_a_missed_or_unmeasured_floor_is_not_kept_but_a_row_without_one_is() -> None:
    figures = {CAST: 500.0, OTP_CAST: 1_000.0}
    assert all_kept([judge(AGAINST_OTP, figures), judge(TO_BE_READ, {})])
    assert not all_kept([judge(AGAINST_OTP, figures), judge(ABSOLUTE, figures)])
    assert not all_kept([judge(AGAINST_OTP, {})])


def test_a_figure_in_another_unit_does_not_count_as_measured() -> None:
    in_wall_time = Figure(OURS, "cast", "casts/wall s")
    assert judge(ABSOLUTE, {in_wall_time: 2_000.0}).ok is False


def _verdicts() -> list[Verdict]:
    figures = {CAST: 512_345.6, OTP_CAST: 1_024_691.2}
    missing = Row("lost", Figure(OURS, "lost", "wall us"), None, Floor("figure", "<", 1_000))
    low = Row("low", CAST, OTP_CAST, Floor("ratio", ">=", 0.75))
    return [judge(row, figures) for row in (ABSOLUTE, AGAINST_OTP, TO_BE_READ, low, missing)]


def test_the_table_is_aligned_and_says_which_floors_are_missed() -> None:
    assert table(_verdicts()).splitlines() == [
        "row              ours           peer  unit         ratio     floor  verdict",
        "casts         512,346              -  casts/CPU s      -  >= 1,000  ok",
        "casts_vs_otp  512,346  OTP 1,024,691  casts/CPU s    0.5   >= 0.4x  ok",
        "casts_seen    512,346  OTP 1,024,691  casts/CPU s    0.5         -  -",
        "low           512,346  OTP 1,024,691  casts/CPU s    0.5  >= 0.75x  BELOW",
        "lost                -              -  wall us          -   < 1,000  not measured",
    ]


def test_json_has_one_object_a_row_with_a_floor_and_exactly_the_agreed_keys() -> None:
    assert [json.loads(line) for line in json_lines(_verdicts()).splitlines()] == [
        {"name": "casts", "value": 512_345.6, "unit": "casts/CPU s", "floor": 1_000, "ok": True},
        {"name": "casts_vs_otp", "value": 0.5, "unit": "x OTP", "floor": 0.4, "ok": True},
        {"name": "low", "value": 0.5, "unit": "x OTP", "floor": 0.75, "ok": False},
        {"name": "lost", "value": None, "unit": "wall us", "floor": 1_000, "ok": False},
    ]


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (5_102_040.8, "5,102,041"),
        (512.0, "512"),
        (-250.4, "-250"),
        (99.94, "99.9"),
        (0.9254, "0.925"),
        (5.0, "5"),
        (None, "-"),
    ],
)
def test_numbers_show_no_more_digits_than_mean_something(value: float | None, shown: str) -> None:
    assert number(value) == shown


# --- rows ----------------------------------------------------------------------------------------


def test_no_two_rows_share_a_name() -> None:
    assert len({row.name for row in ROWS}) == len(ROWS)


def test_a_program_belongs_to_one_group_so_that_it_is_measured_once() -> None:
    in_groups = [program for group in groups(ROWS) for program in programs(group)]
    assert len(in_groups) == len(set(in_groups))
    assert sum(groups(ROWS), ()) == ROWS


def test_rows_that_share_a_program_are_one_group_and_others_are_not() -> None:
    apart = Row("apart", Figure(Program("ours", "timers", ()), "t", "s"), None, None)
    assert groups([ABSOLUTE, AGAINST_OTP, apart]) == ((ABSOLUTE, AGAINST_OTP), (apart,))


def test_the_programs_of_a_group_are_each_listed_once_in_order() -> None:
    assert programs([ABSOLUTE, AGAINST_OTP, TO_BE_READ]) == (OURS, OTP)


def test_rows_are_selected_by_a_part_of_their_name() -> None:
    assert select([ABSOLUTE, AGAINST_OTP], "otp") == (AGAINST_OTP,)
    assert select([ABSOLUTE, AGAINST_OTP], "") == (ABSOLUTE, AGAINST_OTP)


# --- settings ------------------------------------------------------------------------------------


def test_without_settings_all_rows_get_five_runs_and_no_file_is_written() -> None:
    told = settings({"BENCH_RUNS": "", "BENCH_JSON": ""})
    assert (told.runs, told.rows, told.json_file) == (5, ROWS, None)


def test_settings_choose_runs_rows_and_file(tmp_path: Path) -> None:
    file = tmp_path / "rows.jsonl"
    told = settings({"BENCH_RUNS": "2", "BENCH_ONLY": "timer_exp", "BENCH_JSON": str(file)})
    assert told.runs == 2
    assert [row.name for row in told.rows] == ["timer_expiries"]
    assert told.json_file == file


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("BENCH_RUNS", "0"),
        ("BENCH_RUNS", "-1"),
        ("BENCH_RUNS", "many"),
        ("BENCH_ONLY", "no such row"),
        ("BENCH_JSON", "no/such/directory/rows.jsonl"),
    ],
)
def test_a_bad_setting_is_refused_with_its_name_and_value(name: str, value: str) -> None:
    with pytest.raises(SettingError, match=f"^{name} is '{value}'"):
        settings({name: value})


# --- figures and turns ---------------------------------------------------------------------------


def test_the_figures_a_program_prints_are_read() -> None:
    lines = (
        '{"name": "memory", "value": 378, "unit": "bytes/process"}\n'
        '{"name": "start", "value": 3.5e5, "unit": "processes/CPU s"}\n'
    )
    assert parse_figures(OURS, lines) == {
        Figure(OURS, "memory", "bytes/process"): 378.0,
        Figure(OURS, "start", "processes/CPU s"): 350_000.0,
    }


@pytest.mark.parametrize(
    "line",
    [
        "Traceback (most recent call last):",
        "[]",
        "{}",
        '{"name": "memory", "value": "378", "unit": "bytes/process"}',
        '{"name": "memory", "value": null, "unit": "bytes/process"}',
        '{"name": "memory", "value": true, "unit": "bytes/process"}',
        '{"name": "memory", "value": 378, "unit": "bytes/process", "floor": 512}',
    ],
)
def test_a_line_that_is_no_figure_is_refused_and_quoted(line: str) -> None:
    with pytest.raises(ProgramError) as refused:
        parse_figures(OURS, line)
    assert str(OURS) in str(refused.value)
    assert repr(line) in str(refused.value)


def test_every_second_run_goes_backwards() -> None:
    assert list(turns([OURS, OTP], 3)) == [
        (0, OURS),
        (0, OTP),
        (1, OTP),
        (1, OURS),
        (2, OURS),
        (2, OTP),
    ]


def test_a_median_needs_a_figure_of_every_run() -> None:
    samples = {CAST: [5.0, 1.0, 3.0], OTP_CAST: [5.0, 1.0]}
    assert medians(samples, 3) == {CAST: 3.0}


def test_programs_take_turns_and_each_figure_becomes_the_median_of_its_runs() -> None:
    figures = {OURS: iter([5.0, 1.0, 3.0]), OTP: iter([20.0, 30.0, 10.0])}
    order: list[Program] = []

    def run_program(program: Program) -> dict[Figure, float]:
        order.append(program)
        return {Figure(program, "cast", "casts/CPU s"): next(figures[program])}

    found = measure([AGAINST_OTP], 3, run_program, lambda line: None)
    assert found == {CAST: 3.0, OTP_CAST: 20.0}
    assert order == [OURS, OTP, OTP, OURS, OURS, OTP]


def test_a_program_that_fails_is_reported_and_not_run_again_while_the_others_go_on() -> None:
    said: list[str] = []
    tries: list[Program] = []

    def run_program(program: Program) -> dict[Figure, float]:
        tries.append(program)
        if program is OURS:
            raise ProgramError("ours cast 10 ended with status 1")
        return {OTP_CAST: 7.0}

    assert measure([AGAINST_OTP], 3, run_program, said.append) == {OTP_CAST: 7.0}
    assert tries.count(OURS) == 1
    assert "not measured: ours cast 10 ended with status 1" in said


# --- real processes ------------------------------------------------------------------------------


def test_a_python_program_runs_under_this_python_and_an_otp_row_under_erl() -> None:
    erlang = Erlang("/usr/bin/erl", Path("/code"))
    assert command(OURS, None) == (sys.executable, "-m", "benchmarks.programs.cast", "10")
    argv = command(OTP, erlang)
    assert argv[0] == "/usr/bin/erl"
    assert argv[-7:] == ("-pa", "/code", "-run", "bench", "main", "cast", "20")
    assert " ".join(argv).count("+S 1 ") == 1


def test_an_otp_row_without_erlang_is_an_error_that_says_so() -> None:
    with pytest.raises(ProgramError, match="needs Erlang, which is missing"):
        command(OTP, None)


def test_no_erlang_and_no_way_to_install_it_is_an_error_that_says_what_to_do(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ErlangMissingError, match="install erlang-base"):
        provide(tmp_path, lambda line: None)


def test_flags_for_erlang_in_the_environment_do_not_reach_the_programs() -> None:
    kept = environment({"PATH": "/usr/bin", "ERL_FLAGS": "+S 8", "ERL_AFLAGS": "+sbwt very_long"})
    assert kept == {"PATH": "/usr/bin", "ERL_CRASH_DUMP_SECONDS": "0"}


def test_a_program_is_a_fresh_process_whose_output_is_its_figures() -> None:
    line = '{"name": "cast", "value": 2, "unit": "casts/CPU s"}'
    assert run_command(OURS, (sys.executable, "-c", f"print({line!r})")) == {CAST: 2.0}


def test_a_program_that_ends_badly_is_an_error_with_its_status_and_last_words() -> None:
    with pytest.raises(ProgramError, match="ended with status 3: out of luck"):
        run_command(
            OURS,
            (
                sys.executable,
                "-c",
                "import sys; print('out of luck', file=sys.stderr); sys.exit(3)",
            ),
        )


def test_a_program_that_cannot_start_is_an_error_that_names_the_command(tmp_path: Path) -> None:
    with pytest.raises(ProgramError, match="no-such-program"):
        run_command(OURS, (str(tmp_path / "no-such-program"),))


def test_pykka_is_asked_from_the_main_thread_and_from_an_actor() -> None:
    asked = Program("Pykka", "pykka_threading", (50,))
    figures = run_command(asked, command(asked, None))
    assert {figure.name for figure in figures} == {"pykka_ask_from_main", "pykka_ask_from_actor"}
    assert all(value > 0 for value in figures.values())


# The timers row is left out: it waits 5 s before its first timer is due.
@pytest.mark.skipif(
    shutil.which("erlc") is None,
    reason="Erlang is not installed, and a test installs nothing: `make bench` does",
)
@pytest.mark.parametrize(
    ("row", "sizes", "names"),
    [
        ("start", (10, 500), {"memory", "start"}),
        ("cast_to_one", (300_000,), {"cast_to_one"}),
        ("cast_to_all", (1_000, 100), {"cast_to_all"}),
        ("awaited_call", (60_000,), {"awaited_call"}),
        ("ping_pong", (60_000,), {"ping_pong"}),
        ("restarts", (1_000, 3), {"restarts_1000"}),
        ("restart_latency", (2, 10), {"restart_p50", "restart_p99"}),
    ],
)
def test_each_otp_row_prints_its_figures(
    row: str, sizes: tuple[int, ...], names: set[str], tmp_path: Path
) -> None:
    small = Program("OTP", row, sizes)
    figures = run_command(small, command(small, provide(tmp_path, lambda line: None)))
    assert names <= {figure.name for figure in figures}
    assert all(value > 0 for value in figures.values())
