"""What a floor holds, and that every floor the project has promised is measured by a row."""

from __future__ import annotations

import pytest

from benchmarks.floors import Floor, holds, ratio, value_of
from benchmarks.rows import ROWS


@pytest.mark.parametrize(
    ("relation", "value", "kept"),
    [
        ("<", 2.9, True),
        ("<", 3.0, False),
        ("<=", 3.0, True),
        ("<=", 3.1, False),
        (">=", 3.0, True),
        (">=", 2.9, False),
        ("<", None, False),
        (">=", None, False),
    ],
)
def test_a_floor_holds_up_to_its_bound_and_never_for_what_was_not_measured(
    relation: str, value: float | None, kept: bool
) -> None:
    floors = {each: Floor("figure", each, 3.0) for each in ("<", "<=", ">=")}
    assert holds(floors[relation], value) is kept


@pytest.mark.parametrize(
    ("ours", "peer", "expected"),
    [(6.0, 4.0, 1.5), (None, 4.0, None), (6.0, None, None), (6.0, 0.0, None)],
)
def test_a_ratio_needs_both_sides(
    ours: float | None, peer: float | None, expected: float | None
) -> None:
    assert ratio(ours, peer) == expected
    assert value_of(Floor("ratio", ">=", 1), ours, peer) == expected


def test_a_figure_is_held_against_its_floor_whether_or_not_the_peer_was_measured() -> None:
    assert value_of(Floor("figure", ">=", 1), 6.0, None) == 6.0


def test_every_floor_of_the_project_has_its_row() -> None:
    floors = {
        row.name: (row.floor.relation, row.floor.bound, row.unit)
        for row in ROWS
        if row.floor is not None
    }
    assert floors == {
        "memory": ("<=", 512, "bytes/process"),
        "memory_vs_otp": ("<=", 0.25, "x OTP"),
        "start_vs_otp": (">=", 1.5, "x OTP"),
        "cast_to_one_vs_otp": (">=", 0.4, "x OTP"),
        "awaited_call_vs_otp": (">=", 0.25, "x OTP"),
        "awaited_call_vs_pykka_from_main": (">=", 5, "x Pykka"),
        "awaited_call_vs_pykka_from_actor": (">=", 5, "x Pykka"),
        "ping_pong_vs_otp": ("<=", 7, "x OTP"),
        "restarts_20000": (">=", 60_000, "restarts/CPU s"),
        "restarts_20000_vs_otp_2000": (">=", 2, "x OTP"),
        "restart_p99": ("<", 1_000, "wall us"),
        "timer_expiries": (">=", 1_000_000, "timers/CPU s"),
        "metrics_cost_cast_to_one": ("<", 3, "%"),
        "metrics_cost_cast_to_all": ("<", 10, "%"),
        "unary_get_vs_raw_grpc": (">=", 0.7, "x raw"),
        "create_one_by_one": (">=", 400, "instances/s"),
        "create_in_batches": (">=", 1_500, "instances/s"),
        "create_writes": ("<=", 8, "keys/instance"),
        "create_writes_in_batches": ("<=", 8, "keys/instance"),
        "cold_start_answer": ("<", 2, "s"),
        "cold_start_adopted": ("<", 10, "s"),
        "zone_create_vs_runc": ("<=", 1.5, "x raw"),
        "zones_at_once": ("<=", 6, "s"),
        "memory_a_zone": ("<=", 1_024, "KiB"),
        "zone_restart_p99": ("<", 1, "s"),
        "vm_to_prompt_vs_qemu": ("<=", 1.15, "x raw"),
        "cli_help": ("<", 200, "ms"),
        "cli_completion": ("<", 200, "ms"),
        "cli_usage_error": ("<", 200, "ms"),
        "cli_first_request": ("<", 450, "ms"),
    }
