"""The rules of OTP's supervisor once more, as plainly as they can be said.

No processes, no messages, no waiting: a tree of records and recursive functions that say which
events a step has. Specs, steps and events have the form of `supervisors.scenario`. What the rules
leave open (killed supervisors, whose children die in no order) is not modelled.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

Json = dict[str, Any]

NORMAL = ("normal", "shutdown")


class Row:
    """One child of a supervisor; `child` is None while it is down."""

    def __init__(self, spec: Json) -> None:
        self.spec = spec
        self.child: Worker | Sup | None = None


class Worker:
    """A running worker."""

    def __init__(self, path: str, spec: Json) -> None:
        self.path = path
        self.spec = spec


class Sup:
    """A running supervisor."""

    def __init__(self, path: str, spec: Json, above: Sup | None) -> None:
        self.path = path
        self.spec = spec
        self.above = above
        self.rows: dict[str, Row] = {}
        self.stamps: list[int] = []


class Model:
    """A tree, the time, and the events so far."""

    def __init__(self, tree: Json) -> None:
        self.now_ms = 0
        self.events: list[Json] = []
        self.attempts: Counter[str] = Counter()
        self.alive: dict[str, Worker | Sup] = {}
        self.root: Any = None
        answer, told = self.start(tree, tree["id"], None)
        self.root = told if answer == "ok" else None
        self.end: Any = "alive" if answer == "ok" else told

    # -- starting ----------------------------------------------------------------------------

    def start(self, spec: Json, path: str, above: Sup | None) -> tuple[str, Any]:
        """Start a process: ("ok", it), ("ignore", None) or ("error", reason)."""
        if spec["type"] == "supervisor":
            return self.start_sup(spec, path, above)
        self.attempts[path] += 1
        number = self.attempts[path]
        wanted = spec.get("start", "ok")
        if wanted == "ignore":
            self.events.append({"event": "start_ignored", "path": path, "n": number})
            return "ignore", None
        if wanted != "ok" and number in wanted["fail_on"]:
            self.events.append({"event": "start_failed", "path": path, "n": number})
            return "error", "start_failed"
        return "ok", self.up(Worker(path, spec), number)

    def up(self, process: Any, number: int) -> Any:
        """Note that a process runs."""
        self.alive[process.path] = process
        self.events.append({"event": "start", "path": process.path, "n": number})
        return process

    def start_sup(self, spec: Json, path: str, above: Sup | None) -> tuple[str, Any]:
        """Start a supervisor's children in order; the first error undoes those before it."""
        self.attempts[path] += 1
        number = self.attempts[path]
        sup = Sup(path, spec, above)
        for child in spec.get("children", []):
            row = sup.rows[child["id"]] = Row(child)
            error = self.start_row(sup, row)
            if error is not None:
                self.report("start_error", sup, row, error)
                self.stop_rows(sup, list(sup.rows.values()))
                self.events.append({"event": "start_failed", "path": path, "n": number})
                return "error", {"shutdown": ["failed_to_start_child", child["id"], error]}
        return "ok", self.up(sup, number)

    def start_row(self, sup: Sup, row: Row) -> Any:
        """Start a row's child; gives the error, None for ok and ignore."""
        answer, told = self.start(row.spec, f"{sup.path}/{row.spec['id']}", sup)
        if answer == "error":
            return told
        row.child = told
        if answer == "ignore" and restart_of(row) == "temporary":
            del sup.rows[row.spec["id"]]
        return None

    # -- stopping ----------------------------------------------------------------------------

    def stop_rows(self, sup: Sup, rows: list[Row]) -> None:
        """Stop rows in reverse; temporary ones are forgotten."""
        for row in reversed(rows):
            self.stop_row(sup, row)

    def stop_row(self, sup: Sup, row: Row) -> None:
        """Stop one row's child if it runs."""
        if row.child is not None:
            reason = self.shut_down(row.child, row.spec)
            expected = {"killed"} if row.spec.get("shutdown") == "brutal_kill" else {"shutdown"}
            fine = isinstance(reason, str) and reason in expected
            if not fine and not (restart_of(row) != "permanent" and orderly(reason)):
                self.report("shutdown_error", sup, row, reason)
            row.child = None
        if restart_of(row) == "temporary":
            sup.rows.pop(row.spec["id"], None)

    def shut_down(self, process: Worker | Sup, spec: Json) -> Any:
        """Order a process to stop; gives the reason it ended with."""
        if isinstance(process, Sup):
            self.stop_rows(process, list(process.rows.values()))
            return self.down(process, "shutdown")
        answer: Any = spec.get("on_shutdown", "obey") if spec.get("traps_exit") else "obey"
        if spec.get("shutdown") == "brutal_kill":
            return self.down(process, "killed")
        if answer == "ignore":
            self.now_ms += spec.get("shutdown", 5000)
            return self.down(process, "killed")
        return self.down(process, "shutdown" if answer == "obey" else answer["exit"])

    def down(self, process: Worker | Sup, reason: Any) -> Any:
        """Note that a process has ended; gives the reason."""
        del self.alive[process.path]
        self.events.append({"event": "exit", "path": process.path, "reason": reason})
        return reason

    # -- a process ended by itself -----------------------------------------------------------

    def ends(self, process: Worker | Sup, above: Sup | None, reason: Any) -> None:
        """End a process and let its supervisor act."""
        self.down(process, reason)
        if above is None:
            self.end = reason
            return
        row = above.rows[process.path.rpartition("/")[2]]
        restart = restart_of(row)
        if restart == "permanent" or not orderly(reason):
            self.report("child_terminated", above, row, reason)
        row.child = None
        if restart == "permanent" or (restart == "transient" and not orderly(reason)):
            self.restart(above, row)
            return
        if restart == "temporary":
            del above.rows[row.spec["id"]]
        if row.spec.get("significant"):
            mode = above.spec.get("auto_shutdown", "never")
            left = any(
                other.spec.get("significant") and other.child is not None
                for other in above.rows.values()
            )
            if mode == "any_significant" or (mode == "all_significant" and not left):
                self.sup_ends(above)

    def sup_ends(self, sup: Sup) -> None:
        """Let a supervisor end with `shutdown`, its children first."""
        self.stop_rows(sup, list(sup.rows.values()))
        self.ends(sup, sup.above, "shutdown")

    def restart(self, sup: Sup, row: Row) -> None:
        """Restart by the strategy until it works or the intensity is spent."""
        while True:
            now_s = self.now_ms // 1000
            oldest = now_s - sup.spec.get("period", 5)
            sup.stamps = [stamp for stamp in sup.stamps if stamp >= oldest] + [now_s]
            if len(sup.stamps) > sup.spec.get("intensity", 1):
                self.report("shutdown", sup, row, "reached_max_restart_intensity")
                if restart_of(row) == "temporary":
                    del sup.rows[row.spec["id"]]
                self.sup_ends(sup)
                return
            failed = self.restart_group(sup, row)
            if failed is None:
                return
            row = failed

    def restart_group(self, sup: Sup, row: Row) -> Row | None:
        """Stop and start what the strategy says; gives the row that failed to start."""
        rows = list(sup.rows.values())
        strategy = sup.spec.get("strategy", "one_for_one")
        if strategy == "one_for_one":
            group = [row]
        elif strategy == "one_for_all":
            group = rows
        else:
            group = rows[rows.index(row) :]
        self.stop_rows(sup, [member for member in group if member is not row])
        for member in group:
            if member.spec["id"] not in sup.rows:
                continue
            error = self.start_row(sup, member)
            if error is not None:
                self.report("start_error", sup, member, error)
                return member
        return None

    # -- steps -------------------------------------------------------------------------------

    def step(self, number: int, step: Json) -> None:
        """Carry one step out."""
        do = step["do"]
        if do == "sleep":
            self.now_ms += step["ms"]
            return
        path = step.get("path", step.get("sup", self.root.path))
        target = self.alive.get(path)
        if target is None:
            self.result(number, "noproc")
        elif do == "stop":
            assert isinstance(target, Sup)
            self.stop_rows(target, list(target.rows.values()))
            self.end = self.down(target, "shutdown")
        elif do in ("exit", "kill"):
            above = self.alive[path.rpartition("/")[0]]
            assert isinstance(above, Sup)
            self.ends(target, above, step["reason"] if do == "exit" else "killed")
        else:
            assert isinstance(target, Sup)
            self.result(number, getattr(self, do)(target, step))

    def start_child(self, sup: Sup, step: Json) -> Any:
        """Add a child."""
        spec = step["child"]
        known = sup.rows.get(spec["id"])
        if known is not None:
            running = ["already_started", "pid"]
            return ["error", running if known.child is not None else "already_present"]
        row = sup.rows[spec["id"]] = Row(spec)
        error = self.start_row(sup, row)
        if error is not None:
            del sup.rows[spec["id"]]
            return ["error", error]
        return ["ok", pid_of(row)]

    def restart_child(self, sup: Sup, step: Json) -> Any:
        """Start a child that is down."""
        row = sup.rows.get(step["id"])
        if row is None:
            return ["error", "not_found"]
        if row.child is not None:
            return ["error", "running"]
        error = self.start_row(sup, row)
        if error is not None:
            return ["error", error]
        return ["ok", pid_of(row)]

    def terminate_child(self, sup: Sup, step: Json) -> Any:
        """Stop a child."""
        row = sup.rows.get(step["id"])
        if row is None:
            return ["error", "not_found"]
        self.stop_row(sup, row)
        return "ok"

    def delete_child(self, sup: Sup, step: Json) -> Any:
        """Forget a child that is down."""
        row = sup.rows.get(step["id"])
        if row is None:
            return ["error", "not_found"]
        if row.child is not None:
            return ["error", "running"]
        del sup.rows[step["id"]]
        return "ok"

    def which_children(self, sup: Sup, step: Json) -> Any:
        """List the children, the newest first."""
        return [
            [row.spec["id"], "undefined" if row.child is None else "alive", row.spec["type"]]
            for row in reversed(sup.rows.values())
        ]

    def count_children(self, sup: Sup, step: Json) -> Any:
        """Count the children."""
        kinds = Counter(row.spec["type"] for row in sup.rows.values())
        return {
            "specs": len(sup.rows),
            "active": sum(row.child is not None for row in sup.rows.values()),
            "supervisors": kinds["supervisor"],
            "workers": kinds["worker"],
        }

    # -- events ------------------------------------------------------------------------------

    def result(self, number: int, value: Any) -> None:
        """Note the result of a step."""
        self.events.append({"event": "result", "step": number, "value": value})

    def report(self, context: str, sup: Sup, row: Row, reason: Any) -> None:
        """Note a supervisor report."""
        self.events.append(
            {
                "event": "report",
                "context": context,
                "sup": sup.path,
                "id": row.spec["id"],
                "reason": reason,
            }
        )


def pid_of(row: Row) -> str:
    """Give what stands for the pid of a row's child."""
    return "undefined" if row.child is None else "pid"


def restart_of(row: Row) -> str:
    """Give a row's restart type."""
    restart: str = row.spec.get("restart", "permanent")
    return restart


def orderly(reason: Any) -> bool:
    """Tell normal, shutdown and {shutdown, _} from the rest."""
    return reason in NORMAL or isinstance(reason, dict)


def run(scenario: Json) -> list[Json]:
    """Say what a scenario prints."""
    model = Model(scenario["tree"])
    if model.root is not None:
        for number, step in enumerate(scenario["steps"]):
            model.step(number, step)
    return [*model.events, {"event": "end", "root": model.end}]
