"""Cases 34 to 45: which ends of a child are followed by a new life."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import pytest

from supervisors import ChildSpec, GenServer, Shutdown, Supervisor
from supervisors.errors import StartError
from supervisors.reasons import Crash
from tests.supervisors.conformance.case import dynamic, flags, spec
from tests.supervisors.conformance.workers import Plan, Worker

if TYPE_CHECKING:
    from supervisors import Ref
    from supervisors.reports import Report
    from tests.supervisors.conformance.case import Case

SHUTDOWNS = ("shutdown", Shutdown("some_info"))
ABNORMALS = ("abnormal", "kill", "noproc", "noconnection", ("a", "tuple"))


def reason_of(how: Any) -> Any:
    """Give the exit reason of a child that was ended so."""
    return "killed" if how == "kill" else how


def crash(case: Case, ref: Ref[Any]) -> Any:
    """Let a worker raise and give the reason it died of."""
    case.watch(ref)
    ref.cast(("crash", ValueError("as told")))
    return case.ended(ref)


def always_restarted(case: Case, restart: str, *ways: Any) -> None:
    """See a child of this type replaced and reported however it ends."""
    for how in ways:
        case.world.reports.clear()
        supervisor = case.supervisor(flags())
        first = case.start_child(supervisor, spec("child1", restart=restart, shutdown=1000))
        case.end(first, how)
        ((child_id, second),) = case.children(supervisor)
        assert (child_id, second.is_alive(), second == first) == ("child1", True, False)
        assert case.counts(supervisor) == [1, 1, 0, 1]
        assert case.reports() == [("child_terminated", "child1", reason_of(how))]


def not_restarted(case: Case, restart: str, *ways: Any) -> None:
    """See a child of this type stay down: known if transient, forgotten if temporary."""
    for how in ways:
        case.world.reports.clear()
        supervisor = case.supervisor(flags())
        child = spec("child1", restart=restart, shutdown=1000)
        case.end(case.start_child(supervisor, child), how)
        abnormal = how in ABNORMALS
        told = [("child_terminated", "child1", reason_of(how))] if abnormal else []
        assert case.reports() == told
        if restart == "transient":
            assert case.children(supervisor) == [("child1", None)]
            assert case.counts(supervisor) == [1, 0, 0, 1]
            second = case.ask("restart_child", supervisor, "child1")
        else:
            assert case.children(supervisor) == []
            assert case.counts(supervisor) == [0, 0, 0, 0]
            assert case.refused("restart_child", supervisor, "child1") == "not_found"
            second = case.start_child(supervisor, child)
        assert case.children(supervisor) == [("child1", second)]


def test_permanent_normal(case: Case) -> None:
    """A permanent child that ends `normal` is restarted."""
    always_restarted(case, "permanent", "normal")


def test_permanent_shutdown(case: Case) -> None:
    """A permanent child that ends `shutdown` or {shutdown, _} is restarted."""
    always_restarted(case, "permanent", *SHUTDOWNS)


def test_permanent_abnormal(case: Case) -> None:
    """A permanent child that ends for any other reason, a crash too, is restarted."""
    always_restarted(case, "permanent", *ABNORMALS)
    supervisor = case.supervisor(flags(), [spec("child1")])
    ((_, first),) = case.children(supervisor)
    assert isinstance(crash(case, first), Crash)
    ((_, second),) = case.children(supervisor)
    assert second.is_alive()


def test_transient_normal(case: Case) -> None:
    """A transient child that ends `normal` is not restarted; its spec stays with no process."""
    not_restarted(case, "transient", "normal")


def test_transient_shutdown(case: Case) -> None:
    """Nor is one that ends `shutdown` or {shutdown, _}."""
    not_restarted(case, "transient", *SHUTDOWNS)


def test_transient_abnormal(case: Case) -> None:
    """A transient child that ends for any other reason, a crash too, is restarted."""
    always_restarted(case, "transient", *ABNORMALS)
    supervisor = case.supervisor(flags(), [spec("child1", restart="transient")])
    ((_, first),) = case.children(supervisor)
    assert isinstance(crash(case, first), Crash)
    ((_, second),) = case.children(supervisor)
    assert second.is_alive()


def test_temporary_normal(case: Case) -> None:
    """A temporary child that ends `normal` is not restarted, and its spec is gone."""
    not_restarted(case, "temporary", "normal")


def test_temporary_shutdown(case: Case) -> None:
    """The same when it ends `shutdown` or {shutdown, _}."""
    not_restarted(case, "temporary", *SHUTDOWNS)


def test_temporary_abnormal(case: Case) -> None:
    """The same when it ends for any other reason, which alone is reported."""
    not_restarted(case, "temporary", *ABNORMALS)
    supervisor = case.supervisor(flags(), [spec("child1", restart="temporary")])
    ((_, first),) = case.children(supervisor)
    assert isinstance(crash(case, first), Crash)
    assert case.children(supervisor) == []


def test_temporary_bystander(case: Case) -> None:
    """A temporary sibling stopped by a group restart is dropped, and the supervisor survives."""
    for strategy in ("one_for_all", "rest_for_one"):
        supervisor = case.supervisor(flags(strategy))
        first = case.start_child(supervisor, spec("child1", shutdown=100))
        second = case.start_child(supervisor, spec("child2", restart="temporary", shutdown=100))
        case.watch(second)
        case.end(first, "normal")
        assert case.ended(second) == "shutdown"
        assert case.alive(supervisor, for_s=0.35)
        ((child_id, ref),) = case.children(supervisor)
        assert child_id == "child1"
        assert ref != first
        assert case.counts(supervisor) == [1, 1, 0, 1]


class Faulty(GenServer):
    """Its init uses what was never defined."""

    def init(self) -> None:
        self.an_undefined_function("argument1")  # type: ignore[attr-defined]


def test_faulty_application_shutdown(case: Case) -> None:
    """A start failure deep in the tree surfaces with the path to it and the stack of the crash.

    OTP's is an application that calls an undefined function; here the init of a worker two
    supervisors down uses an undefined attribute.
    """
    worker = ChildSpec("server", (Faulty,))
    middle = ChildSpec("app_faulty", (Supervisor, ({}, [worker])), type="supervisor")
    with pytest.raises(StartError) as told:
        case.start_link(Supervisor, {}, [spec("before"), middle])
    reason = told.value.reason
    assert isinstance(reason, Shutdown)
    failed, child_id, inner = reason.detail
    assert (failed, child_id) == ("failed_to_start_child", "app_faulty")
    assert isinstance(inner, Shutdown)
    failed, child_id, crashed = inner.detail
    assert (failed, child_id) == ("failed_to_start_child", "server")
    assert isinstance(crashed, Crash)
    assert isinstance(crashed.error, AttributeError)
    assert "an_undefined_function" in str(crashed.error)
    file, _, function = crashed.frames[-1]
    assert (file, function) == (__file__, "init")
    assert case.reports() == [
        ("start_error", "server", crashed),
        ("start_error", "app_faulty", inner),
    ]


def test_external_start_no_progress_log(case: Case) -> None:
    """A start by a client's request is reported at debug level, not as info (27).

    Starts from init and automatic restarts are progress at info level; a dynamic supervisor's
    children give none at all.
    """
    told: list[Report] = []
    case.world.on_shard(lambda: case.world.node.reports.subscribe(told.append, level=logging.DEBUG))

    def progress() -> list[tuple[int, Any]]:
        case.world.settle()
        rows = [
            (report.level, report.offender.id)
            for report in told
            if report.kind == "progress" and report.offender
        ]
        told.clear()
        return rows

    supervisor = case.supervisor(flags(), [spec("first")])
    assert progress() == [(logging.INFO, "first")]
    second = case.start_child(supervisor, spec("second"))
    assert progress() == [(logging.DEBUG, "second")]
    case.end(second, "abnormal")
    assert progress() == [(logging.INFO, "second")]
    case.ask("terminate_child", supervisor, "second")
    case.ask("restart_child", supervisor, "second")
    assert progress() == [(logging.DEBUG, "second")]

    simple = case.supervisor(flags("simple_one_for_one"), dynamic(Plan()))
    case.end(case.start_child(simple), "abnormal")
    assert progress() == []
    levels = {report.level for report in case.world.reports if report.kind == "progress"}
    assert levels == {logging.INFO}
    assert isinstance(case.children(simple)[0][1]._process, Worker)
