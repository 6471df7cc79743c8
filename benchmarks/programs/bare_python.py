"""A Python process that does nothing, and one that only imports gRPC: below them nothing can be.

Run as `python -m benchmarks.programs.bare_python TIMES`; the peer of `command_line`.
"""

from __future__ import annotations

import functools
import sys
from typing import Final

from benchmarks.programs.command_line import measure, to_end

PROGRAMS: Final = {"bare_python": "pass", "bare_grpc": "import grpc"}


def main() -> None:
    """Measure each."""
    for name, text in PROGRAMS.items():
        argv = (sys.executable, "-c", text)
        measure(name, functools.partial(to_end, argv, {}), int(sys.argv[1]))


if __name__ == "__main__":
    main()
