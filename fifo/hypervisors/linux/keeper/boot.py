"""The command line that starts this package's program with nothing else on Python's path."""

from __future__ import annotations

import sys
from pathlib import Path

# The root comes last: what lies beside it on the path cannot hide Python's own modules.
PROGRAM = (
    "import sys; sys.path.append(sys.argv[1]);"
    " from fifo.hypervisors.linux.keeper.__main__ import main; sys.exit(main(sys.argv[2:]))"
)


def command(*arguments: str) -> list[str]:
    """Give the command for `__main__.main` with these arguments, free of site and user paths."""
    root = Path(__file__).parents[4]
    return [sys.executable, "-I", "-S", "-c", PROGRAM, str(root), *arguments]
