"""Global mutable state: how one test, one tree or one node changes another behind its back."""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING

from tests.house.source import Violation, dotted, parse

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import PurePosixPath

CONSTANT = re.compile(r"_?[A-Z][A-Z0-9_]*|__[a-z_]+__")

# Constructors of values that change in place.
MAKERS = frozenset(
    {"dict", "list", "set", "bytearray", "deque", "defaultdict", "OrderedDict", "Counter", "count"}
    | {"ChainMap", "WeakKeyDictionary", "WeakValueDictionary", "WeakSet", "SimpleQueue", "Queue"}
)
CHANGERS = frozenset(
    {"add", "append", "appendleft", "clear", "difference_update", "discard", "extend", "insert"}
    | {"intersection_update", "pop", "popitem", "popleft", "remove", "reverse", "setdefault"}
    | {"sort", "symmetric_difference_update", "update"}
)


def mutable_globals(path: PurePosixPath, text: str) -> Iterator[Violation]:
    """Refuse module-level containers that are not constants, in name and in use."""
    tree = parse(text)
    containers = dict(_containers(tree))
    for name, line in containers.items():
        if not CONSTANT.fullmatch(name):
            yield Violation(
                path,
                line,
                f"'{name}' is a mutable global: give it to an object,"
                " or make it a constant (tuple, frozenset, or ALL_CAPS and never changed)",
            )
    for node in ast.walk(tree):
        if isinstance(node, ast.Global):
            names = ", ".join(node.names)
            yield Violation(path, node.lineno, f"'global {names}': give the state to an object")
        elif isinstance(node, ast.expr | ast.stmt):
            name = _changed(node)
            if name in containers and not name.startswith("__"):
                yield Violation(path, node.lineno, f"'{name}' is global and changed here")


def _containers(tree: ast.Module) -> Iterator[tuple[str, int]]:
    for statement in tree.body:
        targets: list[ast.expr] = []
        match statement:
            case ast.Assign():
                targets = statement.targets
            case ast.AnnAssign(value=ast.expr()):
                targets = [statement.target]
            case _:
                continue
        if statement.value is not None and _makes_container(statement.value):
            for target in targets:
                if isinstance(target, ast.Name):
                    yield target.id, statement.lineno


def _makes_container(value: ast.expr) -> bool:
    if isinstance(value, ast.Call):
        maker = dotted(value.func)
        return maker is not None and maker.rpartition(".")[2] in MAKERS
    return isinstance(
        value, ast.Dict | ast.List | ast.Set | ast.DictComp | ast.ListComp | ast.SetComp
    )


def _changed(node: ast.AST) -> str:
    """Return the plain name whose value this node changes in place, or ''."""
    match node:
        case ast.Call(func=ast.Attribute(value=ast.Name(id=name), attr=method)):
            return name if method in CHANGERS else ""
        case ast.Subscript(value=ast.Name(id=name), ctx=ast.Store() | ast.Del()):
            return name
        case ast.AugAssign(target=ast.Name(id=name)):
            return name
        case _:
            return ""


RULES = (mutable_globals,)
