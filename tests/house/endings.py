"""How processes end: what they do at their end is done in an orderly end too.

As in OTP, `terminate` runs on a supervisor's shutdown only in a process that traps exits; in any
other it runs on a stop or a crash of its own, and what it gives back stays taken at a shutdown.
"""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from tests.house.source import Violation, parse

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import PurePosixPath

# Behaviours whose subclass has to trap exits itself; a `Passive` does that for it.
BEHAVIOURS = frozenset({"GenServer", "StateMachine", "Process"})
# Of these, those that have a `terminate` already.
WITH_TERMINATE = frozenset({"Owner"})


def exits_are_trapped(path: PurePosixPath, text: str) -> Iterator[Violation]:
    """Refuse a process of `fifo` that cleans up in `terminate` and does not trap exits."""
    if path.parts[0] != "fifo":
        return
    for node in ast.walk(parse(text)):
        if not isinstance(node, ast.ClassDef):
            continue
        bases = {_last_name(base) for base in node.bases}
        cleans_up = bool(bases & WITH_TERMINATE) or (
            bool(bases & BEHAVIOURS) and _defines_terminate(node)
        )
        if cleans_up and not any(map(_traps, ast.walk(node))):
            yield Violation(
                path,
                node.lineno,
                f"{node.name}.terminate is not run by a shutdown: set self.trap_exit in its init",
            )


def _last_name(base: ast.expr) -> str:
    match base:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
        case ast.Subscript(value=value):
            return _last_name(value)
        case _:
            return ""


def _defines_terminate(node: ast.ClassDef) -> bool:
    return any(
        isinstance(own, ast.FunctionDef | ast.AsyncFunctionDef) and own.name == "terminate"
        for own in node.body
    )


def _traps(node: ast.AST) -> bool:
    match node:
        case ast.Assign(
            targets=[ast.Attribute(value=ast.Name(id="self"), attr="trap_exit")],
            value=ast.Constant(value=True),
        ):
            return True
        case _:
            return False


RULES = (exits_are_trapped,)
