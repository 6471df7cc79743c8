"""Cases 90 and 91: what a person reads of a report.

OTP's two cases are two callbacks of its logger, of which the first is the old one. Here one
function, `format_report`, writes a report: the cases keep their terms, with our layout.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from supervisors import Pid
from supervisors.reports import Offender, Report, format_report
from tests.supervisors.conformance.case import dynamic, flags, spec
from tests.supervisors.conformance.workers import Plan

if TYPE_CHECKING:
    from tests.supervisors.conformance.case import Case

TERM = list(range(1, 16))
PID = Pid("local", 1, 7)
CHILD = Offender(
    PID, "any_id", ("func", ["any", TERM]), "temporary", significant=False,
    shutdown="brutal_kill", child_type="worker",
)  # fmt: skip
ERROR = Report("supervisor", logging.ERROR, "shutdown_error", "my_supervisor", TERM, CHILD)
PROGRESS = Report("progress", logging.INFO, "started", "my_supervisor", None, CHILD)

WHOLE_TERM = "[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15]"
CUT_TERM = "[1, 2, 3, 4, 5, 6, 7, 8, 9, ...]"


def offender(arguments: str) -> str:
    """Give the text of the offender with these start arguments."""
    return (
        f"{{pid: <local.1.7>, id: 'any_id', start: ['func', {arguments}], restart: 'temporary', "
        "significant: False, shutdown: 'brutal_kill', child_type: 'worker'}"
    )


def test_format_log_1(case: Case) -> None:
    """A report says context, reason and offender in this layout; a depth limits lists in it."""
    whole = offender(f"['any', {WHOLE_TERM}]")
    cut = offender("['any', [1, 2, ...]]")
    head = "supervisor report of my_supervisor\n    context: 'shutdown_error'\n"
    assert format_report(ERROR) == f"{head}    reason: {WHOLE_TERM}\n    offender: {whole}"
    assert format_report(ERROR, depth=10) == f"{head}    reason: {CUT_TERM}\n    offender: {cut}"
    head = "progress report of my_supervisor\n    context: 'started'\n"
    assert format_report(PROGRESS) == f"{head}    offender: {whole}"
    assert format_report(PROGRESS, depth=10) == f"{head}    offender: {cut}"

    supervisor = case.supervisor(flags(), [spec("child1")], name="my_supervisor")
    case.end(case.refs(supervisor)["child1"], TERM)
    (told,) = (report for report in case.world.reports if report.kind == "supervisor")
    lines = format_report(told, depth=10).splitlines()
    assert lines[:3] == [
        "supervisor report of my_supervisor",
        "    context: 'child_terminated'",
        f"    reason: {CUT_TERM}",
    ]
    assert lines[3].startswith("    offender: {pid: <local.1.3>, id: 'child1', start: [")


def test_format_log_2(case: Case) -> None:
    """Several lines or one, cut by depth and by characters, and the count of grouped children."""
    for report in (ERROR, PROGRESS):
        several, one = format_report(report), format_report(report, single_line=True)
        assert one.count("\n") == 0
        assert several.replace("\n    ", ", ").replace(": ", "=") == one.replace(
            "my_supervisor: ", "my_supervisor, "
        ).replace(": ", "=")
        for text, single_line in ((several, False), (one, True)):
            for limit in (60, 80, 200):
                cut = format_report(report, single_line=single_line, characters=limit)
                assert len(cut) == limit
                assert text.startswith(cut.removesuffix("..."))
    assert CUT_TERM in format_report(ERROR, single_line=True, depth=10)
    assert WHOLE_TERM not in format_report(ERROR, single_line=True, depth=10)

    supervisor = case.supervisor(
        flags("simple_one_for_one"), dynamic(Plan(on_shutdown=("exit", "other")), shutdown=1000)
    )
    for _ in range(7):
        case.start_child(supervisor)
    case.stop(supervisor)
    (told,) = (report for report in case.world.reports if report.kind == "supervisor")
    for single_line in (True, False):
        text = format_report(told, single_line=single_line)
        assert "nb_children: 7" in text
        assert "pid" not in text.split("offender")[1].split("start")[0]
