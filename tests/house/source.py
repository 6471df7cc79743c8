"""What every house rule starts from: the project's Python files, and their text taken apart."""

from __future__ import annotations

import ast
import functools
import io
import tokenize
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import NamedTuple, TypeAlias

ROOT = Path(__file__).resolve().parents[2]

# The packages that hold hand-written Python, and what in them is generated.
PACKAGES = ("supervisors", "fifo", "benchmarks", "tests")
GENERATED = (PurePosixPath("fifo/v1"), PurePosixPath("fifo/node/v1"))

# Parsed files kept at once: every rule reads every file, and the project stays below this number.
PARSED_MAX = 2_048


class Violation(NamedTuple):
    """One broken rule: where (path from the root, line from 1), and what to do instead."""

    path: PurePosixPath
    line: int
    message: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.message}"


# A rule sees a path relative to the root and the text of the file, and nothing else.
Rule: TypeAlias = Callable[[PurePosixPath, str], Iterator[Violation]]


def files(root: Path = ROOT) -> Iterator[tuple[PurePosixPath, str]]:
    """Yield each hand-written Python file under `root` as (path from the root, text)."""
    for package in PACKAGES:
        for file in sorted((root / package).rglob("*.py")):
            path = PurePosixPath(file.relative_to(root).as_posix())
            if not any(path.is_relative_to(directory) for directory in GENERATED):
                yield path, file.read_text(encoding="utf-8")


@functools.lru_cache(maxsize=PARSED_MAX)
def parse(text: str) -> ast.Module:
    """Parse `text`; the tree is shared between the rules, so none of them may change it."""
    return ast.parse(text)


def comments(text: str) -> Iterator[tuple[int, str]]:
    """Yield (line, text) for each comment; a '#' inside a string is not one."""
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], token.string


class Import(NamedTuple):
    """One imported dotted name, absolute; `name` stands for `meaning` in the module from here on.

    `import a.b` has the target `a.b` and binds `a`; with `as c` it binds `c`, which means `a.b`.
    """

    line: int
    target: str
    name: str
    meaning: str
    for_types_only: bool


def imports(path: PurePosixPath, text: str) -> Iterator[Import]:
    """Yield every import of the module, also those inside functions; relative ones made absolute.

    `from a.b import c` yields `a.b.c`: whether `c` is a module or a name in one is not known here.
    """
    tree = parse(text)
    typing_only = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING")
        for statement in node.body
        for inner in ast.walk(statement)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                meaning = alias.name if alias.asname else alias.name.partition(".")[0]
                name = alias.asname or meaning
                yield Import(node.lineno, alias.name, name, meaning, id(node) in typing_only)
        elif isinstance(node, ast.ImportFrom):
            origin = ".".join([*_package(path, node.level), *filter(None, [node.module])])
            for alias in node.names:
                target = f"{origin}.{alias.name}"
                name = alias.asname or alias.name
                yield Import(node.lineno, target, name, target, id(node) in typing_only)


def _package(path: PurePosixPath, level: int) -> tuple[str, ...]:
    """Return the package that a relative import of this many dots starts from."""
    return path.parts[:-level] if level else ()


def within(name: str, module: str) -> bool:
    """Tell whether the dotted `name` is `module` or something inside it."""
    return name == module or name.startswith(f"{module}.")


def dotted(node: ast.expr) -> str | None:
    """Return 'a.b.c' for such a chain of attributes, None for any other expression."""
    match node:
        case ast.Name(id=name):
            return name
        case ast.Attribute(value=value, attr=attribute):
            left = dotted(value)
            return f"{left}.{attribute}" if left else None
        case _:
            return None


def meanings(path: PurePosixPath, text: str) -> dict[str, str]:
    """Return what each imported name stands for: `import time as t` gives `t` -> `time`."""
    return {found.name: found.meaning for found in imports(path, text)}


def origin(node: ast.expr, names: dict[str, str]) -> str:
    """Return the dotted name of the expression, aliases followed; '' if it has no such name."""
    head, dot, rest = (dotted(node) or "").partition(".")
    return f"{names.get(head, head)}{dot}{rest}"


def names_used(path: PurePosixPath, text: str) -> Iterator[tuple[int, str]]:
    """Yield (line, dotted name) of all that is imported or used, aliases followed to their origin.

    `import time as t; t.sleep` and `from time import sleep as s; s` both yield `time.sleep`. Of a
    chain of attributes the whole is yielded, not its beginnings.
    """
    for found in imports(path, text):
        yield found.line, found.target
    names = meanings(path, text)
    tree = parse(text)
    beginnings = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Name | ast.Attribute) and id(node) not in beginnings:
            yield node.lineno, origin(node, names)
