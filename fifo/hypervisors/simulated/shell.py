"""A shell with a handful of commands: a script is taken apart into steps, as values.

`echo`, `true`, `false`, `hostname`, `cat`, `sleep`, `env`, `exit`; `;` between commands and `>&2`
behind one. Anything else is not found, as in any shell.
"""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

NOT_FOUND: Final = 127
"""Exit code of a command that there is none of (POSIX)."""
USAGE: Final = 2
"""Exit code of a command that was called wrongly."""


class Step(NamedTuple):
    """One thing a command does: write to a stream, copy its input, wait, or end."""

    what: Literal["write", "copy", "sleep", "exit"]
    stream: int = 1
    data: bytes = b""
    number: float = 0


def steps(command: tuple[str, ...], hostname: str, environment: dict[str, str]) -> tuple[Step, ...]:
    """Give what a command does; the last step is its exit."""
    if command[:2] in {("sh", "-c"), ("/bin/sh", "-c")}:
        return tuple(_script(" ".join(command[2:3]), hostname, environment))
    return tuple(_until_exit(_one(list(command), hostname, environment)))


def _script(text: str, hostname: str, environment: dict[str, str]) -> Iterator[Step]:
    code = Step("exit")
    for part in text.split(";"):
        try:
            words = shlex.split(part)
        except ValueError as error:
            yield Step("write", 2, f"sh: {error}\n".encode())
            yield Step("exit", number=USAGE)
            return
        for step in _one(words, hostname, environment):
            if step.what != "exit":
                yield step
                continue
            code = step
            if words[:1] == ["exit"]:
                yield code
                return
    yield code


def _until_exit(found: Iterator[Step]) -> Iterator[Step]:
    for step in found:
        yield step
        if step.what == "exit":
            return


def _one(words: list[str], hostname: str, environment: dict[str, str]) -> Iterator[Step]:
    stream = 1
    if words[-1:] == [">&2"]:
        words, stream = words[:-1], 2
    match words:
        case ["cat"]:
            yield Step("copy", stream)
        case ["sleep", seconds] if _is_number(seconds):
            yield Step("sleep", number=float(seconds))
        case ["exit", code] if code.isdecimal():
            yield Step("exit", number=int(code) & 0xFF)
            return
        case _:
            data, stream, exit_code = _output(words, hostname, environment, stream)
            if data:
                yield Step("write", stream, data.encode())
            yield Step("exit", number=exit_code)
            return
    yield Step("exit")


def _output(
    words: list[str], hostname: str, environment: dict[str, str], stream: int
) -> tuple[str, int, int]:
    """Give what a command writes at once, where to, and its exit code."""
    match words:
        case [] | ["true"] | ["exit"]:
            return "", stream, 0
        case ["false"]:
            return "", stream, 1
        case ["echo", *rest]:
            return " ".join(rest) + "\n", stream, 0
        case ["hostname"]:
            return f"{hostname}\n", stream, 0
        case ["env"]:
            listed = (f"{name}={value}\n" for name, value in sorted(environment.items()))
            return "".join(listed), stream, 0
    return f"{words[0]}: not found\n", 2, NOT_FOUND


def _is_number(text: str) -> bool:
    return text.replace(".", "", 1).isdecimal()
