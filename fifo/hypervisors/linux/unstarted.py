"""A command that a runtime could not start, in a shell's words in place of the runtime's own."""

from __future__ import annotations

import re
from typing import Final

NOT_FOUND: Final = 127
NOT_EXECUTABLE: Final = 126
"""What shells end with; runc itself ends with 255, which says nothing."""
_COMPLAINT: Final = re.compile(
    rb'(?:time="[^"]*" level=error msg="exec failed: .*|.*executable file .*)\n?'
)
"""All that runc or crun writes then: a line of their log."""


def unstarted(name: str, code: int, said: bytes) -> tuple[int, bytes] | None:
    """Give the exit status and words of a command that was not started; None if it was."""
    if code not in {1, NOT_EXECUTABLE, NOT_FOUND, 255} or not _COMPLAINT.fullmatch(said):
        return None
    shown = name.encode(errors="surrogateescape")
    if b"permission denied" in said.lower():
        return NOT_EXECUTABLE, shown + b": permission denied\n"
    if b"not found" in said or b"no such file" in said.lower():
        return NOT_FOUND, shown + b": not found\n"
    return None
