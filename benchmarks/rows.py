"""What is measured: each row's figures, the programs that print them, and the row's floor.

A program is a module of `benchmarks.programs`, or for OTP a row of `benchmarks/otp/bench.erl`, with
its sizes as arguments. Both sides of a row do the same work: processes supervised and registered in
the same shape of tree, with reports, links and metrics on.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from benchmarks.floors import Floor

if TYPE_CHECKING:
    from collections.abc import Iterable

# Whom a program measures; OTP's run under `erl`, all others under this Python.
Who: TypeAlias = Literal["ours", "OTP", "Pykka", "raw"]


@dataclass(frozen=True, slots=True)
class Program:
    """One program with its sizes; `name` is a module of ours or a row of bench.erl."""

    who: Who
    name: str
    sizes: tuple[int, ...]

    def __str__(self) -> str:
        return " ".join((self.who, self.name, *map(str, self.sizes)))


@dataclass(frozen=True, slots=True)
class Figure:
    """One of the figures that a program prints."""

    program: Program
    name: str
    unit: str


@dataclass(frozen=True, slots=True)
class Row:
    """A line of the table; without a floor it is there to be read, not to be judged."""

    name: str
    ours: Figure
    peer: Figure | None
    floor: Floor | None

    @property
    def unit(self) -> str:
        """The unit of the row's value: that of the figure, or `x OTP` for a ratio to OTP."""
        if self.floor is not None and self.floor.of == "ratio" and self.peer is not None:
            return f"x {self.peer.program.who}"
        return self.ours.unit


def programs(rows: Iterable[Row]) -> tuple[Program, ...]:
    """Return the programs that the rows need, each once, in the order of the rows."""
    sides = (side for row in rows for side in (row.ours, row.peer) if side is not None)
    return tuple(dict.fromkeys(side.program for side in sides))


def groups(rows: Iterable[Row]) -> tuple[tuple[Row, ...], ...]:
    """Split the rows where neighbours share no program; the programs of a group take turns."""
    found: list[tuple[Row, ...]] = []
    for row in rows:
        if found and set(programs(found[-1])) & set(programs((row,))):
            found[-1] = (*found[-1], row)
        else:
            found.append((row,))
    return tuple(found)


def select(rows: Iterable[Row], part: str) -> tuple[Row, ...]:
    """Return the rows whose name contains `part`; all of them for ''."""
    return tuple(row for row in rows if part in row.name)


def _both(
    name: str, of: str, unit: str, sides: tuple[Program, Program], floor: Floor | None
) -> Row:
    """Return the row of a figure that both sides print under one name."""
    ours, peer = sides
    return Row(name, Figure(ours, of, unit), Figure(peer, of, unit), floor)


def _same_sizes(name: str, *sizes: int) -> tuple[Program, Program]:
    return Program("ours", name, sizes), Program("OTP", name, sizes)


# Sizes make every measurement last a second or so, since /proc counts hundredths of one.

# 1,000 dynamic supervisors of 1,000 children each under one root.
_START: Final = _same_sizes("start", 1_000, 1_000)
_CAST: Final = (
    Program("ours", "cast_to_one", (2_000_000,)),
    Program("OTP", "cast_to_one", (5_000_000,)),
)
# 100,000 idle servers, each gets one; then again, 20 times in all.
_CAST_ALL: Final = _same_sizes("cast_to_all", 100_000, 20)
_CALL: Final = (
    Program("ours", "awaited_call", (300_000,)),
    Program("OTP", "awaited_call", (1_000_000,)),
)
_ASK: Final = Program("Pykka", "pykka_threading", (50_000,))
_PING: Final = (Program("ours", "ping_pong", (300_000,)), Program("OTP", "ping_pong", (2_000_000,)))
# Children killed at once, and how often, each time under a new supervisor.
_RESTARTS: Final = Program("ours", "restarts", (20_000, 5))
_OTP_RESTARTS: Final = Program("OTP", "restarts", (20_000, 1))
_OTP_RESTARTS_2000: Final = Program("OTP", "restarts", (2_000, 10))
# 20 supervisors of 100 children, each child killed once: 2,000 single restarts.
_LATENCY: Final = _same_sizes("restart_latency", 20, 100)
# A million timers, all set before the first is due, and due within 4,000 ms.
_TIMERS: Final = _same_sizes("timers", 1_000_000, 4_000)
# Casts to one in a block, servers to cast to all; blocks with metrics on and off take turns.
_METRICS: Final = Program("ours", "metrics_cost", (100_000, 100_000))

_BYTES: Final = "bytes/process"
_STARTS: Final = "processes/CPU s"
_CASTS: Final = "casts/CPU s"
_CALLS: Final = "calls/CPU s"
_TRIPS: Final = "CPU us/round trip"
_KILLS: Final = "restarts/CPU s"
_WALL: Final = "wall us"
_TICKS: Final = "timers/CPU s"
_PERCENT: Final = "%"

_OUR_CALLS: Final = Figure(_CALL[0], "awaited_call", _CALLS)
_OUR_RESTARTS: Final = Figure(_RESTARTS, "restarts_20000", _KILLS)


# Calls with 16 in flight; the echo's answer has the size of an instance with few fields set.
_GET: Final = Program("ours", "unary_get", (8_000,))
_ECHO: Final = Program("raw", "raw_echo", (8_000, 450))
# Instances one by one with 64 in flight, then in batches of 100.
_CREATES: Final = Program("ours", "simulated_creates", (2_000, 6_000))
_COLD: Final = Program("ours", "cold_start", (10_000,))
# Zones one by one, zones of one batch, kills.
_ZONES: Final = Program("ours", "zones", (15, 50, 40))
_VM: Final = Program("ours", "vm", (2,))
_BARE_VM: Final = Program("raw", "bare_vm", (2,))
_BARE_ZONE: Final = Program("raw", "bare_zone", (15,))

