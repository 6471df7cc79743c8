"""A snapshot made by hand, so that what is drawn from it depends on nothing else."""

from __future__ import annotations

from typing import Any

from supervisors import Pid
from supervisors.observe.snapshot import LastCrash, Row, Snapshot, Supervision


def pid(serial: int) -> Pid:
    return Pid("town", 1, serial)


def row(serial: int | None, parent: int | None, depth: int, **fields: Any) -> Row:
    """Make a row of an idle worker, but for what is given."""
    values: dict[str, Any] = {
        "child_id": None,
        "name": None,
        "class_name": "Worker",
        "state": "idle",
        "mailbox": 0,
        "restarts": None,
        "last_crash": None,
        "memory_bytes": 432,
        "reductions": 12,
        "links": 1,
        "children": 0,
        "supervision": None,
    }
    own = None if serial is None else pid(serial)
    above = None if parent is None else pid(parent)
    return Row(own, above, depth, **(values | fields))


def supervision(strategy: str = "one_for_one", **fields: Any) -> Supervision:
    """Make the supervisor's part of a row."""
    values: dict[str, Any] = {
        "intensity": 1,
        "period_s": 5,
        "used": 0,
        "restarts": 0,
        "last_crash": None,
    }
    return Supervision(strategy, **(values | fields))


CRASH = LastCrash("ValueError: disk \x1b[31mon fire\x1b[0m\n", 96.5)

TOWN = Snapshot(
    node="town",
    creation=1,
    sequence=7,
    at_s=100.0,
    processes=1_204,
    roots=3,
    run_queue=2,
    turns=1_234_567,
    rows=(
        row(
            1, None, 0, name="root", class_name="Supervisor", links=3, children=3,
            memory_bytes=1_900, supervision=supervision("rest_for_one", used=1, restarts=1),
        ),
        row(9, None, 0, class_name="Loner\x07\x9b2J", links=0, state="parked", mailbox=3),
        row(2, 1, 1, child_id="store", name="store", restarts=1, last_crash=CRASH, mailbox=12_345),
        row(
            3, 1, 1, child_id="pool", class_name="DynamicSupervisor", restarts=0, links=1_201,
            children=1_200, memory_bytes=37_000,
            supervision=supervision(
                "simple_one_for_one", intensity=100, used=4, restarts=1_000_000, last_crash=CRASH
            ),
        ),
        row(
            None, 1, 1, child_id="agent", class_name="Agent", state="backing_off", restarts=8,
            last_crash=LastCrash("killed", 99.9), memory_bytes=0, reductions=0, links=0,
        ),
        row(4, 3, 2, name="worker-名前-0", memory_bytes=5_000_000, reductions=3_000_000),
        row(5, 3, 2, name="worker-1", mailbox=7),
    ),
)  # fmt: skip
