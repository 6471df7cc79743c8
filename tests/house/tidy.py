"""Size, names and leftovers: the rules that keep a module readable in one sitting."""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING

from tests.house.source import Violation, comments, parse

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import PurePosixPath

# One concept fits; a module that outgrows this holds two.
MODULE_LINES_MAX = 400
# A screen. The docstring is the contract and not counted.
FUNCTION_LINES_MAX = 50
# Two files side by side.
LINE_COLUMNS_MAX = 100

# Names that say nothing about what is inside.
EMPTY_NAMES = re.compile(r"(?:^|_)(?:managers?|helpers?|utils?|utilit(?:y|ies)|misc)(?:_|$)")

LEFTOVERS = re.compile(r"\b(?:TODO|FIXME|XXX|HACK)\b")
BARE_WAIVERS = (
    (re.compile(r"#\s*type:\s*ignore(?!\[)"), "type: ignore"),
    (re.compile(r"#\s*noqa(?!:\s*[A-Z])", re.IGNORECASE), "noqa"),
)


def module_size(path: PurePosixPath, text: str) -> Iterator[Violation]:
    """Refuse a module that is too long to hold one concept."""
    lines = len(text.splitlines())
    if lines > MODULE_LINES_MAX:
        yield Violation(
            path,
            MODULE_LINES_MAX + 1,
            f"{lines} lines, at most {MODULE_LINES_MAX}: find the second concept and move it out",
        )


def function_size(path: PurePosixPath, text: str) -> Iterator[Violation]:
    """Refuse a function that does not fit a screen, its docstring not counted."""
    for node in ast.walk(parse(text)):
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        lines = (node.end_lineno or node.lineno) - node.lineno + 1 - _docstring_lines(node)
        if lines > FUNCTION_LINES_MAX:
            yield Violation(
                path,
                node.lineno,
                f"{node.name} has {lines} lines, at most {FUNCTION_LINES_MAX}: name its parts",
            )


def _docstring_lines(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    match node.body[0]:
        case ast.Expr(value=ast.Constant(value=str()), lineno=first, end_lineno=int(last)):
            return last - first + 1
        case _:
            return 0


def line_width(path: PurePosixPath, text: str) -> Iterator[Violation]:
    """Refuse a line that two files side by side have no room for."""
    for number, line in enumerate(text.splitlines(), start=1):
        if len(line) > LINE_COLUMNS_MAX:
            yield Violation(path, number, f"{len(line)} columns, at most {LINE_COLUMNS_MAX}")


def file_name(path: PurePosixPath, text: str) -> Iterator[Violation]:
    """Refuse a module or a directory whose name would fit any content."""
    for part in (*path.parts[:-1], path.stem):
        if EMPTY_NAMES.search(part):
            yield Violation(path, 1, f"'{part}' says nothing: name it after its one concept")


def leftovers(path: PurePosixPath, text: str) -> Iterator[Violation]:
    """Refuse notes of unfinished work in comments and docstrings: do it, or file an issue."""
    docstrings = (
        (getattr(node, "lineno", 1), ast.get_docstring(node) or "")
        for node in ast.walk(parse(text))
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
    )
    for line, note in (*comments(text), *docstrings):
        if found := LEFTOVERS.search(note):
            yield Violation(path, line, f"'{found[0]}' left: finish it, or file an issue instead")


def bare_waivers(path: PurePosixPath, text: str) -> Iterator[Violation]:
    """Refuse a waiver that silences every complaint of a line instead of the one it means."""
    for line, comment in comments(text):
        for pattern, waiver in BARE_WAIVERS:
            if pattern.search(comment):
                yield Violation(path, line, f"bare '{waiver}': name the code that it silences")


RULES = (module_size, function_size, line_width, file_name, leftovers, bare_waivers)