# `fifo` as a process, so many times each.
_CLI: Final = Program("ours", "command_line", (15,))
_PYTHON: Final = Program("raw", "bare_python", (15,))


def _alone(program: Program, name: str, unit: str, floor: Floor) -> Row:
    return Row(name, Figure(program, name, unit), None, floor)


def _times(relation: Literal["<=", ">="], bound: float) -> Floor:
    return Floor("ratio", relation, bound)


def _command_line(of: str, bare: str, bound_ms: float) -> tuple[Row, Row]:
    """Return the floor on a command's time, and beside it what it uses of a processor."""
    return (
        Row(
            of, Figure(_CLI, of, "ms"), Figure(_PYTHON, bare, "ms"), Floor("figure", "<", bound_ms)
        ),
        Row(
            f"{of}_cpu",
            Figure(_CLI, f"{of}_cpu", "CPU ms"),
            Figure(_PYTHON, f"{bare}_cpu", "CPU ms"),
            None,
        ),
    )


ROWS: Final = (
    _both("memory", "memory", _BYTES, _START, Floor("figure", "<=", 512)),
    _both("memory_vs_otp", "memory", _BYTES, _START, _times("<=", 0.25)),
    _both("start_vs_otp", "start", _STARTS, _START, _times(">=", 1.5)),
    _both("cast_to_one_vs_otp", "cast_to_one", _CASTS, _CAST, _times(">=", 0.4)),
    _both("cast_to_all", "cast_to_all", _CASTS, _CAST_ALL, None),
    _both("awaited_call_vs_otp", "awaited_call", _CALLS, _CALL, _times(">=", 0.25)),
    Row(
        "awaited_call_vs_pykka_from_main",
        _OUR_CALLS,
        Figure(_ASK, "pykka_ask_from_main", _CALLS),
        _times(">=", 5),
    ),
    Row(
        "awaited_call_vs_pykka_from_actor",
        _OUR_CALLS,
        Figure(_ASK, "pykka_ask_from_actor", _CALLS),
        _times(">=", 5),
    ),
    _both("ping_pong_vs_otp", "ping_pong", _TRIPS, _PING, _times("<=", 7)),
    Row(
        "restarts_20000",
        _OUR_RESTARTS,
        Figure(_OTP_RESTARTS, "restarts_20000", _KILLS),
        Floor("figure", ">=", 60_000),
    ),
    Row(
        "restarts_20000_vs_otp_2000",
        _OUR_RESTARTS,
        Figure(_OTP_RESTARTS_2000, "restarts_2000", _KILLS),
        _times(">=", 2),
    ),
    _both("restart_p50", "restart_p50", _WALL, _LATENCY, None),
    _both("restart_p99", "restart_p99", _WALL, _LATENCY, Floor("figure", "<", 1_000)),
    _both("timer_inserts", "timer_inserts", _TICKS, _TIMERS, None),
    _both("timer_expiries", "timer_expiries", _TICKS, _TIMERS, Floor("figure", ">=", 1_000_000)),
    Row(
        "metrics_cost_cast_to_one",
        Figure(_METRICS, "metrics_cost_cast_to_one", _PERCENT),
        None,
        Floor("figure", "<", 3),
    ),
    Row(
        "metrics_cost_cast_to_all",
        Figure(_METRICS, "metrics_cost_cast_to_all", _PERCENT),
        None,
        Floor("figure", "<", 10),
    ),
    # --- whole nodes: through the API, on a fresh process ---------------------------------------
    Row(
        "unary_get_vs_raw_grpc",
        Figure(_GET, "unary_get", "calls/s"),
        Figure(_ECHO, "unary_get", "calls/s"),
        _times(">=", 0.7),
    ),
    _alone(_CREATES, "create_one_by_one", "instances/s", Floor("figure", ">=", 400)),
    _alone(_CREATES, "create_in_batches", "instances/s", Floor("figure", ">=", 1_500)),
    _alone(_CREATES, "create_writes", "keys/instance", Floor("figure", "<=", 8)),
    _alone(_CREATES, "create_writes_in_batches", "keys/instance", Floor("figure", "<=", 8)),
    _alone(_COLD, "cold_start_answer", "s", Floor("figure", "<", 2)),
    _alone(_COLD, "cold_start_adopted", "s", Floor("figure", "<", 10)),
    Row(
        "zone_create_vs_runc",
        Figure(_ZONES, "zone_create", "ms"),
        Figure(_BARE_ZONE, "zone_create", "ms"),
        _times("<=", 1.5),
    ),
    _alone(_ZONES, "zones_at_once", "s", Floor("figure", "<=", 6)),
    _alone(_ZONES, "memory_a_zone", "KiB", Floor("figure", "<=", 1_024)),
    _alone(_ZONES, "zone_restart_p99", "s", Floor("figure", "<", 1)),
    Row(
        "vm_to_prompt_vs_qemu",
        Figure(_VM, "vm_to_prompt", "s"),
        Figure(_BARE_VM, "vm_to_prompt", "s"),
        _times("<=", 1.15),
    ),
    # --- the command line: a process each -------------------------------------------------------
    *_command_line("cli_help", "bare_python", 200),
    *_command_line("cli_completion", "bare_python", 200),
    *_command_line("cli_usage_error", "bare_python", 200),
    *_command_line("cli_first_request", "bare_grpc", 450),
)
