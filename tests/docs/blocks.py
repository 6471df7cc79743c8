"""The fenced blocks of a Markdown text, each with the heading it stands under."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

_HEADING = re.compile(r"#{1,6} (?P<text>.+)")
_FENCE = re.compile(r"```(?P<language>\w*)$")


class Block(NamedTuple):
    """One fenced block; `number` counts the blocks of its heading from 1, `line` the text's."""

    heading: str
    number: int
    language: str
    line: int
    text: str

    def __str__(self) -> str:
        return f"{self.heading} {self.number}"


def blocks(text: str) -> Iterator[Block]:
    """Yield the blocks of a text in their order; raises ValueError for one that never ends."""
    heading, number = "", 0
    lines = enumerate(text.splitlines(), start=1)
    for begin, line in lines:
        if found := _HEADING.fullmatch(line):
            heading, number = found["text"], 0
        elif found := _FENCE.fullmatch(line):
            number += 1
            inside = []
            for _, inner in lines:
                if inner == "```":
                    break
                inside.append(inner + "\n")
            else:
                raise ValueError(f"the block that begins in line {begin} never ends")
            yield Block(heading, number, found["language"], begin + 1, "".join(inside))
