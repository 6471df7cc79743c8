"""Calls and modules that are never right here, each with its reason and what to use instead."""

from __future__ import annotations

import ast
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, NamedTuple

from tests.house.source import Violation, meanings, names_used, origin, parse, within

if TYPE_CHECKING:
    from collections.abc import Iterator

# Modules whose output a person or a program reads on standard output.
MAY_PRINT = frozenset(
    map(
        PurePosixPath,
        (
            "supervisors/demo.py",
            "supervisors/observe/__main__.py",
            "supervisors/scenario/__main__.py",
        ),
    )
)
MAY_PRINT_UNDER = (PurePosixPath("benchmarks"), PurePosixPath("fifo/cli"))


class Ban(NamedTuple):
    """A dotted name, a module's with all in it, and the packages it is banned in (all if none)."""

    name: str
    reason: str
    instead: str
    only_in: tuple[str, ...] = ()


RUNS_CODE = "loading it can run whatever its writer wanted"
SHELL = "a shell reads data as commands"
SLEEP = "a sleep is too short on a busy machine and too long on any other"
BANS = (
    Ban("pickle", RUNS_CODE, "JSON or a typed struct"),
    Ban("marshal", RUNS_CODE, "JSON or a typed struct"),
    Ban("shelve", f"it is pickle on disk: {RUNS_CODE}", "a store"),
    Ban("yaml.load", RUNS_CODE, "yaml.safe_load"),
    Ban("yaml.load_all", RUNS_CODE, "yaml.safe_load_all"),
    Ban("yaml.full_load", RUNS_CODE, "yaml.safe_load"),
    Ban("yaml.unsafe_load", RUNS_CODE, "yaml.safe_load"),
    Ban("os.system", SHELL, "subprocess.run with an argument list"),
    Ban("os.popen", SHELL, "subprocess.run with an argument list"),
    Ban("subprocess.getoutput", SHELL, "subprocess.run with an argument list"),
    Ban("subprocess.getstatusoutput", SHELL, "subprocess.run with an argument list"),
    Ban("asyncio.create_subprocess_shell", SHELL, "asyncio.create_subprocess_exec"),
    Ban("eval", "it runs data as code", "ast.literal_eval, or a table of functions"),
    Ban("exec", "it runs data as code", "a function"),
    Ban("time.sleep", SLEEP, "wait for an event, or simulated time", ("tests", "supervisors")),
)


def banned_names(path: PurePosixPath, text: str) -> Iterator[Violation]:
    """Refuse the names of BANS, however they were imported."""
    bans = [ban for ban in BANS if not ban.only_in or path.parts[0] in ban.only_in]
    for line, name in names_used(path, text):
        for ban in bans:
            if within(name, ban.name):
                yield Violation(path, line, f"{name}: {ban.reason}; use {ban.instead}")


def shell(path: PurePosixPath, text: str) -> Iterator[Violation]:
    """Refuse `shell=` with anything but a literal False."""
    for node in ast.walk(parse(text)):
        if isinstance(node, ast.Call):
            for keyword in node.keywords:
                if keyword.arg == "shell" and not _is_literal(keyword.value, value=False):
                    yield Violation(
                        path, node.lineno, f"shell=: {SHELL}; pass an argument list alone"
                    )


def sleeping_tests(path: PurePosixPath, text: str) -> Iterator[Violation]:
    """Refuse `sleep(...)` of an event loop in tests; `sleep(0)`, which only yields, is allowed."""
    if path.parts[0] != "tests":
        return
    names = meanings(path, text)
    for node in ast.walk(parse(text)):
        if (
            isinstance(node, ast.Call)
            and origin(node.func, names) == "asyncio.sleep"
            and not (node.args and _is_literal(node.args[0], value=0))
        ):
            yield Violation(path, node.lineno, f"asyncio.sleep: {SLEEP}; await an event")


def _is_literal(node: ast.expr, *, value: bool | int) -> bool:
    return isinstance(node, ast.Constant) and node.value is value


def printing(path: PurePosixPath, text: str) -> Iterator[Violation]:
    """Refuse `print` to standard streams outside the modules whose output is their result.

    `print(..., file=stream)` to a stream that was passed in is a write like any other.
    """
    if (
        path.name == "__main__.py"
        or path in MAY_PRINT
        or any(path.is_relative_to(directory) for directory in MAY_PRINT_UNDER)
    ):
        return
    names = meanings(path, text)
    for node in ast.walk(parse(text)):
        if isinstance(node, ast.Call) and origin(node.func, names) == "print":
            streams = [origin(word.value, names) for word in node.keywords if word.arg == "file"]
            if not streams or within(streams[0], "sys"):
                yield Violation(path, node.lineno, "print: return the value, or log it")


RULES = (banned_names, shell, sleeping_tests, printing)
