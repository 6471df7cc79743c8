"""What instances have written to their consoles, from the files that the keeper keeps."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

CONSOLE: Final = "console.log"
"""The log of an instance's console, in its directory; the keeper turns it over to `.1`."""


def tail(directory: Path, most_bytes: int) -> bytes:
    """Give the end of a console's log, over the turn too; raises OSError. Blocks on the disk."""
    found = b""
    for path in (directory / CONSOLE, directory / f"{CONSOLE}.1"):
        missing = most_bytes - len(found)
        if missing > 0 and path.exists():
            with path.open("rb") as file:
                file.seek(max(0, path.stat().st_size - missing))
                found = file.read(missing) + found
    return found
