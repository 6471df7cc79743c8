"""Cases 1 to 15: how supervisors and their children start."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from supervisors import ChildSpec, DynamicSupervisor, Supervisor
from supervisors.errors import StartError
from supervisors.reasons import Crash
from supervisors.results import IGNORE
from tests.supervisors.conformance.case import dynamic, flags, spec
from tests.supervisors.conformance.workers import Plan, Worker

if TYPE_CHECKING:
    from tests.supervisors.conformance.case import Case


class Given(Supervisor):
    """Its init gives or raises what it was started with."""

    def init(self, answer: Any = None, specs: Any = ()) -> Any:
        if isinstance(answer, Exception):
            raise answer
        return answer


def test_sup_start_normal(case: Case) -> None:
    """An empty one_for_one supervisor starts and, told `shutdown`, exits with it."""
    supervisor = case.supervisor(flags())
    assert case.children(supervisor) == []
    case.stop(supervisor)
    assert case.exits == [(supervisor, "shutdown")]


def test_sup_start_ignore_init(case: Case) -> None:
    """An init that says ignore makes start say ignore, and the process exits `normal`."""
    for kind in (Supervisor, DynamicSupervisor):
        ignoring = type("Ignoring", (kind,), {"init": lambda self: IGNORE})
        with pytest.raises(StartError) as told:
            case.start_link(ignoring)
        assert told.value.ignored
    assert [reason for _, reason in case.exits] == ["normal", "normal"]


def test_sup_start_ignore_child(case: Case) -> None:
    """An ignoring permanent child gives None, keeps its spec and counts as [2, 1, 0, 2]."""
    supervisor = case.supervisor(flags())
    assert case.start_child(supervisor, spec("child1", Plan(ignore_on={1}))) is None
    second = case.start_child(supervisor, spec("child2"))
    assert case.children(supervisor) == [("child2", second), ("child1", None)]
    assert case.counts(supervisor) == [2, 1, 0, 2]


def test_sup_start_ignore_temporary_child(case: Case) -> None:
    """An ignoring temporary child among those that init lists leaves no spec."""
    first = spec("child1", Plan(ignore_on={1}), restart="temporary")
    supervisor = case.supervisor(flags(), [first, spec("child2", restart="temporary")])
    ((child_id, ref),) = case.children(supervisor)
    assert child_id == "child2"
    assert ref.is_alive()
    assert case.counts(supervisor) == [1, 1, 0, 1]


def test_sup_start_ignore_temporary_child_start_child(case: Case) -> None:
    """An ignoring temporary child given to start_child leaves no spec."""
    supervisor = case.supervisor(flags())
    first = spec("child1", Plan(ignore_on={1}), restart="temporary")
    assert case.start_child(supervisor, first) is None
    second = case.start_child(supervisor, spec("child2", restart="temporary"))
    assert case.children(supervisor) == [("child2", second)]
    assert case.counts(supervisor) == [1, 1, 0, 1]


def ignored_once_simple(case: Case, restart: str) -> Any:
    supervisor = case.supervisor(
        flags("simple_one_for_one"), dynamic(Plan(ignore_on={1}), restart=restart)
    )
    assert case.start_child(supervisor) is None
    second = case.start_child(supervisor)
    assert case.children(supervisor) == [(None, second)]
    assert case.counts(supervisor) == [1, 1, 0, 1]
    return supervisor, second


def test_sup_start_ignore_temporary_child_start_child_simple(case: Case) -> None:
    """An ignoring temporary child of a dynamic supervisor is not stored."""
    ignored_once_simple(case, "temporary")


def test_sup_start_ignore_permanent_child_start_child_simple(case: Case) -> None:
    """Nor is a permanent one stored there, and the supervisor still stops cleanly."""
    supervisor, second = ignored_once_simple(case, "permanent")
    case.watch(second)
    case.stop(supervisor)
    assert case.ended(second) == "shutdown"
    assert case.reports() == []


@pytest.mark.parametrize("answer", ["invalid", None, (), (flags(), [], "more")], ids=repr)
def test_sup_start_error_return(case: Case, answer: Any) -> None:
    """An init that answers nonsense gives an error, and the exit reason equals it."""
    with pytest.raises(StartError) as told:
        case.start_link(Given, answer)
    assert told.value.reason == ("bad_return", ("Given", "init", answer))
    assert [reason for _, reason in case.exits] == [told.value.reason]


def test_sup_start_fail(case: Case) -> None:
    """An init that crashes gives an error, and the exit reason equals it."""
    error = ValueError("badmatch")
    with pytest.raises(StartError) as told:
        case.start_link(Given, error)
    assert isinstance(told.value.reason, Crash)
    assert told.value.reason.error is error
    assert [reason for _, reason in case.exits] == [told.value.reason]


def returning(answer: Any) -> Any:
    """Make a start function that answers or raises this."""

    def start(supervisor: Supervisor, *args: Any) -> Any:
        if isinstance(answer, Exception):
            raise answer
        return answer

    return start


class Once:
    """A start function that starts a Worker the first time and answers otherwise later."""

    def __init__(self, later: Any) -> None:
        self.later = later
        self.calls = 0

    async def __call__(self, supervisor: Supervisor) -> Any:
        self.calls += 1
        if self.calls == 1:
            return await supervisor.start_link(Worker)
        return returning(self.later)(supervisor)


def bad_starts() -> list[tuple[Any, Any]]:
    """List what a start function answers or raises, each with the reason it gives."""
    crash = OSError("no such thing")
    return [
        (("error", "reason"), ("error", "reason")),
        ("error_reason", "error_reason"),
        (None, None),
        (StartError("it", "reason"), "reason"),
        (crash, crash),
    ]


def plainly(reason: Any) -> Any:
    """Give the error inside of a crash, any other reason as it is."""
    return reason.error if isinstance(reason, Crash) else reason


def test_sup_start_child_returns_error(case: Case) -> None:
    """Errors and other values from a start are the reason start_child fails; nothing is stored."""
    supervisor = case.supervisor(flags())
    for answer, reason in bad_starts():
        child = {"id": "child", "start": (returning(answer), ())}
        assert plainly(case.refused("start_child", supervisor, child)) == reason
    stopping = spec("child", Plan(failing=True, failure=("stop", "this")))
    assert case.refused("start_child", supervisor, stopping) == ("stop", "this")
    assert case.children(supervisor) == []
    assert case.counts(supervisor) == [0, 0, 0, 0]
    assert case.reports() == []


def test_sup_start_restart_child_returns_error(case: Case) -> None:
    """restart_child passes such errors on, and the spec stays with no process."""
    for answer, reason in bad_starts():
        supervisor = case.supervisor(flags())
        case.start_child(supervisor, {"id": "child", "start": (Once(answer),)})
        case.ask("terminate_child", supervisor, "child")
        assert plainly(case.refused("restart_child", supervisor, "child")) == reason
        assert case.children(supervisor) == [("child", None)]
        assert case.counts(supervisor) == [1, 0, 0, 1]
        assert plainly(case.refused("restart_child", supervisor, "child")) == reason


def test_sup_start_child_returns_error_simple(case: Case) -> None:
    """Under a dynamic supervisor the reason is passed on as it is; nothing is stored."""
    for answer, reason in bad_starts():
        child = {"id": "child", "start": (returning(answer), ())}
        supervisor = case.supervisor(flags("simple_one_for_one"), [child])
        assert plainly(case.refused("start_child", supervisor)) == reason
        assert plainly(case.refused("start_child", supervisor, "more")) == reason
        assert case.children(supervisor) == []
        assert case.counts(supervisor) == [1, 0, 0, 0]


MODULES = (Worker.__module__,)


def test_sup_start_map(case: Case) -> None:
    """get_childspec shows the defaults: permanent, 5000 ms or infinity by type, the modules."""
    start = (Worker, ())
    supervisor = case.supervisor(
        {},
        [
            {"id": "child1", "start": start},
            {"id": "child2", "start": start, "shutdown": "brutal_kill"},
            {"id": "child3", "start": start, "type": "supervisor"},
        ],
    )
    expected = {
        "child1": ChildSpec("child1", start, "permanent", False, 5000, "worker", MODULES),
        "child2": ChildSpec("child2", start, "permanent", False, "brutal_kill", "worker", MODULES),
        "child3": ChildSpec("child3", start, "permanent", False, "infinity", "supervisor", MODULES),
    }
    refs = case.refs(supervisor)
    for child_id, child in expected.items():
        assert case.ask("get_childspec", supervisor, child_id) == child
        assert case.ask("get_childspec", supervisor, refs[child_id]) == child
    assert case.refused("get_childspec", supervisor, "child4") == "not_found"
    case.stop(supervisor)


def test_sup_start_map_simple(case: Case) -> None:
    """Under a dynamic supervisor each child's ref shows the one spec with its defaults."""
    start = (Worker, ())
    child = {"id": None, "start": start, "restart": "temporary"}
    supervisor = case.supervisor({"strategy": "simple_one_for_one"}, [child])
    refs = [case.start_child(supervisor) for _ in range(3)]
    expected = ChildSpec(None, start, "temporary", False, 5000, "worker", MODULES)
    for ref in refs:
        assert case.ask("get_childspec", supervisor, ref) == expected
    assert case.refused("get_childspec", supervisor, case.tester) == "not_found"
    case.stop(supervisor)


def test_sup_start_map_faulty_specs(case: Case) -> None:
    """A missing id, a missing start and what is no spec are named; unknown keys are ignored."""
    start = (Worker, ())
    assert case.start_error({}, [{"start": start}]) == ("start_spec", "missing_id")
    assert case.start_error({}, [{"id": "child2"}]) == ("start_spec", "missing_start")
    wrong = ("start_spec", ("invalid_child_spec", "child4"))
    assert case.start_error({}, ["child4"]) == wrong
    supervisor = case.supervisor({}, [{"id": "child3", "start": start, "silly_flag": True}])
    assert case.ids(supervisor) == ["child3"]
    case.stop(supervisor)
